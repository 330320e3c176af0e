//! The one table of bad inputs: what a spec may not say, who refuses it, and in which words.
//!
//! `crds/tests/crds/validate.rs` holds `validate` against it, `tests/tests/cluster/admission.rs` a real API
//! server. A new rule has a row here.

mod algorithm;
mod objects;
mod promotion;
mod search;
mod space;
mod task;
mod trainer;
mod training;
mod transfer;

use serde_json::{Value, json};

/// A spec that is refused.
pub struct BadInput {
    /// What is wrong with it, in a few words.
    pub name: String,
    /// The spec.
    pub spec: Value,
    /// A part of what the API server says; nothing where it takes the spec, and the operator tells it by
    /// a condition.
    pub admission: Option<&'static str>,
    /// The field that `validate` names.
    pub field: String,
    /// A part of what it says there.
    pub words: String,
    /// How many errors `validate` finds.
    pub errors: usize,
}

impl BadInput {
    /// The same with so many errors.
    fn errors(mut self, errors: usize) -> Self {
        self.errors = errors;
        self
    }

    /// The same where `validate` names a field below.
    fn at(mut self, below: &str) -> Self {
        self.field.push_str(below);
        self
    }

    /// The same where `validate` names another field.
    fn moved(mut self, field: &str) -> Self {
        self.field = field.into();
        self
    }
}

/// A spec that nothing is wrong with.
pub fn good() -> Value {
    json!({
        "model": {"source": {"claim": {"name": "autopeft", "path": "model"}}},
        "task": {
            "name": "custom",
            "source": {"claim": {"name": "autopeft", "path": "data"}},
            "custom": {"type": "Classification", "textColumns": ["text"]},
        },
        "maxTrials": 8,
    })
}

/// The rows.
pub fn bad_inputs() -> Vec<BadInput> {
    let mut rows = search::rows();
    rows.extend(space::rows());
    rows.extend(algorithm::rows());
    rows.extend(objects::rows());
    rows.extend(promotion::rows());
    rows.extend(task::rows());
    rows.extend(training::rows());
    rows.extend(trainer::rows());
    rows.extend(transfer::rows());
    rows
}

/// The good spec with something else at a place.
fn with(pointer: &str, new: Value) -> Value {
    let mut spec = good();
    set(&mut spec, pointer, new);
    spec
}

fn set(value: &mut Value, pointer: &str, new: Value) {
    let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
    if value.pointer(parent).is_none() {
        set(value, parent, json!({}));
    }
    value.pointer_mut(parent).expect("made above")[name] = new;
}

/// A field's path as messages write it: `/maxTrials` is `spec.maxTrials`.
fn field_of(pointer: &str) -> String {
    format!("spec{}", pointer.replace('/', "."))
}

/// A value that both refuse: the API server in words with `admission`, `validate` at the same place.
fn refused(
    name: &str,
    pointer: &str,
    new: Value,
    admission: &'static str,
    words: &str,
) -> BadInput {
    refused_spec(
        name,
        with(pointer, new),
        &field_of(pointer),
        admission,
        words,
    )
}

/// The same where `validate` names a field below the place.
fn refused_below(
    name: &str,
    pointer: &str,
    new: Value,
    below: &str,
    admission: &'static str,
    words: &str,
) -> BadInput {
    refused(name, pointer, new, admission, words).at(below)
}

/// The same for a whole spec of its own.
fn refused_spec(
    name: &str,
    spec: Value,
    field: &str,
    admission: &'static str,
    words: &str,
) -> BadInput {
    BadInput {
        name: name.into(),
        spec,
        admission: Some(admission),
        field: field.into(),
        words: words.into(),
        errors: 1,
    }
}

/// What the API server takes and the operator tells by a condition.
fn told_later(name: &str, spec: Value, field: &str, words: &str) -> BadInput {
    BadInput {
        name: name.into(),
        spec,
        admission: None,
        field: field.into(),
        words: words.into(),
        errors: 1,
    }
}
