//! Parquet files as the Hugging Face hub has them: flat columns, strings, integers and floats.

use std::fs::File;
use std::io;
use std::path::Path;

use ::parquet::errors::ParquetError;
use ::parquet::file::reader::{FileReader, SerializedFileReader};
use ::parquet::record::Field;
use ::parquet::schema::types::Type;

use super::{Columns, DataError, Label, MAX_FIELD_BYTES, Place, Positions, Row, Rows, not_empty};

pub(super) fn read(path: &Path, columns: &Columns) -> Result<Rows, DataError> {
    let file = File::open(path).map_err(|error| DataError::io(path, error))?;
    let broken = |error: ParquetError| wrong(path, error);
    let reader = SerializedFileReader::new(file).map_err(broken)?;
    let schema = reader.metadata().file_metadata().schema();
    let names: Vec<&str> = schema
        .get_fields()
        .iter()
        .map(|field| field.name())
        .collect();
    Positions::find(&names, columns, path)?;

    // Only the wanted columns are decoded; the projection keeps the schema's order.
    let wanted: Vec<_> = schema
        .get_fields()
        .iter()
        .filter(|field| is_wanted(columns, field.name()))
        .cloned()
        .collect();
    let names: Vec<String> = wanted.iter().map(|field| field.name().to_owned()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let positions = Positions::find(&names, columns, path)?;
    let projection = Type::group_type_builder(schema.name())
        .with_fields(wanted)
        .build()
        .map_err(broken)?;

    let mut found = Rows::default();
    let rows = reader.get_row_iter(Some(projection)).map_err(broken)?;
    for (index, row) in rows.enumerate() {
        let row = row.map_err(broken)?;
        let place = Place::new(path, index as u64 + 1);
        let fields: Vec<&Field> = row.get_column_iter().map(|(_, field)| field).collect();
        found.rows.push(Row {
            line: place.line,
            first: text(fields[positions.first], &columns.first, &place)?,
            second: match (positions.second, &columns.second) {
                (Some(second), Some(column)) => Some(text(fields[second], column, &place)?),
                _ => None,
            },
            label: label(fields[positions.label], &columns.label, &place)?,
        });
    }
    not_empty(path, found)
}

/// An error of the system is told from a file that is not what it should be. A file's content may
/// point beyond the file's end: that is the content's fault.
fn wrong(path: &Path, error: ParquetError) -> DataError {
    let problem = error.to_string();
    match error {
        ParquetError::External(cause) => match cause.downcast::<io::Error>() {
            Ok(source) if source.kind() != io::ErrorKind::UnexpectedEof => {
                DataError::io(path, *source)
            }
            _ => DataError::Broken {
                path: path.into(),
                format: "Parquet",
                problem,
            },
        },
        _ => DataError::Broken {
            path: path.into(),
            format: "Parquet",
            problem,
        },
    }
}

fn is_wanted(columns: &Columns, name: &str) -> bool {
    name == columns.first
        || name == columns.label
        || columns
            .second
            .as_deref()
            .is_some_and(|second| name == second)
}

fn text(field: &Field, column: &str, place: &Place) -> Result<String, DataError> {
    match field {
        Field::Str(text) if text.len() > MAX_FIELD_BYTES => Err(DataError::TooLong(place.clone())),
        Field::Str(text) => Ok(text.clone()),
        other => Err(unexpected(other, column, place, "a string")),
    }
}

fn label(field: &Field, column: &str, place: &Place) -> Result<Label, DataError> {
    Ok(match field {
        Field::Str(text) => Label::Text(text.clone()),
        Field::Bool(value) => Label::Boolean(*value),
        Field::Byte(value) => Label::Integer((*value).into()),
        Field::Short(value) => Label::Integer((*value).into()),
        Field::Int(value) => Label::Integer((*value).into()),
        Field::Long(value) => Label::Integer(*value),
        Field::UByte(value) => Label::Integer((*value).into()),
        Field::UShort(value) => Label::Integer((*value).into()),
        Field::UInt(value) => Label::Integer((*value).into()),
        Field::Float(value) => Label::Number((*value).into()),
        Field::Double(value) => Label::Number(*value),
        other => {
            return Err(unexpected(
                other,
                column,
                place,
                "a string, a number, true or false",
            ));
        }
    })
}

fn unexpected(found: &Field, column: &str, place: &Place, expected: &str) -> DataError {
    DataError::Value {
        place: place.clone(),
        column: column.into(),
        found: super::error::shortened(&found.to_string()),
        expected: expected.into(),
    }
}
