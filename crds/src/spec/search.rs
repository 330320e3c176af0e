//! What is optimised and how the search chooses.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::defaults;
use crate::decimal::Decimal;

/// The objectives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ObjectiveName {
    /// The task's validation metric, maximised.
    Score,
    /// Trainable parameters in percent of the backbone's, minimised; exact, head left out.
    TrainableParameters,
}

/// A bound or a reference point for one objective.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "!has(self.bound) || (self.name == 'score' ? double(self.bound) >= -1.0 && double(self.bound) <= 1.0 : double(self.bound) >= 0.0 && double(self.bound) <= 10000.0)", "message": "a bound is a score from -1 to 1, or from 0 to 10000 percent of the parameters"},
    {"rule": "!has(self.reference) || (self.name == 'score' ? double(self.reference) >= -1.0 && double(self.reference) <= 1.0 : double(self.reference) >= 0.0 && double(self.reference) <= 10000.0)", "message": "a reference is a score from -1 to 1, or from 0 to 10000 percent of the parameters"}
]))]
pub struct ObjectiveSpec {
    /// Which objective.
    pub name: ObjectiveName,
    /// The least score, or the most parameters (in percent of the backbone's) that are of use.
    /// A configuration over the parameter bound is never trained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound: Option<Decimal>,
    /// This objective's coordinate of the reference point of the hypervolume (a score, or percent).
    /// Left out for both, it is inferred from the front; give both or neither.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Decimal>,
}

/// How the search chooses configurations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "self.nuts.samples / self.nuts.thinning * self.acquisition.monteCarloSamples <= 65536", "message": "kept samples times monteCarloSamples are at most 65536: lower one of them"}
]))]
pub struct AlgorithmSpec {
    /// Every random choice of the search follows from this seed.
    #[schemars(range(min = 0, max = 9_007_199_254_740_992_u64))]
    pub seed: u64,
    /// The number of trials of the initial design, before the surrogate is asked.
    #[schemars(range(min = 1, max = 500))]
    pub initial_trials: u32,
    /// How the initial design is drawn.
    pub initial_design: InitialDesign,
    /// The surrogate's sampler.
    pub nuts: NutsSpec,
    /// The acquisition function.
    pub acquisition: AcquisitionSpec,
    /// The search for the acquisition's maximum.
    pub local_search: LocalSearchSpec,
}

/// How the initial design is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum InitialDesign {
    /// Uniform over the distinct configurations (the paper's).
    #[default]
    Random,
    /// A scrambled Sobol sequence.
    Sobol,
}

/// The settings of the No-U-Turn sampler that fits the surrogate (paper, appendix).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "self.thinning <= self.samples", "message": "thinning is at most samples: no sample would be kept"},
    {"rule": "self.samples <= 64 * self.thinning", "message": "at most 64 samples are kept: raise thinning, or lower samples"}
]))]
pub struct NutsSpec {
    /// Warm-up steps.
    #[schemars(range(min = 16, max = 4096))]
    pub warmup: u32,
    /// Steps after warm-up.
    #[schemars(range(min = 1, max = 4096))]
    pub samples: u32,
    /// Every how many of them one is kept.
    #[schemars(range(min = 1, max = 4096))]
    pub thinning: u32,
    /// The largest tree depth.
    #[schemars(range(min = 1, max = 12))]
    pub max_tree_depth: u32,
}

/// The settings of the noisy expected hypervolume improvement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct AcquisitionSpec {
    /// Quasi-Monte Carlo samples of the noisy front.
    #[schemars(range(min = 1, max = 4096))]
    pub monte_carlo_samples: u32,
    /// How scores are scaled for the surrogate.
    pub score_scale: ScoreScale,
}

/// How scores are scaled for the surrogate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ScoreScale {
    /// Mean 0, deviation 1.
    #[default]
    Standardized,
    /// A normal copula on mid-ranks: robust where a few trials diverge.
    Copula,
}

/// The settings of the local search for the acquisition's maximum.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct LocalSearchSpec {
    /// Starting points.
    #[schemars(range(min = 1, max = 100))]
    pub restarts: u32,
    /// Acquisition evaluations per starting point.
    #[schemars(range(min = 1, max = 10_000))]
    pub evaluations: u32,
}

/// When the search has converged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConvergenceSpec {
    /// The number of finished trials, after the initial design, to look back on.
    #[schemars(range(min = 1, max = 500))]
    pub trials: u32,
    /// The search ends when the hypervolume has grown by less than this share over those trials.
    #[serde(default = "defaults::tolerance")]
    #[schemars(extend("x-kubernetes-validations" = [{
        "rule": "double(self) >= 0.0 && double(self) <= 1.0",
        "message": "a tolerance is a number from 0 to 1"
    }]))]
    pub tolerance: Decimal,
}

impl Default for AlgorithmSpec {
    fn default() -> Self {
        Self {
            seed: 42,
            initial_trials: 100,
            initial_design: InitialDesign::default(),
            nuts: NutsSpec::default(),
            acquisition: AcquisitionSpec::default(),
            local_search: LocalSearchSpec::default(),
        }
    }
}

impl Default for NutsSpec {
    fn default() -> Self {
        Self {
            warmup: 256,
            samples: 128,
            thinning: 16,
            max_tree_depth: 6,
        }
    }
}

impl Default for AcquisitionSpec {
    fn default() -> Self {
        Self {
            monte_carlo_samples: 128,
            score_scale: ScoreScale::default(),
        }
    }
}

impl Default for LocalSearchSpec {
    fn default() -> Self {
        Self {
            restarts: 10,
            evaluations: 100,
        }
    }
}
