//! The settings of the No-U-Turn sampler.

/// How hyperparameters are sampled; the defaults are the paper's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NutsSettings {
    /// Draws during which the sampler adapts; they are discarded.
    pub warmup: usize,
    /// Draws after warm-up.
    pub samples: usize,
    /// One in this many draws is retained, the first among them.
    pub thinning: usize,
    /// A trajectory has fewer than 2 to this power leapfrog steps; at most 20.
    pub max_tree_depth: u32,
}

impl Default for NutsSettings {
    fn default() -> Self {
        Self {
            warmup: 256,
            samples: 128,
            thinning: 16,
            max_tree_depth: 6,
        }
    }
}
