//! The task: its data, its classes and its metric.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::source::stays_inside;
use super::{Source, defaults};

/// The tasks that are known by name, and `custom`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum TaskName {
    /// Corpus of Linguistic Acceptability: one sentence, Matthews correlation.
    #[serde(rename = "cola")]
    Cola,
    /// Stanford Sentiment Treebank: one sentence, accuracy.
    #[serde(rename = "sst2")]
    Sst2,
    /// Microsoft Research Paraphrase Corpus: two sentences, accuracy.
    #[serde(rename = "mrpc")]
    Mrpc,
    /// Semantic Textual Similarity benchmark: two sentences, regression, Spearman correlation.
    #[serde(rename = "stsb")]
    Stsb,
    /// Quora Question Pairs: two questions, accuracy.
    #[serde(rename = "qqp")]
    Qqp,
    /// Multi-Genre Natural Language Inference: two sentences, accuracy on the matched split.
    #[serde(rename = "mnli")]
    Mnli,
    /// Question NLI: a question and a sentence, accuracy.
    #[serde(rename = "qnli")]
    Qnli,
    /// Recognizing Textual Entailment: two sentences, accuracy.
    #[serde(rename = "rte")]
    Rte,
    /// Files of the user's own, described under `custom`.
    #[serde(rename = "custom")]
    Custom,
}

/// The task and its data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "(self.name == 'custom') == has(self.custom)",
    "message": "custom describes the files of the task named custom, and of no other"
}]))]
pub struct TaskSpec {
    /// A GLUE task, or `custom`.
    pub name: TaskName,
    /// The directory with the data: a GLUE task in its standard layout (`train.tsv` and `dev.tsv`,
    /// or the hub's parquet files), or the files that `custom` names.
    pub source: Source,
    /// The files, columns, labels and metric of a task of the user's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom: Option<CustomTask>,
    /// The metric that is the score; the task's own by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<Metric>,
}

/// A task of the user's own. Files end in `.jsonl`, `.csv`, `.tsv` or `.parquet` and
/// name their columns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "!(self.labelColumn in self.textColumns)", "message": "the label's column is none of the text's"},
    {"rule": "self.type != 'Regression' || !has(self.labels)", "message": "a regression has no labels"}
]))]
pub struct CustomTask {
    /// Classification or regression.
    #[serde(rename = "type")]
    pub kind: CustomTaskType,
    /// The training file, relative to the source.
    #[serde(default = "defaults::train_file")]
    #[schemars(length(min = 1, max = 1024), extend("x-kubernetes-validations" = stays_inside("a file of a task is named relative to the source and has no ..")))]
    pub train_file: String,
    /// The validation file, relative to the source.
    #[serde(default = "defaults::validation_file")]
    #[schemars(length(min = 1, max = 1024), extend("x-kubernetes-validations" = stays_inside("a file of a task is named relative to the source and has no ..")))]
    pub validation_file: String,
    /// One column with the text, or two for a pair of texts.
    #[schemars(length(min = 1, max = 2), inner(length(min = 1, max = 256)), extend("x-kubernetes-list-type" = "set"))]
    pub text_columns: Vec<String>,
    /// The column with the class or the number to predict.
    #[serde(default = "defaults::label_column")]
    #[schemars(length(min = 1, max = 256))]
    pub label_column: String,
    /// The classes, in order. Left out, the distinct values of the training file, sorted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 256), inner(length(min = 1, max = 256)), extend("x-kubernetes-list-type" = "set"))]
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

/// A validation metric. In `task.metric`: the one that is the score, the task's own by default.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum Metric {
    /// The share of right answers, 0 to 1.
    Accuracy,
    /// F1: of class 1 with two classes, the mean over classes (macro) with more.
    F1,
    /// Matthews correlation, −1 to 1.
    Matthews,
    /// Pearson correlation, −1 to 1.
    Pearson,
    /// Spearman rank correlation, −1 to 1.
    Spearman,
}

impl TaskName {
    /// The name as a manifest spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cola => "cola",
            Self::Sst2 => "sst2",
            Self::Mrpc => "mrpc",
            Self::Stsb => "stsb",
            Self::Qqp => "qqp",
            Self::Mnli => "mnli",
            Self::Qnli => "qnli",
            Self::Rte => "rte",
            Self::Custom => "custom",
        }
    }
}

impl TaskSpec {
    /// The metric that is the score: the manifest's, or the task's own.
    pub fn score_metric(&self) -> Metric {
        self.metric.unwrap_or(match self.name {
            TaskName::Cola => Metric::Matthews,
            TaskName::Stsb => Metric::Spearman,
            TaskName::Custom if self.is_regression() => Metric::Spearman,
            _ => Metric::Accuracy,
        })
    }

    /// Whether the task predicts a number.
    pub fn is_regression(&self) -> bool {
        match &self.custom {
            Some(custom) => custom.kind == CustomTaskType::Regression,
            None => self.name == TaskName::Stsb,
        }
    }
}

impl Metric {
    /// The metric's name in words.
    pub fn label(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::F1 => "F1",
            Self::Matthews => "Matthews correlation",
            Self::Pearson => "Pearson correlation",
            Self::Spearman => "Spearman correlation",
        }
    }

    /// Whether the metric judges numbers rather than classes.
    pub fn is_for_regression(self) -> bool {
        matches!(self, Self::Pearson | Self::Spearman)
    }
}
