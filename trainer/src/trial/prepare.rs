//! One trial from its request to its measurements: files, tokens, model, training.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use autopeft_crds::spec::TrainingSpec;
use autopeft_crds::trial::{TrialMeasurements, TrialRequest};
use tch::Device;

use super::check::check;
use super::error::TrialError;
use super::places::Places;
use crate::adapter::{ADAPTER_VERSION, AdapterDescription, ModelShape};
use crate::device;
use crate::encoder::ModelConfig;
use crate::model::{Backbone, Model, ModelError};
use crate::task::{self, Examples, Kind, Task};
use crate::tokenize::{Limits, TextEncoder, TokenizeError};
use crate::train::batches::DataSet;
use crate::train::sample::{Part, sampled, taken};
use crate::train::seeds::Seeds;
use crate::train::{self, Data, Observer, Recipe, Trained, Validation};

/// A model and its data, ready to be trained.
#[derive(Debug)]
pub struct Prepared {
    /// The model.
    pub model: Model,
    /// What it is trained on.
    pub data: Data,
    /// How it is trained.
    pub recipe: Recipe,
    /// The number format of the frozen weights.
    pub precision: &'static str,
    /// What a user should know about the data.
    pub notes: Vec<String>,
    versions: BTreeMap<String, String>,
}

/// Reads a request's files and builds its model on a device.
pub fn prepare(request: &TrialRequest, device: Device) -> Result<Prepared, TrialError> {
    check(request)?;
    let places = Places::find(&request.model, &request.data, &request.task)?;
    let config = ModelConfig::read(&places.model).map_err(ModelError::from)?;
    let seeds = Seeds::new(request.training.seed, &request.configuration);
    let task = task::load(&request.task, &places.data)?;
    let task = sampled(task, &request.fidelity, seeds.sample)?;
    let recipe = Recipe {
        fidelity: request.fidelity.clone(),
        training: request.training.clone(),
        seeds,
    };
    let batching = recipe.batching();
    let Task {
        kind,
        metric,
        train,
        validation,
        notes,
    } = task;
    let encoder = text_encoder(&places.model, &config, &request.training, &train)?;
    let put = |examples: &Examples| -> Result<DataSet, TrialError> {
        let encoded = encoder.encode(&examples.texts)?;
        let pad = config.pad_id;
        Ok(DataSet::new(
            &encoded,
            &examples.targets,
            pad,
            &batching,
            device,
        )?)
    };
    let (train_set, validation_set) = (put(&train)?, put(&validation)?);

    let format = device::number_format(request.training.precision, device);
    let backbone = Backbone::load(&places.model, request.method, device, format)?;
    let outputs = kind.outputs() as i64;
    let model = Model::new(
        &backbone,
        &request.configuration,
        outputs,
        // 53 bits: the sign is never touched.
        seeds.init as i64,
    )?;
    Ok(Prepared {
        model,
        data: Data {
            metric,
            train: train_set,
            validation: Validation {
                kind,
                examples: validation_set,
                truth: validation.targets,
                batching,
            },
        },
        recipe,
        precision: device::number_format_name(format),
        notes,
        versions: versions(),
    })
}

fn text_encoder(
    model: &Path,
    config: &ModelConfig,
    training: &TrainingSpec,
    examples: &Examples,
) -> Result<TextEncoder, TokenizeError> {
    let limits = Limits {
        vocabulary: config.vocabulary_size,
        positions: config.max_tokens,
    };
    let pairs = examples.texts.iter().any(|(_, second)| second.is_some());
    TextEncoder::open(model, limits, training.max_length as usize, pairs)
}

/// Trains what was prepared, and measures it. `started` is when the process began.
pub fn run(
    prepared: &Prepared,
    started: Instant,
    observer: &mut dyn Observer,
) -> Result<(TrialMeasurements, Trained), TrialError> {
    let Prepared {
        model,
        data,
        recipe,
        precision,
        notes: _,
        versions,
    } = prepared;
    let trained = train::train(model, data, recipe, observer)?;
    let measured = TrialMeasurements {
        score: trained.score,
        metric: data.metric,
        best_epoch: trained.best_epoch,
        epochs: trained.epochs.clone(),
        trained_parameters: model.trained_parameters(),
        deployed_parameters: model.deployed_parameters(),
        train_seconds: trained.seconds,
        total_seconds: started.elapsed().as_secs_f64(),
        peak_memory_bytes: device::peak_memory_bytes().unwrap_or(0),
        device: device::name(model.device()),
        precision: (*precision).into(),
        steps: trained.steps,
        validation_examples: data.validation.examples.lengths().len() as u64,
        seeds: recipe.seeds.named(),
        versions: versions.clone(),
    };
    Ok((measured, trained))
}

/// What an adapter checkpoint says about itself.
pub fn describe(request: &TrialRequest, prepared: &Prepared, score: f64) -> AdapterDescription {
    AdapterDescription {
        version: ADAPTER_VERSION,
        configuration: request.configuration.clone().canonical(),
        method: request.method,
        model: ModelShape::from(prepared.model.config()),
        task: request.task.clone(),
        labels: match &prepared.data.validation.kind {
            Kind::Classification(labels) => labels.clone(),
            Kind::Regression => Vec::new(),
        },
        fidelity: request.fidelity.clone(),
        training: request.training.clone(),
        metric: prepared.data.metric,
        score,
        versions: prepared.versions.clone(),
    }
}

/// The validation examples of an adapter's task, as its training took them.
pub fn validation_data(
    description: &AdapterDescription,
    places: &Places,
    config: &ModelConfig,
    device: Device,
) -> Result<Validation, TrialError> {
    let kind = if description.task.is_regression() {
        Kind::Regression
    } else {
        Kind::Classification(description.labels.clone())
    };
    let seeds = Seeds::new(description.training.seed, &description.configuration);
    let examples = task::load_validation(&description.task, &kind, &places.data)?;
    let fidelity = &description.fidelity;
    let examples = taken(examples, Part::Validation, fidelity, seeds.sample);
    let recipe = Recipe {
        fidelity: description.fidelity.clone(),
        training: description.training.clone(),
        seeds,
    };
    let encoder = text_encoder(&places.model, config, &recipe.training, &examples)?;
    let encoded = encoder.encode(&examples.texts)?;
    let batching = recipe.batching();
    let set = DataSet::new(
        &encoded,
        &examples.targets,
        config.pad_id,
        &batching,
        device,
    )?;
    Ok(Validation {
        kind,
        examples: set,
        truth: examples.targets,
        batching,
    })
}

fn versions() -> BTreeMap<String, String> {
    [
        ("peft-trainer", env!("CARGO_PKG_VERSION")),
        ("libtorch", LIBTORCH_VERSION),
    ]
    .map(|(name, version)| (name.to_owned(), version.to_owned()))
    .into()
}

/// The version that `tch` 0.24 is made for; its build refuses others.
const LIBTORCH_VERSION: &str = "2.11.0";
