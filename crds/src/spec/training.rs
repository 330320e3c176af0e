//! How a trial is trained.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::defaults;
use crate::decimal::Decimal;
use crate::limits;

/// How much training a search trial gets. The learning-rate schedule always runs to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct FidelitySpec {
    /// Passes over the training set.
    #[schemars(range(min = limits::EPOCHS.least, max = limits::EPOCHS.most))]
    pub epochs: u32,
    /// The share of the steps that is run, in percent.
    #[schemars(range(min = limits::STEPS_PERCENT.least, max = limits::STEPS_PERCENT.most))]
    pub steps_percent: u32,
    /// Train on a sample of this many examples, the same one for every trial.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = limits::EXAMPLES.least, max = limits::EXAMPLES.most))]
    pub train_examples: Option<u32>,
    /// Validate on a sample of this many examples, the same one for every trial.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = limits::EXAMPLES.least, max = limits::EXAMPLES.most))]
    pub validation_examples: Option<u32>,
}

/// The training recipe (paper, section 4; AdamW with linear decay and gradient clipping at 1).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct TrainingSpec {
    /// The peak learning rate.
    pub learning_rate: Decimal,
    /// Examples per step.
    #[schemars(range(min = limits::BATCH_SIZE.least, max = limits::BATCH_SIZE.most))]
    pub batch_size: u32,
    /// Tokens per example, special tokens included; longer examples are truncated, the longest text first.
    #[schemars(range(min = limits::TOKENS.least, max = limits::TOKENS.most))]
    pub max_length: u32,
    /// Pad to the longest example of a batch, or to `maxLength` as the paper's authors did.
    pub padding: Padding,
    /// Weight decay of AdamW; biases and layer norms are exempt.
    pub weight_decay: Decimal,
    /// The warm-up of the learning rate, in percent of the steps.
    #[schemars(range(min = limits::WARMUP_PERCENT.least, max = limits::WARMUP_PERCENT.most))]
    pub warmup_percent: u32,
    /// Number format of the frozen weights.
    pub precision: Precision,
    /// Stop after this many epochs without a better score.
    #[schemars(range(min = limits::PATIENCE.least, max = limits::PATIENCE.most))]
    pub patience: u32,
    /// Further conditions that stop a training. By default there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub early_stopping: Option<EarlyStoppingSpec>,
    /// Seed of initialisation, data order and dropout, each with a random stream of its own.
    #[schemars(range(min = limits::SEED.least, max = limits::SEED.most))]
    pub seed: u64,
}

/// Conditions that stop a training early. A trial that one of them has stopped has a score, and its ledger entry says
/// which one it was (`stoppedEarly`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EarlyStoppingSpec {
    /// Stop a model that predicts the same for every validation example.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub constant_prediction: Option<ConstantPredictionSpec>,
    /// Where the loss or a prediction is NaN or infinite, stop and take the best epoch before; where none has ended,
    /// the model as it was before training. By default such a trial is infeasible.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub not_finite: bool,
}

/// When a constant predictor is stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConstantPredictionSpec {
    /// After this many epochs in succession with constant predictions.
    #[schemars(range(min = limits::EPOCHS.least, max = limits::EPOCHS.most))]
    pub after_epochs: u32,
}

/// Which condition of `earlyStopping` has stopped a training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum EarlyStop {
    /// The model predicted the same for every validation example.
    ConstantPrediction,
    /// The loss or a prediction was NaN or infinite.
    NotFinite,
}

impl EarlyStop {
    /// As statuses, journals and results write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ConstantPrediction => "ConstantPrediction",
            Self::NotFinite => "NotFinite",
        }
    }
}

/// How batches are padded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Padding {
    /// To the longest example of the batch; examples of similar length are batched together.
    #[default]
    Longest,
    /// To `maxLength`.
    MaxLength,
}

/// Number format of the frozen weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Precision {
    /// BFloat16 on a GPU, Float32 on the CPU.
    #[default]
    Auto,
    /// 32-bit floats.
    Float32,
    /// 16-bit brain floats; trained parameters and the optimiser stay in 32 bits.
    BFloat16,
}

impl FidelitySpec {
    /// The training examples, of so many that there are.
    pub fn trained_on(&self, all: u64) -> u64 {
        sample(self.train_examples, all)
    }

    /// The validation examples, of so many that there are.
    pub fn validated_on(&self, all: u64) -> u64 {
        sample(self.validation_examples, all)
    }

    /// The optimiser steps: that share of the steps of all its epochs, rounded up, at least one. `examples` are those
    /// that it trains on.
    pub fn steps(&self, examples: u64, batch_size: u64) -> u64 {
        let all = examples.div_ceil(batch_size.max(1)) * u64::from(self.epochs);
        (all * u64::from(self.steps_percent)).div_ceil(100).max(1)
    }
}

fn sample(wanted: Option<u32>, all: u64) -> u64 {
    wanted.map_or(all, |most| all.min(most.into()))
}

impl Default for FidelitySpec {
    fn default() -> Self {
        Self {
            epochs: 1,
            steps_percent: 100,
            train_examples: None,
            validation_examples: None,
        }
    }
}

impl Default for TrainingSpec {
    fn default() -> Self {
        Self {
            learning_rate: defaults::learning_rate(),
            batch_size: 32,
            max_length: 128,
            padding: Padding::default(),
            weight_decay: defaults::zero(),
            warmup_percent: 0,
            precision: Precision::default(),
            patience: 10,
            early_stopping: None,
            seed: 42,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_the_steps_is_rounded_up() {
        let fidelity = |epochs, steps_percent| FidelitySpec {
            epochs,
            steps_percent,
            ..FidelitySpec::default()
        };
        // RTE has 2,490 training examples: one epoch of batches of 32 is 78 steps.
        assert_eq!(fidelity(1, 100).steps(2490, 32), 78);
        assert_eq!(fidelity(20, 50).steps(2490, 32), 780);
        assert_eq!(fidelity(1, 1).steps(10, 32), 1);
    }
}
