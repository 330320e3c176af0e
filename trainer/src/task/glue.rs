//! The GLUE tasks (arXiv:1804.07461): their files, columns, labels and quirks.
//!
//! Two layouts are read: the benchmark's own (`train.tsv` and `dev.tsv`, without quoting), and the
//! hub's Parquet files. A class's number is its index in the hub's list of names.

use std::collections::BTreeSet;
use std::path::Path;

use autopeft_crds::tasks::{TASKS, TaskFacts};

use super::error::TaskError;
use super::family::{Family, Files, Labels};
use crate::data::{self, Columns, DataError, TsvLayout, listed};

/// The training file among the TSV files, and the training split of the Parquet files.
const TRAIN: (&str, &str) = ("train.tsv", "train");

/// The label column of the Parquet files.
const HUB_LABEL: &str = "label";

/// A GLUE task, or another in the same two layouts.
#[derive(Clone, Copy, Debug)]
pub struct Glue<'a>(pub &'a TaskFacts);

impl Family for Glue<'_> {
    fn hub_files(&self) -> [String; 2] {
        let facts = self.0;
        [TRAIN.1, facts.hub_validation].map(|split| format!("{}/{}", facts.name, shard(split)))
    }

    fn files(&self, directory: &Path) -> Result<Files, TaskError> {
        files(self.0, directory)
    }

    fn explain(&self, _columns: &Columns, problem: DataError) -> TaskError {
        other_task(self.0, problem)
    }
}

fn shard(split: &str) -> String {
    format!("{split}-00000-of-00001.parquet")
}

fn files(facts: &TaskFacts, directory: &Path) -> Result<Files, TaskError> {
    let name = facts.name;
    let below = |folder: &str| directory.join(folder);
    let standard = [directory.to_path_buf(), below(facts.folder)];
    let hub = [directory.to_path_buf(), below(name), below("data")];
    let tsv = [TRAIN.0, facts.tsv_validation].map(ToOwned::to_owned);
    let parquet = [TRAIN.1, facts.hub_validation].map(shard);
    let places = standard.iter().map(|folder| (folder, &tsv));
    let places = places.chain(hub.iter().map(|folder| (folder, &parquet)));
    let mut half = None;
    for (folder, files) in places {
        // A dangling link counts: the reader reports it.
        let is_there = |file: &String| folder.join(file).symlink_metadata().is_ok();
        match files.each_ref().map(is_there) {
            [true, true] if *files == tsv => return Ok(from_tsv(facts, folder)),
            [true, true] => return Ok(from_parquet(facts, folder)),
            [false, false] => {}
            [has_train, _] => half = half.or(Some((folder, files, has_train))),
        }
    }
    Err(match half {
        Some((folder, [train, validation], has_train)) => {
            let (there, missing) = if has_train {
                (train, validation)
            } else {
                (validation, train)
            };
            TaskError::NoFile {
                directory: folder.clone(),
                task: name,
                there: there.clone(),
                missing: missing.clone(),
            }
        }
        None => TaskError::NoFiles {
            directory: directory.into(),
            task: name,
            dev: facts.tsv_validation,
            parquet: format!("{name}/{}", shard(TRAIN.1)),
            there: there(directory),
        },
    })
}

/// The files of a directory, for a message.
fn there(directory: &Path) -> String {
    let names: BTreeSet<String> = std::fs::read_dir(directory)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    listed(names.iter().map(String::as_str))
}

/// For a file without the task's columns: the error with the tasks whose columns it has.
fn other_task(facts: &TaskFacts, problem: DataError) -> TaskError {
    let path = match &problem {
        DataError::NoColumn { path, .. } => path,
        DataError::ColumnCount { place, .. } => &place.path,
        _ => return problem.into(),
    };
    let is_parquet = path.extension().is_some_and(|ending| ending == "parquet");
    let header: Vec<String> = match &problem {
        DataError::NoColumn { found, .. } if is_parquet => found.clone(),
        // The files of this task have no header.
        _ => data::first_line(path)
            .map(|line| line.split('\t').map(ToOwned::to_owned).collect())
            .unwrap_or_default(),
    };
    let others = owners(&header, is_parquet);
    if others.contains(&facts.name) {
        // The columns are right: the error is in a row.
        return problem.into();
    }
    let is_count = matches!(problem, DataError::ColumnCount { .. });
    if is_count && others.is_empty() {
        return problem.into();
    }
    TaskError::OtherTask {
        problem: problem.into(),
        task: facts.name,
        others,
    }
}

/// The tasks whose columns a header has; of those, the ones with the most columns.
fn owners(header: &[String], is_parquet: bool) -> Vec<&'static str> {
    let has = |column: &str| header.iter().any(|name| name == column);
    let fits: Vec<(usize, &'static str)> = TASKS
        .iter()
        .filter_map(|facts| {
            let ((first, second), label) = if is_parquet {
                (facts.hub_text, HUB_LABEL)
            } else {
                (facts.tsv_text, facts.tsv_label)
            };
            // CoLA's file has no header: four columns, the second one 0 or 1.
            let is_cola = !is_parquet
                && facts.tsv_header.is_some()
                && matches!(header, [_, label, _, _] if facts.tsv_classes.contains(&label.as_str()));
            let is_named = facts.tsv_header.is_none() || is_parquet;
            let fits = is_named && has(first) && second.is_none_or(has) && has(label);
            let columns = 2 + usize::from(second.is_some());
            (fits || is_cola).then_some((columns, facts.name))
        })
        .collect();
    let most = fits.iter().map(|(columns, _)| *columns).max();
    fits.into_iter()
        .filter(|(columns, _)| Some(*columns) == most)
        .map(|(_, name)| name)
        .collect()
}

fn from_tsv(facts: &TaskFacts, folder: &Path) -> Files {
    let (first, second) = facts.tsv_text;
    Files {
        train: folder.join(TRAIN.0),
        validation: folder.join(facts.tsv_validation),
        columns: columns(first, second, facts.tsv_label),
        layout: TsvLayout {
            header: facts.tsv_header,
            skip_short_rows: facts.tsv_skips_short_rows,
        },
        labels: labels(facts.classes, owned(facts.tsv_classes)),
    }
}

fn from_parquet(facts: &TaskFacts, folder: &Path) -> Files {
    let (first, second) = facts.hub_text;
    // There, a label is the number of its class.
    let numbers = (0..facts.classes.len()).map(|class| class.to_string());
    Files {
        train: folder.join(shard(TRAIN.1)),
        validation: folder.join(shard(facts.hub_validation)),
        columns: columns(first, second, HUB_LABEL),
        layout: TsvLayout::default(),
        labels: labels(facts.classes, numbers.collect()),
    }
}

fn columns(first: &str, second: Option<&str>, label: &str) -> Columns {
    Columns {
        first: first.into(),
        second: second.map(Into::into),
        label: label.into(),
    }
}

fn labels(names: &[&str], spelled: Vec<String>) -> Labels {
    if names.is_empty() {
        Labels::Numbers
    } else {
        Labels::Spelled {
            spelled,
            names: owned(names),
        }
    }
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A task of this test only: a row is all that it takes (docs/extending.md).
    #[test]
    fn a_row_is_all_that_a_new_task_needs() {
        let row = TaskFacts {
            name: "tests",
            folder: "Tests",
            tsv_text: ("question", Some("answer")),
            tsv_label: "verdict",
            classes: &["wrong", "right", "unclear"],
            tsv_classes: &["0", "1", "2"],
            ..TASKS[0]
        };
        let row = TaskFacts {
            tsv_header: None,
            ..row
        };
        let folder = tempfile::tempdir().expect("a folder");
        let inner = folder.path().join("Tests");
        std::fs::create_dir(&inner).expect("a folder");
        let text = "question\tanswer\tverdict\nhow?\tso\t1\nwhy?\tno\t0\nwho?\tme\t2\n";
        for file in ["train.tsv", "dev.tsv"] {
            std::fs::write(inner.join(file), text).expect("a file");
        }
        let files = files(&row, folder.path()).expect("the files");
        assert_eq!(files.train, inner.join("train.tsv"));
        let rows = data::read(&files.train, &files.columns).expect("rows").rows;
        assert_eq!(rows[0].first, "how?");
        assert_eq!(rows[0].second.as_deref(), Some("so"));
        let Labels::Spelled { spelled, names } = files.labels else {
            panic!("classes are spelled");
        };
        assert_eq!((spelled[2].as_str(), names[2].as_str()), ("2", "unclear"));
    }
}
