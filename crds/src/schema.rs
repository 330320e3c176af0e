//! Checks a JSON value against the schema of the CRD, as strictly as the API server would: types,
//! unknown and missing fields, ranges, lengths, patterns, enumerations, keyed lists. Every error is
//! found, not only the first.
//!
//! CEL rules are in `rules`.

use std::fmt;
use std::sync::OnceLock;

use kube_core::CustomResourceExt;
use regex::Regex;
use serde_json::{Map, Value};

use crate::decimal::{DECIMAL_PATTERN, Decimal};
use crate::peft_search::PeftSearch;

/// One thing that is wrong with a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// Where, such as `spec.objectives[0].bound`.
    pub field: String,
    /// What is wrong there.
    pub problem: String,
    /// What would be right.
    pub remedy: String,
}

impl FieldError {
    /// An error at `field`.
    pub fn new(
        field: impl Into<String>,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            field: field.into(),
            problem: problem.into(),
            remedy: remedy.into(),
        }
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}: {}; {}",
            self.field, self.problem, self.remedy
        )
    }
}

/// The structural schema of a PeftSearch's `spec`.
pub fn spec_schema() -> &'static Value {
    static SCHEMA: OnceLock<Value> = OnceLock::new();
    SCHEMA.get_or_init(|| {
        let crd = serde_json::to_value(PeftSearch::crd()).unwrap_or_default();
        crd.pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec")
            .cloned()
            .unwrap_or_default()
    })
}

/// Every violation of `schema` by `value`, found at `field`.
pub fn check(value: &Value, schema: &Value, field: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    check_value(value, schema, field, &mut errors);
    errors
}

fn check_value(value: &Value, schema: &Value, field: &str, errors: &mut Vec<FieldError>) {
    let expected = schema["type"].as_str().unwrap_or_default();
    match (expected, value) {
        (_, Value::Null) if schema["nullable"] == true => {}
        ("object", Value::Object(fields)) => check_object(fields, schema, field, errors),
        ("array", Value::Array(items)) => check_array(items, schema, field, errors),
        ("string", Value::String(text)) => check_string(text, schema, field, errors),
        ("integer", Value::Number(number)) => match whole(number) {
            Some(number) => check_range(number, schema, field, errors),
            None => errors.push(wrong_type(expected, value, schema, field)),
        },
        ("boolean", Value::Bool(_)) => {}
        _ => errors.push(wrong_type(expected, value, schema, field)),
    }
}

fn whole(number: &serde_json::Number) -> Option<i128> {
    let signed = number.as_i64().map(i128::from);
    signed.or(number.as_u64().map(i128::from))
}

fn wrong_type(expected: &str, value: &Value, schema: &Value, field: &str) -> FieldError {
    let found = match value {
        Value::Null => "there is no value".to_owned(),
        Value::Bool(flag) => format!("{flag} is a boolean"),
        Value::Number(number) => format!("{number} is a number"),
        Value::String(text) => format!("{:?} is text", shorten(text)),
        Value::Array(_) => "it is a list".to_owned(),
        Value::Object(_) => "it is an object with fields".to_owned(),
    };
    let remedy = match (expected, value) {
        ("string", Value::Number(number)) => format!("write it in quotes: \"{number}\""),
        ("string", Value::Bool(flag)) => format!("write it in quotes: \"{flag}\""),
        ("string", _) => match schema["enum"].as_array() {
            Some(choices) => format!("write one of {}", list(choices)),
            None => "write text".to_owned(),
        },
        ("integer", Value::String(text)) if text.parse::<i64>().is_ok() => {
            format!("write it without quotes: {text}")
        }
        ("integer", _) => format!("write a whole number{}", range_words(schema)),
        ("boolean", _) => "write true or false".to_owned(),
        ("array", _) => "write a list, such as [a, b]".to_owned(),
        _ => {
            let names: Vec<&str> = property_names(schema).collect();
            format!("write an object with the fields {}", names.join(", "))
        }
    };
    FieldError::new(field, found, remedy)
}

fn property_names(schema: &Value) -> impl Iterator<Item = &str> {
    schema["properties"]
        .as_object()
        .into_iter()
        .flat_map(|properties| properties.keys().map(String::as_str))
}

fn check_object(
    fields: &Map<String, Value>,
    schema: &Value,
    field: &str,
    errors: &mut Vec<FieldError>,
) {
    let most = schema["maxProperties"].as_u64();
    if most.is_some_and(|most| fields.len() as u64 > most) {
        let problem = format!("it has {} entries", fields.len());
        errors.push(FieldError::new(
            field,
            problem,
            bounds_words("give", None, most, "entries"),
        ));
    }
    // Where names are free, as of labels, the schema describes the values only.
    let any = schema
        .get("additionalProperties")
        .filter(|any| any.is_object());
    for (name, value) in fields {
        let path = format!("{field}.{name}");
        match schema["properties"].get(name).or(any) {
            Some(property) => check_value(value, property, &path, errors),
            None => errors.push(FieldError::new(
                path,
                "there is no such field",
                did_you_mean(name, property_names(schema)),
            )),
        }
    }
    for name in schema["required"].as_array().into_iter().flatten() {
        let name = name.as_str().unwrap_or_default();
        if !fields.contains_key(name) {
            let meaning = schema["properties"][name]["description"].as_str();
            errors.push(FieldError::new(
                format!("{field}.{name}"),
                "the field is missing",
                format!(
                    "add it: {}",
                    first_sentence(meaning.unwrap_or("see docs/manifest.md"))
                ),
            ));
        }
    }
}

/// The first sentence of a description, to follow a colon.
fn first_sentence(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let sentence = line.split(". ").next().unwrap_or_default();
    let sentence = sentence.trim_end_matches('.');
    let mut letters = sentence.chars();
    let first = letters.next().map(|letter| letter.to_ascii_lowercase());
    // `PeftSearch` and `BERT` keep their capitals.
    if letters.clone().next().is_some_and(char::is_uppercase) {
        return sentence.to_owned();
    }
    first.into_iter().chain(letters).collect()
}

/// A hint for a name that is not among `known`: the nearest one, or all of them.
pub fn did_you_mean<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.collect();
    let nearest = known
        .iter()
        .map(|candidate| {
            let likeness = strsim::jaro_winkler(&name.to_lowercase(), &candidate.to_lowercase());
            (likeness, *candidate)
        })
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|left, right| left.0.total_cmp(&right.0));
    match nearest {
        Some((_, candidate)) => format!("did you mean {candidate}?"),
        None => format!("use one of {}", known.join(", ")),
    }
}

fn check_array(items: &[Value], schema: &Value, field: &str, errors: &mut Vec<FieldError>) {
    let (least, most) = (schema["minItems"].as_u64(), schema["maxItems"].as_u64());
    let count = items.len() as u64;
    if least.is_some_and(|least| count < least) || most.is_some_and(|most| count > most) {
        errors.push(FieldError::new(
            field,
            format!(
                "the list has {count} {}",
                if count == 1 { "entry" } else { "entries" }
            ),
            bounds_words("give", least, most, "entries"),
        ));
    }
    for (index, item) in items.iter().take(1000).enumerate() {
        check_value(item, &schema["items"], &format!("{field}[{index}]"), errors);
    }
    let keys: Vec<Option<&Value>> = match schema["x-kubernetes-list-type"].as_str() {
        Some("set") => items.iter().map(Some).collect(),
        Some("map") => {
            let key = schema["x-kubernetes-list-map-keys"][0]
                .as_str()
                .unwrap_or_default();
            items.iter().map(|item| item.get(key)).collect()
        }
        _ => return,
    };
    for (index, key) in keys.iter().enumerate().take(1000) {
        if let Some(key) = key
            && keys[..index].contains(&Some(*key))
        {
            let name = key
                .as_str()
                .map_or_else(|| key.to_string(), |text| shorten(text).to_owned());
            errors.push(FieldError::new(
                format!("{field}[{index}]"),
                format!("{name} is listed twice"),
                "list it once",
            ));
        }
    }
}

fn check_string(text: &str, schema: &Value, field: &str, errors: &mut Vec<FieldError>) {
    let length = text.chars().count() as u64;
    let (least, most) = (schema["minLength"].as_u64(), schema["maxLength"].as_u64());
    if least.is_some_and(|least| length < least) || most.is_some_and(|most| length > most) {
        let problem = if text.is_empty() {
            "the text is empty".to_owned()
        } else {
            format!("the text has {length} characters")
        };
        let remedy = bounds_words("write", least, most, "characters");
        errors.push(FieldError::new(field, problem, remedy));
        return;
    }
    if let Some(choices) = schema["enum"].as_array()
        && !choices.iter().any(|choice| choice == text)
    {
        let near = did_you_mean(text, choices.iter().filter_map(Value::as_str));
        let remedy = if near.starts_with("did") {
            format!("{near} (one of {})", list(choices))
        } else {
            format!("write one of {}", list(choices))
        };
        let problem = format!("{:?} is not known", shorten(text));
        errors.push(FieldError::new(field, problem, remedy));
        return;
    }
    let Some(pattern) = schema["pattern"].as_str() else {
        return;
    };
    if pattern == DECIMAL_PATTERN && text.parse::<Decimal>().is_err() {
        errors.push(FieldError::new(
            field,
            format!("{:?} is not a finite decimal number", shorten(text)),
            "write digits with a point or an exponent, in quotes: \"0.0001\" or \"1e-4\"",
        ));
    } else if Regex::new(pattern).is_ok_and(|pattern| !pattern.is_match(text)) {
        errors.push(FieldError::new(
            field,
            format!("{:?} has an invalid form", shorten(text)),
            format!("write text that matches {pattern}"),
        ));
    }
}

fn check_range(number: i128, schema: &Value, field: &str, errors: &mut Vec<FieldError>) {
    // The schema's bounds are floats, all of them whole and at most 2^53.
    let bound = |name: &str| schema[name].as_f64().map(|bound| bound as i128);
    let least = bound("minimum");
    let most = bound("maximum").or(largest(schema).map(i128::from));
    let problem = if least.is_some_and(|least| number < least) {
        format!("{number} is too small")
    } else if most.is_some_and(|most| number > most) {
        format!("{number} is too large")
    } else {
        return;
    };
    let remedy = format!("write a whole number{}", range_words(schema));
    errors.push(FieldError::new(field, problem, remedy));
}

/// The largest number that the field's type holds, where the schema gives no bound.
fn largest(schema: &Value) -> Option<u32> {
    (schema["format"] == "uint32").then_some(u32::MAX)
}

fn range_words(schema: &Value) -> String {
    let most = schema["maximum"].as_f64();
    let most = most.or(largest(schema).map(f64::from));
    match (schema["minimum"].as_f64(), most) {
        (Some(least), Some(most)) => format!(" from {least} to {most}"),
        (Some(least), None) => format!(" of at least {least}"),
        (None, Some(most)) => format!(" of at most {most}"),
        (None, None) => String::new(),
    }
}

fn bounds_words(verb: &str, least: Option<u64>, most: Option<u64>, of: &str) -> String {
    match (least, most) {
        (Some(least), Some(most)) => format!("{verb} {least} to {most} {of}"),
        (Some(least), None) => format!("{verb} at least {least} {of}"),
        (None, Some(most)) => format!("{verb} at most {most} {of}"),
        (None, None) => format!("{verb} other {of}"),
    }
}

fn list(choices: &[Value]) -> String {
    let names: Vec<&str> = choices.iter().filter_map(Value::as_str).collect();
    names.join(", ")
}

/// The beginning of a text that may be long.
fn shorten(text: &str) -> &str {
    match text.char_indices().nth(60) {
        Some((end, _)) => &text[..end],
        None => text,
    }
}
