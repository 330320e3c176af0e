//! The inspection of a model and a task's data: every file that a trial reads is read, without training, so that errors
//! are found before a search starts.

use std::path::Path;

use autopeft_crds::Decimal;
use autopeft_crds::spec::{EvaluationSpec, FidelitySpec, TaskSpec, TransferSpec};
use autopeft_crds::trial::{ConstantScore, Inspection, OtherData, OtherTask, TrialRequest};
use tch::{Device, Kind as Number};

use crate::encoder::ModelConfig;
use crate::fingerprint;
use crate::model::{Backbone, ModelError};
use crate::task::{self, Task};
use crate::tokenize::{Limits, TextEncoder};
use crate::train::sample::sampled;
use crate::train::seeds::Seeds;
use crate::train::{class_weights, metrics};
use crate::trial::{self, Places, TrialError};

/// Texts that are tokenised to check the tokenizer.
const TRIED_TEXTS: usize = 64;

/// The facts about a request's model and data, and notes about them for the user, one sentence each. The request's
/// configuration is not used.
pub fn inspect(request: &TrialRequest) -> Result<(Inspection, Vec<String>), TrialError> {
    let evaluation = request.evaluation.as_ref();
    trial::check_evaluation(evaluation)?;
    let places = Places::find(&request.model, &request.data, &request.task, evaluation)?;
    let config = ModelConfig::read(&places.model).map_err(ModelError::from)?;
    let (task, encoder) = read(request, &places, &config, &request.task, evaluation)?;
    // Reads every tensor: a truncated file is found here.
    Backbone::load(&places.model, request.method, Device::Cpu, Number::Float)?;
    let (train_examples, validation_examples) = (task.train.len(), task.validation.len());
    let sampled = sample(request, task, &request.task, &request.fidelity)?;
    let mut notes = [&sampled.notes, encoder.notes()].concat();
    let mut others = Vec::new();
    for (index, other) in request.others.iter().enumerate() {
        let (found, told) =
            inspect_other(request, &config, other).map_err(|error| TrialError::Other {
                field: TransferSpec::field(index),
                source: Box::new(error),
            })?;
        others.push(found);
        let name = &other.given.name;
        notes.extend(told.into_iter().map(|note| format!("{name}: {note}")));
    }
    let inspection = Inspection {
        architecture: config.name.into(),
        layers: config.layers as u32,
        hidden_size: config.hidden_size as u32,
        feed_forward_size: (config.feed_forward_size != 4 * config.hidden_size)
            .then_some(config.feed_forward_size as u32),
        backbone_parameters: config.backbone_parameters(),
        train_examples: train_examples as u64,
        validation_examples: validation_examples as u64,
        constant_score: constant_score(&sampled),
        model_fingerprint: Some(model_fingerprint(&places.model, &encoder)?),
        data_fingerprint: Some(data_fingerprint(&request.task, &places.data)?),
        others,
        spec_hash: None,
        other: Default::default(),
    };
    Ok((inspection, notes))
}

/// A task's examples, and the tokenizer that was tried on them.
fn read(
    request: &TrialRequest,
    places: &Places,
    config: &ModelConfig,
    spec: &TaskSpec,
    evaluation: Option<&EvaluationSpec>,
) -> Result<(Task, TextEncoder), TrialError> {
    let task = task::load(spec, &places.data)?;
    let limits = Limits::of(config);
    let pairs = task.train.texts.iter().any(|(_, second)| second.is_some());
    let max_length = request.training.max_length as usize;
    let encoder = TextEncoder::open(&places.model, limits, max_length, pairs)?;
    // Only trainings in full have an evaluation, on the whole of the data.
    let split = evaluation.map(|evaluation| {
        let task = task.clone();
        trial::split(task, Some(evaluation), spec, &places.data, seed(request))
    });
    let report = split.transpose()?.and_then(|split| split.report);
    for examples in [&task.train, &task.validation].into_iter().chain(&report) {
        let texts = examples.texts(encoder.separator());
        encoder.encode(&texts[..texts.len().min(TRIED_TEXTS)])?;
    }
    Ok((task, encoder))
}

/// The seed of samples, the same for every configuration.
fn seed(request: &TrialRequest) -> u64 {
    Seeds::new(request.training.seed, &request.configuration).sample
}

/// The examples of a task that a training of this fidelity uses.
fn sample(
    request: &TrialRequest,
    task: Task,
    spec: &TaskSpec,
    fidelity: &FidelitySpec,
) -> Result<Task, TrialError> {
    let sampled = sampled(task, fidelity, seed(request))?;
    if let Some(spec) = spec.class_weights() {
        class_weights(spec, &sampled.kind, &sampled.train.targets)?;
    }
    Ok(sampled)
}

/// Reads the data of another task as its trainings will: in full. Gives the facts and the notes about it.
fn inspect_other(
    request: &TrialRequest,
    config: &ModelConfig,
    other: &OtherTask,
) -> Result<(OtherData, Vec<String>), TrialError> {
    let OtherTask { given, data } = other;
    let evaluation = given.evaluation.as_ref();
    trial::check_evaluation(evaluation)?;
    let places = Places::find(&request.model, data, &given.task, evaluation)?;
    let (task, _) = read(request, &places, config, &given.task, evaluation)?;
    let in_full = FidelitySpec::default();
    let found = OtherData {
        task: given.task.hash(),
        fingerprint: data_fingerprint(&given.task, &places.data)?,
    };
    Ok((found, sample(request, task, &given.task, &in_full)?.notes))
}

/// The best score of a constant predictor on a task's validation examples.
fn constant_score(task: &Task) -> Option<ConstantScore> {
    let scores = metrics::constant(&task.validation.targets, task.kind.answers());
    let score = Decimal::new(*scores.get(&task.metric)?).ok()?;
    Some(ConstantScore {
        metric: task.metric,
        score,
    })
}

/// The SHA-256 of a model's files, names and contents, in lower-case hexadecimal digits.
/// `tokenizer_config.json` is one of them where tokens depend on it.
///
/// # Errors
/// A file cannot be read.
pub fn model_fingerprint(model: &Path, encoder: &TextEncoder) -> Result<String, TrialError> {
    Ok(trial::model_fingerprint(model, encoder.follows_settings())?)
}

/// The SHA-256 of the files that a task reads, names and contents, in lower-case hexadecimal
/// digits. Files beside them make no difference.
///
/// # Errors
/// A file is missing or cannot be read, or the task's description is invalid.
pub fn data_fingerprint(spec: &TaskSpec, data: &Path) -> Result<String, TrialError> {
    let files = task::data_files(spec, data)?;
    Ok(fingerprint::of_files(data, &files)?)
}
