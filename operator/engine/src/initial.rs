//! The initial design: what is trained before the surrogate is asked.
//!
//! Uniform random canonical configurations (the paper's), or a scrambled Sobol sequence in the d
//! free dimensions: a layer is on from ½, and a list of k sizes is cut into k equal parts. What is
//! over budget, trained or pending is passed over.

use std::collections::HashSet;

use autopeft_crds::space::LayerChoice;
use autopeft_crds::{LayerMask, Module, PeftConfiguration, SearchSpace};
use rand::Rng;

use crate::encoding::Coordinate;
use crate::normal::sobol;
use crate::problem::{InitialDesign, Problem};
use crate::sampling::CanonicalSet;
use crate::stream::{Purpose, stream};

/// How far the Sobol sequence is followed: a tight budget leaves few of its points, and beyond
/// this they are drawn at random.
const LONGEST: u32 = 1 << 12;

/// The trial with number `index`; `None` if every configuration of `set` is in `used`.
pub fn initial(
    problem: &Problem,
    set: &CanonicalSet,
    used: &HashSet<PeftConfiguration>,
    index: usize,
) -> Option<PeftConfiguration> {
    let even = match problem.settings.initial_design {
        InitialDesign::Random => None,
        InitialDesign::Sobol => {
            let scramble = stream(problem.seed, Purpose::Scramble, 0).next_u32();
            (0..LONGEST)
                .filter_map(|point| sobol_configuration(&problem.space, point, scramble))
                .find(|point| set.contains(point) && !used.contains(point))
        }
    };
    even.or_else(|| {
        let mut generator = stream(problem.seed, Purpose::Initial, index);
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
