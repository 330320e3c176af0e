//! Reads a task's examples and checks them.

use std::path::{Path, PathBuf};

use autopeft_crds::spec::{Metric, TaskKind, TaskSpec};

use super::custom::{self, Custom};
use super::error::{TEST_FILE, TaskError};
use super::examples::{Examples, Kind, Targets, Task};
use super::family::{Family, Files, Labels, Texts};
use super::glue::Glue;
use super::{alike, targets, texts};
use crate::data::{self, Columns, Place, Row, Rows};

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
            let (classes, counts) = targets::infer(&train.rows, &files)?;
            notes.extend(alike::notes(&classes, &counts, &files.train, column));
            Labels::named(&classes)
        }
        known => known.clone(),
    };
    let train = examples(train.rows, &labels, &files.train, &files)?;
    targets::not_constant(&train.targets, labels.spelled(), &files.train, column)?;
    if let Targets::Sets(sets) = &train.targets
        && sets.members.iter().all(|members| members.len() <= 1)
    {
        notes.push(format!(
            "warning: {}, field {column:?}: no example has several classes; if some have, labelDelimiter ({:?}) is not \
             what separates them",
            files.train.display(),
            files.delimiter
        ));
    }
    let validation = examples(validation.rows, &labels, &files.validation, &files)?;
    if matches!(labels, Labels::Numbers) {
        targets::not_constant(&validation.targets, &[], &files.validation, column)?;
    }
    Ok(Task {
        kind: kind(files.kind, labels),
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
    labelled(&*family, &family.files(directory)?, kind)
}

/// Reads a file of labelled examples, in the form of a validation file, for a model whose outputs are already known.
pub fn load_file(spec: &TaskSpec, kind: &Kind, file: &Path) -> Result<Examples, TaskError> {
    check_metric(spec)?;
    let family = family_of(spec)?;
    labelled(&*family, &family.with_file(file)?, kind)
}

/// Reads the test file of an evaluation in a task's directory.
///
/// # Errors
/// It is missing, outside the directory, or cannot be used.
pub fn load_test(
    spec: &TaskSpec,
    kind: &Kind,
    directory: &Path,
    file: &str,
) -> Result<Examples, TaskError> {
    let path = custom::inside(directory, file, TEST_FILE)?;
    load_file(spec, kind, &path).map_err(|problem| TaskError::TestFile(Box::new(problem)))
}

fn labelled(family: &dyn Family, files: &Files, kind: &Kind) -> Result<Examples, TaskError> {
    let rows = rows(&files.validation, files, family)?.rows;
    let labels = match &files.labels {
        Labels::Inferred => Labels::named(kind.labels()),
        known => known.clone(),
    };
    examples(rows, &labels, &files.validation, files)
}

fn kind(kind: TaskKind, labels: Labels) -> Kind {
    match labels {
        Labels::Spelled { names, .. } => Kind::of(kind, names),
        Labels::Inferred | Labels::Numbers => Kind::Regression,
    }
}

fn check_metric(spec: &TaskSpec) -> Result<Metric, TaskError> {
    let metric = spec.score_metric();
    if metric.fits(spec.kind()) {
        Ok(metric)
    } else {
        Err(TaskError::Metric {
            metric,
            task: spec.name,
            kind: spec.kind(),
        })
    }
}

/// The files of a task in a data set of the hub, training first; none for a custom task without a description.
pub fn hub_files(spec: &TaskSpec) -> Option<[String; 2]> {
    match (spec.name.facts(), &spec.custom) {
        (Some(facts), _) => Some(Glue::new(facts).hub_files()),
        (None, Some(custom)) => Some(Custom(custom).hub_files()),
        (None, None) => None,
    }
}

/// A task of a spec, with the directory of its files.
fn family<'a>(spec: &'a TaskSpec, directory: &Path) -> Result<Box<dyn Family + 'a>, TaskError> {
    if !directory.is_dir() {
        return Err(TaskError::NoDirectory(directory.into()));
    }
    family_of(spec)
}

/// A task of a spec.
fn family_of(spec: &TaskSpec) -> Result<Box<dyn Family + '_>, TaskError> {
    let has_choices = spec.name.facts().is_some_and(|facts| facts.has_choices());
    if spec.form.is_some() && !has_choices {
        return Err(TaskError::Form(spec.name));
    }
    match (spec.name.facts(), &spec.custom) {
        (Some(facts), None) => Ok(Box::new(Glue::new(facts).in_form(spec.form))),
        (Some(_), Some(_)) => Err(TaskError::DescribedTwice(spec.name)),
        (None, Some(custom)) => Ok(Box::new(Custom(custom))),
        (None, None) => Err(TaskError::NotDescribed),
    }
}

fn rows(path: &Path, files: &Files, family: &dyn Family) -> Result<Rows, TaskError> {
    let rows = match &files.layout {
        None => data::read(path, &files.columns),
        Some(layout) => data::read_tsv(path, &files.columns, layout),
    };
    rows.map_err(|problem| family.explain(&files.columns, problem))
}

fn examples(
    rows: Vec<Row>,
    labels: &Labels,
    path: &Path,
    files: &Files,
) -> Result<Examples, TaskError> {
    not_all_empty(&rows, path, &files.columns)?;
    let column = &files.columns.label;
    let targets = match labels {
        Labels::Spelled { spelled, .. } if files.kind == TaskKind::MultiLabel => {
            targets::sets(&rows, spelled, path, column, &files.delimiter)?
        }
        Labels::Spelled { spelled, .. } => targets::classes(&rows, spelled, path, column)?,
        Labels::Inferred | Labels::Numbers => targets::numbers(&rows, path, column)?,
    };
    Ok(Examples {
        texts: texts::of_rows(rows, &files.texts, path)?,
        is_joined: files.texts == Texts::Joined,
        targets,
    })
}

/// Rejects a file whose texts are all empty; some may be.
fn not_all_empty(rows: &[Row], path: &Path, columns: &Columns) -> Result<(), TaskError> {
    let is_empty = |row: &Row| {
        let second = row.second.as_deref().unwrap_or_default();
        let more = row.more.iter().all(|text| text.trim().is_empty());
        row.first.trim().is_empty() && second.trim().is_empty() && more
    };
    match rows.first() {
        Some(first) if rows.iter().all(is_empty) => Err(TaskError::EmptyTexts {
            place: Place::new(path, first.line),
            column: columns.first.clone(),
        }),
        _ => Ok(()),
    }
}
