//! Flags that describe a task, instead of a request.

use autopeft_crds::Decimal;
use autopeft_crds::named::Named;
use autopeft_crds::spec::{
    ClassWeights, CustomTask, Metric, Source, TaskForm, TaskKind, TaskName, TaskSpec,
};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde::de::DeserializeOwned;
use serde::de::value::{Error as NameError, StrDeserializer};

use super::failure::Failure;

/// A value by the word that manifests use.
pub(super) fn by_name<T: Named + Send + Sync>() -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(T::names()).try_map(|word| T::from_name(&word).ok_or("unknown value"))
}

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
    #[arg(long, value_name = "NAME", value_parser = by_name::<TaskName>())]
    task: Option<TaskName>,
    /// The metric that is the score; by default the task's own.
    #[arg(long, value_parser = by_name::<Metric>())]
    metric: Option<Metric>,
    /// A column of text, spec.task.custom.textColumns in messages; repeat it for pairs (custom).
    #[arg(long, value_name = "NAME")]
    text_column: Vec<String>,
    /// The column of the label, spec.task.custom.labelColumn in messages; "label" by default (custom).
    #[arg(long, value_name = "NAME")]
    label_column: Option<String>,
    /// The training file, inside the data's directory: .jsonl, .csv, .tsv or .parquet; train.jsonl by
    /// default (custom).
    #[arg(long, value_name = "FILE")]
    train_file: Option<String>,
    /// The validation file, inside the data's directory; validation.jsonl by default (custom).
    #[arg(long, value_name = "FILE")]
    validation_file: Option<String>,
    /// The classes, in order; by default those of the training file (custom).
    #[arg(long, value_name = "A,B,…", value_delimiter = ',')]
    labels: Option<Vec<String>>,
    /// Predict a number instead of a class (custom).
    #[arg(long, conflicts_with_all = ["choice_column", "multi_label"])]
    regression: bool,
    /// A column of a choice, spec.task.custom.choiceColumns in messages; repeat it for each: one of them is predicted
    /// (custom).
    #[arg(long, value_name = "NAME", conflicts_with = "multi_label")]
    choice_column: Vec<String>,
    /// Predict any number of classes (custom).
    #[arg(long)]
    multi_label: bool,
    /// What separates an example's classes in a text; "," by default (custom, with --multi-label).
    #[arg(long, value_name = "TEXT", requires = "multi_label")]
    label_delimiter: Option<String>,
    /// Weights of the classes in the loss: "balanced", or one per class in their order (custom).
    #[arg(long, value_name = "balanced|A,B,…", value_parser = class_weights)]
    class_weights: Option<ClassWeights>,
    /// How a task of choices is read (copa).
    #[arg(long, value_parser = named::<TaskForm>(&["MultipleChoice", "Pair"]))]
    form: Option<TaskForm>,
}

fn class_weights(text: &str) -> Result<ClassWeights, String> {
    if text == "balanced" {
        return Ok(ClassWeights {
            balanced: true,
            values: None,
        });
    }
    let values = text.split(',').map(str::parse::<Decimal>);
    let values: Result<Vec<_>, _> = values.collect();
    Ok(ClassWeights {
        balanced: false,
        values: Some(values.map_err(|error| error.to_string())?),
    })
}

impl TaskArguments {
    /// Whether a task is named.
    pub(super) fn is_given(&self) -> bool {
        self.task.is_some()
    }

    pub(super) fn spec(self) -> Result<TaskSpec, Failure> {
        let name = self
            .task
            .ok_or_else(|| Failure::BadInput("give --task, or --request".into()))?;
        let custom = if name == TaskName::Custom {
            Some(self.custom()?)
        } else {
            self.none_for(name)?;
            None
        };
        Ok(TaskSpec {
            name,
            source: Source::default(),
            custom,
            metric: self.metric,
            form: self.form,
        })
    }

    /// The files of a custom task.
    fn custom(&self) -> Result<CustomTask, Failure> {
        if self.text_column.is_empty() {
            return Err(Failure::BadInput(
                "give --text-column with --task custom: once, or twice for pairs of texts".into(),
            ));
        }
        let or = |given: &Option<String>, usual: &str| given.clone().unwrap_or(usual.into());
        Ok(CustomTask {
            kind: if self.regression {
                TaskKind::Regression
            } else if self.multi_label {
                TaskKind::MultiLabel
            } else if self.choice_column.is_empty() {
                TaskKind::Classification
            } else {
                TaskKind::MultipleChoice
            },
            train_file: or(&self.train_file, "train.jsonl"),
            validation_file: or(&self.validation_file, "validation.jsonl"),
            text_columns: self.text_column.clone(),
            choice_columns: (!self.choice_column.is_empty()).then(|| self.choice_column.clone()),
            label_column: or(&self.label_column, "label"),
            label_delimiter: self.label_delimiter.clone(),
            class_weights: self.class_weights.clone(),
            labels: self.labels.clone(),
        })
    }

    /// Rejects these flags for a known task, whose files, columns and labels are known.
    fn none_for(&self, task: TaskName) -> Result<(), Failure> {
        let given = [
            ("--text-column", !self.text_column.is_empty()),
            ("--label-column", self.label_column.is_some()),
            ("--train-file", self.train_file.is_some()),
            ("--validation-file", self.validation_file.is_some()),
            ("--labels", self.labels.is_some()),
            ("--regression", self.regression),
            ("--choice-column", !self.choice_column.is_empty()),
            ("--multi-label", self.multi_label),
            ("--class-weights", self.class_weights.is_some()),
        ];
        match given.into_iter().find(|(_, is_given)| *is_given) {
            None => Ok(()),
            Some((flag, _)) => Err(Failure::BadInput(format!(
                "{flag} goes with --task custom; {} has files, columns and labels of its own",
                task.as_str()
            ))),
        }
    }
}
