//! What a spec may not say, each with the field that is named.

use crate::bad_inputs::{bad_inputs, good};
use autopeft_crds::PeftSearchSpec;
use autopeft_crds::schema::{FieldError, check, spec_schema};
use autopeft_crds::validate::{rules, validate};
use serde_json::{Value, json};

/// The errors of a spec, as a manifest's reader finds them.
fn errors(spec: &Value) -> Vec<FieldError> {
    let mut found = check(spec, spec_schema(), "spec");
    if let Ok(spec) = serde_json::from_value::<PeftSearchSpec>(spec.clone()) {
        found.extend(rules(&spec));
    }
    found
}

/// The errors of the good spec with more in it.
fn errors_with(field: &str, more: Value) -> Vec<FieldError> {
    let mut spec = good();
    spec[field] = more;
    errors(&spec)
}

#[test]
fn a_good_spec_has_no_errors() {
    let spec: PeftSearchSpec = serde_json::from_value(good()).expect("a spec");
    assert_eq!(validate(&spec), []);
}

#[test]
fn every_bad_input_is_refused_at_its_field_and_in_its_words() {
    let mut wrong = Vec::new();
    for row in bad_inputs() {
        let found = errors(&row.spec);
        let is_told = found.iter().any(|error| {
            error.field == row.field && error.to_string().contains(row.words.as_str())
        });
        if !is_told || found.len() != row.errors {
            wrong.push(format!("{}: {found:?}", row.name));
        }
        // What the API server takes, the schema has nothing against.
        let of_the_schema = check(&row.spec, spec_schema(), "spec");
        if row.admission.is_none() && !of_the_schema.is_empty() {
            wrong.push(format!("{}: {of_the_schema:?}", row.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_rows_name_is_its_own() {
    let mut names: Vec<String> = bad_inputs().into_iter().map(|row| row.name).collect();
    names.sort();
    let twice: Vec<_> = names.windows(2).filter(|pair| pair[0] == pair[1]).collect();
    assert!(twice.is_empty(), "{twice:?}");
}

/// The names of a map are the user's own.
#[test]
fn a_node_selector_may_have_any_label() {
    let labels = json!({"nodeSelector": {"nvidia.com/gpu.present": "true"}});
    assert_eq!(errors_with("trainer", labels), []);
}

#[test]
fn quantities_that_are_enough() {
    for good in ["16Mi", "17M", "16777216", "2Gi", "1T"] {
        let resources = json!({"resources": {"memory": good}});
        assert_eq!(errors_with("trainer", resources), [], "{good}");
    }
    let resources = json!({"resources": {"cpu": "0.1"}});
    assert_eq!(errors_with("trainer", resources), []);
}

/// The forms that Kubernetes' own tolerations have.
#[test]
fn a_toleration_is_written_as_for_a_pod() {
    let tolerations = json!([
        {"key": "nvidia.com/gpu", "operator": "Exists"},
        {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
        {"key": "pool", "operator": "Equal", "value": "trial"},
        {"key": "pool", "value": "trial"},
        {"key": "pool"},
        {"key": "spot", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 60},
    ]);
    let trainer = json!({"tolerations": tolerations});
    assert_eq!(errors_with("trainer", trainer), []);
}

/// Every form of file that the trainer reads, in small letters and capitals.
#[test]
fn a_custom_task_may_have_any_form_of_file() {
    for file in ["train.jsonl", "a/b.csv", "t.tsv", "dev.parquet", "DEV.CSV"] {
        let mut spec = good();
        spec["task"]["custom"]["trainFile"] = json!(file);
        spec["task"]["custom"]["validationFile"] = json!(file);
        assert_eq!(errors(&spec), [], "{file}");
    }
}

#[test]
fn every_error_is_found() {
    let mut value = good();
    value["maxTrials"] = json!(0);
    value["paralellism"] = json!(2);
    value["task"]["name"] = json!("glue");
    let found = check(&value, spec_schema(), "spec");
    let fields: Vec<&str> = found.iter().map(|error| error.field.as_str()).collect();
    assert_eq!(
        fields,
        ["spec.maxTrials", "spec.paralellism", "spec.task.name"]
    );
}
