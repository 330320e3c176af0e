//! Tasks and their files: what is read, and what is said about files that cannot be.

use std::path::Path;

use autopeft_crds::spec::TaskSpec;
use autopeft_trainer::task::{self, Examples, Kind, Targets, Task};
use serde_json::{Value, json};

/// A folder with some files.
pub fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, content) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(path, content).expect("a file");
    }
    folder
}

fn spec(value: Value) -> TaskSpec {
    serde_json::from_value(value).expect("a task")
}

fn glue(name: &str) -> TaskSpec {
    spec(json!({"name": name, "source": {}}))
}

pub fn custom(fields: Value) -> TaskSpec {
    let mut custom = json!({"type": "Classification", "textColumns": ["text"]});
    for (name, value) in fields.as_object().expect("fields") {
        custom[name] = value.clone();
    }
    spec(json!({"name": "custom", "source": {}, "custom": custom}))
}

pub fn load(spec: &TaskSpec, files: &[(&str, &[u8])]) -> Task {
    let folder = folder(files);
    task::load(spec, folder.path()).unwrap_or_else(|error| panic!("{error}"))
}

/// The message that loading ends with, without the folder's name.
pub fn refused(spec: &TaskSpec, files: &[(&str, &[u8])]) -> String {
    let folder = folder(files);
    let message = match task::load(spec, folder.path()) {
        Ok(_) => panic!("the files were accepted"),
        Err(error) => error.to_string(),
    };
    message.replace(&folder.path().display().to_string(), "DIR")
}

pub fn classes(examples: &Examples) -> &[i64] {
    match &examples.targets {
        Targets::Classes(classes) => classes,
        other => panic!("{other:?}"),
    }
}

fn numbers(examples: &Examples) -> &[f64] {
    match &examples.targets {
        Targets::Numbers(numbers) => numbers,
        other => panic!("{other:?}"),
    }
}

fn pair(first: &str, second: &str) -> (String, Option<String>) {
    (first.into(), Some(second.into()))
}

#[test]
fn tsv_has_no_quoting_and_breaks_lines_at_newlines_only() {
    let task = load(
        &glue("rte"),
        &[
            (
                "train.tsv",
                "index\tsentence1\tsentence2\tlabel\n0\ta \"b\tc\u{2028}d\u{85}e\tentailment\n1\t\"\tf\tnot_entailment\n".as_bytes(),
            ),
            ("dev.tsv", b"index\tsentence1\tsentence2\tlabel\n0\tg\th\tnot_entailment"),
        ],
    );
    assert_eq!(task.train.texts[0], pair("a \"b", "c\u{2028}d\u{85}e"));
    assert_eq!(task.train.texts[1], pair("\"", "f"));
    assert_eq!(classes(&task.train), [0, 1]);
    assert_eq!(classes(&task.validation), [1]);
}

#[test]
fn cola_has_no_header_and_mrpc_a_byte_order_mark() {
    let cola: &[u8] = b"gj04\t1\t\tGood.\nb_73\t0\t*\tBad good.\n";
    let task = load(&glue("cola"), &[("train.tsv", cola), ("dev.tsv", cola)]);
    assert_eq!(task.train.texts[0], ("Good.".into(), None));
    assert_eq!(classes(&task.train), [1, 0]);

    let mrpc =
        "\u{feff}Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n1\t7\t8\ta\tb\n0\t7\t8\tc\td\n";
    let files = [
        ("MRPC/train.tsv", mrpc.as_bytes()),
        ("MRPC/dev.tsv", mrpc.as_bytes()),
    ];
    let task = load(&glue("mrpc"), &files);
    assert_eq!(task.train.texts[1], pair("c", "d"));
    assert_eq!(classes(&task.train), [1, 0]);
}

#[test]
fn qqp_leaves_short_rows_out_and_says_how_many() {
    let rows: &[u8] = b"id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n1\t1\t2\ta\tb\t1\n2\t3\n3\t5\t6\tc\td\t0\n";
    let task = load(&glue("qqp"), &[("train.tsv", rows), ("dev.tsv", rows)]);
    assert_eq!(classes(&task.train), [1, 0]);
    assert_eq!(task.notes.len(), 2);
    assert!(task.notes[0].ends_with("skipped 1 rows with too few columns"));
}

#[test]
fn mnli_is_validated_on_the_matched_part() {
    let rows: &[u8] = b"index\tsentence1\tsentence2\tlabel1\tgold_label\n0\ta\tb\tneutral\tcontradiction\n1\tc\td\tneutral\tentailment\n";
    let task = load(
        &glue("mnli"),
        &[("train.tsv", rows), ("dev_matched.tsv", rows)],
    );
    assert_eq!(classes(&task.train), [2, 0]);
    let message = refused(&glue("mnli"), &[("train.tsv", rows)]);
    assert_eq!(
        message,
        "spec.task.source: DIR has train.tsv but not dev_matched.tsv; mnli needs both"
    );
}

#[test]
fn stsb_predicts_numbers() {
    let rows: &[u8] = b"sentence1\tsentence2\tscore\na\tb\t5.000\nc\td\t3.8\n";
    let task = load(&glue("stsb"), &[("train.tsv", rows), ("dev.tsv", rows)]);
    assert_eq!(numbers(&task.train), [5.0, 3.8]);
    assert_eq!(task.kind, Kind::Regression);
}

#[test]
fn labels_of_json_may_be_text_numbers_or_booleans() {
    let lines: &[u8] =
        b"{\"text\": \"a\", \"label\": true}\n\n{\"text\": \"b\", \"label\": false, \"x\": 1}\n";
    let files = [("train.jsonl", lines), ("validation.jsonl", lines)];
    let task = load(&custom(json!({})), &files);
    assert_eq!(
        task.kind,
        Kind::Classification(vec!["false".into(), "true".into()])
    );
    assert_eq!(classes(&task.train), [1, 0]);

    // Numbers sort by size, and 2, 2.0 and "2" are the same class.
    let lines: &[u8] = b"{\"text\": \"a\", \"label\": 10}\n{\"text\": \"b\", \"label\": 2.0}\n{\"text\": \"c\", \"label\": \"2\"}\n";
    let files = [("train.jsonl", lines), ("validation.jsonl", lines)];
    let task = load(&custom(json!({})), &files);
    assert_eq!(
        task.kind,
        Kind::Classification(vec!["2".into(), "10".into()])
    );
    assert_eq!(classes(&task.train), [1, 0, 0]);
}

#[test]
fn csv_may_quote_commas_and_line_breaks() {
    let rows: &[u8] = b"id,text,label\r\n1,\"a, \"\"b\"\"\nc\",yes\r\n2,d,no\r\n";
    let spec = custom(json!({"trainFile": "a.csv", "validationFile": "a.csv"}));
    let task = load(&spec, &[("a.csv", rows)]);
    assert_eq!(task.train.texts[0].0, "a, \"b\"\nc");
    assert_eq!(classes(&task.train), [1, 0]);
}

const GOOD: (&str, &[u8]) = (
    "validation.jsonl",
    b"{\"text\": \"a\", \"label\": \"x\"}\n{\"text\": \"b\", \"label\": \"y\"}\n",
);

/// What is said about a training file of lines of JSON.
fn json_refused(train: &[u8]) -> String {
    let labels = custom(json!({"labels": ["x", "y"]}));
    refused(&labels, &[("train.jsonl", train), GOOD])
}

#[test]
fn a_bad_line_is_named_with_its_field_and_with_what_would_be_right() {
    for (train, expected) in [
        (
            &b"{\"text\": \"a\", \"label\": \"x\"}\n{\"text\": \"b\", \"label\": \"z\"}\n"[..],
            "DIR/train.jsonl, line 2, field \"label\": found \"z\", expected one of \"x\", \"y\"",
        ),
        (
            b"{\"text\": 5, \"label\": \"x\"}\n",
            "DIR/train.jsonl, line 1, field \"text\": found 5, expected a string",
        ),
        (
            b"{\"texts\": \"a\", \"label\": \"x\"}\n",
            "DIR/train.jsonl, line 1: no field \"text\"; its fields are \"label\", \"texts\"; spec.task.custom.textColumns names it",
        ),
        (
            b"{\"text\": \"a\", \"label\": null}\n",
            "DIR/train.jsonl, line 1, field \"label\": found null, expected a string, a number, true or false",
        ),
        (
            b"{\"text\": \"a\", \"label\": \"x\"}\n{\"text\": \"b\", \"la",
            "DIR/train.jsonl, line 2: not a JSON object (EOF while parsing a string at column 17); one object a line is expected",
        ),
        (
            b"{\"text\": \"caf\xe9\", \"label\": \"x\"}\n",
            "DIR/train.jsonl, line 1: byte 14 of the line is not UTF-8; save the file as UTF-8",
        ),
        (
            b"",
            "DIR/train.jsonl has no rows; at least one example is needed",
        ),
        (
            b"{\"text\": \"a\", \"label\": \"x\"}\n{\"text\": \"b\", \"label\": \"x\"}\n",
            "DIR/train.jsonl, field \"label\": every label is \"x\"; at least two different ones are needed",
        ),
    ] {
        assert_eq!(json_refused(train), expected);
    }
}

#[test]
fn a_line_without_end_is_refused_before_it_is_held() {
    let message = json_refused(&vec![b'a'; 3 << 20]);
    assert!(
        message.starts_with("DIR/train.jsonl, line 1: longer than 1048576 bytes"),
        "{message}"
    );
}

#[test]
fn a_rating_is_a_finite_number() {
    let spec = |file: &str| {
        custom(json!({"type": "Regression", "trainFile": file, "validationFile": file}))
    };
    for (found, shown) in [
        ("nan", "\"nan\""),
        ("inf", "\"inf\""),
        ("", "\"\""),
        ("1,5", "\"1,5\""),
    ] {
        let rows = format!("text\tlabel\na\t1\nb\t{found}\n");
        assert_eq!(
            refused(&spec("a.tsv"), &[("a.tsv", rows.as_bytes())]),
            format!("DIR/a.tsv, line 3, field \"label\": found {shown}, expected a finite number")
        );
    }
    let message = refused(
        &spec("a.jsonl"),
        &[("a.jsonl", b"{\"text\": \"a\", \"label\": NaN}\n")],
    );
    assert!(message.contains("line 1: not a JSON object"), "{message}");
    let constant = b"text,label\na,2\nb,2.0\n";
    let message = refused(&spec("a.csv"), &[("a.csv", constant)]);
    assert!(message.contains("every label is 2;"), "{message}");
}

#[test]
fn a_table_that_does_not_fit_its_header_is_refused() {
    let spec = |file: &str| custom(json!({"trainFile": file, "validationFile": file}));
    assert_eq!(
        refused(
            &spec("a.tsv"),
            &[("a.tsv", b"text\tlabel\na\tx\nb\tc\ty\n")]
        ),
        "DIR/a.tsv, line 3: 3 columns, expected 2; columns are separated by one tab"
    );
    assert_eq!(
        refused(&spec("a.csv"), &[("a.csv", b"text,label\na,x\nb,c,y\n")]),
        "DIR/a.csv, line 3: 3 columns, expected 2; columns are separated by one comma; a comma inside a text needs quotation marks around the text"
    );
    assert_eq!(
        refused(&spec("a.csv"), &[("a.csv", b"sentence,label\na,x\n")]),
        "DIR/a.csv has no column \"text\"; its columns are \"sentence\", \"label\"; spec.task.custom.textColumns names it"
    );
    assert_eq!(
        refused(&spec("a.csv"), &[("a.csv", b"text,labels\na,x\n")]),
        "DIR/a.csv has no column \"label\"; its columns are \"text\", \"labels\"; spec.task.custom.labelColumn names it"
    );
    assert_eq!(
        refused(&spec("a.txt"), &[("a.txt", b"text\n")]),
        "DIR/a.txt: the name of a data file ends in .jsonl, .csv, .tsv or .parquet"
    );
}

#[test]
fn what_is_missing_is_named() {
    let message = refused(&custom(json!({})), &[GOOD]);
    assert!(
        message.starts_with("DIR/train.jsonl does not exist"),
        "{message}"
    );
    assert_eq!(
        refused(&glue("rte"), &[]),
        "spec.task.source: DIR has no files of rte; expected train.tsv and dev.tsv, or rte/train-00000-of-00001.parquet"
    );
    assert!(
        refused(&glue("rte"), &[("MRPC/train.tsv", b"")]).ends_with("; it has \"MRPC\""),
        "another task's folder"
    );
    let message = task::load(&glue("rte"), Path::new("/no/such/folder"));
    assert_eq!(
        message.expect_err("refused").to_string(),
        "spec.task.source: /no/such/folder is not a directory"
    );
    let outside = custom(json!({"trainFile": "../train.jsonl"}));
    assert!(
        refused(&outside, &[GOOD]).contains("task.custom.trainFile"),
        "outside"
    );
    let mut wrong = glue("rte");
    wrong.metric = Some(autopeft_crds::spec::Metric::Spearman);
    assert!(
        refused(&wrong, &[]).contains("Accuracy, F1, Matthews, MacroF1 or MicroF1"),
        "metric"
    );
}

#[test]
fn the_folder_of_another_task_is_recognised_by_its_columns() {
    let headers: [(&str, &[u8]); 6] = [
        (
            "mrpc",
            b"Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n1\t7\t8\ta\tb\n",
        ),
        ("sst2", b"sentence\tlabel\na\t1\n"),
        (
            "qnli",
            b"index\tquestion\tsentence\tlabel\n0\ta\tb\tentailment\n",
        ),
        (
            "stsb",
            b"index\tsentence1\tsentence2\tscore\n0\ta\tb\t5.0\n",
        ),
        (
            "qqp",
            b"id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n1\t1\t2\ta\tb\t1\n",
        ),
        ("cola", b"gj04\t1\t\tGood.\n"),
    ];
    for (owner, rows) in headers {
        let files = [("train.tsv", rows), ("dev.tsv", rows)];
        let message = refused(&glue("rte"), &files);
        let expected = format!("; these are the columns of {owner}, and spec.task.name is rte");
        assert!(message.ends_with(&expected), "{message}");
    }
    let (_, mrpc) = headers[0];
    let message = refused(&glue("cola"), &[("train.tsv", mrpc), ("dev.tsv", mrpc)]);
    assert!(
        message.ends_with("; these are the columns of mrpc, and spec.task.name is cola"),
        "{message}"
    );
    let rows: &[u8] = b"a\tb\n1\t2\n";
    assert_eq!(
        refused(&glue("sst2"), &[("train.tsv", rows), ("dev.tsv", rows)]),
        "DIR/train.tsv has no column \"sentence\"; its columns are \"a\", \"b\"; these are not the columns of sst2"
    );
}
