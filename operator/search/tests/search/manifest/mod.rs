//! Manifests: what is refused, with file, line, field and what would be right, and what is warned of.

mod words;

use std::path::Path;

use autopeft_search::manifest;
use proptest::prelude::*;

const GOOD: &str = "\
apiVersion: autopeft.dev/v1alpha1
kind: PeftSearch
metadata:
  name: my-search
spec:
  model:
    source: { path: model }
  task:
    name: rte
    source: { path: data }
";

fn parse(text: &str) -> Result<(), String> {
    manifest::parse(text, Path::new("search.yaml"))
        .map(|_| ())
        .map_err(|error| error.to_string())
}

/// What is said of GOOD with one text in place of another, and the manifest is good all the same.
fn warn(from: &str, to: &str, expected: &str) {
    assert!(GOOD.contains(from), "{from:?} is not in the manifest");
    let path = Path::new("search.yaml");
    let manifest = manifest::parse(&GOOD.replacen(from, to, 1), path).expect("good");
    let found = manifest::Report(path, &manifest.advice(&[])).to_string();
    assert_eq!(found, expected);
}

/// The message for GOOD with one text in place of another.
fn check(from: &str, to: &str, expected: &str) {
    assert!(GOOD.contains(from), "{from:?} is not in the manifest");
    let text = GOOD.replacen(from, to, 1);
    assert_eq!(parse(&text).expect_err("refused"), expected);
}

#[test]
fn a_good_manifest_is_read() {
    parse(GOOD).expect("good");
    parse(&format!("# A comment.\n---\n{GOOD}...\n")).expect("with marks");
    parse(&GOOD.replace('\n', "\r\n")).expect("with carriage returns");
    for name in ["a.b-1", &"n".repeat(46)] {
        parse(&GOOD.replace("my-search", name)).expect("a name that a cluster takes");
    }
}

#[test]
fn every_example_is_a_good_manifest() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/examples");
    let mut read = 0;
    for folder in ["", "cluster", "paper", "paper/reduced"] {
        let folder = examples.join(folder);
        for entry in std::fs::read_dir(folder).expect("the examples") {
            let path = entry.expect("a file").path();
            let is_yaml = path
                .extension()
                .is_some_and(|extension| extension == "yaml");
            if is_yaml && path.file_name().is_some_and(|name| name != "claim.yaml") {
                let text = std::fs::read_to_string(&path).expect("text");
                manifest::parse(&text, &path).unwrap_or_else(|error| panic!("{error}"));
                read += 1;
            }
        }
    }
    assert!(read >= 16, "the examples were not found");
}

#[test]
fn what_it_says_of_itself() {
    check(
        "v1alpha1",
        "v1",
        "search.yaml:1: apiVersion: it is \"autopeft.dev/v1\"; this program reads apiVersion: autopeft.dev/v1alpha1",
    );
    check(
        "kind: PeftSearch",
        "kind: Pod",
        "search.yaml:2: kind: it is \"Pod\"; this program reads kind: PeftSearch",
    );
    check(
        "kind: PeftSearch\n",
        "",
        "search.yaml:1: kind: the field is missing; write kind: PeftSearch",
    );
    check(
        "my-search",
        "My_Search",
        "search.yaml:4: metadata.name: \"My_Search\" cannot be the name of an object; give the search a name of lower-case letters, digits and -, such as my-search; at most 46 characters",
    );
    check(
        "my-search",
        "2024",
        "search.yaml:4: metadata.name: 2024 is a number; write it in quotes: \"2024\"",
    );
    check(
        "metadata:\n  name: my-search\n",
        "",
        "search.yaml:1: metadata.name: the field is missing; give the search a name of lower-case letters, digits and -, such as my-search",
    );
    check(
        "spec:",
        "specs:",
        "search.yaml:1: spec: the field is missing; describe the search there; model and task are required\nsearch.yaml:5: specs: there is no such field; did you mean spec?",
    );
}

/// As the rule of the CRD and Kubernetes itself have it.
#[test]
fn a_name_that_a_cluster_refuses_is_refused() {
    let long = "n".repeat(47);
    for name in [&long, "a..b", ".a", "a.", "-a", "a-.b", "A", "a_b"] {
        let text = GOOD.replace("my-search", &format!("{name:?}"));
        let refused = parse(&text).expect_err("refused");
        assert!(
            refused.starts_with("search.yaml:4: metadata.name: ")
                && refused.ends_with("at most 46 characters"),
            "{refused}"
        );
    }
}

#[test]
fn fields_are_named_with_their_line() {
    check(
        "    name: rte\n",
        "    name: RTE\n    metrik: F1\n",
        "search.yaml:9: spec.task.name: \"RTE\" is not known; did you mean rte? (one of cola, sst2, mrpc, stsb, qqp, mnli, qnli, rte, boolq, cb, wic, copa, custom)\nsearch.yaml:10: spec.task.metrik: there is no such field; did you mean metric?",
    );
    check(
        "  task:",
        "  training:\n    learningRate: 1e-3\n  task:",
        "search.yaml:9: spec.training.learningRate: 1e-3 is a number; write it in quotes: \"1e-3\"",
    );
    check(
        "  task:",
        "  maxTrials:\n  task:",
        "search.yaml:8: spec.maxTrials: there is no value; write a whole number from 1 to 500",
    );
    check(
        "source: { path: model }",
        "source: {}",
        "search.yaml:7: spec.model.source: it names no location of the files; give exactly one of path, claim, image and hub",
    );
    check(
        "    source: { path: data }",
        "",
        "search.yaml:8: spec.task.source: the field is missing; add it: the directory with the data: a known task in its standard layout (GLUE's `train.tsv` and `dev.tsv`, SuperGLUE's `train.jsonl` and `val.jsonl`, or the hub's parquet files), or the files that `custom` names",
    );
}

/// As `kubectl` takes them: documents in which nothing is do not count.
#[test]
fn markers_of_documents() {
    for text in [
        format!("{GOOD}---\n"),
        format!("{GOOD}---"),
        format!("{GOOD}--- # the end\n"),
        format!("{GOOD}...\n"),
        format!("{GOOD}...\n---\n...\n"),
        format!("{GOOD}---\n# nothing\n---\n\n---\n"),
        format!("{GOOD}---\nnull\n"),
        format!("---\n{GOOD}"),
        format!("---\n---\n# first\n---\n{GOOD}---\n"),
        format!("\n\n# a comment\n\n---\n\n{GOOD}\n\n"),
        format!("%YAML 1.2\n---\n{GOOD}"),
        format!("\u{feff}{GOOD}"),
        format!("\u{feff}---\n{GOOD}---\n"),
        format!("{GOOD}---\n").replace('\n', "\r\n"),
        GOOD.replace("my-search", "my-search  \t"),
        GOOD.trim_end().to_owned(),
    ] {
        parse(&text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
    }
    let two = parse(&format!("---\n{GOOD}---\n# nothing\n---\n{GOOD}"));
    assert_eq!(
        two.expect_err("refused"),
        "search.yaml:14: a second document begins here; keep one PeftSearch in a file"
    );
    for empty in [
        "---\n---\n",
        "# nothing",
        "...\n",
        "null\n",
        "~",
        "\u{feff}",
        "\r\n \n",
    ] {
        let refused = parse(empty).expect_err("refused");
        assert!(
            refused.contains("the file is empty"),
            "{empty:?}: {refused}"
        );
    }
}

/// A search as the API server gives it back, and JSON, are manifests too.
#[test]
fn other_forms_of_the_same() {
    let path = Path::new("search.yaml");
    let read = manifest::parse(GOOD, path).expect("good").search;
    let json = serde_json::to_string_pretty(&read).expect("JSON");
    for text in [&json, &json.replace("  ", "\t")] {
        let again = manifest::parse(text, path).expect("good").search;
        assert_eq!(again.spec, read.spec);
    }
    let metadata = "metadata:\n  creationTimestamp: \"2026-11-28T10:00:00Z\"\n  generation: 1\n  \
                    labels: {team: \"1\"}\n  managedFields: []\n  uid: 0b1\n  resourceVersion: \"7\"";
    let text = GOOD.replace("metadata:", &metadata.replace("0b1", "\"0b1\""));
    parse(&text).expect("with what the API server adds");
    let anchors = GOOD
        .replace("source: { path: model }", "source: &at { path: model }")
        .replace("source: { path: data }", "source: { <<: *at, path: data }");
    let merged = manifest::parse(&anchors, path).expect("good").search;
    assert_eq!(merged.spec, read.spec);
}

#[test]
fn metadata_is_checked_too() {
    check(
        "  name: my-search",
        "  name: my-search\n  lables: {}",
        "search.yaml:5: metadata.lables: there is no such field; did you mean labels?",
    );
    check(
        "  name: my-search",
        "  name: my-search\n  labels: {version: 1.10}",
        "search.yaml:5: metadata.labels.version: 1.10 is a number; write it in quotes: \"1.10\"",
    );
    check(
        "metadata:\n  name: my-search",
        "metadata: []",
        "search.yaml:3: metadata: it is a list; write an object with the fields ",
    );
    check(
        "  name: my-search",
        "  name: my-search\n  generation: many",
        "search.yaml:3: metadata: invalid type: string \"many\", expected i64; write it as docs/manifest.md says",
    );
}

#[test]
fn what_is_not_one_document() {
    assert_eq!(
        parse("").expect_err("refused"),
        "search.yaml: the file is empty; it should hold one PeftSearch, such as docs/examples/rte.yaml"
    );
    let comments = parse("# nothing\n---\n").expect_err("refused");
    assert!(comments.contains("the file is empty"), "{comments}");
    let two = parse(&format!("{GOOD}---\n{GOOD}")).expect_err("refused");
    assert!(two.contains("a second document begins here"), "{two}");
    let list = parse("- 1\n- 2\n").expect_err("refused");
    assert!(list.contains("it is not an object"), "{list}");
    let text = parse("just words").expect_err("refused");
    assert!(text.contains("it is not an object"), "{text}");
}

#[test]
fn what_is_not_yaml() {
    let tab = parse(&GOOD.replace("  name: my-search", "\tname: my-search")).expect_err("refused");
    assert!(
        tab.starts_with("search.yaml:4: this is not valid YAML: "),
        "{tab}"
    );
    let open = parse(&GOOD.replace("{ path: model }", "{ path: model")).expect_err("refused");
    assert!(open.contains("this is not valid YAML: "), "{open}");
    let twice = parse(&GOOD.replace("    name: rte\n", "    name: rte\n    name: sst2\n"));
    let twice = twice.expect_err("refused");
    assert_eq!(
        twice,
        "search.yaml:10: name is given twice; keep one of them"
    );
    assert!(!tab.contains(" at line "), "{tab}");
    let deep = "[".repeat(100_000);
    assert!(parse(&deep).is_err());
    let bomb = "a: &a [x, x, x, x, x, x, x, x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a]\nc: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b]\nd: &d [*c, *c, *c, *c, *c, *c, *c, *c, *c]\ne: &e [*d, *d, *d, *d, *d, *d, *d, *d, *d]\nf: &f [*e, *e, *e, *e, *e, *e, *e, *e, *e]\ng: [*f, *f, *f, *f, *f, *f, *f, *f, *f]\n";
    assert!(parse(bomb).is_err());
}

#[test]
fn texts_that_look_like_numbers_stay_texts() {
    for text in [
        "1234567890123456",
        "12345678901e1234",
        "123e4567890",
        "0x12",
        "0o17",
        "1_000",
        "2026-11-24",
        "true",
        "no",
        "null",
        "~",
        ".inf",
        "+1",
        "000000",
        "",
        " ",
        "- a",
        "a: b",
        "# c",
        "line\nbreak",
        "\u{202e}",
    ] {
        let read = manifest::parse(GOOD, Path::new("search.yaml")).expect("good");
        let mut search = read.search;
        search.spec.model.source.path = Some(text.into());
        let yaml = serde_saphyr::to_string(&search).expect("YAML");
        let back = manifest::parse(&yaml, Path::new("search.yaml"));
        match back {
            Ok(back) => assert_eq!(back.search.spec, search.spec, "{yaml}"),
            Err(error) => assert!(text.is_empty(), "{text:?}: {error}\n{yaml}"),
        }
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "\\PC{0,200}") {
        let _ = parse(&text);
    }

    #[test]
    fn no_damage_makes_the_reader_panic(
        position in 0..GOOD.len(),
        length in 0_usize..20,
        put in "[ -~\\n]{0,6}",
    ) {
        let end = (position + length).min(GOOD.len());
        let text = format!("{}{put}{}", &GOOD[..position], &GOOD[end..]);
        if let Err(message) = parse(&text) {
            prop_assert!(message.starts_with("search.yaml"), "{}", message);
        }
    }
}
