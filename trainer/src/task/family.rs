//! A family of tasks: how their files are found and read.

use std::path::{Path, PathBuf};

use autopeft_crds::spec::TaskKind;

use super::error::TaskError;
use crate::data::{Columns, DataError, TsvLayout};

/// A task of a family.
pub trait Family {
    /// The files of the task in a data set of the hub, training first.
    fn hub_files(&self) -> [String; 2];

    /// The files of the task in a directory.
    ///
    /// # Errors
    /// They are missing, or the task's description is invalid.
    fn files(&self, directory: &Path) -> Result<Files, TaskError>;

    /// The same with a file of labelled examples in place of the validation file. The training file is not read.
    ///
    /// # Errors
    /// The task's description is invalid.
    fn with_file(&self, file: &Path) -> Result<Files, TaskError>;

    /// The error for a user if a file cannot be read.
    fn explain(&self, columns: &Columns, problem: DataError) -> TaskError;
}

/// The paths of a task's files, and how they are read.
#[derive(Debug)]
pub struct Files {
    /// The training file.
    pub train: PathBuf,
    /// The validation file.
    pub validation: PathBuf,
    /// Their columns.
    pub columns: Columns,
    /// That of tab-separated files, where their endings do not say how they are read.
    pub layout: Option<TsvLayout>,
    /// How texts are made of the columns.
    pub texts: Texts,
    /// How labels are spelled in them.
    pub labels: Labels,
    /// What is predicted.
    pub kind: TaskKind,
    /// What separates the classes of an example in a text, for `TaskKind::MultiLabel`.
    pub delimiter: String,
}

/// How the texts of an example are made of its columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Texts {
    /// The text, or the pair of texts, as it is.
    Plain,
    /// The text and the further ones in one, with the tokenizer's separator token between them.
    Joined,
    /// The text with each of the further ones; the second text, if there is one, begins each of them.
    Choices,
    /// The further ones are choices, and last a question, for which a cue is written behind the text.
    Cued {
        /// The column of the question.
        column: &'static str,
        /// Its values with their cues.
        cues: &'static [(&'static str, &'static str)],
        /// Whether the first choice is read with the first text and the second one is the other text of one pair.
        is_pair: bool,
    },
}

/// How labels are spelled in the files.
#[derive(Clone, Debug, PartialEq)]
pub enum Labels {
    /// Each as one of `spelled`; the classes' names are `names`, in the same order.
    Spelled {
        /// As the files have them.
        spelled: Vec<String>,
        /// As users see them.
        names: Vec<String>,
    },
    /// As the training file has them.
    Inferred,
    /// Numbers.
    Numbers,
}

impl Labels {
    /// Classes that are spelled by their names.
    pub fn named(names: &[String]) -> Self {
        Self::Spelled {
            spelled: names.to_vec(),
            names: names.to_vec(),
        }
    }

    /// The classes as the files have them.
    pub fn spelled(&self) -> &[String] {
        match self {
            Self::Spelled { spelled, .. } => spelled,
            Self::Inferred | Self::Numbers => &[],
        }
    }
}
