//! The configurations one step away: the moves of the local search.
//!
//! A neighbour differs in exactly one raw dimension: one free layer's bit flipped, or one module's
//! size replaced by any other of its list. Neighbours are canonical and distinct, belong to the
//! space and do not include the configuration itself: all the changes that lead into the empty
//! model are one neighbour.
//!
//! The empty model has many raw configurations. Its neighbours are those of the smallest one in the space:
//! no free layer active and the smallest size of every module. Where every dimension is free, no
//! single change leads out of it, and it has no neighbours.

use std::collections::HashSet;

use autopeft_crds::space::LayerChoice;
use autopeft_crds::{LayerMask, Module, PeftConfiguration, SearchSpace};

use crate::problem::encoding::Coordinate;

/// The neighbours of a canonical configuration of the space, first by dimension, then by value.
pub fn neighbours(
    space: &SearchSpace,
    configuration: &PeftConfiguration,
) -> Vec<PeftConfiguration> {
    let raw = if configuration.is_empty_model() {
        smallest_raw(space, configuration)
    } else {
        configuration.clone()
    };
    let mut seen = HashSet::from([configuration.clone()]);
    Coordinate::of(space)
        .into_iter()
        .flat_map(|coordinate| moves(space, &raw, coordinate))
        .map(PeftConfiguration::canonical)
        .filter(|neighbour| space.contains(neighbour) && seen.insert(neighbour.clone()))
        .collect()
}

/// The raw configurations that differ from `raw` in this dimension alone.
fn moves(
    space: &SearchSpace,
    raw: &PeftConfiguration,
    coordinate: Coordinate,
) -> Vec<PeftConfiguration> {
    match coordinate {
        Coordinate::Layer(layer) => {
            let mut bits = raw.layers.bits().to_vec();
            bits[layer] = !bits[layer];
            with_layers(raw, bits).into_iter().collect()
        }
        Coordinate::Size(module) => space
            .sizes(module)
            .iter()
            .filter(|size| raw.size(module) != **size)
            .map(|size| raw.clone().with_size(module, *size))
            .collect(),
    }
}

fn smallest_raw(space: &SearchSpace, empty: &PeftConfiguration) -> PeftConfiguration {
    let bits = space
        .layers
        .iter()
        .map(|choice| *choice == LayerChoice::On)
        .collect();
    let mut raw = with_layers(empty, bits).unwrap_or_else(|| empty.clone());
    for module in Module::ALL {
        raw = raw.with_size(module, space.sizes(module).first().copied().unwrap_or(0));
    }
    raw
}

fn with_layers(configuration: &PeftConfiguration, bits: Vec<bool>) -> Option<PeftConfiguration> {
    let layers = LayerMask::from_bits(bits).ok()?;
    Some(configuration.clone().with_layers(layers))
}
