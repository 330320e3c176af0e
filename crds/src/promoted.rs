//! What training in full found (`spec.promotion`), as a status has it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::configuration::PeftConfiguration;
use crate::decimal::Decimal;
use crate::limits;
use crate::methods::BaselineName;

/// The most configurations and baselines that are trained in full.
pub(crate) const PROMOTED: u64 =
    2 * limits::PROMOTED_CONFIGURATIONS.most + BaselineName::COUNT as u64;

/// A configuration or a baseline that is trained in full.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PromotedResult {
    /// The trial of the search whose configuration it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<u32>,
    /// Which baseline, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<BaselineName>,
    /// The configuration; of a method that chooses its layers, that of the seed with the best score.
    pub configuration: PeftConfiguration,
    /// Trainable parameters, head left out; of a method that chooses its layers, the most of any seed.
    pub parameters: u64,
    /// The same in percent of the backbone's.
    pub parameters_percent: Decimal,
    /// The fewest of any seed, where they differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fewest_parameters: Option<u64>,
    /// The score in the search.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search_score: Option<Decimal>,
    /// The mean score over its seeds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean: Option<Decimal>,
    /// The standard deviation of its scores, of two or more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standard_deviation: Option<Decimal>,
    /// Seconds of training and validation, the mean over its seeds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train_seconds: Option<Decimal>,
    /// Trainings that have ended of all, such as `3/5`.
    pub progress: String,
    /// The trainings with a score, one per seed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = limits::PROMOTION_SEEDS.most))]
    pub seeds: Vec<SeedScore>,
}

/// The score of a training in full.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SeedScore {
    /// The seed.
    pub seed: u64,
    /// The trial of the ledger.
    pub trial: u32,
    /// The score.
    pub score: Decimal,
    /// The score that chose the epoch, where other examples did (`spec.promotion.evaluation`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selection_score: Option<Decimal>,
}

/// Kendall's rank correlation between the scores of the search and the mean scores of training in full.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RankCorrelation {
    /// The number of configurations; baselines are not among them.
    pub configurations: u32,
    /// τ-b, from -1 to 1.
    pub kendall_tau: Decimal,
    /// The lower end of its 95 % confidence interval; none for fewer than five configurations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lower: Option<Decimal>,
    /// The upper end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upper: Option<Decimal>,
}

/// The configuration to take within a budget.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Recommendation {
    /// The budget: trainable parameters in percent of the backbone's.
    pub budget: Decimal,
    /// The trial of the search whose configuration it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<u32>,
    /// Which baseline, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<BaselineName>,
    /// Trainable parameters, head left out.
    pub parameters: u64,
    /// The same in percent of the backbone's.
    pub parameters_percent: Decimal,
    /// The mean score over its seeds.
    pub mean: Decimal,
    /// The best mean score within the budget.
    pub best_mean: Decimal,
    /// The standard error of the best mean; none for a single seed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standard_error: Option<Decimal>,
    /// The training with its best score: its adapter is the one to take.
    pub best_trial: u32,
}
