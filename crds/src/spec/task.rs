//! The task: its data, its classes and its metric.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::defaults;
use super::source::Source;
use crate::limits;
use crate::tasks::{Metric, TaskName};

/// The task and its data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TaskSpec {
    /// A GLUE task, or `custom`.
    pub name: TaskName,
    /// The directory with the data: a GLUE task in its standard layout (`train.tsv` and `dev.tsv`,
    /// or the hub's parquet files), or the files that `custom` names.
    pub source: Source,
    /// The files, columns and labels of a user-defined task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom: Option<CustomTask>,
    /// The metric that is the score; by default the task's standard metric.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<Metric>,
}

/// A user-defined task. Files end in `.jsonl`, `.csv`, `.tsv` or `.parquet` and name their columns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CustomTask {
    /// Classification or regression.
    #[serde(rename = "type")]
    pub kind: CustomTaskType,
    /// The training file, relative to the source.
    #[serde(default = "defaults::train_file")]
    #[schemars(length(min = limits::INNER_PATH.least, max = limits::INNER_PATH.most))]
    pub train_file: String,
    /// The validation file, relative to the source.
    #[serde(default = "defaults::validation_file")]
    #[schemars(length(min = limits::INNER_PATH.least, max = limits::INNER_PATH.most))]
    pub validation_file: String,
    /// One column with the text, or two for a pair of texts.
    #[schemars(length(min = limits::TEXT_COLUMNS.least, max = limits::TEXT_COLUMNS.most), inner(length(min = limits::COLUMN_NAME.least, max = limits::COLUMN_NAME.most)), extend("x-kubernetes-list-type" = "set"))]
    pub text_columns: Vec<String>,
    /// The column with the class or the number to predict.
    #[serde(default = "defaults::label_column")]
    #[schemars(length(min = limits::COLUMN_NAME.least, max = limits::COLUMN_NAME.most))]
    pub label_column: String,
    /// The classes, in order. By default the distinct values of the training file, sorted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = limits::CLASSES.least, max = limits::CLASSES.most), inner(length(min = limits::COLUMN_NAME.least, max = limits::COLUMN_NAME.most)), extend("x-kubernetes-list-type" = "set"))]
    pub labels: Option<Vec<String>>,
}

/// What a custom task predicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CustomTaskType {
    /// One of a list of classes; accuracy by default.
    Classification,
    /// A number; Spearman correlation by default.
    Regression,
}

impl TaskSpec {
    /// The metric that is the score: the manifest's, or the task's own.
    pub fn score_metric(&self) -> Metric {
        let own = || self.name.metric(self.is_regression());
        self.metric.unwrap_or_else(own)
    }

    /// Whether the task predicts a number.
    pub fn is_regression(&self) -> bool {
        match (&self.custom, self.name.facts()) {
            (Some(custom), _) => custom.kind == CustomTaskType::Regression,
            (None, Some(facts)) => facts.is_regression(),
            (None, None) => false,
        }
    }
}
