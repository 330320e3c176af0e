//! Comma-separated files as RFC 4180 has them: a header line, quoted fields, `""` for a quotation
//! mark, line breaks inside quotes.

use std::fs::File;
use std::path::Path;

use ::csv::{ByteRecord, ErrorKind, ReaderBuilder};

use super::{Columns, DataError, Label, MAX_FIELD_BYTES, Place, Positions, Row, Rows, not_empty};

pub(super) fn read(path: &Path, columns: &Columns) -> Result<Rows, DataError> {
    let file = File::open(path).map_err(|error| DataError::io(path, error))?;
    let mut reader = ReaderBuilder::new().from_reader(file);
    let header = reader.byte_headers().map_err(|error| wrong(path, error))?;
    if header.is_empty() {
        return Err(DataError::NoRows(path.into()));
    }
    let names = (0..header.len())
        .map(|column| field(header, column, path, 1))
        .collect::<Result<Vec<_>, _>>()?;
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let positions = Positions::find(&names, columns, path)?;

    let mut found = Rows::default();
    let mut record = ByteRecord::new();
    while reader
        .read_byte_record(&mut record)
        .map_err(|error| wrong(path, error))?
    {
        let line = record.position().map_or(0, ::csv::Position::line);
        found.rows.push(Row {
            line,
            first: field(&record, positions.first, path, line)?,
            second: positions
                .second
                .map(|second| field(&record, second, path, line))
                .transpose()?,
            label: Label::Text(field(&record, positions.label, path, line)?),
        });
    }
    not_empty(path, found)
}

fn field(record: &ByteRecord, column: usize, path: &Path, line: u64) -> Result<String, DataError> {
    let bytes = record.get(column).unwrap_or_default();
    if bytes.len() > MAX_FIELD_BYTES {
        return Err(DataError::TooLong(Place::new(path, line)));
    }
    // The reader takes a byte order mark off by itself.
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.into()),
        Err(error) => Err(DataError::Encoding {
            place: Place::new(path, line),
            byte: error.valid_up_to() + 1,
        }),
    }
}

fn wrong(path: &Path, error: ::csv::Error) -> DataError {
    let problem = error.to_string();
    match error.into_kind() {
        ErrorKind::Io(source) => DataError::io(path, source),
        ErrorKind::UnequalLengths {
            pos,
            expected_len,
            len,
        } => DataError::ColumnCount {
            place: Place::new(path, pos.map_or(0, |pos| pos.line())),
            found: len as usize,
            expected: expected_len as usize,
            separator: "comma; a comma inside a text needs quotation marks around the text",
        },
        _ => DataError::Broken {
            path: path.into(),
            format: "CSV",
            problem,
        },
    }
}
