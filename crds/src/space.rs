//! The search space: named dimensions with the values each may take.
//!
//! `SearchSpaceSpec` is what a user writes; `SearchSpace` is the same resolved against a model
//! (its depth and hidden size), with every default filled in. Sampling and neighbours live in the
//! engine.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::configuration::{LayerMask, MAX_LAYERS, PeftConfiguration};

/// The dimensions of the paper's space.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum DimensionName {
    /// Which Transformer layers carry modules: one bit a layer.
    Layers,
    /// The bottleneck of the serial adapter.
    SerialAdapter,
    /// The bottleneck of the parallel adapter.
    ParallelAdapter,
    /// The number of prefix positions.
    Prefix,
}

impl DimensionName {
    /// The dimensions that have a size, in the order in which the surrogate sees them.
    pub const SIZES: [Self; 3] = [Self::SerialAdapter, Self::ParallelAdapter, Self::Prefix];

    /// The name as a manifest spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Layers => "layers",
            Self::SerialAdapter => "serialAdapter",
            Self::ParallelAdapter => "parallelAdapter",
            Self::Prefix => "prefix",
        }
    }
}

impl PeftConfiguration {
    /// The size of a module; `None` for `layers`.
    pub fn size(&self, name: DimensionName) -> Option<u32> {
        match name {
            DimensionName::Layers => None,
            DimensionName::SerialAdapter => Some(self.serial_adapter),
            DimensionName::ParallelAdapter => Some(self.parallel_adapter),
            DimensionName::Prefix => Some(self.prefix),
        }
    }

    /// The same with another size of one module; unchanged for `layers`.
    #[must_use]
    pub fn with_size(mut self, name: DimensionName, size: u32) -> Self {
        match name {
            DimensionName::Layers => {}
            DimensionName::SerialAdapter => self.serial_adapter = size,
            DimensionName::ParallelAdapter => self.parallel_adapter = size,
            DimensionName::Prefix => self.prefix = size,
        }
        self
    }
}

/// One dimension of the search space, as written in a manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "self.name == 'layers' ? !has(self.sizes) : !has(self.mask)", "message": "layers has a mask, a module has sizes"},
    {"rule": "!has(self.sizes) || self.sizes.isSorted()", "message": "sizes are listed in ascending order"}
]))]
pub struct DimensionSpec {
    /// Which dimension.
    pub name: DimensionName,
    /// For a module: the sizes to choose from, ascending, 0 for leaving the module out. Left out,
    /// the paper's list: 0, then the hidden size halved until 1. A single size fixes the dimension.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), inner(range(max = 8192)), extend("x-kubernetes-list-type" = "set"))]
    pub sizes: Option<Vec<u32>>,
    /// For `layers`: one character per layer, `*` where the search decides, `1` or `0` where the
    /// layer is always or never active. Left out, every layer is searched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[01*]+$"), length(min = 1, max = 64))]
    pub mask: Option<String>,
}

/// The search space, as written in a manifest.
///
/// Without `dimensions` it is the paper's: layers, serial adapter, parallel adapter and prefix. A
/// list searches what it names: a module that is not listed is left out, and without `layers`
/// every layer is active (the paper's ablated spaces, Figure 7).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SearchSpaceSpec {
    /// The dimensions to search, each at most once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub dimensions: Option<Vec<DimensionSpec>>,
    /// Leave out the empty model (no module anywhere: the head alone is trained).
    #[serde(default)]
    pub exclude_empty: bool,
}

/// Why a search space cannot be used with a model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpaceError {
    /// A dimension listed twice.
    #[error("searchSpace.dimensions: {} is listed twice", .0.as_str())]
    Duplicate(DimensionName),
    /// `mask` on a module, or `sizes` on `layers`.
    #[error("searchSpace.dimensions[{index}].{field}: {}: {reason}", .name.as_str())]
    Field {
        /// Its place in the list, from 0.
        index: usize,
        /// The dimension.
        name: DimensionName,
        /// The field of it.
        field: &'static str,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// A space in which nothing is left to choose.
    #[error(
        "searchSpace: {0}; give a dimension at least two values, or train that one configuration with `peft-trainer train`"
    )]
    NothingToSearch(&'static str),
    /// The model has no layers, or more than a mask can name.
    #[error("model.source: the model has {0} layers; 1 to {MAX_LAYERS} are supported")]
    Depth(usize),
}

/// What the search may do with one layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LayerChoice {
    /// The search decides.
    Free,
    /// Always active.
    On,
    /// Never active.
    Off,
}

impl LayerChoice {
    fn allows(self, bit: bool) -> bool {
        match self {
            Self::Free => true,
            Self::On => bit,
            Self::Off => !bit,
        }
    }
}

/// A search space resolved against a model. A dimension with one value is fixed: it never reaches
/// the surrogate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SearchSpace {
    /// What may happen to each layer, the input side first.
    pub layers: Vec<LayerChoice>,
    /// The values of D_SA, strictly ascending, never empty.
    pub serial_adapter: Vec<u32>,
    /// The values of D_PA, strictly ascending, never empty.
    pub parallel_adapter: Vec<u32>,
    /// The values of L_PT, strictly ascending, never empty.
    pub prefix: Vec<u32>,
    /// Whether the empty model is left out.
    pub exclude_empty: bool,
    /// H, for the exact cost.
    pub hidden_size: u32,
}

/// The default sizes for hidden size `hidden_size`: 0, then H halved (rounding down) until 1,
/// ascending. For 768: 0, 1, 3, 6, 12, 24, 48, 96, 192, 384, 768.
pub fn default_sizes(hidden_size: u32) -> Vec<u32> {
    let mut sizes: Vec<u32> =
        std::iter::successors(Some(hidden_size), |size| Some(size / 2).filter(|s| *s > 0))
            .filter(|size| *size > 0)
            .collect();
    sizes.push(0);
    sizes.reverse();
    sizes
}

impl SearchSpace {
    /// Fills in the defaults and checks the space against a model of `layers` layers and hidden
    /// size `hidden_size`.
    pub fn resolve(
        spec: &SearchSpaceSpec,
        layers: usize,
        hidden_size: u32,
    ) -> Result<Self, SpaceError> {
        if layers == 0 || layers > MAX_LAYERS {
            return Err(SpaceError::Depth(layers));
        }
        let mut space = match &spec.dimensions {
            None => Self {
                layers: vec![LayerChoice::Free; layers],
                serial_adapter: default_sizes(hidden_size),
                parallel_adapter: default_sizes(hidden_size),
                prefix: default_sizes(hidden_size),
                exclude_empty: spec.exclude_empty,
                hidden_size,
            },
            Some(_) => Self {
                layers: vec![LayerChoice::On; layers],
                serial_adapter: vec![0],
                parallel_adapter: vec![0],
                prefix: vec![0],
                exclude_empty: spec.exclude_empty,
                hidden_size,
            },
        };
        let mut seen = Vec::new();
        for (index, dimension) in spec.dimensions.iter().flatten().enumerate() {
            if seen.contains(&dimension.name) {
                return Err(SpaceError::Duplicate(dimension.name));
            }
            seen.push(dimension.name);
            match dimension.name {
                DimensionName::Layers => space.layers = resolve_layers(index, dimension, layers)?,
                name => *space.sizes_mut(name) = resolve_sizes(index, dimension, hidden_size)?,
            }
        }
        if space.dimensions() == 0 {
            return Err(SpaceError::NothingToSearch("every dimension is fixed"));
        }
        let no_layer = space.layers.iter().all(|layer| *layer == LayerChoice::Off);
        let no_module = DimensionName::SIZES
            .iter()
            .all(|name| space.sizes(*name) == [0]);
        if no_layer || no_module {
            return Err(SpaceError::NothingToSearch(
                "only the empty model is left (no layer can be active, or no module has a size above 0)",
            ));
        }
        Ok(space)
    }

    /// The values of a module's dimension; empty for `layers`.
    pub fn sizes(&self, name: DimensionName) -> &[u32] {
        match name {
            DimensionName::Layers => &[],
            DimensionName::SerialAdapter => &self.serial_adapter,
            DimensionName::ParallelAdapter => &self.parallel_adapter,
            DimensionName::Prefix => &self.prefix,
        }
    }

    fn sizes_mut(&mut self, name: DimensionName) -> &mut Vec<u32> {
        match name {
            DimensionName::Layers | DimensionName::SerialAdapter => &mut self.serial_adapter,
            DimensionName::ParallelAdapter => &mut self.parallel_adapter,
            DimensionName::Prefix => &mut self.prefix,
        }
    }

    /// The number of free dimensions, d: what the surrogate sees (one per free layer, one per
    /// module with two sizes or more).
    pub fn dimensions(&self) -> usize {
        let layers = self
            .layers
            .iter()
            .filter(|layer| **layer == LayerChoice::Free)
            .count();
        let sizes = DimensionName::SIZES
            .iter()
            .filter(|name| self.sizes(**name).len() > 1)
            .count();
        layers + sizes
    }

    /// The number of raw configurations: 5,451,776 for the paper's base space (2^12 · 11^3).
    pub fn raw_count(&self) -> u128 {
        let free = self
            .layers
            .iter()
            .filter(|layer| **layer == LayerChoice::Free)
            .count();
        DimensionName::SIZES
            .iter()
            .map(|name| self.sizes(*name).len() as u128)
            .product::<u128>()
            << free
    }

    /// The number of distinct canonical configurations: 5,446,351 for the paper's base space
    /// (4095 · 1330 + 1).
    pub fn canonical_count(&self) -> u128 {
        let free = self
            .layers
            .iter()
            .filter(|layer| **layer == LayerChoice::Free)
            .count();
        let masks = 1_u128 << free;
        let sizes = DimensionName::SIZES
            .iter()
            .map(|name| self.sizes(*name).len() as u128)
            .product::<u128>();
        let mask_may_be_empty = !self.layers.contains(&LayerChoice::On);
        let sizes_may_be_zero = DimensionName::SIZES
            .iter()
            .all(|name| self.sizes(*name).contains(&0));
        let inserted =
            (masks - u128::from(mask_may_be_empty)) * (sizes - u128::from(sizes_may_be_zero));
        let empty = (mask_may_be_empty || sizes_may_be_zero) && !self.exclude_empty;
        inserted + u128::from(empty)
    }

    /// The cost of the smallest configuration.
    pub fn least_parameters(&self) -> u64 {
        let empty = self.layers.iter().map(|_| false).collect();
        let empty = LayerMask::from_bits(empty).map(|layers| PeftConfiguration {
            layers,
            serial_adapter: 0,
            parallel_adapter: 0,
            prefix: 0,
        });
        if empty.is_ok_and(|empty| self.contains(&empty)) {
            return 0;
        }
        let active = self
            .layers
            .iter()
            .filter(|layer| **layer == LayerChoice::On);
        let active = active.count().max(1) as u64;
        let least = |name: &DimensionName| self.sizes(*name).first().copied().unwrap_or(0);
        let sum: u64 = DimensionName::SIZES
            .iter()
            .map(|name| u64::from(least(name)))
            .sum();
        // Where every size may be 0, one is not: that would be the empty model.
        let smallest = || {
            let sizes = DimensionName::SIZES
                .iter()
                .flat_map(|name| self.sizes(*name));
            sizes.copied().filter(|size| *size > 0).min().unwrap_or(0)
        };
        let sizes = if sum > 0 { sum } else { u64::from(smallest()) };
        2 * sizes * u64::from(self.hidden_size) * active
    }

    /// Whether a configuration, canonical or not, belongs to the space. The empty model belongs
    /// where some spelling of it does.
    pub fn contains(&self, configuration: &PeftConfiguration) -> bool {
        if configuration.layers.len() != self.layers.len() {
            return false;
        }
        if configuration.is_empty_model() {
            let spelled = !self.layers.contains(&LayerChoice::On)
                || DimensionName::SIZES
                    .iter()
                    .all(|name| self.sizes(*name).contains(&0));
            return spelled && !self.exclude_empty;
        }
        let layers = self
            .layers
            .iter()
            .zip(configuration.layers.bits())
            .all(|(choice, bit)| choice.allows(*bit));
        layers
            && self.serial_adapter.contains(&configuration.serial_adapter)
            && self
                .parallel_adapter
                .contains(&configuration.parallel_adapter)
            && self.prefix.contains(&configuration.prefix)
    }
}

fn resolve_layers(
    index: usize,
    spec: &DimensionSpec,
    layers: usize,
) -> Result<Vec<LayerChoice>, SpaceError> {
    let field = |field, reason: String| SpaceError::Field {
        index,
        name: DimensionName::Layers,
        field,
        reason,
    };
    if spec.sizes.is_some() {
        return Err(field(
            "sizes",
            "the layers dimension has no sizes; use mask".into(),
        ));
    }
    let Some(mask) = &spec.mask else {
        return Ok(vec![LayerChoice::Free; layers]);
    };
    if mask.chars().count() != layers {
        return Err(field(
            "mask",
            format!(
                "{mask:?} has {} characters, but the model has {layers} layers; write one character per layer",
                mask.chars().count()
            ),
        ));
    }
    mask.chars()
        .map(|character| match character {
            '*' => Ok(LayerChoice::Free),
            '1' => Ok(LayerChoice::On),
            '0' => Ok(LayerChoice::Off),
            other => Err(field(
                "mask",
                format!("{other:?} says nothing of a layer; write *, 1 or 0"),
            )),
        })
        .collect()
}

fn resolve_sizes(
    index: usize,
    spec: &DimensionSpec,
    hidden_size: u32,
) -> Result<Vec<u32>, SpaceError> {
    let field = |field, reason: String| SpaceError::Field {
        index,
        name: spec.name,
        field,
        reason,
    };
    if spec.mask.is_some() {
        return Err(field(
            "mask",
            "only the layers dimension has a mask; use sizes".into(),
        ));
    }
    let Some(sizes) = &spec.sizes else {
        return Ok(default_sizes(hidden_size));
    };
    if sizes.is_empty() {
        return Err(field(
            "sizes",
            "the list is empty; give at least one size".into(),
        ));
    }
    if let Some(pair) = sizes.windows(2).find(|pair| pair[0] >= pair[1]) {
        return Err(field(
            "sizes",
            format!(
                "{} is followed by {}; list the sizes in ascending order, each once",
                pair[0], pair[1]
            ),
        ));
    }
    let limit = 4 * hidden_size.max(256);
    if let Some(size) = sizes.iter().find(|size| **size > limit) {
        return Err(field(
            "sizes",
            format!(
                "{size} is too large for a model of hidden size {hidden_size}; give sizes of at most {limit}"
            ),
        ));
    }
    Ok(sizes.clone())
}

/// A mask that has every layer on.
pub fn all_layers(layers: usize) -> Result<LayerMask, crate::configuration::LayerMaskError> {
    LayerMask::from_bits(vec![true; layers])
}
