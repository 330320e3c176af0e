//! What is optimised and how the search chooses.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::defaults;
use crate::decimal::Decimal;
use crate::limits;

/// The objectives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ObjectiveName {
    /// The task's validation metric, maximised.
    Score,
    /// Trainable parameters in percent of the backbone's, minimised; exact, head left out.
    TrainableParameters,
}

impl ObjectiveName {
    /// How many objectives there are.
    pub const COUNT: usize = 2;
}

/// A bound or a reference point for one objective.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ObjectiveSpec {
    /// Which objective.
    pub name: ObjectiveName,
    /// The lowest acceptable score, or the highest acceptable cost in percent of the backbone's parameters. A
    /// configuration over the parameter bound is never trained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound: Option<Decimal>,
    /// This objective's coordinate of the reference point of the hypervolume (a score, or percent). Give both
    /// coordinates or neither; by default it is inferred from the front.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Decimal>,
}

/// How the search chooses configurations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct AlgorithmSpec {
    /// The seed of every random choice of the search.
    #[schemars(range(min = limits::SEED.least, max = limits::SEED.most))]
    pub seed: u64,
    /// The number of trials of the initial design, before the surrogate is used.
    #[schemars(range(min = limits::TRIALS.least, max = limits::TRIALS.most))]
    pub initial_trials: u32,
    /// How the initial design is drawn.
    pub initial_design: InitialDesign,
    /// The surrogate's sampler.
    pub nuts: NutsSpec,
    /// The acquisition function.
    pub acquisition: AcquisitionSpec,
    /// The local search that maximises the acquisition function.
    pub local_search: LocalSearchSpec,
}

/// How the initial design is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum InitialDesign {
    /// Uniform over the distinct configurations, as in the paper.
    #[default]
    Random,
    /// A scrambled Sobol sequence.
    Sobol,
}

/// The settings of the No-U-Turn sampler that fits the surrogate (paper, appendix).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct NutsSpec {
    /// Warm-up steps.
    #[schemars(range(min = limits::NUTS_WARMUP.least, max = limits::NUTS_WARMUP.most))]
    pub warmup: u32,
    /// Steps after warm-up.
    #[schemars(range(min = limits::NUTS_SAMPLES.least, max = limits::NUTS_SAMPLES.most))]
    pub samples: u32,
    /// One in this many steps is kept as a sample.
    #[schemars(range(min = limits::NUTS_THINNING.least, max = limits::NUTS_THINNING.most))]
    pub thinning: u32,
    /// The largest tree depth.
    #[schemars(range(min = limits::NUTS_TREE_DEPTH.least, max = limits::NUTS_TREE_DEPTH.most))]
    pub max_tree_depth: u32,
}

/// The settings of the noisy expected hypervolume improvement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct AcquisitionSpec {
    /// Quasi-Monte Carlo samples of the noisy front.
    #[schemars(range(min = limits::MONTE_CARLO_SAMPLES.least, max = limits::MONTE_CARLO_SAMPLES.most))]
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

/// The settings of the local search that maximises the acquisition function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct LocalSearchSpec {
    /// Starting points.
    #[schemars(range(min = limits::RESTARTS.least, max = limits::RESTARTS.most))]
    pub restarts: u32,
    /// Acquisition evaluations per starting point.
    #[schemars(range(min = limits::EVALUATIONS.least, max = limits::EVALUATIONS.most))]
    pub evaluations: u32,
}

/// When the search has converged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConvergenceSpec {
    /// The window: this many finished trials after the initial design.
    #[schemars(range(min = limits::CONVERGENCE_TRIALS.least, max = limits::CONVERGENCE_TRIALS.most))]
    pub trials: u32,
    /// The search ends when the hypervolume has grown by less than this share over the window.
    #[serde(default = "defaults::tolerance")]
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
