//! A configuration file of a library: fields that are read, and others that must say nothing.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::InterchangeError;
use crate::files;

/// A JSON object, and the file that it is in.
#[derive(Clone, Debug)]
pub(super) struct Fields {
    path: PathBuf,
    object: Map<String, Value>,
}

impl Fields {
    pub(super) fn read(path: &Path) -> Result<Self, InterchangeError> {
        let foreign = |reason: String| InterchangeError::Foreign {
            path: path.into(),
            reason,
        };
        let text = files::read_json(path).map_err(|error| {
            foreign(format!(
                "cannot be read: {error}; an adapter of peft or adapters is a directory with this file"
            ))
        })?;
        match serde_json::from_str(&text) {
            Ok(Value::Object(object)) => Ok(Self {
                path: path.into(),
                object,
            }),
            _ => Err(foreign("is not a JSON object".into())),
        }
    }

    /// An object inside.
    pub(super) fn inner(&self, value: &Value) -> Result<Self, InterchangeError> {
        match value {
            Value::Object(object) => Ok(Self {
                path: self.path.clone(),
                object: object.clone(),
            }),
            other => Err(self.refused(&format!("{other} is not a configuration"))),
        }
    }

    /// A field's value; `None` if it is null.
    pub(super) fn get(&self, field: &str) -> Option<&Value> {
        self.object.get(field).filter(|value| !value.is_null())
    }

    pub(super) fn text(&self, field: &str) -> &str {
        self.get(field).and_then(Value::as_str).unwrap_or_default()
    }

    pub(super) fn is_true(&self, field: &str) -> bool {
        self.get(field) == Some(&Value::Bool(true))
    }

    pub(super) fn number(&self, field: &str) -> Result<f64, InterchangeError> {
        let number = self.get(field).and_then(Value::as_f64);
        number.ok_or_else(|| self.wrong(field, "a number"))
    }

    pub(super) fn whole(&self, field: &str) -> Result<u32, InterchangeError> {
        let number = self.get(field).and_then(Value::as_u64);
        let number = number.and_then(|number| u32::try_from(number).ok());
        number.ok_or_else(|| self.wrong(field, "a whole number"))
    }

    /// Refuses another value than this one; a missing field is the library's `usual`.
    pub(super) fn only(
        &self,
        field: &str,
        usual: impl Into<Value>,
        expected: impl Into<Value>,
    ) -> Result<(), InterchangeError> {
        let (usual, expected) = (usual.into(), expected.into());
        let found = self.object.get(field).unwrap_or(&usual);
        let is_same = match (found.as_f64(), expected.as_f64()) {
            (Some(found), Some(expected)) => found == expected,
            _ => *found == expected,
        };
        match is_same {
            true => Ok(()),
            false => Err(self.wrong(field, &expected.to_string())),
        }
    }

    /// Refuses a field beside `known` that says something: neither null, false, 0, nor empty.
    pub(super) fn nothing_but(&self, known: &[&str]) -> Result<(), InterchangeError> {
        let says = |value: &Value| match value {
            Value::Null | Value::Bool(false) => false,
            Value::Bool(true) => true,
            Value::Number(number) => number.as_f64() != Some(0.0),
            Value::String(text) => !text.is_empty(),
            Value::Array(items) => !items.is_empty(),
            Value::Object(fields) => !fields.is_empty(),
        };
        let mut others = self.object.iter();
        match others.find(|(field, value)| !known.contains(&field.as_str()) && says(value)) {
            None => Ok(()),
            Some((field, value)) => Err(self.refused(&format!(
                "field {field} is {value}, which this program does not do"
            ))),
        }
    }

    pub(super) fn wrong(&self, field: &str, expected: &str) -> InterchangeError {
        let found = self
            .object
            .get(field)
            .map_or("missing".into(), Value::to_string);
        self.refused(&format!(
            "field {field} is {found}; this program expects {expected}"
        ))
    }

    pub(super) fn refused(&self, reason: &str) -> InterchangeError {
        InterchangeError::Foreign {
            path: self.path.clone(),
            reason: reason.into(),
        }
    }
}
