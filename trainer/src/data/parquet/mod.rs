//! Parquet files: flat columns of text, whole numbers, floats, decimals and booleans, compressed by
//! any codec of the format but LZO.

mod column;

use std::io;
use std::path::Path;

use ::parquet::basic::Compression;
use ::parquet::errors::ParquetError;
use ::parquet::file::metadata::FileMetaData;
use ::parquet::file::reader::{FileReader, RowGroupReader, SerializedFileReader};

use self::column::{Cell, Column};

use super::error::{DataError, Place, shortened};
use super::header::Positions;
use super::open::not_empty;
use super::rows::{Columns, Label, MAX_FIELD_BYTES, Row, Rows};
use crate::files::{self, Foreign, recognise_binary};

pub(super) fn read(path: &Path, columns: &Columns) -> Result<Rows, DataError> {
    let file = files::open(path).map_err(|error| DataError::io(path, error))?;
    if let Some(found) = files::head(path).as_deref().and_then(foreign) {
        return Err(DataError::Foreign {
            path: path.into(),
            found,
        });
    }
    let reader = SerializedFileReader::new(file).map_err(|error| wrong(path, error))?;
    let wanted = Wanted::find(reader.metadata().file_metadata(), columns, path)?;
    let mut found = Rows::default();
    for index in 0..reader.num_row_groups() {
        let group = reader
            .get_row_group(index)
            .map_err(|error| wrong(path, error))?;
        wanted.read(group.as_ref(), path, &mut found)?;
    }
    not_empty(path, found)
}

/// Recognises a file that does not begin as a Parquet file.
fn foreign(head: &[u8]) -> Option<Foreign> {
    if head.starts_with(b"PAR1") {
        None
    } else if head.starts_with(b"PARE") {
        let remedy = "save it without encryption";
        Some(Foreign::Known("an encrypted Parquet file", remedy))
    } else {
        recognise_binary(head)
    }
}

/// The columns that are read.
struct Wanted {
    first: Column,
    second: Option<Column>,
    more: Vec<Column>,
    label: Column,
}

impl Wanted {
    fn find(file: &FileMetaData, columns: &Columns, path: &Path) -> Result<Self, DataError> {
        let fields = file.schema().get_fields();
        let names: Vec<&str> = fields.iter().map(|field| field.name()).collect();
        let positions = Positions::find(&names, columns, path)?;
        let column = |position: usize, is_label: bool| {
            let has_lists = is_label && columns.has_lists;
            let column = Column::find(file.schema_descr(), position, names[position], has_lists);
            match column.refusal(is_label) {
                None => Ok(column),
                Some((found, expected)) => Err(DataError::ColumnType {
                    path: path.into(),
                    column: names[position].into(),
                    found: found.into(),
                    expected,
                }),
            }
        };
        Ok(Self {
            first: column(positions.first, false)?,
            second: positions
                .second
                .map(|second| column(second, false))
                .transpose()?,
            more: positions
                .more
                .iter()
                .map(|further| column(*further, false))
                .collect::<Result<_, _>>()?,
            label: column(positions.label, true)?,
        })
    }

    /// Adds the rows of one group.
    fn read(
        &self,
        group: &dyn RowGroupReader,
        path: &Path,
        found: &mut Rows,
    ) -> Result<(), DataError> {
        let cells = |column: &Column| {
            check_codec(group, column, path)?;
            column.read(group).map_err(|error| wrong(path, error))
        };
        let first = cells(&self.first)?;
        let mut second = self.second.as_ref().map(cells).transpose()?;
        let mut more = self.more.iter().map(cells).collect::<Result<Vec<_>, _>>()?;
        let labels = cells(&self.label)?;
        for (index, (first, label)) in first.into_iter().zip(labels).enumerate() {
            let place = Place::new(path, found.rows.len() as u64 + 1);
            let second = match (&self.second, &mut second) {
                (Some(column), Some(cells)) => {
                    let cell = std::mem::replace(&mut cells[index], Cell::Null);
                    Some(text(cell, &column.name, &place)?)
                }
                _ => None,
            };
            let mut further = Vec::with_capacity(more.len());
            for (column, cells) in self.more.iter().zip(&mut more) {
                let cell = std::mem::replace(&mut cells[index], Cell::Null);
                further.push(text(cell, &column.name, &place)?);
            }
            found.rows.push(Row {
                line: place.line,
                first: text(first, &self.first.name, &place)?,
                second,
                more: further,
                label: self::label(label, &self.label.name, &place)?,
            });
        }
        Ok(())
    }
}

fn check_codec(group: &dyn RowGroupReader, column: &Column, path: &Path) -> Result<(), DataError> {
    match group.metadata().column(column.index).compression() {
        Compression::LZO => Err(DataError::ColumnType {
            path: path.into(),
            column: column.name.clone(),
            found: "values that are compressed with LZO".into(),
            expected: "no compression, snappy, gzip, lz4, brotli or zstd",
        }),
        _ => Ok(()),
    }
}

/// Distinguishes system errors from invalid content. A read beyond the file's end is caused by invalid content.
fn wrong(path: &Path, error: ParquetError) -> DataError {
    let problem = shortened(&error.to_string());
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

fn text(cell: Cell, column: &str, place: &Place) -> Result<String, DataError> {
    match cell {
        Cell::Bytes(bytes) if bytes.len() > MAX_FIELD_BYTES => {
            Err(DataError::TooLong(place.clone()))
        }
        Cell::Bytes(bytes) => match std::str::from_utf8(bytes.data()) {
            Ok(text) => Ok(text.into()),
            Err(error) => Err(DataError::FieldEncoding {
                place: place.clone(),
                column: column.into(),
                byte: error.valid_up_to() + 1,
            }),
        },
        // Columns of other types have been rejected.
        _ => Err(null(column, place, "a string")),
    }
}

fn label(cell: Cell, column: &str, place: &Place) -> Result<Label, DataError> {
    Ok(match cell {
        Cell::Bytes(_) => Label::Text(text(cell, column, place)?),
        Cell::Boolean(value) => Label::Boolean(value),
        Cell::Integer(value) => Label::Integer(value),
        Cell::Float(value) => Label::Number(value),
        Cell::Decimal(digits) => Label::Decimal(digits),
        Cell::List(cells) => Label::List(
            cells
                .into_iter()
                .map(|cell| self::label(cell, column, place))
                .collect::<Result<_, _>>()?,
        ),
        Cell::Null => return Err(null(column, place, column::LABELS)),
    })
}

fn null(column: &str, place: &Place, expected: &str) -> DataError {
    DataError::Value {
        place: place.clone(),
        column: column.into(),
        found: "null".into(),
        expected: expected.into(),
    }
}
