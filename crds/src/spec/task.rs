//! The task: its data, its classes and its metric.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::defaults;
use super::source::Source;
use crate::configuration::hex_prefix;
use crate::decimal::Decimal;
use crate::limits;
use crate::tasks::{Metric, TaskKind, TaskName};

/// The task and its data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TaskSpec {
    /// A GLUE or SuperGLUE task, or `custom`.
    pub name: TaskName,
    /// The directory with the data: a known task in its standard layout (GLUE's `train.tsv` and `dev.tsv`, SuperGLUE's
    /// `train.jsonl` and `val.jsonl`, or the hub's parquet files), or the files that `custom` names.
    pub source: Source,
    /// The files, columns and labels of a user-defined task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom: Option<CustomTask>,
    /// The metric that is the score; by default the task's standard metric.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<Metric>,
    /// How a task of choices is read: by default as `MultipleChoice`. Only for `copa`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub form: Option<TaskForm>,
}

/// How an example with several choices becomes texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TaskForm {
    /// One text per choice, each scored by one output; a softmax over the choices.
    MultipleChoice,
    /// One pair of texts, premise and cue with each choice, classified; as AdapterHub and AutoPEFT do.
    Pair,
}

/// A user-defined task. Files end in `.jsonl`, `.csv`, `.tsv` or `.parquet` and name their columns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CustomTask {
    /// What is predicted.
    #[serde(rename = "type")]
    pub kind: TaskKind,
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
    /// The columns with the choices, in order (MultipleChoice). Each choice is a second text beside the text column; of two
    /// text columns, the second is the beginning of every choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = limits::CHOICES.least, max = limits::CHOICES.most), inner(length(min = limits::COLUMN_NAME.least, max = limits::COLUMN_NAME.most)), extend("x-kubernetes-list-type" = "set"))]
    pub choice_columns: Option<Vec<String>>,
    /// The column with the class, the number, the right choice or the list of classes to predict.
    #[serde(default = "defaults::label_column")]
    #[schemars(length(min = limits::COLUMN_NAME.least, max = limits::COLUMN_NAME.most))]
    pub label_column: String,
    /// What separates the classes of an example in a text (MultiLabel); a comma by default. A list in JSONL or Parquet
    /// needs none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = limits::DELIMITER.least, max = limits::DELIMITER.most))]
    pub label_delimiter: Option<String>,
    /// The classes, in order. By default the distinct values of the training file, sorted. For MultipleChoice: how the
    /// label column names the choices, by default by their numbers from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = limits::CLASSES.least, max = limits::CLASSES.most), inner(length(min = limits::COLUMN_NAME.least, max = limits::COLUMN_NAME.most)), extend("x-kubernetes-list-type" = "set"))]
    pub labels: Option<Vec<String>>,
    /// Weights of the classes in the loss (Classification and MultiLabel); 1 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class_weights: Option<ClassWeights>,
}

/// Weights of the classes in the loss: `balanced: true` or `values`. For MultiLabel a weight multiplies the
/// loss of the examples that have the class.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClassWeights {
    /// Weights by the training examples: their number over that of the classes and that of the class's examples; for
    /// MultiLabel the examples without the class over those with it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub balanced: bool,
    /// A weight above 0 per class, in the order of `labels`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = limits::CLASSES.least, max = limits::CLASSES.most))]
    pub values: Option<Vec<Decimal>>,
}

impl TaskSpec {
    /// The hash of the description: version 1, SHA-256 over JSON.
    pub fn hash(&self) -> String {
        let described = serde_json::json!([1, self]);
        hex_prefix(described.to_string().as_bytes())
    }

    /// The metric that is the score: the manifest's, or the task's own.
    pub fn score_metric(&self) -> Metric {
        let own = || self.name.metric(self.kind());
        self.metric.unwrap_or_else(own)
    }

    /// The weights of the classes, if they are given.
    pub fn class_weights(&self) -> Option<&ClassWeights> {
        self.custom.as_ref()?.class_weights.as_ref()
    }

    /// What the task predicts.
    pub fn kind(&self) -> TaskKind {
        match (&self.custom, self.name.facts()) {
            (Some(custom), _) => custom.kind,
            (None, Some(facts)) => facts.kind(self.form == Some(TaskForm::Pair)),
            (None, None) => TaskKind::Classification,
        }
    }
}
