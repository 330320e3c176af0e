//! The events of a search, as a journal keeps them. No I/O, no clock.

use autopeft_crds::PeftSearchSpec;
use autopeft_crds::metrics::MetricValues;
use autopeft_crds::spec::{BaselineName, EarlyStop};
use autopeft_crds::status::{Attempt, SurrogateStatus, TrialOrigin, TrialTerms};
use autopeft_crds::trial::{FailureClass, FailureReason, TrialMeasurements};
use autopeft_crds::{Decimal, LayerMask, PeftConfiguration};
use serde::{Deserialize, Serialize};

/// One thing that happened in a search.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(
    rename_all = "camelCase",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
pub enum Event {
    /// A trial was decided on.
    Planned(Box<Planned>),
    /// The current attempt of a trial becomes part of another trial's run, after that run's trials.
    Joined {
        /// The trial.
        trial: u32,
        /// The current attempt.
        attempt: u32,
        /// The run, by its first trial and that trial's current attempt.
        run: Attempt,
    },
    /// A run is about to be started, with all trials that have joined it; its process may or may not exist.
    Started {
        /// The run's first trial.
        trial: u32,
        /// That trial's attempt, from 1.
        attempt: u32,
    },
    /// An attempt ended without a result, and another follows.
    Retried {
        /// The trial.
        trial: u32,
        /// The next attempt.
        attempt: u32,
        /// Why the one before had no result.
        cause: RetryCause,
        /// GPU seconds that the one before used, where they are known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        gpu_seconds: Option<Decimal>,
    },
    /// A trial's result: the last event of a trial.
    Recorded {
        /// The trial.
        trial: u32,
        /// The attempt that ended it.
        attempt: u32,
        /// Its result.
        outcome: Recorded,
        /// GPU seconds that this attempt used, where they are known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        gpu_seconds: Option<Decimal>,
    },
    /// After bad input, the model and the data were inspected again and are valid.
    Reopened,
    /// The user changed fields of the spec that do not touch past decisions.
    SpecChanged(Box<PeftSearchSpec>),
    /// The search ended.
    Concluded(Conclusion),
}

/// A trial's plan, recorded before its process exists.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Planned {
    /// The trial's number, from 0.
    pub trial: u32,
    /// What to train, in canonical form.
    pub configuration: PeftConfiguration,
    /// The exact cost.
    pub parameters: u64,
    /// How it was chosen.
    pub origin: TrialOrigin,
    /// Which baseline, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<BaselineName>,
    /// The trial of the search whose configuration this is, of a promotion, a transfer or a trial that is tried
    /// again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of_trial: Option<u32>,
    /// The trial's deviations from the spec.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms: Option<Box<TrialTerms>>,
    /// The number of events when the suggestion was started: what it was computed from.
    pub basis: u64,
    /// The engine's hash of its inputs.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub inputs_hash: String,
    /// The logarithm of the acquisition value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acquisition: Option<Decimal>,
    /// The score that the surrogate predicts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicted_mean: Option<Decimal>,
    /// The standard deviation of that prediction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicted_deviation: Option<Decimal>,
    /// The fit behind the suggestion, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub surrogate: Option<SurrogateStatus>,
}

/// Why an attempt ended without a result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(
    rename_all = "camelCase",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
pub enum RetryCause {
    /// The attempt was interrupted (evicted, or stopped with the operator); this costs no retry.
    Interrupted,
    /// It failed. A failure of the infrastructure costs a retry; if the model or the data cannot be used
    /// (`FailureClass::Fatal`), the search ends, and the next attempt waits until the search is reopened.
    Failed {
        /// How.
        reason: FailureReason,
        /// In one sentence.
        message: String,
    },
}

/// A trial's result, as the ledger keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(
    rename_all = "camelCase",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
pub enum Recorded {
    /// It has a score.
    Succeeded {
        /// The score.
        score: Decimal,
        /// The score that chose the epoch, where other examples did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        selection_score: Option<Decimal>,
        /// The other validation metrics at that epoch.
        #[serde(default, skip_serializing_if = "MetricValues::is_empty")]
        metrics: MetricValues,
        /// The epoch of the score, from 1; 0 for the model before training.
        best_epoch: u32,
        /// The layers that the method has chosen, where it chooses.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        selected_layers: Option<LayerMask>,
        /// Which condition of `earlyStopping` has stopped the training.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stopped_early: Option<EarlyStop>,
        /// Parameters that were trained, head included.
        trained_parameters: u64,
        /// Parameters that an adapter adds at inference.
        deployed_parameters: u64,
        /// Seconds of training and validation.
        train_seconds: Decimal,
        /// Peak memory, bytes.
        peak_memory_bytes: u64,
        /// Validation examples behind the score.
        validation_examples: u64,
    },
    /// Its configuration cannot be trained.
    Infeasible {
        /// Why.
        reason: FailureReason,
        /// In one sentence.
        message: String,
    },
    /// It failed after all retries.
    Failed {
        /// Why.
        reason: FailureReason,
        /// In one sentence.
        message: String,
    },
}

impl RetryCause {
    /// Whether it counts against `maxRetries`.
    pub fn costs_a_retry(&self) -> bool {
        match self {
            Self::Interrupted => false,
            Self::Failed { reason, message: _ } => reason.class() != FailureClass::Fatal,
        }
    }
}

impl Recorded {
    /// The result of a trial that succeeded. `None` where a number is not finite, which
    /// `parse_result` excludes.
    pub fn from_measurements(measured: &TrialMeasurements) -> Option<Self> {
        let metrics = measured.metrics_of_the_score();
        let metrics = metrics.map(|metrics| MetricValues::beside(measured.metric, metrics));
        let selection = measured.selection_score.map(Decimal::new);
        Some(Self::Succeeded {
            score: Decimal::new(measured.score).ok()?,
            selection_score: selection.transpose().ok()?,
            metrics: metrics.unwrap_or_default(),
            best_epoch: measured.best_epoch,
            selected_layers: measured.selected_layers.clone(),
            stopped_early: measured.stopped_early,
            trained_parameters: measured.trained_parameters,
            deployed_parameters: measured.deployed_parameters,
            train_seconds: Decimal::new(measured.train_seconds).ok()?,
            peak_memory_bytes: measured.peak_memory_bytes,
            validation_examples: measured.validation_examples,
        })
    }
}

/// How a search ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Conclusion {
    /// Why.
    pub reason: ConclusionReason,
    /// Whether the search has a front.
    pub succeeded: bool,
    /// In one sentence.
    pub message: String,
}

/// Why a search ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConclusionReason {
    /// Every trial of the budget has its result.
    MaxTrialsReached,
    /// The hypervolume no longer grows.
    Converged,
    /// Every configuration of the space has been planned.
    SpaceExhausted,
    /// `activeDeadlineSeconds` have passed.
    DeadlineExceeded,
    /// `maxGpuSeconds` are used.
    MaxGpuSecondsReached,
    /// The object can hold no more trials.
    StatusFull,
    /// More than `maxFailedTrials` trials have failed.
    TooManyFailedTrials,
    /// The model or the data cannot be used. Only this end can be revoked without a change of the spec, by
    /// `Event::Reopened`.
    BadInput,
    /// All trials are done and none has a score.
    NoTrialSucceeded,
}

impl ConclusionReason {
    /// The reason of the condition Succeeded, as statuses and journals write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MaxTrialsReached => "MaxTrialsReached",
            Self::Converged => "Converged",
            Self::SpaceExhausted => "SpaceExhausted",
            Self::DeadlineExceeded => "DeadlineExceeded",
            Self::MaxGpuSecondsReached => "MaxGpuSecondsReached",
            Self::StatusFull => "StatusFull",
            Self::TooManyFailedTrials => "TooManyFailedTrials",
            Self::BadInput => "BadInput",
            Self::NoTrialSucceeded => "NoTrialSucceeded",
        }
    }
}
