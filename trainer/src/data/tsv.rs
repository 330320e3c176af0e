//! Tab-separated files without quoting: a quotation mark is an ordinary character.

use std::path::Path;

use super::error::{DataError, Place};
use super::header::Positions;
use super::open::not_empty;
use super::rows::{Columns, Label, Row, Rows};

use super::lines::Lines;

/// The layout of a tab-separated file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TsvLayout {
    /// The names of the columns, if the file has no header line (CoLA).
    pub header: Option<&'static [&'static str]>,
    /// Skip rows with fewer columns than the header, and count them (QQP).
    pub skip_short_rows: bool,
}

pub(super) fn read(path: &Path, columns: &Columns, layout: &TsvLayout) -> Result<Rows, DataError> {
    let mut lines = Lines::open(path)?;
    let (positions, width) = match layout.header {
        Some(header) => (Positions::find(header, columns, path)?, header.len()),
        None => {
            let Some((_, line)) = lines.next()? else {
                return Err(DataError::NoRows(path.into()));
            };
            let header: Vec<&str> = line.split('\t').collect();
            (Positions::find(&header, columns, path)?, header.len())
        }
    };
    let mut found = Rows::default();
    while let Some((line, text)) = lines.next()? {
        if text.is_empty() {
            continue;
        }
        let fields: Vec<&str> = text.split('\t').collect();
        if fields.len() < width && layout.skip_short_rows {
            found.skipped += 1;
            continue;
        }
        if fields.len() != width {
            return Err(DataError::ColumnCount {
                place: Place::new(path, line),
                found: fields.len(),
                expected: width,
                separator: "tab",
            });
        }
        found.rows.push(Row {
            line,
            first: fields[positions.first].into(),
            second: positions.second.map(|second| fields[second].into()),
            more: positions
                .more
                .iter()
                .map(|column| fields[*column].into())
                .collect(),
            label: Label::Text(fields[positions.label].into()),
        });
    }
    not_empty(path, found)
}
