//! Words without quotes: read as `kubectl` reads them, and where text is wanted, refused with the file's own text
//! in the advice, or taken as text with a warning.

use std::path::Path;

use autopeft_search::manifest::{self, Manifest};
use serde_json::Value;

use super::{GOOD, check, parse, warn};

/// `word TAB JSON`, made by `golden/words.go` with sigs.k8s.io/yaml.
const WORDS: &str = include_str!("golden/words.tsv");

/// GOOD with one more line under `spec`.
fn with(line: &str) -> String {
    GOOD.replace("spec:\n", &format!("spec:\n  {line}\n"))
}

fn read(text: &str) -> Result<Manifest, String> {
    manifest::parse(text, Path::new("search.yaml")).map_err(|error| error.to_string())
}

/// What kubectl makes of each word; `None` where it refuses it.
fn words() -> impl Iterator<Item = (&'static str, Option<Value>)> {
    WORDS
        .lines()
        .filter(|line| !line.starts_with("-\t"))
        .map(|line| {
            let (word, json) = line.split_once('\t').expect("a tab");
            (word, serde_json::from_str(json).ok())
        })
}

#[test]
fn where_text_is_wanted() {
    let mut count = 0;
    for (word, kubectl) in words() {
        let text = GOOD.replace(
            "  name: my-search",
            &format!("  name: s\n  labels:\n    a: {word}"),
        );
        let found = read(&text);
        let yes_or_no = ["y", "yes", "on", "n", "no", "off"].contains(&&*word.to_lowercase());
        match kubectl {
            Some(Value::String(same)) => {
                assert_eq!(same, word);
                let found = found.unwrap_or_else(|error| panic!("{word}: {error}"));
                assert_eq!(found.advice(&[]), [], "{word}");
            }
            Some(Value::Bool(flag)) if yes_or_no => {
                let advice = found.unwrap_or_else(|error| panic!("{error}")).advice(&[]);
                let [(_, warning)] = &*advice else {
                    panic!("{word}: {advice:?}");
                };
                assert_eq!(
                    warning.to_string(),
                    format!(
                        "metadata.labels.a: kubectl reads `{word}` without quotes as {flag}; write it in quotes: \"{word}\""
                    )
                );
            }
            other => {
                let what = match other {
                    Some(Value::Null) => "no value",
                    Some(Value::Bool(_)) => "a boolean",
                    _ => "a number",
                };
                assert_eq!(
                    found.expect_err(word),
                    format!(
                        "search.yaml:6: metadata.labels.a: {word} is {what}; write it in quotes: \"{word}\""
                    )
                );
                let advised = text.replace(&format!("a: {word}"), &format!("a: \"{word}\""));
                assert_eq!(read(&advised).expect("the advice is good").advice(&[]), []);
            }
        }
        count += 1;
    }
    assert!(count > 150, "{count} words");
}

#[test]
fn where_a_whole_number_is_wanted() {
    let mut count = 0;
    for (word, kubectl) in words() {
        let found = read(&with(&format!("maxFailedTrials: {word}")));
        match kubectl.as_ref().and_then(Value::as_f64) {
            Some(number) if number.fract() == 0.0 && (0.0..=500.0).contains(&number) => {
                let found = found.unwrap_or_else(|error| panic!("{word}: {error}"));
                assert_eq!(
                    f64::from(found.search.spec.max_failed_trials),
                    number,
                    "{word}"
                );
                count += 1;
            }
            _ => assert!(found.is_err(), "{word}"),
        }
    }
    assert!(count > 20, "{count} numbers");
}

#[test]
fn where_a_truth_value_is_wanted() {
    for (word, kubectl) in words() {
        let found = read(&with(&format!("suspend: {word}")));
        match kubectl {
            Some(Value::Bool(flag)) => {
                assert_eq!(found.expect("good").search.spec.suspend, flag, "{word}");
            }
            _ => assert!(found.is_err(), "{word}"),
        }
    }
}

/// Masks of layers are what looks most like numbers.
#[test]
fn a_mask_keeps_its_text_in_the_advice() {
    for mask in [
        "000001",
        "000000",
        "111111",
        "101010101010",
        "011010101010",
        "111111111111111111111111",
        "000000000000000000000001",
    ] {
        let text = with(&format!(
            "searchSpace: {{dimensions: [{{name: layers, mask: {mask}}}, {{name: prefix, sizes: [0, 1]}}]}}"
        ));
        let field = "spec.searchSpace.dimensions[0].mask";
        assert_eq!(
            read(&text).expect_err(mask),
            format!("search.yaml:6: {field}: {mask} is a number; write it in quotes: \"{mask}\"")
        );
        parse(&text.replace(mask, &format!("\"{mask}\""))).expect("the advice is good");
    }
}

#[test]
fn quantities_and_decimals_keep_their_text_in_the_advice() {
    for (line, field, word) in [
        (
            "trainer: {resources: {memory: 1000000000}}",
            "trainer.resources.memory",
            "1000000000",
        ),
        (
            "trainer: {resources: {cpu: 2}}",
            "trainer.resources.cpu",
            "2",
        ),
        (
            "trainer: {resources: {cpu: 0.50}}",
            "trainer.resources.cpu",
            "0.50",
        ),
        (
            "training: {learningRate: 5.0e-4}",
            "training.learningRate",
            "5.0e-4",
        ),
        (
            "trainer: {nodeSelector: {zone: 010}}",
            "trainer.nodeSelector.zone",
            "010",
        ),
        (
            "trainer: {nodeSelector: {gpu: True}}",
            "trainer.nodeSelector.gpu",
            "True",
        ),
        ("trainer: {queueName: 12}", "trainer.queueName", "12"),
    ] {
        let quoted = format!("\"{word}\"");
        let found = read(&with(line)).expect_err(line);
        assert!(
            found.starts_with(&format!("search.yaml:6: spec.{field}: {word} is ")),
            "{found}"
        );
        assert!(
            found.ends_with(&format!("write it in quotes: {quoted}")),
            "{found}"
        );
        parse(&with(&line.replace(word, &quoted))).expect("the advice is good");
    }
    // Quotes alone would not do: a quantity has no exponent here.
    for word in ["1e9", "1.0e9", "1_000_000_000"] {
        let line = |word: &str| with(&format!("trainer: {{resources: {{memory: {word}}}}}"));
        assert_eq!(
            read(&line(word)).expect_err(word),
            format!(
                "search.yaml:6: spec.trainer.resources.memory: {word} is a number; write it in quotes, digits alone: \"1000000000\""
            )
        );
        parse(&line("\"1000000000\"")).expect("the advice is good");
    }
    check(
        "  task:",
        "  training: {learningRate: 5}\n  task:",
        "search.yaml:8: spec.training.learningRate: 5 is out of range; write a number above 0 and at most 1, such as \"1e-4\"\nsearch.yaml:8: spec.training.learningRate: 5 is a number; write this value in quotes",
    );
}

#[test]
fn yes_and_no_are_warned_of() {
    const CUSTOM: &str =
        "name: custom\n    custom: {type: Classification, textColumns: [text], labels: [no, yes]}";
    warn(
        "name: rte",
        CUSTOM,
        "search.yaml:10: spec.task.custom.labels[0]: kubectl reads `no` without quotes as false; write it in quotes: \"no\"\nsearch.yaml:10: spec.task.custom.labels[1]: kubectl reads `yes` without quotes as true; write it in quotes: \"yes\"",
    );
    warn(
        "name: rte",
        &CUSTOM.replace("[no, yes]", "[\"no\", 'yes', !!str on]"),
        "",
    );
    let labels = |manifest: &Manifest| {
        let custom = manifest.search.spec.task.custom.as_ref().expect("custom");
        custom.labels.clone().expect("labels")
    };
    let found = read(&GOOD.replace("name: rte", CUSTOM)).expect("good");
    assert_eq!(labels(&found), ["no", "yes"]);
    warn(
        "path: data",
        "path: NO",
        "search.yaml:10: spec.task.source.path: kubectl reads `NO` without quotes as false; write it in quotes: \"NO\"",
    );
    warn(
        "my-search",
        "on",
        "search.yaml:4: metadata.name: kubectl reads `on` without quotes as true; write it in quotes: \"on\"",
    );
    warn(
        "spec:",
        "spec:\n  trainer: {nodeSelector: {y: \"1\", 010: a, 7: b, true: c, \"no\": d}}",
        "search.yaml:6: spec.trainer.nodeSelector.y: kubectl reads the name `y` as true; write it in quotes: \"y\"\nsearch.yaml:6: spec.trainer.nodeSelector.010: kubectl reads the name `010` as 8; write it in quotes: \"010\"",
    );
}

#[test]
fn an_octal_number_is_warned_of() {
    warn(
        "spec:",
        "spec:\n  maxFailedTrials: 010",
        "search.yaml:6: spec.maxFailedTrials: 010 is read as 8: a number that begins with 0 is octal; write 8, or 10 if that is meant",
    );
    for line in [
        "maxFailedTrials: 08",
        "maxFailedTrials: 0x10",
        "maxFailedTrials: 1e1",
    ] {
        warn("spec:", &format!("spec:\n  {line}"), "");
    }
}
