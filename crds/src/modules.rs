//! The PEFT modules: a row each. Everything outside the trainer that differs between modules is read
//! from here: configuration, search space, cost, hash, schema, flags, reports.
//!
//! A new module is a variant and a row, and a file in `trainer/src/peft/` (docs/extending.md).

use crate::named::Named;
use crate::shape::Shape;

/// A PEFT module. The order is that of the surrogate's dimensions, of columns and of hashes: a new
/// one comes last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Module {
    /// The serial adapter.
    SerialAdapter,
    /// The parallel adapter.
    ParallelAdapter,
    /// The prefix.
    Prefix,
    /// Low-rank updates of attention's matrices.
    Lora,
    /// Scales of keys, values and the feed-forward block's activation.
    Ia3,
    /// The encoder's own biases.
    BitFit,
    /// A mixture of adapters.
    AdaMix,
    /// In this crate's own tests: a module that 0.1.0 did not know.
    #[cfg(test)]
    Test,
}

/// The facts about a module. Notation: H, I and M of `Shape`; D, the module's size.
#[derive(Clone, Copy, Debug)]
pub struct ModuleFacts {
    /// Which module.
    pub module: Module,
    /// Its name in manifests, results and columns of data.
    pub name: &'static str,
    /// Its name in sentences.
    pub title: &'static str,
    /// The heading of its column in tables.
    pub symbol: &'static str,
    /// The paper's letter for its size.
    pub notation: &'static str,
    /// What its size is.
    pub size: &'static str,
    /// Where it acts.
    pub site: &'static str,
    /// Its trainable parameters in one active layer, of D and the shape, as the paper counts them: an
    /// adapter's biases and the prefix's reparametrisation left out. Increasing in D, and 0 for D = 0.
    pub cost: fn(u64, &Shape) -> u64,
    /// The same as a formula.
    pub cost_formula: &'static str,
    /// The sizes to choose from, of H, where a manifest gives none: strictly ascending.
    pub default_sizes: fn(u32) -> Vec<u32>,
    /// Whether it has no size of its own: 0 leaves it out, 1 inserts it.
    pub is_switch: bool,
    /// Whether it is one of the paper's three: serialised even at size 0, and searched where a manifest names
    /// no dimension. Any other is absent at size 0, so that configurations, hashes and spaces of versions
    /// that did not know it stay equal.
    pub is_of_the_paper: bool,
}

/// The rows, in the order of the variants.
pub const MODULES: &[ModuleFacts] = &[
    ModuleFacts {
        module: Module::SerialAdapter,
        name: "serialAdapter",
        title: "serial adapter",
        symbol: "SA",
        notation: "D_SA",
        size: "the bottleneck of the serial adapter",
        site: "after the feed-forward block, on its output",
        cost: two_matrices,
        cost_formula: "2·D·H",
        default_sizes: halved,
        is_switch: false,
        is_of_the_paper: true,
    },
    ModuleFacts {
        module: Module::ParallelAdapter,
        name: "parallelAdapter",
        title: "parallel adapter",
        symbol: "PA",
        notation: "D_PA",
        size: "the bottleneck of the parallel adapter",
        site: "beside the feed-forward block, on its input",
        cost: two_matrices,
        cost_formula: "2·D·H",
        default_sizes: halved,
        is_switch: false,
        is_of_the_paper: true,
    },
    ModuleFacts {
        module: Module::Prefix,
        name: "prefix",
        title: "prefix",
        symbol: "prefix",
        notation: "L_PT",
        size: "the number of prefix positions",
        site: "before the keys and values of self-attention",
        cost: two_matrices,
        cost_formula: "2·D·H",
        default_sizes: halved,
        is_switch: false,
        is_of_the_paper: true,
    },
    ModuleFacts {
        module: Module::Lora,
        name: "lora",
        title: "LoRA",
        symbol: "LoRA",
        notation: "r",
        size: "the rank of LoRA",
        site: "on attention's queries and values, or the matrices of `searchSpace.options.lora`",
        cost: |rank, shape| 2 * rank * u64::from(shape.hidden) * u64::from(shape.lora_matrices),
        cost_formula: "2·D·H·M, 4·D·H on queries and values",
        default_sizes: |_| vec![0, 1, 2, 4, 8, 16, 32, 64],
        is_switch: false,
        is_of_the_paper: false,
    },
    ModuleFacts {
        module: Module::Ia3,
        name: "ia3",
        title: "(IA)³",
        symbol: "IA3",
        notation: "on",
        size: "1 for (IA)³, 0 without",
        site: "on keys, values and the activation of the feed-forward block",
        cost: |on, shape| on * (2 * u64::from(shape.hidden) + u64::from(shape.feed_forward)),
        cost_formula: "2·H + I",
        default_sizes: switched,
        is_switch: true,
        is_of_the_paper: false,
    },
    ModuleFacts {
        module: Module::BitFit,
        name: "bitFit",
        title: "BitFit",
        symbol: "BitFit",
        notation: "on",
        size: "1 for BitFit, 0 without",
        site: "on the layer's own biases",
        cost: |on, shape| on * (7 * u64::from(shape.hidden) + u64::from(shape.feed_forward)),
        cost_formula: "7·H + I",
        default_sizes: switched,
        is_switch: true,
        is_of_the_paper: false,
    },
    ModuleFacts {
        module: Module::AdaMix,
        name: "adaMix",
        title: "AdaMix",
        symbol: "AdaMix",
        notation: "D_AM",
        size: "the bottleneck of the mixture of adapters",
        site: "on the output of the feed-forward block, before its dropout",
        cost: two_matrices,
        cost_formula: "2·D·H",
        default_sizes: halved,
        is_switch: false,
        is_of_the_paper: false,
    },
    #[cfg(test)]
    ModuleFacts {
        module: Module::Test,
        name: "testModule",
        title: "test module",
        symbol: "TM",
        notation: "r",
        size: "the rank of the test module",
        site: "nowhere",
        cost: |size, shape| 4 * size * u64::from(shape.hidden),
        cost_formula: "4·D·H",
        default_sizes: halved,
        is_switch: false,
        is_of_the_paper: false,
    },
];

impl Module {
    /// How many modules there are.
    pub const COUNT: usize = MODULES.len();

    /// The modules, in the order of the rows.
    pub const ALL: [Self; Self::COUNT] = {
        let mut all = [Self::SerialAdapter; Self::COUNT];
        let mut row = 0;
        while row < Self::COUNT {
            all[row] = MODULES[row].module;
            row += 1;
        }
        all
    };

    /// The module's row.
    pub fn facts(self) -> &'static ModuleFacts {
        &MODULES[self as usize]
    }

    /// Its name in manifests, results and columns of data.
    pub fn name(self) -> &'static str {
        self.facts().name
    }

    /// Its trainable parameters in one active layer.
    pub fn cost(self, size: u32, shape: &Shape) -> u64 {
        (self.facts().cost)(size.into(), shape)
    }

    /// Whether this size is serialised: always for the paper's modules, else from 1 on.
    pub fn is_written_at(self, size: u32) -> bool {
        size > 0 || self.facts().is_of_the_paper
    }
}

impl Named for Module {
    const ALL: &'static [Self] = &Module::ALL;

    fn as_str(self) -> &'static str {
        self.name()
    }
}

/// Two matrices of D rows and H columns: both projections of an adapter, keys and values of a prefix.
fn two_matrices(size: u64, shape: &Shape) -> u64 {
    2 * size * u64::from(shape.hidden)
}

/// Off and on.
fn switched(_: u32) -> Vec<u32> {
    vec![0, 1]
}

/// The paper's list: 0, then H halved (rounding down) until 1, ascending. For 768: 0, 1, 3, 6, 12, 24,
/// 48, 96, 192, 384, 768.
pub fn halved(hidden_size: u32) -> Vec<u32> {
    let halve = |size: &u32| Some(size / 2).filter(|half| *half > 0);
    let mut sizes: Vec<u32> = std::iter::successors(Some(hidden_size), halve)
        .filter(|size| *size > 0)
        .collect();
    sizes.push(0);
    sizes.reverse();
    sizes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_stands_at_its_modules_place() {
        for (place, row) in MODULES.iter().enumerate() {
            assert_eq!(row.module as usize, place, "{}", row.name);
            assert_eq!(row.module.facts().name, row.name);
            assert_eq!(Module::from_name(row.name), Some(row.module));
        }
    }

    #[test]
    fn a_cost_grows_with_the_size_from_nothing() {
        for module in Module::ALL {
            let shape = Shape::from(768);
            assert_eq!(module.cost(0, &shape), 0, "{module:?}");
            let costs: Vec<u64> = (0..100).map(|size| module.cost(size, &shape)).collect();
            assert!(costs.windows(2).all(|pair| pair[0] < pair[1]), "{module:?}");
            let sizes = (module.facts().default_sizes)(768);
            assert!(sizes.windows(2).all(|pair| pair[0] < pair[1]), "{module:?}");
        }
    }
}
