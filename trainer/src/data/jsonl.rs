//! One JSON object a line.

use std::path::Path;

use serde_json::{Map, Value};

use super::error::shortened;
use super::lines::Lines;
use super::{Columns, DataError, Label, Place, Row, Rows, not_empty};

pub(super) fn read(path: &Path, columns: &Columns) -> Result<Rows, DataError> {
    let mut lines = Lines::open(path)?;
    let mut found = Rows::default();
    while let Some((line, text)) = lines.next()? {
        if text.trim().is_empty() {
            continue;
        }
        let place = Place::new(path, line);
        let mut object: Map<String, Value> =
            serde_json::from_str(text).map_err(|error| DataError::Json {
                place: place.clone(),
                problem: problem(&error),
            })?;
        found.rows.push(Row {
            line,
            first: self::text(&mut object, &columns.first, &place)?,
            second: columns
                .second
                .as_ref()
                .map(|second| self::text(&mut object, second, &place))
                .transpose()?,
            label: label(&mut object, &columns.label, &place)?,
        });
    }
    not_empty(path, found)
}

/// What the parser says. It counts lines too, and each has only one here.
fn problem(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let what = text.split(" at line ").next().unwrap_or_default();
    format!("{what} at column {}", error.column())
}

/// A field's value. It is copied, because a label may also be one of the texts.
fn value(object: &Map<String, Value>, column: &str, place: &Place) -> Result<Value, DataError> {
    object
        .get(column)
        .cloned()
        .ok_or_else(|| DataError::NoField {
            place: place.clone(),
            column: column.into(),
            found: object.keys().cloned().collect(),
        })
}

fn text(object: &mut Map<String, Value>, column: &str, place: &Place) -> Result<String, DataError> {
    match value(object, column, place)? {
        Value::String(text) => Ok(text),
        other => Err(unexpected(&other, column, place, "a string")),
    }
}

fn label(object: &mut Map<String, Value>, column: &str, place: &Place) -> Result<Label, DataError> {
    match value(object, column, place)? {
        Value::String(text) => Ok(Label::Text(text)),
        Value::Bool(value) => Ok(Label::Boolean(value)),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => Ok(Label::Integer(whole)),
            (None, Some(value)) => Ok(Label::Number(value)),
            (None, None) => Err(unexpected(
                &Value::Number(number),
                column,
                place,
                "a number that a 64-bit float holds",
            )),
        },
        other => Err(unexpected(
            &other,
            column,
            place,
            "a string, a number, true or false",
        )),
    }
}

fn unexpected(found: &Value, column: &str, place: &Place, expected: &str) -> DataError {
    DataError::Value {
        place: place.clone(),
        column: column.into(),
        found: shortened(&found.to_string()),
        expected: expected.into(),
    }
}
