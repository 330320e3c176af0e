//! From the columns of a row to the texts of an example.

use std::path::Path;

use super::examples::SEPARATOR;
use super::family::Texts;
use crate::data::{DataError, Place, Row, listed, shortened};

/// The texts of all rows: one pair or single text per row, or one per choice.
pub(super) fn of_rows(
    rows: Vec<Row>,
    texts: &Texts,
    path: &Path,
) -> Result<Vec<(String, Option<String>)>, DataError> {
    let mut found = Vec::with_capacity(rows.len());
    for row in rows {
        match texts {
            Texts::Plain => found.push((row.first, row.second)),
            Texts::Joined => found.push((joined(&row), row.second)),
            Texts::Choices => {
                let second = row.second.as_deref();
                let choices = row.more.iter().map(|choice| match second {
                    Some(start) => format!("{start} {choice}"),
                    None => choice.clone(),
                });
                found.extend(choices.map(|choice| (row.first.clone(), Some(choice))));
            }
            Texts::Cued {
                column,
                cues,
                is_pair,
            } => {
                let (asked, choices) = row
                    .more
                    .split_last()
                    .map_or(("", &[][..]), |(last, rest)| (last.as_str(), rest));
                let cue = cues.iter().find(|(question, _)| *question == asked);
                let Some((_, cue)) = cue else {
                    return Err(DataError::Value {
                        place: Place::new(path, row.line),
                        column: (*column).into(),
                        found: format!("{:?}", shortened(asked)),
                        expected: format!(
                            "one of {}",
                            listed(cues.iter().map(|(question, _)| *question))
                        ),
                    });
                };
                let start = format!("{} {cue}", row.first);
                match choices {
                    [first, second] if *is_pair => {
                        found.push((
                            format!("{start} {first}"),
                            Some(format!("{start} {second}")),
                        ));
                    }
                    choices => found.extend(
                        choices
                            .iter()
                            .map(|choice| (start.clone(), Some(choice.clone()))),
                    ),
                }
            }
        }
    }
    Ok(found)
}

/// The text and the further ones. A separator within them would be taken for one between them.
fn joined(row: &Row) -> String {
    let all = std::iter::once(&row.first).chain(&row.more);
    let parts: Vec<String> = all.map(|text| text.replace(SEPARATOR, " ")).collect();
    parts.join(&SEPARATOR.to_string())
}
