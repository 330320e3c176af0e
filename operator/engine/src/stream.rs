//! Random numbers: one independent stream for each purpose and trial.
//!
//! The key of the generator is (seed, purpose, trial index) itself, so that no two streams share
//! numbers and no draw for one purpose shifts those for another.

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;

/// What random numbers are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The random initial design.
    Initial = 1,
    /// The scrambling of the Sobol sequence of the initial design; one for the whole search.
    Scramble = 2,
    /// The surrogate's sampler.
    Fit = 3,
    /// The draws of the noisy front.
    Front = 4,
    /// Starts and order of the local search.
    LocalSearch = 5,
    /// The random choice where the surrogate has none.
    Fallback = 6,
}

/// The stream for `purpose` at trial `index`.
pub(crate) fn stream(seed: u64, purpose: Purpose, index: usize) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&(purpose as u64).to_le_bytes());
    key[16..24].copy_from_slice(&(index as u64).to_le_bytes());
    ChaCha8Rng::from_seed(key)
}
