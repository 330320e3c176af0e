//! Which fields of a spec may change while a search is under way. No I/O.
//!
//! A field may change where no past decision and no past result depends on it: the search continues with the
//! new value. Any other change would make the trials incomparable.

use autopeft_crds::PeftSearchSpec;
use autopeft_crds::rules::FIXED;
use autopeft_crds::schema::spec_schema;
use serde_json::Value;

/// The fields of a spec that may change: all but those that past trials depend on.
pub fn mutable() -> Vec<&'static str> {
    let fields = spec_schema()["properties"].as_object();
    let fields = fields.into_iter().flat_map(|fields| fields.keys());
    fields
        .map(String::as_str)
        .filter(|field| !FIXED.contains(field))
        .collect()
}

/// One field that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Where, such as `spec.training.learningRate`.
    pub field: String,
    /// What it was, as JSON.
    pub before: String,
    /// What it is now, as JSON.
    pub after: String,
    /// Whether it may change.
    pub allowed: bool,
}

/// Every field that differs between two specs.
pub fn changes(before: &PeftSearchSpec, after: &PeftSearchSpec) -> Vec<Change> {
    let value = |spec| serde_json::to_value(spec).unwrap_or_default();
    let mut found = Vec::new();
    differences(&value(before), &value(after), "spec", &mut found);
    found
}

fn differences(before: &Value, after: &Value, field: &str, found: &mut Vec<Change>) {
    if before == after {
        return;
    }
    if let (Value::Object(left), Value::Object(right)) = (before, after) {
        let mut names: Vec<&String> = left.keys().chain(right.keys()).collect();
        names.sort();
        names.dedup();
        for name in names {
            let (left, right) = (&before[name.as_str()], &after[name.as_str()]);
            differences(left, right, &format!("{field}.{name}"), found);
        }
        return;
    }
    let top = field.split('.').nth(1).unwrap_or_default();
    found.push(Change {
        field: field.into(),
        before: shown(before),
        after: shown(after),
        allowed: !FIXED.contains(&top),
    });
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "nothing".into(),
        value => value.to_string(),
    }
}
