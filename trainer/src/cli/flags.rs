//! Flags that describe a task by hand, instead of in a request.

use std::path::PathBuf;

use autopeft_crds::spec::{CustomTask, CustomTaskType, Metric, Source, TaskName, TaskSpec};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde::de::DeserializeOwned;
use serde::de::value::{Error as NameError, StrDeserializer};

use super::failure::Failure;

/// A value by the name that manifests use.
pub(super) fn named<T>(names: &'static [&'static str]) -> impl TypedValueParser<Value = T>
where
    T: DeserializeOwned + Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(names).try_map(|name| {
        T::deserialize(StrDeserializer::<NameError>::new(&name)).map_err(|error| error.to_string())
    })
}

/// The task and its files.
#[derive(Debug, Args)]
pub(super) struct TaskArguments {
    /// The task.
    #[arg(long, value_name = "NAME", value_parser = named::<TaskName>(
        &["cola", "sst2", "mrpc", "stsb", "qqp", "mnli", "qnli", "rte", "custom"]))]
    task: Option<TaskName>,
    /// The metric that is the score; the task's own where it is left out.
    #[arg(long, value_parser = named::<Metric>(
        &["Accuracy", "F1", "Matthews", "Pearson", "Spearman"]))]
    metric: Option<Metric>,
    /// A column of text; give it twice for pairs (custom).
    #[arg(long, value_name = "NAME")]
    text_column: Vec<String>,
    /// The column of the label (custom).
    #[arg(long, value_name = "NAME", default_value = "label")]
    label_column: String,
    /// The training file, inside the data's directory (custom).
    #[arg(long, value_name = "FILE", default_value = "train.jsonl")]
    train_file: PathBuf,
    /// The validation file, inside the data's directory (custom).
    #[arg(long, value_name = "FILE", default_value = "validation.jsonl")]
    validation_file: PathBuf,
    /// The classes, in order; the training file's own where they are left out (custom).
    #[arg(long, value_name = "A,B,…", value_delimiter = ',')]
    labels: Option<Vec<String>>,
    /// Predict a number instead of a class (custom).
    #[arg(long)]
    regression: bool,
}

impl TaskArguments {
    pub(super) fn spec(self) -> Result<TaskSpec, Failure> {
        let name = self
            .task
            .ok_or_else(|| Failure::BadInput("give --task, or --request".into()))?;
        let is_custom = name == TaskName::Custom;
        if is_custom == self.text_column.is_empty() {
            return Err(Failure::BadInput(
                "--text-column goes with --task custom: once, or twice for pairs of texts".into(),
            ));
        }
        let text = |path: PathBuf| path.to_string_lossy().into_owned();
        Ok(TaskSpec {
            name,
            source: Source::default(),
            custom: is_custom.then(|| CustomTask {
                kind: if self.regression {
                    CustomTaskType::Regression
                } else {
                    CustomTaskType::Classification
                },
                train_file: text(self.train_file),
                validation_file: text(self.validation_file),
                text_columns: self.text_column,
                label_column: self.label_column,
                labels: self.labels,
            }),
            metric: self.metric,
        })
    }
}
