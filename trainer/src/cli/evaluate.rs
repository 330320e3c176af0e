//! `peft-trainer evaluate`: a saved adapter on its task's validation examples.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::documents::print_json;
use super::failure::Failure;
use super::machine::Machine;
use crate::adapter::Adapter;
use crate::device;
use crate::model::Backbone;
use crate::train::score;
use crate::trial::{Places, TrialError, validation_data};

/// Arguments of `evaluate`.
#[derive(Debug, Args)]
pub(super) struct EvaluateArguments {
    /// The adapter's directory.
    #[arg(long, value_name = "DIR")]
    adapter: PathBuf,
    /// The pretrained model that the adapter belongs to.
    #[arg(long, value_name = "DIR")]
    model: String,
    /// The task's data.
    #[arg(long, value_name = "DIR")]
    data: String,
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
) -> Result<serde_json::Value, TrialError> {
    let adapter = Adapter::open(&arguments.adapter)?;
    let description = adapter.description();
    let places = Places::find(&arguments.model, &arguments.data, &description.task)?;
    let format = device::number_format(description.training.precision, device);
    let backbone = Backbone::load(&places.model, description.method, device, format)?;
    let validation = validation_data(description, &places, backbone.config(), device)?;
    let model = adapter.attach(&backbone, validation.kind.outputs() as i64)?;
    let metrics = validation.measure(&model.evaluator())?;
    Ok(json!({
        "score": score(&metrics, description.metric)?,
        "metric": description.metric,
        "metrics": metrics,
        "scoreWhenTrained": description.score,
        "validationExamples": validation.examples.lengths().len(),
    }))
}
