//! Random starting positions for the sampler and for the search of the mode.

use rand::RngExt;
use rand::rngs::ChaCha8Rng;

use super::saas::{HEAD, Saas};

/// How many random positions are tried.
pub(super) const STARTS: usize = 20;

/// A position with a finite density: the middle of the priors, moved by up to 1 in every
/// direction.
pub(super) fn start(saas: &Saas, generator: &mut ChaCha8Rng) -> Option<Vec<f64>> {
    let mut workspace = saas.workspace();
    let mut gradient = vec![0.0; saas.parameters()];
    (0..STARTS).find_map(|_| {
        let mut position = vec![0.0; saas.parameters()];
        position[2] = 0.1_f64.ln();
        position[HEAD - 1] = 0.1_f64.ln();
        for value in &mut position {
            *value += generator.random_range(-1.0..1.0);
        }
        let finite = saas.log_density(&position, &mut gradient, &mut workspace);
        finite.is_ok().then_some(position)
    })
}
