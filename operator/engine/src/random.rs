//! Random numbers: one independent stream for each use and suggestion.
//!
//! The key of the generator is (seed, stream, index of the suggestion) itself, so that no two streams
//! share numbers and no draw from one shifts those of another.

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;

/// What random numbers are used for; the discriminant is part of the generator's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    /// The random initial design.
    Initial = 1,
    /// The scrambling of the Sobol sequence of the initial design; one for the whole search.
    Scramble = 2,
    /// The surrogate's sampler.
    Fit = 3,
    /// The acquisition function's own draws.
    Acquisition = 4,
    /// The starting points of the local search and the order of its neighbours.
    LocalSearch = 5,
    /// The random choice if the acquisition function gives none.
    Fallback = 6,
}

/// The generator of `stream` for suggestion `index`.
pub(crate) fn generator(seed: u64, stream: Stream, index: usize) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&(stream as u64).to_le_bytes());
    key[16..24].copy_from_slice(&(index as u64).to_le_bytes());
    ChaCha8Rng::from_seed(key)
}
