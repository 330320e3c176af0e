//! One JSON object per line.

use std::fmt;
use std::path::Path;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::error::{DataError, Place, shortened};
use super::open::not_empty;
use super::rows::{Columns, Label, Row, Rows};

use super::lines::Lines;

pub(super) fn read(path: &Path, columns: &Columns) -> Result<Rows, DataError> {
    let mut lines = Lines::open(path)?;
    let mut found = Rows::default();
    while let Some((line, text)) = lines.next()? {
        if text.trim().is_empty() {
            continue;
        }
        let place = Place::new(path, line);
        let object: Object = serde_json::from_str(text).map_err(|error| DataError::Json {
            place: place.clone(),
            problem: problem(&error),
        })?;
        found.rows.push(Row {
            line,
            first: object.text(&columns.first, &place)?,
            second: columns
                .second
                .as_ref()
                .map(|second| object.text(second, &place))
                .transpose()?,
            more: columns
                .more
                .iter()
                .map(|column| object.text(column, &place))
                .collect::<Result<_, _>>()?,
            label: object.label(columns, &place)?,
        });
    }
    not_empty(path, found)
}

/// The parser's message, without its line number, which is always 1.
fn problem(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let what = text.split(" at line ").next().unwrap_or_default();
    format!("{what} at column {}", error.column())
}

/// An object's fields with duplicates, of which a map would keep only the last.
struct Object(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Vec<(String, Value)>;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a JSON object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(fields)
            }
        }
        deserializer.deserialize_map(Fields).map(Object)
    }
}

impl Object {
    /// The one value of a field. It may be read again: a label may also be one of the texts.
    fn value(&self, column: &str, place: &Place) -> Result<&Value, DataError> {
        let mut values = self.0.iter().filter(|(name, _)| name == column);
        let Some((_, value)) = values.next() else {
            let mut found: Vec<String> = self.0.iter().map(|(name, _)| name.clone()).collect();
            found.sort_unstable();
            return Err(DataError::NoField {
                place: place.clone(),
                column: column.into(),
                found,
            });
        };
        match values.count() {
            0 => Ok(value),
            others => Err(DataError::FieldTwice {
                place: place.clone(),
                column: column.into(),
                count: others + 1,
            }),
        }
    }

    fn text(&self, column: &str, place: &Place) -> Result<String, DataError> {
        match self.value(column, place)? {
            Value::String(text) => Ok(text.clone()),
            other => Err(unexpected(other, column, place, "a string")),
        }
    }

    fn label(&self, columns: &Columns, place: &Place) -> Result<Label, DataError> {
        let column = &columns.label;
        match self.value(column, place)? {
            Value::Array(values) if columns.has_lists => values
                .iter()
                .map(|value| single(value, column, place, LABELS))
                .collect::<Result<_, _>>()
                .map(Label::List),
            other if columns.has_lists => single(other, column, place, LABELS_OR_LIST),
            other => single(other, column, place, LABELS),
        }
    }
}

const LABELS: &str = "a string, a number, true or false";
const LABELS_OR_LIST: &str = "a list, a string, a number, true or false";

/// A label that is not a list.
fn single(value: &Value, column: &str, place: &Place, expected: &str) -> Result<Label, DataError> {
    match value {
        Value::String(text) => Ok(Label::Text(text.clone())),
        Value::Bool(value) => Ok(Label::Boolean(*value)),
        Value::Number(number) => match (number.as_i128(), number.as_f64()) {
            (Some(whole), _) => Ok(Label::Integer(whole)),
            (None, Some(value)) => Ok(Label::Number(value)),
            (None, None) => Err(unexpected(
                &Value::Number(number.clone()),
                column,
                place,
                "a number that a 64-bit float holds",
            )),
        },
        other => Err(unexpected(other, column, place, expected)),
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
