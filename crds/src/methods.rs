//! The baselines: methods of the literature that are trained beside a search. A row each.
//!
//! A new baseline that combines known modules is a variant and a row (docs/extending.md).

use serde::{Deserialize, Serialize};

use crate::configuration::{LayerMask, PeftConfiguration};
use crate::decimal::Decimal;
use crate::modules::Module;
use crate::named::{Named, written_by_name};

/// What a trial trains.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Method {
    /// The configuration's modules and the head.
    #[default]
    Peft,
    /// Every weight; the configuration is the empty one.
    FullFineTuning,
}

/// A method that is trained beside the search for comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BaselineName {
    /// Every weight of the model.
    FullFineTuning,
    /// A serial adapter in every layer.
    SerialAdapter,
    /// A parallel adapter in every layer.
    ParallelAdapter,
    /// A prefix in every layer.
    Prefix,
}

/// A module's size, of H.
type SizeOf = fn(u32) -> u32;

/// What is trained. Notation: H, the model's hidden size.
#[derive(Clone, Copy, Debug)]
pub enum Recipe {
    /// Every weight, at a learning rate of its own.
    EveryWeight {
        /// The learning rate, as a decimal string.
        learning_rate: &'static str,
    },
    /// Modules in every layer; each with its size, of H.
    Modules(&'static [(Module, SizeOf)]),
}

/// The facts about a baseline.
#[derive(Clone, Copy, Debug)]
pub struct BaselineFacts {
    /// Which baseline.
    pub baseline: BaselineName,
    /// Its name in manifests and results.
    pub name: &'static str,
    /// Its name in sentences.
    pub title: &'static str,
    /// What is trained.
    pub recipe: Recipe,
    /// The recipe in words.
    pub what: &'static str,
    /// Where the method and its sizes come from.
    pub citation: &'static str,
}

/// The rows, in the order of the variants.
pub const BASELINES: &[BaselineFacts] = &[
    BaselineFacts {
        baseline: BaselineName::FullFineTuning,
        name: "FullFineTuning",
        title: "full fine-tuning",
        recipe: Recipe::EveryWeight {
            learning_rate: "0.00002",
        },
        what: "every weight, learning rate 2e-5",
        citation: "Devlin et al. 2019, arXiv:1810.04805",
    },
    BaselineFacts {
        baseline: BaselineName::SerialAdapter,
        name: "SerialAdapter",
        title: "serial adapter",
        recipe: Recipe::Modules(&[(Module::SerialAdapter, |hidden| hidden / 16)]),
        what: "a serial adapter of bottleneck H/16 in every layer",
        citation: "Pfeiffer et al. 2021, arXiv:2005.00247",
    },
    BaselineFacts {
        baseline: BaselineName::ParallelAdapter,
        name: "ParallelAdapter",
        title: "parallel adapter",
        recipe: Recipe::Modules(&[(Module::ParallelAdapter, |hidden| hidden / 2)]),
        what: "a parallel adapter of bottleneck H/2 in every layer",
        citation: "He et al. 2022, arXiv:2110.04366",
    },
    BaselineFacts {
        baseline: BaselineName::Prefix,
        name: "Prefix",
        title: "prefix",
        recipe: Recipe::Modules(&[(Module::Prefix, |_| 10)]),
        what: "a prefix of 10 positions in every layer",
        citation: "Li and Liang 2021, arXiv:2101.00190",
    },
];

impl BaselineName {
    /// How many baselines there are.
    pub const COUNT: usize = BASELINES.len();

    /// The baselines, in the order of the rows.
    pub const ALL: [Self; Self::COUNT] = {
        let mut all = [Self::FullFineTuning; Self::COUNT];
        let mut row = 0;
        while row < Self::COUNT {
            all[row] = BASELINES[row].baseline;
            row += 1;
        }
        all
    };

    /// The baseline's row.
    pub fn facts(self) -> &'static BaselineFacts {
        &BASELINES[self as usize]
    }

    /// What its trial trains.
    pub fn method(self) -> Method {
        match self.facts().recipe {
            Recipe::EveryWeight { .. } => Method::FullFineTuning,
            Recipe::Modules(_) => Method::Peft,
        }
    }

    /// The learning rate that the method needs in place of the recipe's.
    pub fn learning_rate(self) -> Option<Decimal> {
        match self.facts().recipe {
            Recipe::EveryWeight { learning_rate } => learning_rate.parse().ok(),
            Recipe::Modules(_) => None,
        }
    }

    /// Its configuration in a model with this number of layers and hidden size H, and its exact cost; the
    /// cost of full fine-tuning is the backbone's. `None` for a model without layers.
    pub fn configuration(
        self,
        layers: usize,
        hidden_size: u32,
        backbone_parameters: u64,
    ) -> Option<(PeftConfiguration, u64)> {
        match self.facts().recipe {
            Recipe::EveryWeight { .. } => {
                Some((PeftConfiguration::empty(layers).ok()?, backbone_parameters))
            }
            Recipe::Modules(modules) => {
                let mask = LayerMask::from_bits(vec![true; layers]).ok()?;
                let mut configuration = PeftConfiguration::new(mask, &[]);
                for (module, size) in modules {
                    configuration = configuration.with_size(*module, size(hidden_size).max(1));
                }
                let parameters = configuration.parameters(hidden_size);
                Some((configuration, parameters))
            }
        }
    }
}

impl Named for BaselineName {
    const ALL: &'static [Self] = &BaselineName::ALL;

    fn as_str(self) -> &'static str {
        self.facts().name
    }
}

written_by_name!(BaselineName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_stands_at_its_baselines_place() {
        for (place, row) in BASELINES.iter().enumerate() {
            assert_eq!(row.baseline as usize, place, "{}", row.name);
            assert_eq!(BaselineName::from_name(row.name), Some(row.baseline));
            if let Recipe::EveryWeight { learning_rate } = row.recipe {
                assert!(learning_rate.parse::<Decimal>().is_ok(), "{}", row.name);
            }
        }
    }

    /// The sizes of the literature at the width of BERT-base.
    #[test]
    fn the_baselines_of_a_base_model() {
        let of = |baseline: BaselineName| {
            let (configuration, parameters) =
                baseline.configuration(12, 768, 1000).expect("layers");
            (configuration.to_string(), parameters)
        };
        let sizes = |sizes: &str| format!("layers 111111111111, {sizes}");
        let empty = "layers 000000000000, SA 0, PA 0, prefix 0".to_owned();
        assert_eq!(of(BaselineName::FullFineTuning), (empty, 1000));
        let serial = 2 * 48 * 768 * 12;
        assert_eq!(
            of(BaselineName::SerialAdapter),
            (sizes("SA 48, PA 0, prefix 0"), serial)
        );
        let parallel = 2 * 384 * 768 * 12;
        assert_eq!(
            of(BaselineName::ParallelAdapter),
            (sizes("SA 0, PA 384, prefix 0"), parallel)
        );
        let prefix = 2 * 10 * 768 * 12;
        assert_eq!(
            of(BaselineName::Prefix),
            (sizes("SA 0, PA 0, prefix 10"), prefix)
        );
        assert_eq!(BaselineName::Prefix.configuration(0, 768, 1000), None);
    }
}
