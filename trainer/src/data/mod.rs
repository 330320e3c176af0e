//! Reads the rows of a task's files: one or two texts and a label each, by the names of the columns.
//!
//! A reader depends on its format but not on tasks: labels are returned as they are in the file. Every message names
//! the file, the line and the column, and what is expected.

mod csv;
mod error;
mod header;
mod jsonl;
mod lines;
mod open;
mod parquet;
mod rows;
mod tsv;

use std::path::Path;

pub use error::{DataError, Place};
pub(crate) use error::{listed, shortened};
pub use rows::{Columns, Label, MAX_FIELD_BYTES, Row, Rows};
pub use tsv::TsvLayout;

/// Reads a file in the format of its extension: `.jsonl`, `.csv` or `.tsv` (columns named in the
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

/// The first line of a text file, if it can be read.
pub fn first_line(path: &Path) -> Option<String> {
    let mut lines = lines::Lines::open(path).ok()?;
    lines.next().ok()?.map(|(_, line)| line.to_owned())
}
