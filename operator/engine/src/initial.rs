//! The initial design: the trials before the surrogate is used.
//!
//! Uniform random canonical configurations (the paper's), or a scrambled Sobol sequence in the d
//! free dimensions: a layer is on from ½, and a list of k sizes is cut into k equal parts. Configurations
//! over the budget, observed or pending are skipped.

use std::collections::HashSet;

use autopeft_crds::space::LayerChoice;
use autopeft_crds::{LayerMask, Module, PeftConfiguration, SearchSpace};
use rand::Rng;

use crate::normal::sobol;
use crate::problem::canonical_set::CanonicalSet;
use crate::problem::encoding::Coordinate;
use crate::problem::{InitialDesign, Problem};
use crate::random::{Stream, generator};

/// How many points of the Sobol sequence are tried: a tight budget leaves few of them, and beyond
/// this the design is random.
const SOBOL_POINTS: u32 = 1 << 12;

/// Member `index` of the design; `None` if every configuration of `set` is in `used`.
pub fn initial(
    problem: &Problem,
    set: &CanonicalSet,
    used: &HashSet<PeftConfiguration>,
    index: usize,
) -> Option<PeftConfiguration> {
    let sobol = match problem.settings.initial_design {
        InitialDesign::Random => None,
        InitialDesign::Sobol => {
            let scramble = generator(problem.seed, Stream::Scramble, 0).next_u32();
            (0..SOBOL_POINTS)
                .filter_map(|point| sobol_configuration(&problem.space, point, scramble))
                .find(|point| set.contains(point) && !used.contains(point))
        }
    };
    sobol.or_else(|| {
        let mut generator = generator(problem.seed, Stream::Initial, index);
        set.draw_unused(used, &mut generator)
    })
}

/// Point `index` of the sequence, in canonical form.
fn sobol_configuration(
    space: &SearchSpace,
    index: u32,
    scramble: u32,
) -> Option<PeftConfiguration> {
    let mut bits: Vec<bool> = space
        .layers
        .iter()
        .map(|choice| *choice == LayerChoice::On)
        .collect();
    let mut configuration = PeftConfiguration::empty(space.layers.len()).ok()?;
    for module in Module::ALL {
        configuration = configuration.with_size(module, *space.sizes(module).first()?);
    }
    for (dimension, coordinate) in Coordinate::of(space).into_iter().enumerate() {
        let value = sobol(index, dimension, scramble);
        match coordinate {
            Coordinate::Layer(layer) => bits[layer] = value >= 0.5,
            Coordinate::Size(module) => {
                let sizes = space.sizes(module);
                let position = (value * sizes.len() as f64) as usize;
                configuration = configuration.with_size(module, *sizes.get(position)?);
            }
        }
    }
    configuration.layers = LayerMask::from_bits(bits).ok()?;
    Some(configuration.canonical())
}
