//! Errors of a task and its files.

use std::path::PathBuf;

use autopeft_crds::spec::{Metric, TaskKind, TaskName};

use crate::data::{DataError, Place};

/// The field that names a test file.
pub(super) const TEST_FILE: &str = "spec.promotion.evaluation.testFile";

/// Why a task cannot be trained.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// A file cannot be used.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A column of a custom task is missing.
    #[error("{problem}; {field} names it")]
    Column {
        /// What the reader says.
        problem: Box<DataError>,
        /// The field that names the column, and its flag.
        field: &'static str,
    },
    /// A known task's file has other columns than the task's.
    #[error("{problem}; {}", other_task(.task, .others))]
    OtherTask {
        /// What the reader says.
        problem: Box<DataError>,
        /// The task.
        task: &'static str,
        /// Tasks whose columns these are.
        others: Vec<&'static str>,
    },
    /// The data directory is missing.
    #[error("spec.task.source: {} is not a directory", .0.display())]
    NoDirectory(PathBuf),
    /// A known task's files are missing.
    #[error(
        "spec.task.source: {} has no files of {task}; expected {own}, or {parquet}{}",
        directory.display(),
        if there.is_empty() { String::new() } else { format!("; it has {there}") }
    )]
    NoFiles {
        /// The directory that was searched for them.
        directory: PathBuf,
        /// The task.
        task: &'static str,
        /// Its files in the standard layout.
        own: String,
        /// Its training file in the hub's layout.
        parquet: String,
        /// What is there instead.
        there: String,
    },
    /// One of a known task's two files is missing.
    #[error(
        "spec.task.source: {} has {there} but not {missing}; {task} needs both",
        directory.display()
    )]
    NoFile {
        /// The directory that was searched for it.
        directory: PathBuf,
        /// The task.
        task: &'static str,
        /// The existing file.
        there: String,
        /// The missing file.
        missing: String,
    },
    /// A file name that leaves the data's directory.
    #[error("{field}: {value:?} must be a path inside the source, without ..")]
    OutsidePath {
        /// The field that names it.
        field: &'static str,
        /// What it says.
        value: String,
    },
    /// The test file cannot be used.
    #[error("{TEST_FILE}: {0}")]
    TestFile(#[source] Box<Self>),
    /// The custom task says nothing about its files.
    #[error("spec.task.custom is missing; the task named custom describes its files there")]
    NotDescribed,
    /// A known task with a description of its own.
    #[error("spec.task.custom is only for the task named custom, and this one is {}", .0.as_str())]
    DescribedTwice(TaskName),
    /// One or two columns of text.
    #[error("spec.task.custom.textColumns: {0} columns; give one, or two for pairs of texts")]
    TextColumns(usize),
    /// Labels of numbers.
    #[error("spec.task.custom.labels: a regression has no classes; leave it out")]
    LabelsOfNumbers,
    /// The same class twice, or too few.
    #[error("spec.task.custom.labels: {0}")]
    Labels(String),
    /// A metric that does not fit.
    #[error(
        "spec.task.metric: {} does not fit the task {}; {}",
        metric.label(),
        task.as_str(),
        misfit(*kind)
    )]
    Metric {
        /// The metric.
        metric: Metric,
        /// The task.
        task: TaskName,
        /// What it predicts.
        kind: TaskKind,
    },
    /// The choices of a task.
    #[error("spec.task.custom.choiceColumns: {0}")]
    Choices(String),
    /// Weights of classes.
    #[error("spec.task.custom.classWeights: {0}")]
    Weights(String),
    /// A form for a task without choices.
    #[error("spec.task.form says how a task of choices is read; {} has none", .0.as_str())]
    Form(TaskName),
    /// No example has a text.
    #[error(
        "{place}, field {column:?}: an empty text, as in every row of the file; nothing can be learned or measured without text"
    )]
    EmptyTexts {
        /// The first one.
        place: Place,
        /// The column of the text.
        column: String,
    },
    /// Every example has the same label.
    #[error(
        "{}, field {column:?}: every label is {value}; at least two different ones are needed",
        path.display()
    )]
    Constant {
        /// The file.
        path: PathBuf,
        /// The label column.
        column: String,
        /// The one label.
        value: String,
    },
    /// Examples from which nothing can be learned or measured.
    #[error("{examples}{problem}; {advice}")]
    Sample {
        /// How many of which.
        examples: String,
        /// What is wrong with them, from the punctuation on.
        problem: String,
        /// What would be right.
        advice: String,
    },
    /// Too many classes.
    #[error(
        "{}, field {column:?}: {found} different labels, at most {most}; for numbers use type: Regression",
        path.display()
    )]
    TooManyLabels {
        /// The file.
        path: PathBuf,
        /// The label column.
        column: String,
        /// Distinct labels.
        found: usize,
        /// The limit.
        most: usize,
    },
}

impl TaskError {
    /// Whether a file or a directory is missing that was there when the search began, rather than invalid. Of a test
    /// file that is not known: `spec.promotion` may name another one at any time.
    pub fn is_absence(&self) -> bool {
        matches!(
            self,
            Self::NoDirectory(_)
                | Self::NoFiles { .. }
                | Self::NoFile { .. }
                | Self::Data(DataError::Missing { .. })
        )
    }
}

fn misfit(kind: TaskKind) -> String {
    let has = match kind {
        TaskKind::Regression => "for classes, and this task has numbers",
        TaskKind::Classification => "not for this task, which has classes",
        TaskKind::MultipleChoice => "not for this task, which has choices",
        TaskKind::MultiLabel => "not for this task, which has sets of classes",
    };
    format!("it is {has}: {}", Metric::fitting(kind))
}

fn other_task(task: &str, others: &[&str]) -> String {
    if others.is_empty() {
        format!("these are not the columns of {task}")
    } else {
        let others = others.join(" or ");
        format!("these are the columns of {others}, and spec.task.name is {task}")
    }
}
