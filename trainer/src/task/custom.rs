//! Custom tasks.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use autopeft_crds::limits::{CHOICES, CLASSES};
use autopeft_crds::spec::{CustomTask, TaskKind};

use super::error::TaskError;
use super::family::{Family, Files, Labels, Texts};
use crate::data::{Columns, DataError};

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

    fn with_file(&self, file: &Path) -> Result<Files, TaskError> {
        Ok(Files {
            validation: file.into(),
            ..files(self.0, Path::new(""))?
        })
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
    let choices = custom.choice_columns.clone().unwrap_or_default();
    let labels = match (&custom.labels, custom.kind) {
        (Some(_), TaskKind::Regression) => return Err(TaskError::LabelsOfNumbers),
        (None, TaskKind::Regression) => Labels::Numbers,
        (labels, TaskKind::MultipleChoice) => choice_labels(labels.as_deref(), &choices)?,
        (None, TaskKind::Classification | TaskKind::MultiLabel) => Labels::Inferred,
        (Some(labels), TaskKind::Classification | TaskKind::MultiLabel) => {
            check(labels)?;
            Labels::named(labels)
        }
    };
    if custom.kind != TaskKind::MultipleChoice && custom.choice_columns.is_some() {
        return Err(TaskError::Choices("only for type: MultipleChoice".into()));
    }
    let has_choices = custom.kind == TaskKind::MultipleChoice;
    Ok(Files {
        train: inside(directory, &custom.train_file, "spec.task.custom.trainFile")?,
        validation: inside(
            directory,
            &custom.validation_file,
            "spec.task.custom.validationFile",
        )?,
        columns: Columns {
            first,
            second,
            more: choices,
            label: custom.label_column.clone(),
            has_lists: custom.kind == TaskKind::MultiLabel,
        },
        layout: None,
        texts: if has_choices {
            Texts::Choices
        } else {
            Texts::Plain
        },
        labels,
        kind: custom.kind,
        delimiter: custom.label_delimiter.clone().unwrap_or(",".into()),
    })
}

/// Adds to the error about a missing column the field that names it.
fn column_of(columns: &Columns, problem: DataError) -> TaskError {
    match problem.absent_column() {
        None => problem.into(),
        Some(column) => TaskError::Column {
            field: if column == columns.label {
                "spec.task.custom.labelColumn"
            } else if columns.more.iter().any(|choice| choice == column) {
                "spec.task.custom.choiceColumns"
            } else {
                "spec.task.custom.textColumns"
            },
            problem: problem.into(),
        },
    }
}

/// The choices, and how the label column names them: by numbers from 0 unless `labels` says otherwise.
fn choice_labels(labels: Option<&[String]>, choices: &[String]) -> Result<Labels, TaskError> {
    if !CHOICES.contains(choices.len() as u64) {
        return Err(TaskError::Choices(format!(
            "{} columns; give {CHOICES}",
            choices.len()
        )));
    }
    let spelled = match labels {
        None => (0..choices.len())
            .map(|choice| choice.to_string())
            .collect(),
        Some(labels) if labels.len() == choices.len() => {
            check(labels)?;
            labels.to_vec()
        }
        Some(labels) => {
            return Err(TaskError::Labels(format!(
                "{} labels for {} choices",
                labels.len(),
                choices.len()
            )));
        }
    };
    let names = choices.to_vec();
    Ok(Labels::Spelled { spelled, names })
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
pub(super) fn inside(
    directory: &Path,
    file: &str,
    field: &'static str,
) -> Result<PathBuf, TaskError> {
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
