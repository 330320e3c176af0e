//! Custom tasks.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use autopeft_crds::limits::CLASSES;
use autopeft_crds::spec::{CustomTask, CustomTaskType};

use super::error::TaskError;
use super::family::{Family, Files, Labels};
use crate::data::{Columns, DataError, TsvLayout};

/// A task whose manifest describes its files.
#[derive(Clone, Copy, Debug)]
pub(super) struct Custom<'a>(pub &'a CustomTask);

impl Family for Custom<'_> {
    fn hub_files(&self) -> [String; 2] {
        [self.0.train_file.clone(), self.0.validation_file.clone()]
    }

    fn files(&self, directory: &Path) -> Result<Files, TaskError> {
        files(self.0, directory)
    }

    fn explain(&self, columns: &Columns, problem: DataError) -> TaskError {
        column_of(columns, problem)
    }
}

fn files(custom: &CustomTask, directory: &Path) -> Result<Files, TaskError> {
    let (first, second) = match custom.text_columns.as_slice() {
        [first] => (first.clone(), None),
        [first, second] => (first.clone(), Some(second.clone())),
        other => return Err(TaskError::TextColumns(other.len())),
    };
    let labels = match (&custom.labels, custom.kind == CustomTaskType::Regression) {
        (Some(_), true) => return Err(TaskError::LabelsOfNumbers),
        (None, true) => Labels::Numbers,
        (None, false) => Labels::Inferred,
        (Some(labels), false) => {
            check(labels)?;
            Labels::named(labels)
        }
    };
    Ok(Files {
        train: inside(directory, &custom.train_file, "trainFile")?,
        validation: inside(directory, &custom.validation_file, "validationFile")?,
        columns: Columns {
            first,
            second,
            label: custom.label_column.clone(),
        },
        layout: TsvLayout::default(),
        labels,
    })
}

/// Adds to the error about a missing column the field that names it.
fn column_of(columns: &Columns, problem: DataError) -> TaskError {
    match problem.absent_column() {
        None => problem.into(),
        Some(column) => TaskError::Column {
            field: if column == columns.label {
                "spec.task.custom.labelColumn"
            } else {
                "spec.task.custom.textColumns"
            },
            problem: problem.into(),
        },
    }
}

fn check(labels: &[String]) -> Result<(), TaskError> {
    if !CLASSES.contains(labels.len() as u64) {
        return Err(TaskError::Labels(format!(
            "{} classes; give {CLASSES}",
            labels.len()
        )));
    }
    let mut seen = BTreeSet::new();
    match labels.iter().find(|label| !seen.insert(*label)) {
        Some(twice) => Err(TaskError::Labels(format!("{twice:?} is listed twice"))),
        None => Ok(()),
    }
}

/// The path of a file, which must be inside the source: on a cluster the source is a directory of a claim.
fn inside(directory: &Path, file: &str, field: &'static str) -> Result<PathBuf, TaskError> {
    let is_inside = !file.is_empty()
        && Path::new(file)
            .components()
            .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if is_inside {
        Ok(directory.join(file))
    } else {
        Err(TaskError::OutsidePath {
            field,
            value: file.into(),
        })
    }
}
