//! The fields around the spec: apiVersion, kind, metadata.

use autopeft_crds::NAME_MAX;
use autopeft_crds::peft_search::{api_version, kind};
use autopeft_crds::schema::{self, FieldError};
use serde_json::{Map, Value, json};

const NAME_REMEDY: &str =
    "give the search a name of lower-case letters, digits and -, such as my-search";
/// A DNS subdomain, as Kubernetes requires.
const NAME_PATTERN: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
/// The fields of metadata, as Kubernetes has them; most are the API server's to write.
const METADATA: [&str; 15] = [
    "name",
    "namespace",
    "labels",
    "annotations",
    "generateName",
    "finalizers",
    "ownerReferences",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "managedFields",
    "selfLink",
];

/// The schema of the document, as far as unquoted words can be misread.
pub(super) fn schema() -> Value {
    json!({ "properties": {
        "apiVersion": { "type": "string", "enum": [api_version()] },
        "kind": { "type": "string", "enum": [kind()] },
        "metadata": { "properties": {
            "name": name_schema(),
            "namespace": { "type": "string" },
            "labels": texts(),
            "annotations": texts(),
        } },
        "spec": schema::spec_schema(),
    } })
}

fn name_schema() -> Value {
    json!({ "type": "string", "maxLength": NAME_MAX, "pattern": NAME_PATTERN })
}

/// A map of free names to strings.
fn texts() -> Value {
    json!({ "type": "object", "additionalProperties": { "type": "string" } })
}

/// Checks apiVersion, kind and metadata, and that there are no other fields than spec and status.
pub(super) fn check(value: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let Some(fields) = value.as_object() else {
        errors.push(FieldError::new(
            "the document",
            "it is not an object",
            format!(
                "begin with apiVersion: {} and kind: {}",
                api_version(),
                kind()
            ),
        ));
        return errors;
    };
    for (name, expected) in [("apiVersion", api_version()), ("kind", kind())] {
        match fields.get(name) {
            Some(Value::String(found)) if *found == expected => {}
            Some(found) => errors.push(FieldError::new(
                name,
                format!("it is {found}"),
                format!("this program reads {name}: {expected}"),
            )),
            None => errors.push(FieldError::new(
                name,
                "the field is missing",
                format!("write {name}: {expected}"),
            )),
        }
    }
    let known = ["apiVersion", "kind", "metadata", "spec", "status"];
    for name in fields.keys().filter(|name| !known.contains(&name.as_str())) {
        errors.push(FieldError::new(
            name.as_str(),
            "there is no such field",
            schema::did_you_mean(name, known.into_iter()),
        ));
    }
    if !fields.contains_key("spec") {
        errors.push(FieldError::new(
            "spec",
            "the field is missing",
            "describe the search there; model and task are required",
        ));
    }
    check_metadata(&value["metadata"], &mut errors);
    errors
}

fn check_metadata(value: &Value, errors: &mut Vec<FieldError>) {
    let none = Map::new();
    let metadata = match value {
        Value::Object(fields) => fields,
        Value::Null => &none,
        _ => {
            errors.extend(schema::check(value, &texts(), "metadata"));
            return;
        }
    };
    check_name(metadata.get("name"), errors);
    for (name, schema) in [
        ("namespace", json!({ "type": "string" })),
        ("labels", texts()),
        ("annotations", texts()),
    ] {
        if let Some(value) = metadata.get(name).filter(|value| !value.is_null()) {
            errors.extend(schema::check(value, &schema, &format!("metadata.{name}")));
        }
    }
    for name in metadata
        .keys()
        .filter(|name| !METADATA.contains(&name.as_str()))
    {
        errors.push(FieldError::new(
            format!("metadata.{name}"),
            "there is no such field",
            schema::did_you_mean(name, METADATA.into_iter().take(4)),
        ));
    }
}

fn check_name(name: Option<&Value>, errors: &mut Vec<FieldError>) {
    let (problem, remedy) = match name {
        Some(Value::String(name)) if is_name(name) => return,
        Some(Value::String(name)) => {
            let shown: String = name.chars().take(80).collect();
            (
                format!("{shown:?} cannot be the name of an object"),
                format!("{NAME_REMEDY}; at most {NAME_MAX} characters"),
            )
        }
        Some(found) if !found.is_null() => (format!("{found} is not text"), NAME_REMEDY.into()),
        _ => ("the field is missing".into(), NAME_REMEDY.into()),
    };
    errors.push(FieldError::new("metadata.name", problem, remedy));
}

/// Whether Kubernetes accepts the name, and the CRD its length.
fn is_name(name: &str) -> bool {
    schema::check(&name.into(), &name_schema(), "metadata.name").is_empty()
}
