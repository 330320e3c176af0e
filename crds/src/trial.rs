//! The protocol between operator and trainer: the request that starts a trial, and the one JSON document that
//! ends it.
//!
//! The result is at most 4 KiB (Kubernetes' limit for a termination message). It comes from a
//! program that may have been killed, starved or replaced, so `parse_result` checks every field.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::configuration::PeftConfiguration;
use crate::decimal::Decimal;
use crate::limits;
pub use crate::measurements::{EpochMeasurements, TrialMeasurements};
use crate::methods::BaselineName;
pub use crate::methods::Method;
use crate::options::ModuleOptions;
use crate::other_fields::OtherFields;
use crate::shape::Shape;
use crate::spec::{
    EarlyStop, EvaluationSpec, FidelitySpec, Metric, TaskSpec, TrainingSpec, TransferTask,
};

/// The largest result document, bytes.
pub const RESULT_MAX_BYTES: usize = 4096;

/// What libtorch and its libraries read from the environment when they are loaded, which is before `main`:
/// names and values. The parent process sets them; a trainer without them executes itself again.
///
/// - OpenMP's waiting threads spin by default. On shared cores (parallel trials, a CPU limit, a busy machine)
///   they starve the thread that they wait for: a trial of 7 seconds took 44, and one of a tiny model 11
///   instead of 1. Passive waiting has no measurable cost.
/// - cuDNN's attention, which libtorch prefers on a Hopper GPU, plans again for every shape: with batches
///   padded to their longest text a training of 1.7 seconds took 21 (docs/measurements.md).
pub const TRAINER_ENVIRONMENT: [(&str, &str); 2] = [
    ("OMP_WAIT_POLICY", "passive"),
    ("TORCH_CUDNN_SDPA_DEPRIORITIZED", "1"),
];

/// The version of the result document.
pub const RESULT_VERSION: u32 = 1;

/// Everything a trainer needs for one trial. Paths are on the trainer's machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TrialRequest {
    /// Which trial and attempt; copied into the result.
    pub identity: TrialIdentity,
    /// What to train.
    pub configuration: PeftConfiguration,
    /// Modules, or everything.
    #[serde(default)]
    pub method: Method,
    /// The model's directory.
    pub model: String,
    /// The directory of the task's data.
    pub data: String,
    /// The task; its `source` has been resolved into `data`.
    pub task: TaskSpec,
    /// How much training.
    pub fidelity: FidelitySpec,
    /// The recipe.
    pub training: TrainingSpec,
    /// How modules are built.
    #[serde(default, skip_serializing_if = "ModuleOptions::is_default")]
    pub options: ModuleOptions,
    /// Where the score comes from, if not from the validation examples that choose the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluation: Option<EvaluationSpec>,
    /// The directory for the trained adapter; if left out, it is not stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifacts: Option<String>,
    /// Of an inspection: the other tasks of the search (`spec.transfer`), in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<OtherTask>,
}

/// A task whose data is inspected too.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OtherTask {
    /// The task; its `source` has been resolved into `data`.
    pub given: TransferTask,
    /// The directory of its data.
    pub data: String,
}

/// Which trial of which search a request or a result belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TrialIdentity {
    /// The UID of the search.
    pub search_uid: String,
    /// The trial's number, from 0.
    pub trial: u32,
    /// The attempt's number, from 1.
    pub attempt: u32,
    /// `PeftConfiguration::hash`.
    pub configuration_hash: String,
}

/// Facts about a model and a task's data, found by `peft-trainer inspect` before a search starts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Inspection {
    /// The encoder's architecture: `bert` or `roberta`.
    pub architecture: String,
    /// L, the number of Transformer layers.
    pub layers: u32,
    /// H, the hidden size.
    pub hidden_size: u32,
    /// I, the width of the feed-forward block, where it is not 4·H.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feed_forward_size: Option<u32>,
    /// The backbone's parameters, pooler included: the denominator of the parameter percentage.
    pub backbone_parameters: u64,
    /// Training examples.
    pub train_examples: u64,
    /// Validation examples.
    pub validation_examples: u64,
    /// SHA-256 over the model's files, hexadecimal, to detect changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub model_fingerprint: Option<String>,
    /// SHA-256 over the files of the task's data, hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub data_fingerprint: Option<String>,
    /// The score of a constant predictor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub constant_score: Option<ConstantScore>,
    /// The data of the other tasks (`spec.transfer`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = limits::TRANSFER_TASKS.most))]
    pub others: Vec<OtherData>,
    /// The hash of the inspected parts of the spec, added by the operator. Until a trial is planned, the spec
    /// may change; the inspection of another spec is ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub spec_hash: Option<String>,
    /// Unknown fields, written by another version and preserved; a trainer's document has none.
    #[serde(flatten)]
    #[schemars(skip)]
    pub other: OtherFields,
}

/// The data of another task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OtherData {
    /// The hash of the task's description.
    #[schemars(length(max = 64))]
    pub task: String,
    /// SHA-256 over the files, hexadecimal.
    #[schemars(length(max = 64))]
    pub fingerprint: String,
}

impl Inspection {
    /// What costs depend on in this model, with LoRA on queries and values.
    pub fn shape(&self) -> Shape {
        let usual = Shape::from(self.hidden_size);
        Shape {
            feed_forward: self.feed_forward_size.unwrap_or(usual.feed_forward),
            ..usual
        }
    }

    /// A baseline's configuration in this model, and its exact cost. `None` for a model without layers.
    pub fn baseline(&self, name: BaselineName) -> Option<(PeftConfiguration, u64)> {
        name.configuration(self.layers as usize, self.shape(), self.backbone_parameters)
    }
}

/// The score of a constant predictor, which gives every example the same answer: a trial that is no better
/// has learned nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConstantScore {
    /// The metric.
    pub metric: Metric,
    /// Its best value over all answers, on the validation examples of the search.
    pub score: Decimal,
}

/// Why a trial failed, in one word.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum FailureReason {
    /// The GPU or the machine ran out of memory.
    OutOfMemory,
    /// The loss or a metric was NaN or infinite.
    NotFinite,
    /// The trial exceeded its deadline.
    DeadlineExceeded,
    /// The manifest, the model or the data cannot be used; no other configuration would do better.
    BadInput,
    /// The trainer's disk is full or cannot be written.
    DiskFull,
    /// The GPU was lost or failed.
    DeviceLost,
    /// The trainer ended without a result, or with one that is not valid.
    NoResult,
    /// The trainer was killed or its node was lost. In a trainer's own document: it was terminated (SIGTERM).
    Lost,
    /// A Job of another owner has the name of this attempt's Job.
    Conflict,
    /// The manifest no longer asks for it.
    Withdrawn,
    /// Anything else.
    Internal,
}

/// How a failure is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureClass {
    /// Caused by the configuration: recorded as infeasible, an observation for the surrogate.
    Infeasible,
    /// Caused by the infrastructure: retried, never an observation.
    Infrastructure,
    /// Caused by the input: the search ends.
    Fatal,
}

impl FailureReason {
    /// As statuses, journals and results write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OutOfMemory => "OutOfMemory",
            Self::NotFinite => "NotFinite",
            Self::DeadlineExceeded => "DeadlineExceeded",
            Self::BadInput => "BadInput",
            Self::DiskFull => "DiskFull",
            Self::DeviceLost => "DeviceLost",
            Self::NoResult => "NoResult",
            Self::Lost => "Lost",
            Self::Conflict => "Conflict",
            Self::Withdrawn => "Withdrawn",
            Self::Internal => "Internal",
        }
    }

    /// How this failure is treated.
    pub fn class(self) -> FailureClass {
        match self {
            Self::OutOfMemory | Self::NotFinite | Self::DeadlineExceeded => {
                FailureClass::Infeasible
            }
            Self::DiskFull
            | Self::DeviceLost
            | Self::NoResult
            | Self::Lost
            | Self::Conflict
            | Self::Withdrawn
            | Self::Internal => FailureClass::Infrastructure,
            Self::BadInput => FailureClass::Fatal,
        }
    }
}

/// The one document that ends a trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TrialResult {
    /// `RESULT_VERSION`.
    pub version: u32,
    /// Whose result this is.
    pub identity: TrialIdentity,
    /// What came out.
    pub outcome: TrialOutcome,
}

/// What came out of a trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(
    rename_all = "camelCase",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
pub enum TrialOutcome {
    /// It was trained and validated.
    Succeeded(Box<TrialMeasurements>),
    /// It failed.
    Failed {
        /// Why.
        reason: FailureReason,
        /// One sentence for a person, at most `limits::MESSAGE` characters.
        message: String,
    },
}

/// Why a result document is rejected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResultError {
    /// There is none.
    #[error("the result is empty")]
    Empty,
    /// It is too large.
    #[error("the result has {0} bytes; at most {RESULT_MAX_BYTES} are read")]
    TooLarge(usize),
    /// It is not the JSON document that it should be.
    #[error("the result is not a valid document: {0}")]
    Malformed(String),
    /// It belongs to another trial, or was made by another version.
    #[error("the result's {field} is {found}, expected {expected}")]
    Mismatch {
        /// The field.
        field: &'static str,
        /// What it says.
        found: String,
        /// What it should say.
        expected: String,
    },
    /// A value is impossible.
    #[error("the result's {field} is {found}, which is impossible")]
    Impossible {
        /// The field.
        field: &'static str,
        /// What it says.
        found: String,
    },
    /// The trainer was terminated (SIGTERM) during the trial.
    #[error("{0}")]
    Terminated(String),
    /// A run's document has no outcome for one of its trials.
    #[error("the result has no outcome for trial {trial}")]
    Missing {
        /// The trial.
        trial: u32,
    },
}

/// Reads a result document and checks it against the request.
///
/// Numbers are finite (JSON has no NaN, and 1e400 is refused), the score lies in its metric's
/// range, and the identity is the expected one.
pub fn parse_result(
    bytes: &[u8],
    expected: &TrialIdentity,
    metric: Metric,
) -> Result<TrialResult, ResultError> {
    let result: TrialResult = read_document(bytes)?;
    let (found, version) = (result.version.to_string(), RESULT_VERSION.to_string());
    same("version", found, version)?;
    check_identity(&result.identity, expected)?;
    check_outcome(&result.outcome, metric)?;
    Ok(result)
}

/// Compares the identity in a result with the expected one.
pub(crate) fn check_identity(
    found: &TrialIdentity,
    expected: &TrialIdentity,
) -> Result<(), ResultError> {
    let TrialIdentity {
        search_uid,
        trial,
        attempt,
        configuration_hash,
    } = expected;
    same("searchUid", found.search_uid.clone(), search_uid.clone())?;
    same("trial", found.trial.to_string(), trial.to_string())?;
    same("attempt", found.attempt.to_string(), attempt.to_string())?;
    same(
        "configurationHash",
        found.configuration_hash.clone(),
        configuration_hash.clone(),
    )
}

/// Checks the outcome of a trial whose score is `metric`.
pub(crate) fn check_outcome(outcome: &TrialOutcome, metric: Metric) -> Result<(), ResultError> {
    match outcome {
        TrialOutcome::Succeeded(measured) => check_measurements(measured, metric),
        TrialOutcome::Failed { message, .. } if message.chars().count() > limits::MESSAGE => {
            Err(ResultError::Impossible {
                field: "message",
                found: format!("{} characters long", message.chars().count()),
            })
        }
        TrialOutcome::Failed {
            reason: FailureReason::Lost,
            message,
        } => Err(ResultError::Terminated(message.clone())),
        TrialOutcome::Failed { .. } => Ok(()),
    }
}

/// Reads a document of the trainer, of bounded size.
pub(crate) fn read_document<T: serde::de::DeserializeOwned>(
    bytes: &[u8],
) -> Result<T, ResultError> {
    if bytes.is_empty() {
        return Err(ResultError::Empty);
    }
    if bytes.len() > RESULT_MAX_BYTES {
        return Err(ResultError::TooLarge(bytes.len()));
    }
    serde_json::from_slice(bytes).map_err(|error| ResultError::Malformed(error.to_string()))
}

/// Compares a field of a document with its expected value.
pub(crate) fn same(
    field: &'static str,
    found: String,
    expected: String,
) -> Result<(), ResultError> {
    if found == expected {
        Ok(())
    } else {
        Err(ResultError::Mismatch {
            field,
            found: found.chars().take(80).collect(),
            expected,
        })
    }
}

/// Checks that a score is in the range of its metric.
pub(crate) fn check_score(
    field: &'static str,
    score: f64,
    metric: Metric,
) -> Result<(), ResultError> {
    // Rounding may carry a correlation just past 1.
    const ROUNDING: f64 = 1e-9;
    let (least, most) = metric.range().into_inner();
    if (least - ROUNDING..=most + ROUNDING).contains(&score) {
        Ok(())
    } else {
        let found = score.to_string();
        Err(ResultError::Impossible { field, found })
    }
}

fn check_measurements(measured: &TrialMeasurements, metric: Metric) -> Result<(), ResultError> {
    if measured.metric != metric {
        return Err(ResultError::Mismatch {
            field: "metric",
            found: measured.metric.label().into(),
            expected: metric.label().into(),
        });
    }
    check_score("score", measured.score, metric)?;
    if let Some(selection) = measured.selection_score {
        check_score("selectionScore", selection, metric)?;
    }
    let impossible = |field, found: String| Err(ResultError::Impossible { field, found });
    for (field, seconds) in [
        ("trainSeconds", measured.train_seconds),
        ("totalSeconds", measured.total_seconds),
    ] {
        if !seconds.is_finite() || seconds < 0.0 {
            return impossible(field, seconds.to_string());
        }
    }
    // Only a training of which no epoch was finite has no best one.
    let has_epoch = measured.best_epoch > 0 || measured.stopped_early == Some(EarlyStop::NotFinite);
    if !has_epoch || measured.validation_examples == 0 {
        return impossible("bestEpoch or validationExamples", "0".into());
    }
    Ok(())
}
