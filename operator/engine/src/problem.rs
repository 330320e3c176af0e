//! What a search is, and what it has seen: the data model of the engine, without behaviour.
//!
//! Two objectives: the score, measured with noise, larger is better; and the cost, the exact
//! number of trainable parameters, smaller is better.

use autopeft_crds::{PeftConfiguration, SearchSpace};

use crate::fit::FitSettings;

/// A search: everything that a suggestion depends on besides the trials.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// What may be chosen.
    pub space: SearchSpace,
    /// How it is chosen.
    pub settings: Settings,
    /// Every random choice follows from it.
    pub seed: u64,
    /// A bound on the cost: a configuration with more parameters is never suggested, nor on the
    /// front.
    pub max_parameters: Option<u64>,
    /// A bound on the score: what scores less is not on the front, and the reference point's score
    /// is at least this.
    pub min_score: Option<f64>,
    /// The reference point of the hypervolume; left out, it is inferred from the observations.
    pub reference: Option<ReferencePoint>,
}

/// A point that whatever counts must beat in both objectives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReferencePoint {
    /// The score, in its natural unit.
    pub score: f64,
    /// The number of parameters; an inferred one need not be whole.
    pub parameters: f64,
}

/// How configurations are chosen; the defaults are the paper's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Trials before the surrogate is asked.
    pub initial_trials: usize,
    /// How those are drawn.
    pub initial_design: InitialDesign,
    /// The surrogate's sampler.
    pub fit: FitSettings,
    /// Quasi-Monte Carlo draws of the noisy front, for each hyperparameter sample.
    pub mc_samples: usize,
    /// Starting points of the local search.
    pub restarts: usize,
    /// Evaluations of the acquisition a starting point.
    pub evaluations: usize,
    /// The scale on which the surrogate sees the scores.
    pub score_transform: ScoreTransform,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            initial_trials: 100,
            initial_design: InitialDesign::Random,
            fit: FitSettings::default(),
            mc_samples: 128,
            restarts: 10,
            evaluations: 100,
            score_transform: ScoreTransform::Standardise,
        }
    }
}

/// How the initial design is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InitialDesign {
    /// Uniform over the distinct configurations.
    Random,
    /// A scrambled Sobol sequence.
    Sobol,
}

/// The scale on which the surrogate sees the scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScoreTransform {
    /// Mean 0, deviation 1.
    Standardise,
    /// A normal copula on mid-ranks, which outliers do not move.
    Copula,
}

/// One finished trial.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    /// What was trained.
    pub configuration: PeftConfiguration,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a trial.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outcome {
    /// It was trained and measured.
    Scored {
        /// The score, in its natural unit.
        score: f64,
        /// The variance of the score, where it is known (from several seeds).
        noise_variance: Option<f64>,
    },
    /// The configuration cannot be trained (out of memory, not finite): the surrogate learns it as
    /// a bad one.
    Infeasible,
    /// Given up for reasons that are not the configuration's: counted and not chosen again, but
    /// the surrogate never sees it.
    Abandoned,
}
