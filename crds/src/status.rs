//! `PeftSearchStatus`: what the search has done and found. The ledger is the state of the search: one entry
//! per trial, whose recorded result never changes.

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::configuration::{LayerMask, PeftConfiguration};
use crate::decimal::Decimal;
use crate::ledger_lines;
use crate::limits;
use crate::methods::BaselineName;
use crate::metrics::MetricValues;
use crate::other_fields::OtherFields;
use crate::promoted::PROMOTED;
pub use crate::promoted::{PromotedResult, RankCorrelation, Recommendation, SeedScore};
use crate::spec::EarlyStop;
pub use crate::terms::TrialTerms;
pub use crate::transferred::{TransferResult, TransferScore};
use crate::trial::{FailureReason, Inspection};

/// The most entries of a ledger: the search's trials and their retries, the baselines, promotions and transfers.
pub(crate) const LEDGER: u64 = limits::TRIALS.most
    + limits::RETRIED_TRIALS.most
    + BaselineName::COUNT as u64
    + limits::FOLLOW_UPS.most;

/// The reason of the condition Succeeded that stands until an operator has written a status.
pub const UNSEEN: &str = "WaitingForOperator";

/// What the search has done and found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "!has(oldSelf.ledgerEntries) || (has(self.ledgerEntries) && self.ledgerEntries >= oldSelf.ledgerEntries)",
    "message": "the ledger never shrinks"
}]))]
pub struct PeftSearchStatus {
    /// The generation of the spec that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Succeeded` summarises the search; `SpecValid`, `Progressing`, `Suspended`, `SurrogateHealthy` and
    /// `Degraded` give the details.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// When the search began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,
    /// Facts about the model and the data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inspection: Option<Inspection>,
    /// Trials by state.
    #[serde(default)]
    pub trials: TrialCounts,
    /// The best score so far, six significant digits; the ledger has the exact value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best_score: Option<Decimal>,
    /// The number of configurations on the Pareto front.
    #[serde(default)]
    pub front_size: u32,
    /// The Pareto front, fewest parameters first; at most 64 points, spread over the front.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = limits::FRONT))]
    pub pareto_front: Vec<FrontMember>,
    /// The hypervolume of the front against the reference point: score times log10(1 + parameters), six
    /// significant digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hypervolume: Option<Decimal>,
    /// The reference point of the hypervolume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference_point: Option<ReferencePoint>,
    /// The baselines that have been trained.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = BaselineName::COUNT), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub baselines: Vec<BaselineResult>,
    /// What has been trained in full (`spec.promotion`), fewest parameters first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = PROMOTED))]
    pub promoted: Vec<PromotedResult>,
    /// How well scores of the search rank configurations as training in full does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rank_correlation: Option<RankCorrelation>,
    /// The configuration to take within each budget: the one with the fewest parameters whose mean score is within one
    /// standard error of the best mean.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = limits::BUDGETS))]
    pub recommended: Vec<Recommendation>,
    /// What has been trained on other tasks (`spec.transfer`), a row for each task.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = limits::TRANSFER_TASKS.most))]
    pub transfer: Vec<TransferResult>,
    /// GPU seconds that all attempts of all trials have used, baselines included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu_seconds_used: Option<Decimal>,
    /// Where adapters are stored: the claim, and the folder on it with one subfolder per trial.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub artifacts: Option<String>,
    /// The latest fit of the surrogate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub surrogate: Option<SurrogateStatus>,
    /// The number of entries of the ledger. It never falls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ledger_entries: Option<u32>,
    /// One entry per trial, in the order of planning, as text: JSON, whose fields are in docs/manifest.md.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "ledger_lines")]
    #[schemars(schema_with = "ledger_lines::schema", length(max = LEDGER))]
    pub ledger: Vec<LedgerEntry>,
    /// Unknown fields, written by another version and preserved.
    #[serde(flatten)]
    #[schemars(skip)]
    pub other: OtherFields,
}

/// Trials by state. Baselines are not counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TrialCounts {
    /// Finished trials of all, such as `37/200`.
    #[serde(default)]
    pub progress: String,
    /// Trials that are planned or running.
    #[serde(default)]
    pub running: u32,
    /// Trials with a score.
    #[serde(default)]
    pub succeeded: u32,
    /// Trials whose configuration cannot be trained.
    #[serde(default)]
    pub infeasible: u32,
    /// Trials that failed after all retries.
    #[serde(default)]
    pub failed: u32,
}

/// How the configuration of a trial was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TrialOrigin {
    /// Drawn by the initial design.
    Initial,
    /// The maximum of the acquisition function.
    Bayesian,
    /// Drawn at random: the surrogate could not be fitted, or expects no configuration to improve the front.
    Random,
    /// A baseline, named in `baseline`.
    Baseline,
    /// Another trial's configuration (`ofTrial`), trained in full.
    Promotion,
    /// Another trial's configuration (`ofTrial`), trained on another task.
    Transfer,
}

/// What a trial is trained for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TrialPurpose {
    /// To find good configurations: what the surrogate learns from and the front is made of.
    Search,
    /// To compare the search with a known method.
    Baseline,
    /// To train a configuration in full that the search has found.
    Promotion,
    /// To train such a configuration on another task.
    Transfer,
}

impl TrialPurpose {
    /// As reports write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Search => "Search",
            Self::Baseline => "Baseline",
            Self::Promotion => "Promotion",
            Self::Transfer => "Transfer",
        }
    }
}

impl TrialOrigin {
    /// As statuses and journals write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Initial => "Initial",
            Self::Bayesian => "Bayesian",
            Self::Random => "Random",
            Self::Baseline => "Baseline",
            Self::Promotion => "Promotion",
            Self::Transfer => "Transfer",
        }
    }

    /// What a trial of this origin is trained for.
    pub fn purpose(self) -> TrialPurpose {
        match self {
            Self::Initial | Self::Bayesian | Self::Random => TrialPurpose::Search,
            Self::Baseline => TrialPurpose::Baseline,
            Self::Promotion => TrialPurpose::Promotion,
            Self::Transfer => TrialPurpose::Transfer,
        }
    }
}

/// One attempt at a trial.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Attempt {
    /// The trial.
    pub trial: u32,
    /// The attempt's number, from 1.
    pub attempt: u32,
}

/// The state of a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum TrialState {
    /// Recorded in the ledger; its process or Job may or may not exist.
    Planned,
    /// It has a score.
    Succeeded,
    /// Its configuration cannot be trained (out of memory, not finite): an observation for the surrogate.
    Infeasible,
    /// Failed after all retries; the surrogate never sees it.
    Failed,
}

impl TrialState {
    /// Whether the trial has its result.
    pub fn is_final(self) -> bool {
        self != Self::Planned
    }
}

/// One trial, compactly.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LedgerEntry {
    /// The trial's number, from 0.
    pub trial: u32,
    /// What was trained, in canonical form.
    pub configuration: PeftConfiguration,
    /// How the configuration was chosen.
    pub origin: TrialOrigin,
    /// Which baseline, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<BaselineName>,
    /// The trial of the search whose configuration this is, of a promotion, a transfer or a trial that is tried
    /// again (`retryTrials`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of_trial: Option<u32>,
    /// The trial's deviations from the spec.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms: Option<Box<TrialTerms>>,
    /// The trial's state.
    pub state: TrialState,
    /// The attempt's number, from 1.
    pub attempt: u32,
    /// The run of the current attempt, by its first trial and that trial's attempt. Left out where the
    /// attempt is a run of its own or the first of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<Attempt>,
    /// The UID of the current attempt's Job, in a cluster: no other Job's result is read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub job_uid: Option<String>,
    /// Attempts that failed because of the infrastructure; they count against `maxRetries`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub failed_attempts: u32,
    /// The hash of the suggestion's inputs.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 64))]
    pub inputs_hash: String,
    /// The logarithm of the acquisition value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acquisition: Option<Decimal>,
    /// The score that the surrogate predicted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicted_mean: Option<Decimal>,
    /// The standard deviation of that prediction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicted_deviation: Option<Decimal>,
    /// The exact cost: trainable parameters, head left out.
    pub parameters: u64,
    /// The score.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<Decimal>,
    /// The score that chose the epoch, where other examples than those of `score` did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selection_score: Option<Decimal>,
    /// The other validation metrics that fit the task, by name, at the epoch of the score.
    #[serde(default, skip_serializing_if = "MetricValues::is_empty")]
    pub metrics: MetricValues,
    /// The epoch of the score, from 1; 0 for the model before training.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best_epoch: Option<u32>,
    /// The layers that the method has chosen, where it chooses; `parameters` is then their cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selected_layers: Option<LayerMask>,
    /// Which condition of `training.earlyStopping` has stopped the training, where one has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped_early: Option<EarlyStop>,
    /// Parameters that were trained, head and reparametrisation included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trained_parameters: Option<u64>,
    /// Parameters that an adapter adds at inference, biases included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployed_parameters: Option<u64>,
    /// Seconds of training and validation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train_seconds: Option<Decimal>,
    /// GPU seconds that its attempts have used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu_seconds: Option<Decimal>,
    /// The trainer's peak memory, bytes, without GPU memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_memory_bytes: Option<u64>,
    /// Validation examples behind the score.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_examples: Option<u64>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<FailureReason>,
    /// Why it failed, in one sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::MESSAGE))]
    pub message: Option<String>,
    /// When it was planned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned_at: Option<Time>,
    /// When its result was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    /// Unknown fields, written by another version and preserved.
    #[serde(flatten)]
    #[schemars(skip)]
    pub other: OtherFields,
}

impl LedgerEntry {
    /// What the trial is trained for.
    pub fn purpose(&self) -> TrialPurpose {
        self.origin.purpose()
    }

    /// The trial of the search that this one tries again (`retryTrials`), where it does.
    pub fn retries(&self) -> Option<u32> {
        self.of_trial
            .filter(|_| self.purpose() == TrialPurpose::Search)
    }

    /// Whether a limit of the spec that may be raised has ended this trial of the search.
    pub fn may_be_retried(&self) -> bool {
        self.purpose() == TrialPurpose::Search && self.was_ended_by_a_limit()
    }

    /// Whether a limit of the spec that may be raised has ended the trial.
    pub fn was_ended_by_a_limit(&self) -> bool {
        use FailureReason::{DeadlineExceeded, OutOfMemory};
        self.state == TrialState::Infeasible
            && matches!(self.reason, Some(OutOfMemory | DeadlineExceeded))
    }

    /// Whether `retryTrials` tries it again: a limit has ended it, or the data of another task, which may be mended.
    pub fn may_be_named_again(&self) -> bool {
        let is_moved = self.purpose() == TrialPurpose::Transfer;
        self.was_ended_by_a_limit() || (is_moved && self.reason == Some(FailureReason::BadInput))
    }

    /// The current attempt, or the one that ended the trial.
    pub fn current_attempt(&self) -> Attempt {
        Attempt {
            trial: self.trial,
            attempt: self.attempt,
        }
    }

    /// The configuration with the layers that the method has chosen.
    pub fn trained_configuration(&self) -> PeftConfiguration {
        let configuration = self.configuration.clone();
        match &self.selected_layers {
            Some(layers) => configuration.with_layers(layers.clone()),
            None => configuration,
        }
    }

    /// The run of the current attempt.
    pub fn run_id(&self) -> Attempt {
        self.run.unwrap_or(self.current_attempt())
    }
}

/// The trials of purpose `Search`, each configuration once: one that was planned again stands for the trial that it
/// tries again.
pub fn search_trials(ledger: &[LedgerEntry]) -> impl Iterator<Item = &LedgerEntry> {
    let retried: BTreeSet<u32> = ledger.iter().filter_map(LedgerEntry::retries).collect();
    ledger.iter().filter(move |entry| {
        entry.purpose() == TrialPurpose::Search && !retried.contains(&entry.trial)
    })
}

/// One configuration of the Pareto front.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FrontMember {
    /// The trial that measured it.
    pub trial: u32,
    /// The configuration.
    pub configuration: PeftConfiguration,
    /// Its score.
    pub score: Decimal,
    /// The other validation metrics, by name.
    #[serde(default, skip_serializing_if = "MetricValues::is_empty")]
    pub metrics: MetricValues,
    /// Trainable parameters, head left out.
    pub parameters: u64,
    /// The same in percent of the backbone's.
    pub parameters_percent: Decimal,
}

/// The reference point of the hypervolume.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReferencePoint {
    /// Its score.
    pub score: Decimal,
    /// Its trainable parameters, in percent of the backbone's.
    pub parameters_percent: Decimal,
    /// The number of trials, from the first on, that it was inferred from; absent where the spec gives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inferred_from_trials: Option<u32>,
}

/// A baseline's result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BaselineResult {
    /// Which baseline.
    pub name: BaselineName,
    /// The trial that measured it.
    pub trial: u32,
    /// Its score.
    pub score: Decimal,
    /// The other validation metrics, by name.
    #[serde(default, skip_serializing_if = "MetricValues::is_empty")]
    pub metrics: MetricValues,
    /// Trainable parameters, head left out.
    pub parameters: u64,
    /// The same in percent of the backbone's.
    pub parameters_percent: Decimal,
}

/// The latest fit of the surrogate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SurrogateStatus {
    /// `Nuts`, or the fallback: `Map` or `None`.
    pub method: String,
    /// Why a better method failed, or why the suggestion is not the acquisition function's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::MESSAGE))]
    pub reason: Option<String>,
    /// Divergent transitions.
    pub divergences: u32,
    /// The largest split R-hat over the hyperparameters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_r_hat: Option<Decimal>,
    /// The smallest effective sample size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_effective_samples: Option<Decimal>,
    /// The relevance of each dimension: its inverse lengthscale, the median over the samples.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = limits::LAYERS.most + limits::DIMENSIONS.most))]
    pub relevance: Vec<DimensionRelevance>,
}

/// The relevance of one dimension.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DimensionRelevance {
    /// `layer 0`, `layer 1`, …, `serialAdapter`, `parallelAdapter`, `prefix`.
    pub dimension: String,
    /// The inverse lengthscale.
    pub value: Decimal,
}

fn is_zero(count: &u32) -> bool {
    *count == 0
}
