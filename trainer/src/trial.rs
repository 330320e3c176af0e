//! One trial from its request to its measurements: files, tokens, model, training.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use autopeft_crds::spec::{CustomTask, TaskSpec, TrainingSpec};
use autopeft_crds::trial::{FailureReason, TrialMeasurements, TrialRequest};
use tch::{Device, TchError};

use crate::adapter::{ADAPTER_VERSION, AdapterDescription, AdapterError, ModelShape};
use crate::batches::DataSet;
use crate::device::{self, NoGpu};
use crate::encoder::ModelConfig;
use crate::fingerprint::FingerprintError;
use crate::hub::{self, Holding, HubError};
use crate::model::{Backbone, Model, ModelError};
use crate::reason;
use crate::seeds::Seeds;
use crate::task::{self, Examples, Kind, Task, TaskError};
use crate::tokenize::{Limits, TextEncoder, TokenizeError};
use crate::train::{
    self, Data, Observer, Recipe, TrainError, Trained, Validation, ValidationError,
};

/// The widest bottleneck and the longest prefix: eight times the width of the largest BERT. A number
/// far beyond is a slip of the hand that would take the machine's memory with it.
const MODULE_MAX: u32 = 8_192;

/// Why a trial failed.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    /// The request contradicts itself.
    #[error("{field}: {found}; expected {expected}")]
    Request {
        /// The field.
        field: &'static str,
        /// What it says.
        found: String,
        /// What it should say.
        expected: String,
    },
    /// It asks for a GPU.
    #[error(transparent)]
    NoGpu(#[from] NoGpu),
    /// The hub's files cannot be had.
    #[error(transparent)]
    Hub(#[from] HubError),
    /// A file cannot be read for its fingerprint.
    #[error(transparent)]
    Fingerprint(#[from] FingerprintError),
    /// The task's files cannot be used.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// The tokenizer cannot be used.
    #[error(transparent)]
    Tokenize(#[from] TokenizeError),
    /// The model cannot be used.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The adapter cannot be saved or read.
    #[error(transparent)]
    Adapter(#[from] AdapterError),
    /// Training ended early.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// A validation ended early.
    #[error(transparent)]
    Validation(#[from] ValidationError),
    /// libtorch refused to take the data.
    #[error("the data cannot be put on the device: {}", reason::sentence(.0))]
    Device(#[from] TchError),
}

impl TrialError {
    /// The reason that a result document gives. What is wrong with the content of a file is bad
    /// input and ends a search; what keeps a file from being read or written is not.
    pub fn reason(&self) -> FailureReason {
        match (self, reason::of_causes(self)) {
            // A driver or a card that is gone may be there on another node.
            (Self::NoGpu(NoGpu::NotUsable(_)), _) => return FailureReason::DeviceLost,
            // Data and weights are the same for every configuration: that they do not fit speaks against this
            // GPU, or who else is on it, and not against this one.
            (
                Self::Device(source) | Self::Model(ModelError::Device { source, .. }),
                Some(reason),
            ) if reason == FailureReason::OutOfMemory && source.to_string().contains("CUDA") => {
                return FailureReason::DeviceLost;
            }
            (_, Some(reason)) => return reason,
            (_, None) => {}
        }
        match self {
            // Found before a search starts, where they are wrong; later something took them away.
            _ if self.is_absence() => FailureReason::Internal,
            // A name that is wrong is found before a search starts; later it is the network.
            Self::Hub(error) => reason::of_message(&error.to_string()),
            Self::NoGpu(_)
            | Self::Request { .. }
            | Self::Task(_)
            | Self::Tokenize(_)
            | Self::Model(_)
            | Self::Adapter(_) => FailureReason::BadInput,
            Self::Train(TrainError::Loss { .. } | TrainError::Prediction { .. })
            | Self::Validation(ValidationError::NotFinite) => FailureReason::NotFinite,
            Self::Train(TrainError::Torch(_) | TrainError::NoMetric(_))
            | Self::Validation(ValidationError::Torch(_) | ValidationError::NoMetric(_))
            | Self::Fingerprint(_)
            | Self::Device(_) => FailureReason::Internal,
        }
    }

    /// Whether a file or a directory that was named is not there, or is none that this user may
    /// use: the user's to put right where a command was given by hand, the surroundings' in the
    /// middle of a search.
    pub fn is_about_a_place(&self) -> bool {
        use std::io::ErrorKind::{
            AlreadyExists, IsADirectory, NotADirectory, NotFound, PermissionDenied,
        };
        let is_place = |error: &std::io::Error| {
            matches!(
                error.kind(),
                AlreadyExists | IsADirectory | NotADirectory | NotFound | PermissionDenied
            )
        };
        matches!(self, Self::Hub(_))
            || self.is_absence()
            || reason::cause::<std::io::Error>(self).is_some_and(is_place)
    }

    fn is_absence(&self) -> bool {
        match self {
            Self::Task(error) => error.is_absence(),
            Self::Model(error) => error.is_absence(),
            Self::Adapter(AdapterError::Model(error)) => error.is_absence(),
            _ => false,
        }
    }
}

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

/// The directories of a request's model and data.
#[derive(Debug)]
pub struct Places {
    /// The model.
    pub model: PathBuf,
    /// The data.
    pub data: PathBuf,
}

/// The files that a trial reads of a model's directory.
pub const MODEL_FILES: [&str; 3] = ["config.json", "tokenizer.json", "model.safetensors"];

impl Places {
    /// Finds them, fetching what is on the hub.
    pub fn find(model: &str, data: &str, task: &TaskSpec) -> Result<Self, HubError> {
        Ok(Self {
            model: hub::directory(model, Holding::Model, &MODEL_FILES)?,
            data: match (task::hub_files(task.name), &task.custom) {
                (Some([train, validation]), _) => {
                    hub::directory(data, Holding::DataSet, &[&train, &validation])?
                }
                (
                    None,
                    Some(CustomTask {
                        train_file,
                        validation_file,
                        ..
                    }),
                ) => hub::directory(data, Holding::DataSet, &[train_file, validation_file])?,
                (None, None) => data.into(),
            },
        })
    }
}

/// Reads a request's files and builds its model on a device.
pub fn prepare(request: &TrialRequest, device: Device) -> Result<Prepared, TrialError> {
    check(request)?;
    let places = Places::find(&request.model, &request.data, &request.task)?;
    let config = ModelConfig::read(&places.model).map_err(ModelError::from)?;
    let seeds = Seeds::new(request.training.seed, &request.configuration);
    let task = task::load(&request.task, &places.data)?;
    let task = task::sampled(task, &request.fidelity, seeds.sample)?;
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
        positions: config.max_tokens(),
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
    let examples = task::taken(examples, task::Part::Validation, fidelity, seeds.sample);
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

/// A request is checked like a manifest: it may come from the command line.
fn check(request: &TrialRequest) -> Result<(), TrialError> {
    let training = &request.training;
    let fidelity = &request.fidelity;
    let hash = request.configuration.hash();
    if request.identity.configuration_hash != hash {
        return Err(TrialError::Request {
            field: "identity.configurationHash",
            found: request.identity.configuration_hash.clone(),
            expected: format!("{hash}, the hash of the configuration"),
        });
    }
    if training.learning_rate.get() <= 0.0 {
        return Err(TrialError::Request {
            field: "spec.training.learningRate",
            found: training.learning_rate.to_string(),
            expected: "more than 0".into(),
        });
    }
    if training.weight_decay.get() < 0.0 {
        return Err(TrialError::Request {
            field: "spec.training.weightDecay",
            found: training.weight_decay.to_string(),
            expected: "0 or more".into(),
        });
    }
    let modules = &request.configuration;
    let ranges = [
        (
            "configuration.serialAdapter",
            modules.serial_adapter,
            0,
            MODULE_MAX,
        ),
        (
            "configuration.parallelAdapter",
            modules.parallel_adapter,
            0,
            MODULE_MAX,
        ),
        ("configuration.prefix", modules.prefix, 0, MODULE_MAX),
        ("spec.training.batchSize", training.batch_size, 1, 4096),
        ("spec.training.maxLength", training.max_length, 4, 4096),
        (
            "spec.training.warmupPercent",
            training.warmup_percent,
            0,
            100,
        ),
        ("spec.training.patience", training.patience, 1, 1000),
        ("spec.fidelity.epochs", fidelity.epochs, 1, 1000),
        ("spec.fidelity.stepsPercent", fidelity.steps_percent, 1, 100),
    ];
    for (field, value, least, most) in ranges {
        if !(least..=most).contains(&value) {
            return Err(TrialError::Request {
                field,
                found: value.to_string(),
                expected: format!("{least} to {most}"),
            });
        }
    }
    for (field, examples) in [
        ("spec.fidelity.trainExamples", fidelity.train_examples),
        (
            "spec.fidelity.validationExamples",
            fidelity.validation_examples,
        ),
    ] {
        if examples == Some(0) {
            return Err(TrialError::Request {
                field,
                found: "0".into(),
                expected: "at least 1".into(),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_every_configuration_needs_speaks_against_the_gpu() {
        let torch = |message: &str| TchError::Torch(message.into());
        let of_the_gpu = || torch("CUDA out of memory. Tried to allocate 2.00 MiB");
        let of_the_machine = || torch("DefaultCPUAllocator: can't allocate memory");
        let weights = |device: &str, source| {
            let device = device.into();
            TrialError::from(ModelError::Device { device, source })
        };
        for (error, reason) in [
            (TrialError::Device(of_the_gpu()), FailureReason::DeviceLost),
            (weights("cuda:0", of_the_gpu()), FailureReason::DeviceLost),
            (
                TrialError::Device(of_the_machine()),
                FailureReason::OutOfMemory,
            ),
            (weights("cpu", of_the_machine()), FailureReason::OutOfMemory),
            (
                TrainError::Torch(of_the_gpu()).into(),
                FailureReason::OutOfMemory,
            ),
            (
                NoGpu::NotUsable(of_the_gpu()).into(),
                FailureReason::DeviceLost,
            ),
            (NoGpu::NotBuilt.into(), FailureReason::BadInput),
        ] {
            assert_eq!(error.reason(), reason, "{error}");
        }
    }
}
