//! What is trained in full after the search.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::decimal::Decimal;
use crate::limits;
use crate::methods::BaselineName;
use crate::spec::FidelitySpec;

/// Training in full after the search, over several seeds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PromotionSpec {
    /// Which configurations of the search.
    pub candidates: PromotionCandidates,
    /// At most so many configurations of the front, both ends among them.
    #[schemars(range(min = limits::PROMOTED_CONFIGURATIONS.least, max = limits::PROMOTED_CONFIGURATIONS.most))]
    pub max_configurations: u32,
    /// Budgets of trainable parameters, in percent of the backbone's: a configuration is recommended within each. By
    /// default those of 0.1, 1, 10 and 100 that make a difference.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = limits::BUDGETS), extend("x-kubernetes-list-type" = "set"))]
    pub budgets: Vec<Decimal>,
    /// Further trials of the search, by number.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = limits::PROMOTED_CONFIGURATIONS.most), extend("x-kubernetes-list-type" = "set"))]
    pub trials: Vec<u32>,
    /// Baselines that are trained in the same way.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = BaselineName::COUNT), extend("x-kubernetes-list-type" = "set"))]
    pub baselines: Vec<BaselineName>,
    /// The number of trainings of each, with the seeds that follow `spec.training.seed`.
    #[schemars(range(min = limits::PROMOTION_SEEDS.least, max = limits::PROMOTION_SEEDS.most))]
    pub seeds: u32,
    /// Passes over the whole training set.
    #[schemars(range(min = limits::EPOCHS.least, max = limits::EPOCHS.most))]
    pub epochs: u32,
    /// Stop after this many epochs without a better score; by default `spec.training.patience`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = limits::PATIENCE.least, max = limits::PATIENCE.most))]
    pub patience: Option<u32>,
    /// The peak learning rate; by default `spec.training.learningRate`. A baseline with a learning rate or a recipe of its
    /// own keeps it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub learning_rate: Option<Decimal>,
    /// A training is stopped after this many seconds; by default `spec.trialDeadlineSeconds`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = limits::DEADLINE_SECONDS.least, max = limits::DEADLINE_SECONDS.most))]
    pub trial_deadline_seconds: Option<u64>,
    /// Where scores come from; by default from the validation examples, which also choose the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evaluation: Option<EvaluationSpec>,
}

impl PromotionSpec {
    /// How much training: all epochs, on all examples.
    pub fn fidelity(&self) -> FidelitySpec {
        FidelitySpec {
            epochs: self.epochs,
            ..FidelitySpec::default()
        }
    }
}

/// Examples that give the score and take no part in training, not even in the choice of the epoch: `testFile` or
/// `selectionPercent`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct EvaluationSpec {
    /// A file with labels in the form of the task's validation file, relative to the task's source: all of its examples
    /// give the score. The validation examples choose the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = limits::TEST_FILE.least, max = limits::TEST_FILE.most))]
    pub test_file: Option<String>,
    /// So much of the training examples, in percent, is kept to choose the epoch, drawn anew for each seed; the rest is
    /// trained on. The validation examples give the score.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = limits::SELECTION_PERCENT.least, max = limits::SELECTION_PERCENT.most))]
    pub selection_percent: Option<u32>,
}

/// Which configurations of the search are promoted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PromotionCandidates {
    /// The front.
    #[default]
    Front,
    /// The best of the front within each of `budgets`.
    BestWithinBudgets,
    /// Only those that `trials` names.
    NamedTrials,
}

impl Default for PromotionSpec {
    fn default() -> Self {
        Self {
            candidates: PromotionCandidates::default(),
            max_configurations: 16,
            budgets: Vec::new(),
            trials: Vec::new(),
            baselines: Vec::new(),
            seeds: 5,
            epochs: 20,
            patience: None,
            learning_rate: None,
            trial_deadline_seconds: None,
            evaluation: None,
        }
    }
}
