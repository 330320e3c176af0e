//! Validation of a spec before anything is started, as strict without an API server as with one: the schema
//! (`schema`), and the rules (`rules`).

use serde_json::Value;

use crate::peft_search::PeftSearchSpec;
use crate::rules;
use crate::schema::{self, FieldError};
use crate::spec::TransferSpec;

/// Every error of a spec; empty if it is valid.
pub fn validate(spec: &PeftSearchSpec) -> Vec<FieldError> {
    match as_json(spec) {
        Ok(value) => {
            let mut errors = schema::check(&value, schema::spec_schema(), "spec");
            errors.extend(rules::errors(&value));
            errors
        }
        Err(error) => vec![error],
    }
}

/// The rules alone, for a spec that was checked against the schema.
pub fn rules(spec: &PeftSearchSpec) -> Vec<FieldError> {
    match as_json(spec) {
        Ok(value) => rules::errors(&value),
        Err(error) => vec![error],
    }
}

/// A spec with its defaults.
fn as_json(spec: &PeftSearchSpec) -> Result<Value, FieldError> {
    serde_json::to_value(spec).map_err(|error| {
        FieldError::new(
            "spec",
            error.to_string(),
            "write it as docs/manifest.md says",
        )
    })
}

/// Warnings about valid specs that are probably mistakes.
pub fn advice(spec: &PeftSearchSpec) -> Vec<FieldError> {
    let initial = spec.algorithm.initial_trials;
    let mut found = Vec::new();
    if initial >= spec.max_trials {
        found.push(FieldError::new(
            "spec.algorithm.initialTrials",
            format!(
                "{initial} is not below maxTrials, {}: every trial is drawn at random and the surrogate is never used",
                spec.max_trials
            ),
            "lower initialTrials or raise maxTrials",
        ));
    }
    found
}

/// Warnings about what a cluster rejects or ignores, unlike `peft-operator run`.
pub fn advice_for_a_cluster(spec: &PeftSearchSpec) -> Vec<FieldError> {
    let mut found = Vec::new();
    let mut sources = vec![
        ("spec.model".to_owned(), &spec.model.source),
        ("spec.task".to_owned(), &spec.task.source),
    ];
    let others = spec.transfer.iter().flat_map(|transfer| &transfer.tasks);
    sources.extend(others.enumerate().map(|(index, other)| {
        let field = format!("{}.task", TransferSpec::field(index));
        (field, &other.task.source)
    }));
    for (field, source) in sources {
        if source.path.is_some() {
            found.push(FieldError::new(
                format!("{field}.source.path"),
                "a directory on this machine is for `peft-operator run` only; a cluster rejects this search",
                "in a cluster give claim, image or hub",
            ));
        }
    }
    if spec.max_gpu_seconds.is_some() && spec.trainer.resources.gpus == 0 {
        found.push(FieldError::new(
            "spec.maxGpuSeconds",
            "in a cluster it never takes effect: trials request no GPU",
            "set spec.trainer.resources.gpus to 1, or give activeDeadlineSeconds instead",
        ));
    }
    found
}
