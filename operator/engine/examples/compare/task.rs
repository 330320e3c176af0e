//! A synthetic task: a score that saturates in the size of the modules, in which a few layers
//! matter, measured with noise.

use autopeft_crds::{Module, PeftConfiguration, SearchSpace, SearchSpaceSpec};
use autopeft_engine::normal::quantile;
use autopeft_engine::objectives::hypervolume::hypervolume;
use autopeft_engine::objectives::pareto::{Point, log_cost};
use autopeft_engine::problem::canonical_set::CanonicalSet;
use rand::{RngExt, SeedableRng};

/// What each of the 12 layers contributes.
const LAYERS: [f64; 12] = [
    0.01, 0.02, 0.01, 0.25, 0.03, 0.02, 0.02, 0.60, 0.04, 0.45, 0.08, 0.01,
];

/// The deviation of the measured score: that of accuracies on a validation set of 2,500.
const NOISE: f64 = 0.008;

/// The score of the empty model, and the cost of the largest configuration.
pub const REFERENCE: Point = Point {
    score: 0.5,
    cost: 7.64,
};

pub struct Task {
    /// The paper's base space: 12 layers, hidden size 768.
    pub space: SearchSpace,
}

impl Task {
    pub fn new() -> Result<Self, autopeft_crds::space::SpaceError> {
        let space = SearchSpace::resolve(&SearchSpaceSpec::default(), 12, 768)?;
        Ok(Self { space })
    }

    /// The score without noise.
    fn score(configuration: &PeftConfiguration) -> f64 {
        let layers: f64 = configuration
            .layers
            .active_layers()
            .map(|layer| LAYERS[layer])
            .sum();
        let saturating = |size: u32, half: f64| f64::from(size) / (f64::from(size) + half);
        let modules = 1.0 * saturating(configuration.size(Module::SerialAdapter), 10.0)
            + 0.8 * saturating(configuration.size(Module::ParallelAdapter), 40.0)
            + 0.3 * saturating(configuration.size(Module::Prefix), 3.0);
        // Too many parameters overfit a small training set.
        let overfit = 0.04 * (configuration.parameters(768) as f64 / 4.2e7);
        0.5 + 0.4 * (1.0 - (-1.5 * layers * modules).exp()) - overfit
    }

    pub fn point(&self, configuration: &PeftConfiguration) -> Point {
        Point {
            score: Self::score(configuration),
            cost: log_cost(configuration.parameters(self.space.shape) as f64),
        }
    }

    /// A measured score; another seed or trial draws other noise.
    pub fn measure(&self, configuration: &PeftConfiguration, seed: u64, trial: usize) -> f64 {
        let mut generator =
            rand::rngs::ChaCha8Rng::seed_from_u64(seed.wrapping_mul(1 << 20) + trial as u64);
        let noise = quantile(generator.random_range(1e-9..1.0 - 1e-9));
        Self::score(configuration) + NOISE * noise
    }

    /// The hypervolume of all configurations: all 5,446,351 of them.
    pub fn best_hypervolume(&self) -> f64 {
        let set = CanonicalSet::new(&self.space, None);
        let points: Vec<Point> = set.iter().map(|found| self.point(&found)).collect();
        hypervolume(&points, REFERENCE)
    }
}
