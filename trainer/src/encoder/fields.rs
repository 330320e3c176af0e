//! The fields of a `config.json`, read with errors that name file and field.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::missing::MissingFile;

/// Why a `config.json` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// There is no such file.
    #[error(transparent)]
    Absent(#[from] MissingFile),
    /// The file cannot be read.
    #[error("{path}: cannot be read: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not a JSON object.
    #[error("{path}: is not a JSON object: {reason}")]
    Json {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A field is missing.
    #[error("{path}: field {field} is missing; expected {expected}")]
    Missing {
        /// The file.
        path: PathBuf,
        /// The field.
        field: &'static str,
        /// What would be right.
        expected: String,
    },
    /// A field has a value that is not supported or makes no sense.
    #[error("{path}: field {field} is {found}; expected {expected}")]
    Field {
        /// The file.
        path: PathBuf,
        /// The field.
        field: &'static str,
        /// Its value.
        found: String,
        /// What would be right.
        expected: String,
    },
}

/// The object's fields.
#[derive(Debug)]
pub struct Fields<'a> {
    path: &'a Path,
    object: Map<String, Value>,
}

impl<'a> Fields<'a> {
    /// Reads the text of a `config.json`; `path` is named in errors.
    ///
    /// # Errors
    /// It is not a JSON object.
    pub fn parse(text: &str, path: &'a Path) -> Result<Self, ConfigError> {
        match serde_json::from_str(text) {
            Ok(object) => Ok(Self { path, object }),
            Err(error) => Err(ConfigError::Json {
                path: path.into(),
                reason: error.to_string(),
            }),
        }
    }

    /// The error for a field's value.
    pub fn wrong(&self, field: &'static str, found: impl Display, expected: &str) -> ConfigError {
        ConfigError::Field {
            path: self.path.into(),
            field,
            found: found.to_string(),
            expected: expected.into(),
        }
    }

    /// The field, or nothing where it is missing or null.
    pub fn get(&self, field: &str) -> Option<&Value> {
        self.object.get(field).filter(|value| !value.is_null())
    }

    fn missing(&self, field: &'static str, expected: &str) -> ConfigError {
        ConfigError::Missing {
            path: self.path.into(),
            field,
            expected: expected.into(),
        }
    }

    /// A text; if it is missing, the default, or an error with what is `expected`.
    pub fn text<'b>(
        &'b self,
        field: &'static str,
        default: Option<&'b str>,
        expected: &str,
    ) -> Result<&'b str, ConfigError> {
        match self.get(field) {
            Some(Value::String(text)) => Ok(text),
            Some(other) => Err(self.wrong(field, other, "a text")),
            None => default.ok_or_else(|| self.missing(field, expected)),
        }
    }

    /// A text field that has one supported value, which is also its default.
    pub fn only(&self, field: &'static str, supported: &'static str) -> Result<(), ConfigError> {
        match self.text(field, Some(supported), supported)? {
            text if text == supported => Ok(()),
            other => Err(self.wrong(field, other, supported)),
        }
    }

    /// A positive whole number that is small enough for any tensor.
    pub fn size(&self, field: &'static str, default: Option<i64>) -> Result<i64, ConfigError> {
        const EXPECTED: &str = "a whole number from 1 to 10000000";
        let Some(value) = self.get(field) else {
            return default.ok_or_else(|| self.missing(field, EXPECTED));
        };
        value
            .as_i64()
            .filter(|size| (1..=10_000_000).contains(size))
            .ok_or_else(|| self.wrong(field, value, EXPECTED))
    }

    /// A token's id.
    pub fn id(&self, field: &'static str, default: i64) -> Result<i64, ConfigError> {
        let Some(value) = self.get(field) else {
            return Ok(default);
        };
        value
            .as_i64()
            .filter(|id| *id >= 0)
            .ok_or_else(|| self.wrong(field, value, "a whole number from 0"))
    }

    /// A number within a range.
    pub fn number(
        &self,
        field: &'static str,
        default: f64,
        range: RangeInclusive<f64>,
    ) -> Result<f64, ConfigError> {
        let Some(value) = self.get(field) else {
            return Ok(default);
        };
        value
            .as_f64()
            .filter(|number| range.contains(number))
            .ok_or_else(|| {
                let expected = format!("a number from {} to {}", range.start(), range.end());
                self.wrong(field, value, &expected)
            })
    }
}
