//! `peft-trainer evaluate`: a saved adapter on its task's validation examples.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use autopeft_crds::spec::Metric;
use clap::{ArgGroup, Args};
use serde_json::json;

use super::documents::print_json;
use super::failure::Failure;
use super::machine::Machine;
use crate::adapter::Adapter;
use crate::device;
use crate::model::Backbone;
use crate::train::{Answer, score};
use crate::trial::{Labelled, Places, TrialError, model_folder, validation_data};

/// Arguments of `evaluate`.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("examples").required(true)))]
pub(super) struct EvaluateArguments {
    /// The adapter's directory.
    #[arg(long, value_name = "DIR")]
    adapter: PathBuf,
    /// The pretrained model that the adapter belongs to.
    #[arg(long, value_name = "DIR")]
    model: String,
    /// The task's data: the examples that scored the training are used.
    #[arg(long, value_name = "DIR", group = "examples")]
    data: Option<String>,
    /// Another file of labelled examples, such as a test set: every example of it. It has the form of the task's
    /// validation file.
    #[arg(long, value_name = "FILE", group = "examples")]
    file: Option<PathBuf>,
    /// Write a line of JSON per example into this file: its label, what was predicted, and the outputs (logits).
    #[arg(long, value_name = "FILE")]
    predictions: Option<PathBuf>,
    #[command(flatten)]
    machine: Machine,
}

pub(super) fn run(arguments: &EvaluateArguments) -> Result<(), Failure> {
    let device = arguments.machine.device()?;
    let measured = evaluate(arguments, device)?;
    print_json(&measured)
}

fn evaluate(
    arguments: &EvaluateArguments,
    device: tch::Device,
) -> Result<serde_json::Value, Failure> {
    let adapter = Adapter::open(&arguments.adapter).map_err(TrialError::from)?;
    let description = adapter.description();
    let (metrics, answers) = answers(arguments, &adapter, device)?;
    if let Some(file) = &arguments.predictions {
        write_lines(file, &answers)?;
    }
    Ok(json!({
        "score": score(&metrics, description.metric).map_err(TrialError::from)?,
        "metric": description.metric,
        "metrics": metrics,
        "scoreWhenTrained": description.score,
        "validationExamples": answers.len(),
    }))
}

fn answers(
    arguments: &EvaluateArguments,
    adapter: &Adapter,
    device: tch::Device,
) -> Result<(BTreeMap<Metric, f64>, Vec<Answer>), TrialError> {
    let description = adapter.description();
    let places = match &arguments.data {
        Some(data) => {
            let evaluation = description.evaluation.as_ref();
            Places::find(&arguments.model, data, &description.task, evaluation)?
        }
        None => Places {
            model: model_folder(&arguments.model)?,
            data: PathBuf::new(),
        },
    };
    let labelled = match &arguments.file {
        Some(file) => Labelled::File(file),
        None => Labelled::Directory(&places.data),
    };
    let format = device::number_format(description.training.precision, device);
    let backbone = Backbone::load(&places.model, description.method, device, format)?;
    let config = backbone.config();
    let validation = validation_data(description, &places.model, labelled, config, device)?;
    let model = adapter.attach(&backbone, validation.kind.outputs() as i64)?;
    Ok(validation.answers(&model.evaluator())?)
}

/// Writes a line of JSON per answer.
fn write_lines(file: &Path, answers: &[Answer]) -> Result<(), Failure> {
    let mut text = String::new();
    for answer in answers {
        let line = serde_json::to_string(answer);
        text.push_str(&line.map_err(|error| Failure::Internal(error.to_string()))?);
        text.push('\n');
    }
    std::fs::write(file, text).map_err(|error| {
        Failure::BadInput(format!(
            "--predictions {}: cannot be written: {error}",
            file.display()
        ))
    })
}
