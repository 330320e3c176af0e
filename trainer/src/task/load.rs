//! Reads a task's examples and checks them.

use std::path::{Path, PathBuf};

use autopeft_crds::spec::{Metric, TaskSpec};

use super::custom::Custom;
use super::error::TaskError;
use super::examples::{Examples, Kind, Task};
use super::family::{Family, Files, Labels};
use super::glue::Glue;
use super::{alike, targets};
use crate::data::{self, Columns, Place, Row, Rows, TsvLayout};

/// The files that a task reads, training first.
///
/// # Errors
/// The directory or a known task's files are missing, or a custom task's description is invalid.
pub fn data_files(spec: &TaskSpec, directory: &Path) -> Result<[PathBuf; 2], TaskError> {
    let Files {
        train, validation, ..
    } = family(spec, directory)?.files(directory)?;
    Ok([train, validation])
}

/// Reads both files of a task.
pub fn load(spec: &TaskSpec, directory: &Path) -> Result<Task, TaskError> {
    let metric = check_metric(spec)?;
    load_of(&*family(spec, directory)?, metric, directory)
}

/// Reads both files of a family's task; `metric` is its score.
///
/// # Errors
/// A file is missing or cannot be used.
pub fn load_of(family: &dyn Family, metric: Metric, directory: &Path) -> Result<Task, TaskError> {
    let files = family.files(directory)?;
    let train = rows(&files.train, &files, family)?;
    let validation = rows(&files.validation, &files, family)?;
    let mut notes = Vec::new();
    for (path, rows) in [(&files.train, &train), (&files.validation, &validation)] {
        if rows.skipped > 0 {
            notes.push(format!(
                "{}: skipped {} rows with too few columns",
                path.display(),
                rows.skipped
            ));
        }
    }
    let column = &files.columns.label;
    let labels = match &files.labels {
        Labels::Inferred => {
            let (classes, counts) = targets::infer(&train.rows, &files.train, column)?;
            notes.extend(alike::notes(&classes, &counts, &files.train, column));
            Labels::named(&classes)
        }
        known => known.clone(),
    };
    let train = examples(train.rows, &labels, &files.train, &files.columns)?;
    targets::not_constant(&train.targets, labels.spelled(), &files.train, column)?;
    let validation = examples(validation.rows, &labels, &files.validation, &files.columns)?;
    if matches!(labels, Labels::Numbers) {
        targets::not_constant(&validation.targets, &[], &files.validation, column)?;
    }
    Ok(Task {
        kind: kind(labels),
        metric,
        train,
        validation,
        notes,
    })
}

/// Reads the validation file alone, for a model whose outputs are already known.
pub fn load_validation(
    spec: &TaskSpec,
    kind: &Kind,
    directory: &Path,
) -> Result<Examples, TaskError> {
    check_metric(spec)?;
    let family = family(spec, directory)?;
    let files = family.files(directory)?;
    let rows = rows(&files.validation, &files, &*family)?.rows;
    let labels = match (&files.labels, kind) {
        (Labels::Inferred, Kind::Classification(names)) => Labels::named(names),
        (known, _) => known.clone(),
    };
    examples(rows, &labels, &files.validation, &files.columns)
}

fn kind(labels: Labels) -> Kind {
    match labels {
        Labels::Spelled { names, .. } => Kind::Classification(names),
        Labels::Inferred | Labels::Numbers => Kind::Regression,
    }
}

fn check_metric(spec: &TaskSpec) -> Result<Metric, TaskError> {
    let metric = spec.score_metric();
    if metric.is_for_regression() == spec.is_regression() {
        Ok(metric)
    } else {
        Err(TaskError::Metric {
            metric,
            task: spec.name,
        })
    }
}

/// The files of a task in a data set of the hub, training first; none for a custom task without a description.
pub fn hub_files(spec: &TaskSpec) -> Option<[String; 2]> {
    match (spec.name.facts(), &spec.custom) {
        (Some(facts), _) => Some(Glue(facts).hub_files()),
        (None, Some(custom)) => Some(Custom(custom).hub_files()),
        (None, None) => None,
    }
}

/// A task of a spec, with the directory of its files.
fn family<'a>(spec: &'a TaskSpec, directory: &Path) -> Result<Box<dyn Family + 'a>, TaskError> {
    if !directory.is_dir() {
        return Err(TaskError::NoDirectory(directory.into()));
    }
    match (spec.name.facts(), &spec.custom) {
        (Some(facts), None) => Ok(Box::new(Glue(facts))),
        (Some(_), Some(_)) => Err(TaskError::DescribedTwice(spec.name)),
        (None, Some(custom)) => Ok(Box::new(Custom(custom))),
        (None, None) => Err(TaskError::NotDescribed),
    }
}

fn rows(path: &Path, files: &Files, family: &dyn Family) -> Result<Rows, TaskError> {
    let rows = if files.layout == TsvLayout::default() {
        data::read(path, &files.columns)
    } else {
        data::read_tsv(path, &files.columns, &files.layout)
    };
    rows.map_err(|problem| family.explain(&files.columns, problem))
}

fn examples(
    rows: Vec<Row>,
    labels: &Labels,
    path: &Path,
    columns: &Columns,
) -> Result<Examples, TaskError> {
    not_all_empty(&rows, path, columns)?;
    let column = &columns.label;
    let targets = match labels {
        Labels::Spelled { spelled, .. } => targets::classes(&rows, spelled, path, column)?,
        Labels::Inferred | Labels::Numbers => targets::numbers(&rows, path, column)?,
    };
    Ok(Examples {
        texts: rows
            .into_iter()
            .map(|row| (row.first, row.second))
            .collect(),
        targets,
    })
}

/// Rejects a file whose texts are all empty; some may be.
fn not_all_empty(rows: &[Row], path: &Path, columns: &Columns) -> Result<(), TaskError> {
    let is_empty = |row: &Row| {
        let second = row.second.as_deref().unwrap_or_default();
        row.first.trim().is_empty() && second.trim().is_empty()
    };
    match rows.first() {
        Some(first) if rows.iter().all(is_empty) => Err(TaskError::EmptyTexts {
            place: Place::new(path, first.line),
            column: columns.first.clone(),
        }),
        _ => Ok(()),
    }
}
