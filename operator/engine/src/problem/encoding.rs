//! The encoding of configurations as points of the unit cube, the surrogate's inputs.
//!
//! Notation: d free dimensions in a fixed order, first the free layers, then the modules with two
//! sizes or more. A layer is its bit, 0 or 1; a size is its position in the list divided by the
//! last position. A dimension with one value has no coordinate.

use autopeft_crds::space::LayerChoice;
use autopeft_crds::{Module, PeftConfiguration, SearchSpace};

/// A free dimension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coordinate {
    /// The bit of a layer, from 0.
    Layer(usize),
    /// The size of a module.
    Size(Module),
}

impl Coordinate {
    /// The free dimensions of a space, in the order in which the surrogate sees them.
    pub fn of(space: &SearchSpace) -> Vec<Self> {
        let layers = (0..space.layers.len())
            .filter(|layer| space.layers[*layer] == LayerChoice::Free)
            .map(Self::Layer);
        let sizes = Module::ALL
            .into_iter()
            .filter(|module| space.sizes(*module).len() > 1)
            .map(Self::Size);
        layers.chain(sizes).collect()
    }

    /// Its name in reports: `layer 3`, `serialAdapter`.
    pub fn label(self) -> String {
        match self {
            Self::Layer(layer) => format!("layer {layer}"),
            Self::Size(module) => module.name().to_owned(),
        }
    }
}

/// The point of the unit cube (d values) that stands for a configuration of the space. A size that
/// is not in its list (0 in the empty model, where the list has no 0) is taken as the next larger.
pub fn encode(
    space: &SearchSpace,
    coordinates: &[Coordinate],
    configuration: &PeftConfiguration,
) -> Vec<f64> {
    coordinates
        .iter()
        .map(|coordinate| match *coordinate {
            Coordinate::Layer(layer) => f64::from(u8::from(configuration.layers.bits()[layer])),
            Coordinate::Size(module) => {
                let sizes = space.sizes(module);
                let last = sizes.len() - 1;
                let size = configuration.size(module);
                let position = sizes.partition_point(|other| *other < size).min(last);
                position as f64 / last as f64
            }
        })
        .collect()
}
