//! The search space: named dimensions with the values each may take.
//!
//! `SearchSpaceSpec` is what a user writes; `SearchSpace` is the same resolved against a model
//! (its depth and hidden size), with every default filled in. Sampling and neighbours live in the
//! engine.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::configuration::{LayerMask, MAX_LAYERS, PeftConfiguration};
use crate::limits;
use crate::modules::Module;
use crate::named::{Named, written_by_name};
use crate::options::ModuleOptions;
use crate::shape::Shape;

/// A dimension of the search space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DimensionName {
    /// Which Transformer layers carry modules: one bit a layer.
    Layers,
    /// The size of a module.
    Size(Module),
}

impl DimensionName {
    /// How many there are.
    pub const COUNT: usize = 1 + Module::COUNT;

    /// All of them, the layers first.
    pub const ALL: [Self; Self::COUNT] = {
        let mut all = [Self::Layers; Self::COUNT];
        let mut module = 0;
        while module < Module::COUNT {
            all[1 + module] = Self::Size(Module::ALL[module]);
            module += 1;
        }
        all
    };

    /// The name as a manifest spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Layers => "layers",
            Self::Size(module) => module.name(),
        }
    }
}

impl Named for DimensionName {
    const ALL: &'static [Self] = &DimensionName::ALL;

    fn as_str(self) -> &'static str {
        DimensionName::as_str(self)
    }
}

written_by_name!(DimensionName);

/// One dimension of the search space, as written in a manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DimensionSpec {
    /// Which dimension.
    pub name: DimensionName,
    /// For a module: the sizes to choose from, ascending, 0 for leaving the module out. By default the
    /// paper's list: 0, then the hidden size halved until 1. A single size fixes the dimension.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = limits::SIZES.least, max = limits::SIZES.most), inner(range(max = limits::MODULE_SIZE.most)), extend("x-kubernetes-list-type" = "set"))]
    pub sizes: Option<Vec<u32>>,
    /// For `layers`: one character per layer, `*` where the search decides, `1` or `0` where the layer is
    /// always or never active. By default every layer is searched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[01*]+$"), length(min = limits::LAYERS.least, max = limits::LAYERS.most))]
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
    #[schemars(length(min = limits::DIMENSIONS.least, max = limits::DIMENSIONS.most), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub dimensions: Option<Vec<DimensionSpec>>,
    /// Leave out the empty model (no module anywhere: the head alone is trained).
    #[serde(default)]
    pub exclude_empty: bool,
    /// How modules are built, the same in every trial.
    #[serde(default, skip_serializing_if = "ModuleOptions::is_default")]
    pub options: ModuleOptions,
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

/// Whether one layer is searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchSpace {
    /// The choice for each layer, the input side first.
    pub layers: Vec<LayerChoice>,
    /// The values of each module's size by `Module as usize`: strictly ascending, never empty.
    pub sizes: [Vec<u32>; Module::COUNT],
    /// Whether the empty model is left out.
    pub exclude_empty: bool,
    /// What costs depend on.
    pub shape: Shape,
}

impl SearchSpace {
    /// A space in which modules have the values listed, each list strictly ascending and not empty; a
    /// module that is not named is left out. The empty model belongs to it.
    pub fn new(
        layers: Vec<LayerChoice>,
        sizes: &[(Module, &[u32])],
        shape: impl Into<Shape>,
    ) -> Self {
        let mut space = Self {
            layers,
            sizes: Module::ALL.map(|_| vec![0]),
            exclude_empty: false,
            shape: shape.into(),
        };
        for (module, values) in sizes {
            space.sizes[*module as usize] = values.to_vec();
        }
        space
    }

    /// Fills in the defaults and checks the space against a model of `layers` layers and a shape, in which
    /// the spec's own number of LoRA matrices counts.
    pub fn resolve(
        spec: &SearchSpaceSpec,
        layers: usize,
        shape: impl Into<Shape>,
    ) -> Result<Self, SpaceError> {
        let shape = spec.options.shape(shape.into());
        let hidden_size = shape.hidden;
        if layers == 0 || layers > MAX_LAYERS {
            return Err(SpaceError::Depth(layers));
        }
        let is_listed = spec.dimensions.is_some();
        let choice = if is_listed {
            LayerChoice::On
        } else {
            LayerChoice::Free
        };
        let mut space = Self::new(vec![choice; layers], &[], shape);
        space.exclude_empty = spec.exclude_empty;
        if !is_listed {
            for module in Module::ALL.into_iter().map(Module::facts) {
                if module.is_of_the_paper {
                    space.sizes[module.module as usize] = (module.default_sizes)(hidden_size);
                }
            }
        }
        let mut seen = Vec::new();
        for (index, dimension) in spec.dimensions.iter().flatten().enumerate() {
            if seen.contains(&dimension.name) {
                return Err(SpaceError::Duplicate(dimension.name));
            }
            seen.push(dimension.name);
            match dimension.name {
                DimensionName::Layers => space.layers = resolve_layers(index, dimension, layers)?,
                DimensionName::Size(module) => {
                    space.sizes[module as usize] =
                        resolve_sizes(index, dimension, module, hidden_size)?;
                }
            }
        }
        if space.dimensions() == 0 {
            return Err(SpaceError::NothingToSearch("every dimension is fixed"));
        }
        let no_layer = space.layers.iter().all(|layer| *layer == LayerChoice::Off);
        let no_module = space.sizes.iter().all(|sizes| *sizes == [0]);
        if no_layer || no_module {
            return Err(SpaceError::NothingToSearch(
                "only the empty model is left (no layer can be active, or no module has a size above 0)",
            ));
        }
        Ok(space)
    }

    /// The values of a module's size.
    pub fn sizes(&self, module: Module) -> &[u32] {
        &self.sizes[module as usize]
    }

    /// The number of free dimensions, d: what the surrogate sees (one per free layer, one per
    /// module with two sizes or more).
    pub fn dimensions(&self) -> usize {
        let layers = self
            .layers
            .iter()
            .filter(|layer| **layer == LayerChoice::Free)
            .count();
        let sizes = self.sizes.iter().filter(|sizes| sizes.len() > 1);
        layers + sizes.count()
    }

    /// The number of raw configurations: 5,451,776 for the paper's base space (2^12 · 11^3).
    pub fn raw_count(&self) -> u128 {
        let free = self
            .layers
            .iter()
            .filter(|layer| **layer == LayerChoice::Free)
            .count();
        self.size_combinations() << free
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
        let sizes = self.size_combinations();
        let mask_may_be_empty = !self.layers.contains(&LayerChoice::On);
        let sizes_may_be_zero = self.sizes_may_be_zero();
        let inserted =
            (masks - u128::from(mask_may_be_empty)) * (sizes - u128::from(sizes_may_be_zero));
        let empty = (mask_may_be_empty || sizes_may_be_zero) && !self.exclude_empty;
        inserted + u128::from(empty)
    }

    /// The combinations of sizes.
    fn size_combinations(&self) -> u128 {
        self.sizes.iter().map(|sizes| sizes.len() as u128).product()
    }

    /// Whether every module may be left out at once.
    fn sizes_may_be_zero(&self) -> bool {
        self.sizes.iter().all(|sizes| sizes.contains(&0))
    }

    /// The cost of the smallest configuration.
    pub fn least_parameters(&self) -> u64 {
        let empty = PeftConfiguration::empty(self.layers.len());
        if empty.is_ok_and(|empty| self.contains(&empty)) {
            return 0;
        }
        let active = self
            .layers
            .iter()
            .filter(|layer| **layer == LayerChoice::On);
        let active = active.count().max(1) as u64;
        let cost = |module: Module, size: u32| module.cost(size, &self.shape);
        let of_a_layer: u64 = Module::ALL
            .into_iter()
            .map(|module| cost(module, self.sizes(module).first().copied().unwrap_or(0)))
            .sum();
        // Where every size may be 0, one is not: that would be the empty model.
        let cheapest = || {
            let sizes = Module::ALL.into_iter().flat_map(|module| {
                let sizes = self.sizes(module).iter().filter(|size| **size > 0);
                sizes.map(move |size| cost(module, *size))
            });
            sizes.min().unwrap_or(0)
        };
        active
            * if of_a_layer > 0 {
                of_a_layer
            } else {
                cheapest()
            }
    }

    /// Whether a configuration, canonical or not, belongs to the space. The empty model belongs
    /// where some spelling of it does.
    pub fn contains(&self, configuration: &PeftConfiguration) -> bool {
        if configuration.layers.len() != self.layers.len() {
            return false;
        }
        if configuration.is_empty_model() {
            let has_spelling = !self.layers.contains(&LayerChoice::On) || self.sizes_may_be_zero();
            return has_spelling && !self.exclude_empty;
        }
        let layers = self
            .layers
            .iter()
            .zip(configuration.layers.bits())
            .all(|(choice, bit)| choice.allows(*bit));
        layers
            && configuration
                .sizes()
                .all(|(module, size)| self.sizes(module).contains(&size))
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
                format!("{other:?} is not a mask character; write *, 1 or 0"),
            )),
        })
        .collect()
}

fn resolve_sizes(
    index: usize,
    spec: &DimensionSpec,
    module: Module,
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
        return Ok((module.facts().default_sizes)(hidden_size));
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
    if module.facts().is_switch && sizes.iter().any(|size| *size > 1) {
        return Err(field("sizes", "it is left out (0) or inserted (1)".into()));
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

/// A mask with every layer active.
pub fn all_layers(layers: usize) -> Result<LayerMask, crate::configuration::LayerMaskError> {
    LayerMask::from_bits(vec![true; layers])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A later module is searched where a manifest names it, and nowhere else.
    #[test]
    fn a_later_module_joins_a_space_that_names_it() {
        let plain =
            SearchSpace::resolve(&SearchSpaceSpec::default(), 12, 768).expect("the paper's");
        assert_eq!(plain.sizes(Module::Test), [0]);
        assert_eq!(plain.raw_count(), 5_451_776);
        let named: SearchSpaceSpec = serde_json::from_value(serde_json::json!({
            "dimensions": [{"name": "layers"}, {"name": "testModule", "sizes": [0, 2, 4]}],
        }))
        .expect("a space");
        let space = SearchSpace::resolve(&named, 2, 8).expect("a space");
        assert_eq!(space.dimensions(), 3);
        assert_eq!(space.raw_count(), 4 * 3);
        let layers = "01".parse().expect("a mask");
        assert!(space.contains(&PeftConfiguration::new(layers, &[(Module::Test, 4)])));
        assert_eq!(space.least_parameters(), 0);
    }
}
