//! Checks that all readers share.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use super::error::DataError;
use super::rows::Rows;
use crate::files::{self, HEAD_BYTES, recognise};

/// Opens a text file, unless its content is recognised as something else.
pub(super) fn open_text(path: &Path) -> Result<BufReader<File>, DataError> {
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

/// Rejects a file without rows.
pub(super) fn not_empty(path: &Path, rows: Rows) -> Result<Rows, DataError> {
    if rows.rows.is_empty() {
        return Err(DataError::NoRows(path.into()));
    }
    Ok(rows)
}
