//! Caches what trials of one process share: data and weights stay loaded for the next trial with the same ones.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use autopeft_crds::spec::{EvaluationSpec, Metric, Padding, TaskSpec, TrainingSpec};
use autopeft_crds::trial::{Method, TrialRequest};
use tch::{Device, Kind as Number};

use super::error::TrialError;
use super::places::Places;
use super::split::split;
use crate::backbone::{Backbone, ModelError};
use crate::device;
use crate::encoder::ModelConfig;
use crate::task::{self, Examples, Kind, Targets, Task};
use crate::tokenize::{Limits, TextEncoder, TokenizeError};
use crate::train::batches::{Batching, DataSet};
use crate::train::sample::sampled;
use crate::train::seeds::Seeds;
use crate::train::{Validation, class_weights};

/// The loaded data and weights on one device. They do not depend on which trials came before.
#[derive(Debug)]
pub struct Inputs {
    device: Device,
    data: Option<(DataKey, Rc<TaskData>)>,
    backbone: Option<(BackboneKey, Rc<Backbone>)>,
}

/// A task's examples, tokenised, on the device.
#[derive(Debug)]
pub(super) struct TaskData {
    pub kind: Kind,
    pub metric: Metric,
    pub train: Rc<DataSet>,
    pub validation: HeldOut,
    /// What the score is measured on, where that is not `validation`.
    pub report: Option<HeldOut>,
    /// Weights of the classes in the loss.
    pub weights: Option<Vec<f64>>,
    pub notes: Vec<String>,
    pub tokenizer: TokenizerFacts,
}

/// Examples that are not trained on.
#[derive(Debug)]
pub(super) struct HeldOut {
    examples: Rc<DataSet>,
    truth: Targets,
}

impl HeldOut {
    /// The measurement of a model on them.
    pub fn validation(&self, kind: &Kind, batching: Batching) -> Validation {
        Validation {
            kind: kind.clone(),
            examples: self.examples.clone(),
            truth: self.truth.clone(),
            batching,
        }
    }
}

/// What an adapter says about the tokenizer.
#[derive(Clone, Debug)]
pub struct TokenizerFacts {
    /// The token between texts that are joined.
    pub separator: String,
    /// Notes for the user, one sentence each.
    pub notes: Vec<String>,
    /// Whether tokens depend on `tokenizer_config.json`.
    pub follows_settings: bool,
}

/// What an adapter says about a model's tokenizer.
///
/// # Errors
/// The tokenizer cannot be used.
pub fn tokenizer_facts(
    model: &Path,
    config: &ModelConfig,
    training: &TrainingSpec,
) -> Result<TokenizerFacts, TokenizeError> {
    let max_length = training.max_length as usize;
    let encoder = TextEncoder::open(model, Limits::of(config), max_length, false)?;
    Ok(TokenizerFacts::from(&encoder))
}

impl From<&TextEncoder> for TokenizerFacts {
    fn from(encoder: &TextEncoder) -> Self {
        Self {
            separator: encoder.separator().into(),
            notes: encoder.notes().to_vec(),
            follows_settings: encoder.follows_settings(),
        }
    }
}

/// The key of `TaskData`.
#[derive(Debug, PartialEq)]
struct DataKey {
    model: PathBuf,
    data: PathBuf,
    task: TaskSpec,
    evaluation: Option<EvaluationSpec>,
    train_examples: Option<u32>,
    validation_examples: Option<u32>,
    seed: u64,
    max_length: u32,
    padding: Padding,
}

/// The key of a backbone.
#[derive(Debug, PartialEq)]
struct BackboneKey {
    model: PathBuf,
    method: Method,
    format: Number,
}

impl Inputs {
    /// An empty cache for `device`.
    pub fn new(device: Device) -> Self {
        Self {
            device,
            data: None,
            backbone: None,
        }
    }

    /// A request's data; `batching` is that of its training.
    pub(super) fn data(
        &mut self,
        request: &TrialRequest,
        places: &Places,
        batching: &Batching,
    ) -> Result<Rc<TaskData>, TrialError> {
        let key = DataKey {
            model: places.model.clone(),
            data: places.data.clone(),
            task: request.task.clone(),
            evaluation: request.evaluation.clone(),
            train_examples: request.fidelity.train_examples,
            validation_examples: request.fidelity.validation_examples,
            seed: request.training.seed,
            max_length: request.training.max_length,
            padding: request.training.padding,
        };
        // Frees the old data before loading the new.
        if let Some((loaded, data)) = self.data.take()
            && loaded == key
        {
            return Ok(self.data.insert((loaded, data)).1.clone());
        }
        let data = Rc::new(load(request, places, batching, self.device)?);
        Ok(self.data.insert((key, data)).1.clone())
    }

    /// A request's frozen weights.
    pub(super) fn backbone(
        &mut self,
        request: &TrialRequest,
        places: &Places,
    ) -> Result<Rc<Backbone>, ModelError> {
        let key = BackboneKey {
            model: places.model.clone(),
            method: request.method,
            format: device::number_format(request.training.precision, self.device),
        };
        if let Some((loaded, backbone)) = self.backbone.take()
            && loaded == key
        {
            return Ok(self.backbone.insert((loaded, backbone)).1.clone());
        }
        let loaded = Backbone::load(&key.model, key.method, self.device, key.format)?;
        Ok(self.backbone.insert((key, Rc::new(loaded))).1.clone())
    }
}

fn load(
    request: &TrialRequest,
    places: &Places,
    batching: &Batching,
    device: Device,
) -> Result<TaskData, TrialError> {
    let config = ModelConfig::read(&places.model).map_err(ModelError::from)?;
    let seeds = Seeds::new(request.training.seed, &request.configuration);
    let task = task::load(&request.task, &places.data)?;
    let task = sampled(task, &request.fidelity, seeds.sample)?;
    let evaluation = request.evaluation.as_ref();
    let split = split(task, evaluation, &request.task, &places.data, seeds.sample)?;
    let Task {
        kind,
        metric,
        train,
        validation,
        mut notes,
    } = split.task;
    let encoder = text_encoder(&places.model, &config, &request.training, &train)?;
    notes.extend_from_slice(encoder.notes());
    let put = |examples: &Examples| -> Result<Rc<DataSet>, TrialError> {
        let encoded = encoder.encode(&examples.texts(encoder.separator()))?;
        let pad = config.pad_id;
        let set = DataSet::new(&encoded, &examples.targets, pad, batching, device)?;
        Ok(Rc::new(set))
    };
    let weights = request
        .task
        .class_weights()
        .map(|spec| class_weights(spec, &kind, &train.targets))
        .transpose()?;
    let held_out = |examples: Examples| -> Result<HeldOut, TrialError> {
        Ok(HeldOut {
            examples: put(&examples)?,
            truth: examples.targets,
        })
    };
    Ok(TaskData {
        weights,
        kind,
        metric,
        train: put(&train)?,
        validation: held_out(validation)?,
        report: split.report.map(held_out).transpose()?,
        notes,
        tokenizer: TokenizerFacts::from(&encoder),
    })
}

/// A model's tokenizer for examples like these.
pub(super) fn text_encoder(
    model: &Path,
    config: &ModelConfig,
    training: &TrainingSpec,
    examples: &Examples,
) -> Result<TextEncoder, TokenizeError> {
    let limits = Limits::of(config);
    let pairs = examples.texts.iter().any(|(_, second)| second.is_some());
    TextEncoder::open(model, limits, training.max_length as usize, pairs)
}
