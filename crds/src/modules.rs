//! The PEFT modules: a row each. Everything outside the trainer that differs between modules is read
//! from here: configuration, search space, cost, hash, schema, flags, reports.
//!
//! A new module is a variant and a row, and a file in `trainer/src/peft/` (docs/extending.md).

use crate::named::Named;

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
    /// In this crate's own tests: a module that 0.1.0 did not know.
    #[cfg(test)]
    Test,
}

/// The facts about a module. Notation: H, the model's hidden size; D, the module's size.
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
    /// Its trainable parameters in one active layer, of D and H, as the paper counts them: biases and
    /// reparametrisation left out. Increasing in D, and 0 for D = 0.
    pub cost: fn(u64, u64) -> u64,
    /// The same as a formula.
    pub cost_formula: &'static str,
    /// The sizes to choose from, of H, where a manifest gives none: strictly ascending.
    pub default_sizes: fn(u32) -> Vec<u32>,
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
        is_of_the_paper: true,
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
        cost: |size, hidden| 4 * size * hidden,
        cost_formula: "4·D·H",
        default_sizes: halved,
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
    pub fn cost(self, size: u32, hidden_size: u32) -> u64 {
        (self.facts().cost)(size.into(), hidden_size.into())
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
fn two_matrices(size: u64, hidden_size: u64) -> u64 {
    2 * size * hidden_size
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
            assert_eq!(module.cost(0, 768), 0, "{module:?}");
            let costs: Vec<u64> = (0..100).map(|size| module.cost(size, 768)).collect();
            assert!(costs.windows(2).all(|pair| pair[0] < pair[1]), "{module:?}");
            let sizes = (module.facts().default_sizes)(768);
            assert!(sizes.windows(2).all(|pair| pair[0] < pair[1]), "{module:?}");
        }
    }
}
