//! The header of a file with named columns.

use std::path::Path;

use super::error::DataError;
use super::rows::Columns;

/// The indices of the columns in a header.
pub(super) struct Positions {
    pub first: usize,
    pub second: Option<usize>,
    pub more: Vec<usize>,
    pub label: usize,
}

impl Positions {
    /// Finds them by name; each must occur once.
    pub fn find(header: &[&str], columns: &Columns, path: &Path) -> Result<Self, DataError> {
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
            more: columns
                .more
                .iter()
                .map(|name| position(name))
                .collect::<Result<_, _>>()?,
            label: position(&columns.label)?,
        })
    }
}
