//! The data model of the engine: a search, and its observations.
//!
//! Two objectives: the score, measured with noise, larger is better; and the cost, the exact
//! number of trainable parameters, smaller is better.

pub mod canonical_set;
pub mod encoding;
pub mod history;
mod inputs_hash;
pub mod results;

use autopeft_crds::{PeftConfiguration, SearchSpace};

use crate::acquisition::AcquisitionFunction;
use crate::acquisition::nehvi::NEHVI;
use crate::surrogate::settings::NutsSettings;
use crate::surrogate::transform::ScoreTransform;

/// A search: everything that a suggestion depends on, except its trials.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// What may be chosen.
    pub space: SearchSpace,
    /// How it is chosen.
    pub settings: Settings,
    /// The seed of every random choice.
    pub seed: u64,
    /// A bound on the cost: a configuration with more parameters is never suggested, nor on the
    /// front.
    pub max_parameters: Option<u64>,
    /// A bound on the score: trials that score less are not on the front, and the reference point's score is
    /// at least this.
    pub min_score: Option<f64>,
    /// The reference point of the hypervolume; left out, it is inferred from the observations.
    pub reference: Option<ReferencePoint>,
}

/// The reference point: only points that are better in both objectives have hypervolume.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReferencePoint {
    /// The score, in its natural unit.
    pub score: f64,
    /// The number of parameters; not always whole where it is inferred.
    pub parameters: f64,
}

/// How configurations are chosen; the defaults are the paper's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Trials of the initial design, before there is a surrogate.
    pub initial_trials: usize,
    /// How the initial design is drawn.
    pub initial_design: InitialDesign,
    /// The surrogate's sampler.
    pub nuts: NutsSettings,
    /// Quasi-Monte Carlo draws of the acquisition function, for each hyperparameter sample.
    pub mc_samples: usize,
    /// Starting points of the local search.
    pub restarts: usize,
    /// Evaluations of the acquisition function per starting point.
    pub evaluations: usize,
    /// The scale on which the surrogate sees the scores.
    pub score_transform: ScoreTransform,
    /// What the local search maximises.
    pub acquisition: &'static AcquisitionFunction,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            initial_trials: 100,
            initial_design: InitialDesign::Random,
            nuts: NutsSettings::default(),
            mc_samples: 128,
            restarts: 10,
            evaluations: 100,
            score_transform: ScoreTransform::Standardise,
            acquisition: &NEHVI,
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

/// One finished trial.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    /// What was trained.
    pub configuration: PeftConfiguration,
    /// How it ended.
    pub outcome: Outcome,
}

/// How a trial ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outcome {
    /// Trained and evaluated.
    Scored {
        /// The score, in its natural unit.
        score: f64,
        /// The variance of the score, where it is known (from several seeds).
        noise_variance: Option<f64>,
    },
    /// The configuration cannot be trained (out of memory, loss not finite): the surrogate is given
    /// the worst score.
    Infeasible,
    /// Failed for reasons that are not the configuration's: counted and not suggested again, but not
    /// among the surrogate's data.
    Failed,
}
