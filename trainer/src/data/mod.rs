//! Reads the rows of a task's files: one or two texts and a label each, by the names of the columns.
//!
//! A reader knows its format and nothing of tasks: labels come out as they stand in the file. Every
//! message names the file, the line and the column, and says what would be right.

mod csv;
mod error;
mod jsonl;
mod lines;
mod parquet;
mod tsv;

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use crate::files::{self, HEAD_BYTES, recognise};

pub use error::{DataError, Place};
pub(crate) use error::{listed, shortened};
pub use tsv::TsvLayout;

/// The longest line or field that is read, bytes: beyond it a file is not what it should be.
pub const MAX_FIELD_BYTES: usize = 1 << 20;

/// The columns to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Columns {
    /// The column of the text.
    pub first: String,
    /// The column of the second text of a pair.
    pub second: Option<String>,
    /// The column of the label.
    pub label: String,
}

/// One example as it stands in a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The line in which it begins (its row in Parquet), from 1.
    pub line: u64,
    /// The text.
    pub first: String,
    /// The second text of a pair.
    pub second: Option<String>,
    /// The label, not yet judged.
    pub label: Label,
}

/// A label as it stands in a file.
#[derive(Clone, Debug, PartialEq)]
pub enum Label {
    /// Text.
    Text(String),
    /// A whole number (typed: JSON or Parquet), exactly.
    Integer(i128),
    /// A number (typed: JSON or Parquet).
    Number(f64),
    /// A number that is no `Integer` and would not be itself as a float (Parquet's decimals), in
    /// digits without zeros at the end.
    Decimal(String),
    /// True or false (typed: JSON or Parquet).
    Boolean(bool),
}

/// The rows of one file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    /// In the file's order.
    pub rows: Vec<Row>,
    /// Rows that were left out because they are known to be broken (QQP's short rows).
    pub skipped: u64,
}

/// Reads a file whose ending says its format: `.jsonl`, `.csv` or `.tsv` (columns named in the
/// first line), or `.parquet`.
pub fn read(path: &Path, columns: &Columns) -> Result<Rows, DataError> {
    let ending = path.extension().and_then(|ending| ending.to_str());
    match ending.map(str::to_ascii_lowercase).as_deref() {
        Some("jsonl") => jsonl::read(path, columns),
        Some("csv") => csv::read(path, columns),
        Some("tsv") => tsv::read(path, columns, &TsvLayout::default()),
        Some("parquet") => parquet::read(path, columns),
        _ => Err(DataError::Format(path.into())),
    }
}

/// Reads a tab-separated file of a given layout.
pub fn read_tsv(path: &Path, columns: &Columns, layout: &TsvLayout) -> Result<Rows, DataError> {
    tsv::read(path, columns, layout)
}

/// The first line of a text file, where it can be read.
pub fn first_line(path: &Path) -> Option<String> {
    let mut lines = lines::Lines::open(path).ok()?;
    lines.next().ok()?.map(|(_, line)| line.to_owned())
}

/// Opens a file of text whose content is not known to be something else.
fn open_text(path: &Path) -> Result<BufReader<File>, DataError> {
    let file = files::open(path).map_err(|error| DataError::io(path, error))?;
    let mut input = BufReader::with_capacity(1 << 16, file);
    let start = input
        .fill_buf()
        .map_err(|error| DataError::io(path, error))?;
    if start.is_empty() {
        return Err(DataError::NoRows(path.into()));
    }
    match recognise(&start[..start.len().min(HEAD_BYTES)]) {
        Some(found) => Err(DataError::Foreign {
            path: path.into(),
            found,
        }),
        None => Ok(input),
    }
}

/// A file without rows is refused by every reader.
fn not_empty(path: &Path, rows: Rows) -> Result<Rows, DataError> {
    if rows.rows.is_empty() {
        return Err(DataError::NoRows(path.into()));
    }
    Ok(rows)
}

/// Where the columns stand in a header.
struct Positions {
    first: usize,
    second: Option<usize>,
    label: usize,
}

impl Positions {
    fn find(header: &[&str], columns: &Columns, path: &Path) -> Result<Self, DataError> {
        let position = |name: &str| {
            let mut places = header
                .iter()
                .enumerate()
                .filter(|(_, found)| **found == name);
            let Some((place, _)) = places.next() else {
                return Err(DataError::NoColumn {
                    path: path.into(),
                    column: name.into(),
                    found: header.iter().map(|name| (*name).to_owned()).collect(),
                });
            };
            match places.count() {
                0 => Ok(place),
                others => Err(DataError::ColumnTwice {
                    path: path.into(),
                    column: name.into(),
                    count: others + 1,
                }),
            }
        };
        Ok(Self {
            first: position(&columns.first)?,
            second: columns.second.as_deref().map(position).transpose()?,
            label: position(&columns.label)?,
        })
    }
}
