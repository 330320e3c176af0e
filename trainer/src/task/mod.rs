//! A task's examples: texts and targets, read from its files and checked.

mod alike;
mod custom;
mod error;
mod glue;
mod targets;

use std::path::{Path, PathBuf};

use autopeft_crds::spec::{CustomTaskType, Metric, TaskName, TaskSpec};

use crate::data::{self, Columns, Place, Row, Rows, TsvLayout};

pub use error::TaskError;
pub use glue::hub_files;

/// What a task predicts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One of these classes, in this order.
    Classification(Vec<String>),
    /// A number.
    Regression,
}

impl Kind {
    /// C, the number of the model's outputs.
    pub fn outputs(&self) -> usize {
        match self {
            Self::Classification(labels) => labels.len(),
            Self::Regression => 1,
        }
    }
}

/// What the examples of one file should be answered with, in the order of the examples.
#[derive(Clone, Debug, PartialEq)]
pub enum Targets {
    /// Indices of classes.
    Classes(Vec<i64>),
    /// Numbers.
    Numbers(Vec<f64>),
}

impl Targets {
    /// The targets at some places.
    fn at(&self, places: &[usize]) -> Self {
        match self {
            Self::Classes(all) => Self::Classes(places.iter().map(|place| all[*place]).collect()),
            Self::Numbers(all) => Self::Numbers(places.iter().map(|place| all[*place]).collect()),
        }
    }
}

/// The examples of one file.
#[derive(Clone, Debug, PartialEq)]
pub struct Examples {
    /// The text of each, with the second text of a pair.
    pub texts: Vec<(String, Option<String>)>,
    /// The target of each.
    pub targets: Targets,
}

impl Examples {
    /// How many.
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// Never: a file without examples is refused.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// The examples at some places.
    #[must_use]
    pub fn at(&self, places: &[usize]) -> Self {
        Self {
            texts: places
                .iter()
                .map(|place| self.texts[*place].clone())
                .collect(),
            targets: self.targets.at(places),
        }
    }
}

/// A task with its training and validation examples.
#[derive(Clone, Debug, PartialEq)]
pub struct Task {
    /// What it predicts.
    pub kind: Kind,
    /// The metric that is the score.
    pub metric: Metric,
    /// The training examples.
    pub train: Examples,
    /// The validation examples.
    pub validation: Examples,
    /// What a user should know about the data, one sentence each.
    pub notes: Vec<String>,
}

/// Where a task's files lie and how they are read.
#[derive(Debug)]
struct Files {
    train: PathBuf,
    validation: PathBuf,
    columns: Columns,
    /// For a tab-separated file that is not in the plain layout.
    layout: TsvLayout,
    labels: Labels,
}

/// How labels are spelled in the files.
#[derive(Clone, Debug, PartialEq)]
enum Labels {
    /// Each as one of `spelled`; the classes' names are `names`, in the same order.
    Spelled {
        spelled: Vec<String>,
        names: Vec<String>,
    },
    /// As the training file has them.
    Inferred,
    /// Numbers.
    Numbers,
}

impl Labels {
    /// Classes that are spelled by their names.
    fn named(names: &[String]) -> Self {
        Self::Spelled {
            spelled: names.to_vec(),
            names: names.to_vec(),
        }
    }

    fn spelled(&self) -> &[String] {
        match self {
            Self::Spelled { spelled, .. } => spelled,
            Self::Inferred | Self::Numbers => &[],
        }
    }
}

/// The files that a task reads, training first.
///
/// # Errors
/// The directory or a known task's files are not there, or a custom task's description is wrong.
pub fn data_files(spec: &TaskSpec, directory: &Path) -> Result<[PathBuf; 2], TaskError> {
    let Files {
        train, validation, ..
    } = files(spec, directory)?;
    Ok([train, validation])
}

/// Reads both files of a task.
pub fn load(spec: &TaskSpec, directory: &Path) -> Result<Task, TaskError> {
    let metric = check_metric(spec)?;
    let files = files(spec, directory)?;
    let train = rows(&files.train, &files, spec)?;
    let validation = rows(&files.validation, &files, spec)?;
    let mut notes = Vec::new();
    for (path, rows) in [(&files.train, &train), (&files.validation, &validation)] {
        if rows.skipped > 0 {
            notes.push(format!(
                "{}: left out {} rows with too few columns",
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
    let files = files(spec, directory)?;
    let rows = rows(&files.validation, &files, spec)?.rows;
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

fn files(spec: &TaskSpec, directory: &Path) -> Result<Files, TaskError> {
    if !directory.is_dir() {
        return Err(TaskError::NoDirectory(directory.into()));
    }
    match (spec.name, &spec.custom) {
        (TaskName::Custom, Some(custom)) => custom::files(custom, directory),
        (TaskName::Custom, None) => Err(TaskError::NotDescribed),
        (name, None) => glue::files(name, directory),
        (name, Some(_)) => Err(TaskError::DescribedTwice(name)),
    }
}

fn rows(path: &Path, files: &Files, spec: &TaskSpec) -> Result<Rows, TaskError> {
    let rows = if files.layout == TsvLayout::default() {
        data::read(path, &files.columns)
    } else {
        data::read_tsv(path, &files.columns, &files.layout)
    };
    rows.map_err(|problem| match spec.name {
        TaskName::Custom => custom::column_of(&files.columns, problem),
        name => glue::other_task(name, problem),
    })
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

/// A few examples may be without text; all of them have no tokens to learn or to score anything by.
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

/// Whether a custom task predicts a number.
fn is_regression(kind: CustomTaskType) -> bool {
    kind == CustomTaskType::Regression
}
