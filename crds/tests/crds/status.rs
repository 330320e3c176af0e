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

/// Row 46. A version that does not know a field writes it back as it was: the API server refuses any
/// other change of a recorded result.
#[test]
fn fields_of_a_newer_version_are_read_and_written_back() {
    let newer = json!({
        "trials": {"progress": "1/8", "running": 0, "succeeded": 1, "infeasible": 0, "failed": 0},
        "frontSize": 0,
        "inspection": with(inspection(), "vocabulary", json!(30522)),
        "ledger": [with(entry(), "gpuModel", json!({"name": "H100", "count": 1}))],
        "energy": {"joules": "1.5e6"},
    });
    let read: PeftSearchStatus = serde_json::from_value(newer.clone()).expect("it is read");
    assert_eq!(serde_json::to_value(&read).expect("JSON"), newer);
}

/// What cannot be understood is not guessed: a state or a module of a newer version.
#[test]
fn values_of_a_newer_version_are_refused() {
    let mut module = entry();
    module["configuration"]["lora"] = json!(8);
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
            format!("the result's constantScore is {score}, which cannot be")
        );
    }
}
