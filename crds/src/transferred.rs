//! What training on other tasks found (`spec.transfer`), as a status has it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::decimal::Decimal;
use crate::limits;
use crate::methods::BaselineName;
use crate::promoted::{PROMOTED, SeedScore};
use crate::tasks::Metric;

/// What was trained on another task: a row of the matrix of tasks, and configurations and baselines.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TransferResult {
    /// The task's name in `spec.transfer`.
    #[schemars(length(max = limits::TRANSFER_NAME.most))]
    pub task: String,
    /// The metric that is its score.
    pub metric: Metric,
    /// Each configuration and baseline, fewest parameters first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = PROMOTED))]
    pub results: Vec<TransferScore>,
}

/// A configuration or a baseline on another task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TransferScore {
    /// The trial of the search whose configuration it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<u32>,
    /// Which baseline, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<BaselineName>,
    /// Trainable parameters, head left out; of a method that chooses its layers, the most of any seed.
    pub parameters: u64,
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
