//! The metrics against scikit-learn and SciPy: golden values from `golden/metrics.py`.

use std::collections::BTreeMap;

use crate::common::{golden, numbers};
use autopeft_crds::spec::Metric;
use autopeft_trainer::task::{Sets, Targets};
use autopeft_trainer::train::metrics::{Predictions, all};
use serde_json::Value;

fn check(found: &BTreeMap<Metric, f64>, case: &Value) {
    assert!(!found.is_empty());
    for (metric, value) in found {
        let expected = case[format!("{metric:?}")]
            .as_f64()
            .expect("a golden value");
        assert!(
            (value - expected).abs() < 1e-9,
            "{metric:?}: {value} where {expected} is expected"
        );
    }
}

fn cases(kind: &str) -> Vec<Value> {
    let cases = golden("metrics.json")[kind].clone();
    cases.as_array().expect("a list").clone()
}

#[test]
fn metrics_of_classes_are_those_of_scikit_learn() {
    for case in cases("classes") {
        let list = |field: &str| numbers(&case[field]).iter().map(|n| *n as i64).collect();
        let predictions = Predictions::Classes {
            predicted: list("predicted"),
            count: case["count"].as_u64().expect("a count") as usize,
        };
        check(&all(&predictions, &Targets::Classes(list("truth"))), &case);
    }
}

#[test]
fn correlations_with_ties_are_those_of_scipy() {
    for case in cases("numbers") {
        let predictions = Predictions::Numbers(numbers(&case["predicted"]));
        let truth = Targets::Numbers(numbers(&case["truth"]));
        check(&all(&predictions, &truth), &case);
    }
}

#[test]
fn metrics_of_sets_are_those_of_scikit_learn() {
    for case in cases("sets") {
        let members = |field: &str| -> Vec<Vec<i64>> {
            let rows = case[field].as_array().expect("rows").iter();
            rows.map(|row| {
                let chosen = numbers(row).into_iter().zip(0..);
                let chosen = chosen.filter(|(value, _)| *value == 1.0);
                chosen.map(|(_, class)| class).collect()
            })
            .collect()
        };
        let truth = Targets::Sets(Sets {
            classes: 5,
            members: members("truth"),
        });
        check(
            &all(&Predictions::Sets(members("predicted")), &truth),
            &case,
        );
    }
}
