//! The status across versions of this program: what is read, what is carried along.

use autopeft_crds::inspection::parse_inspection;
use autopeft_crds::status::{LedgerEntry, PeftSearchStatus};
use serde_json::{Value, json};

fn entry() -> Value {
    json!({
        "trial": 0,
        "configuration": {"layers": "10", "serialAdapter": 4, "parallelAdapter": 0, "prefix": 0},
        "origin": "Initial", "state": "Succeeded", "attempt": 1, "parameters": 16, "score": "0.5",
    })
}

fn inspection() -> Value {
    json!({
        "architecture": "bert", "layers": 2, "hiddenSize": 8, "backboneParameters": 1000,
        "trainExamples": 10, "validationExamples": 5,
    })
}

fn with(mut object: Value, field: &str, value: Value) -> Value {
    object[field] = value;
    object
}

fn newer() -> Value {
    json!({
        "trials": {"progress": "1/8", "running": 0, "succeeded": 1, "infeasible": 0, "failed": 0},
        "frontSize": 0,
        "inspection": with(inspection(), "vocabulary", json!(30522)),
        "energy": {"joules": "1.5e6"},
    })
}

/// Row 46. A version that does not know a field writes it back as it was.
#[test]
fn fields_of_a_newer_version_are_read_and_written_back() {
    let newer_entry = with(entry(), "gpuModel", json!({"name": "H100", "count": 1}));
    for ledger in [json!([newer_entry]), json!([newer_entry.to_string()])] {
        let found = with(newer(), "ledger", ledger);
        let read: PeftSearchStatus = serde_json::from_value(found).expect("it is read");
        let mut written = serde_json::to_value(&read).expect("JSON");
        let line = written["ledger"][0].as_str().expect("a text");
        assert_eq!(
            serde_json::from_str::<Value>(line).expect("JSON"),
            newer_entry
        );
        written.as_object_mut().expect("an object").remove("ledger");
        assert_eq!(written, newer());
    }
}

/// A ledger of 0.1.0 is of objects. It is read, and written as one text an entry that has the same fields.
#[test]
fn a_ledger_of_0_1_0_is_read_and_written_as_texts() {
    let golden = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../tests/golden/ledger-0.1.0.json"
    );
    let golden = std::fs::read_to_string(golden).expect("the golden file");
    let objects: Value = serde_json::from_str(&golden).expect("JSON");
    let read = |ledger: Value| {
        serde_json::from_value::<PeftSearchStatus>(json!({"ledger": ledger})).expect("a status")
    };
    let before = read(objects.clone());
    let written = serde_json::to_value(&before).expect("JSON");
    let lines = written["ledger"].as_array().expect("a list");
    let parsed = lines.iter().map(|line| {
        let line = line.as_str().expect("a text");
        assert!(
            !line.contains(['\n', ' ']) || line.contains("message"),
            "{line}"
        );
        serde_json::from_str::<Value>(line).expect("JSON")
    });
    assert_eq!(Value::Array(parsed.collect()), objects);
    assert_eq!(read(written["ledger"].clone()), before);
    // Quotes are escaped: a fifth more of the object's 600 kB.
    let size = |value: &Value| value.to_string().len();
    assert!(size(&written["ledger"]) * 5 < size(&objects) * 6);
}

#[test]
fn an_entry_that_is_no_json_or_of_another_type_is_refused_by_its_index() {
    for wrong in [json!("{"), json!("1"), json!(7), json!(null)] {
        let status = json!({"ledger": [entry(), wrong]});
        let read = serde_json::from_value::<PeftSearchStatus>(status);
        let error = read.expect_err("no entry").to_string();
        assert!(error.contains("entry 1 of the ledger"), "{error}");
    }
}

/// What cannot be understood is not guessed: a state or a module of a newer version.
#[test]
fn values_of_a_newer_version_are_refused() {
    let mut module = entry();
    module["configuration"]["dora"] = json!(8);
    for newer in [with(entry(), "state", json!("Sleeping")), module] {
        assert!(serde_json::from_value::<LedgerEntry>(newer).is_err());
    }
}

#[test]
fn a_trainers_inspection_has_no_unknown_field() {
    let document = |found: Value| {
        json!({"version": 1, "searchUid": "uid", "outcome": {"found": found}}).to_string()
    };
    assert!(parse_inspection(document(inspection()).as_bytes(), "uid").is_ok());
    let more = document(with(inspection(), "vocabulary", json!(1)));
    let error = parse_inspection(more.as_bytes(), "uid").expect_err("an unknown field");
    assert!(error.to_string().contains("vocabulary"), "{error}");
}

#[test]
fn the_score_of_a_constant_predictor_is_within_its_metrics_range() {
    let parsed = |score: &str, metric: &str| {
        let constant = json!({"metric": metric, "score": score});
        let found = with(inspection(), "constantScore", constant);
        let document = json!({"version": 1, "searchUid": "uid", "outcome": {"found": found}});
        parse_inspection(document.to_string().as_bytes(), "uid")
    };
    assert!(parsed("0.8235", "F1").is_ok());
    assert!(parsed("-0.5", "Spearman").is_ok());
    for (score, metric) in [("1.5", "Accuracy"), ("-0.1", "F1")] {
        let error = parsed(score, metric).expect_err("impossible").to_string();
        assert_eq!(
            error,
            format!("the result's constantScore is {score}, which is impossible")
        );
    }
}
