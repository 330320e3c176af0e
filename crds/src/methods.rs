//! The baselines: methods of the literature that are trained beside a search. A row each.
//!
//! A new baseline that combines known modules is a variant and a row (docs/extending.md).

use serde::{Deserialize, Serialize};

use crate::configuration::{LayerMask, PeftConfiguration};
use crate::decimal::Decimal;
use crate::modules::Module;
use crate::named::{Named, written_by_name};
use crate::options::{ModuleOptions, PrefixOptions};
use crate::shape::Shape;

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
    /// LoRA on queries and values of every layer.
    Lora,
    /// A prefix and a parallel adapter in every layer.
    Mam,
    /// LoRA, prefix and serial adapter in every layer, each behind a gate.
    UniPelt,
    /// A serial adapter in the upper layers.
    AdapterDrop,
    /// (IA)³ in every layer.
    Ia3,
    /// The biases of every layer.
    BitFit,
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
    /// Modules in the layers from one on; each with its size, of H.
    Modules {
        /// The modules.
        modules: &'static [(Module, SizeOf)],
        /// The first layer that carries them, of the number of layers.
        first_layer: fn(usize) -> usize,
        /// How they are built.
        options: fn() -> ModuleOptions,
    },
}

/// Modules in every layer, built as is usual.
const fn everywhere(modules: &'static [(Module, SizeOf)]) -> Recipe {
    Recipe::Modules {
        modules,
        first_layer: |_| 0,
        options: ModuleOptions::default,
    }
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
        recipe: everywhere(&[(Module::SerialAdapter, |hidden| hidden / 16)]),
        what: "a serial adapter of bottleneck H/16 in every layer",
        citation: "Pfeiffer et al. 2021, arXiv:2005.00247",
    },
    BaselineFacts {
        baseline: BaselineName::ParallelAdapter,
        name: "ParallelAdapter",
        title: "parallel adapter",
        recipe: everywhere(&[(Module::ParallelAdapter, |hidden| hidden / 2)]),
        what: "a parallel adapter of bottleneck H/2 in every layer",
        citation: "He et al. 2022, arXiv:2110.04366",
    },
    BaselineFacts {
        baseline: BaselineName::Prefix,
        name: "Prefix",
        title: "prefix",
        recipe: everywhere(&[(Module::Prefix, |_| 10)]),
        what: "a prefix of 10 positions in every layer",
        citation: "Li and Liang 2021, arXiv:2101.00190",
    },
    BaselineFacts {
        baseline: BaselineName::Lora,
        name: "LoRA",
        title: "LoRA",
        recipe: everywhere(&[(Module::Lora, |_| 8)]),
        what: "LoRA of rank 8 and alpha 8 on queries and values in every layer",
        citation: "Hu et al. 2022, arXiv:2106.09685",
    },
    BaselineFacts {
        baseline: BaselineName::Mam,
        name: "MAM",
        title: "mix-and-match adapter",
        recipe: everywhere(&[
            (Module::Prefix, |_| 30),
            (Module::ParallelAdapter, |hidden| hidden / 2),
        ]),
        what: "a prefix of 30 positions and a parallel adapter of bottleneck H/2 in every layer",
        citation: "He et al. 2022, arXiv:2110.04366",
    },
    BaselineFacts {
        baseline: BaselineName::UniPelt,
        name: "UniPELT",
        title: "UniPELT",
        recipe: Recipe::Modules {
            modules: &[
                (Module::Lora, |_| 8),
                (Module::Prefix, |_| 10),
                (Module::SerialAdapter, |hidden| hidden / 16),
            ],
            first_layer: |_| 0,
            options: || ModuleOptions {
                prefix: PrefixOptions { width: 512 },
                gated: true,
                ..ModuleOptions::default()
            },
        },
        what: "LoRA of rank 8, a prefix of 10 positions and a serial adapter of bottleneck H/16 in every layer, each behind a gate",
        citation: "Mao et al. 2022, arXiv:2110.07577",
    },
    BaselineFacts {
        baseline: BaselineName::AdapterDrop,
        name: "AdapterDrop",
        title: "specialised AdapterDrop",
        recipe: Recipe::Modules {
            modules: &[(Module::SerialAdapter, |hidden| hidden / 16)],
            first_layer: |layers| 5 * layers / 12,
            options: ModuleOptions::default,
        },
        what: "a serial adapter of bottleneck H/16 in every layer but the first 5 of 12",
        citation: "Rücklé et al. 2021, arXiv:2010.11918",
    },
    BaselineFacts {
        baseline: BaselineName::Ia3,
        name: "IA3",
        title: "(IA)³",
        recipe: everywhere(&[(Module::Ia3, |_| 1)]),
        what: "scales of keys, values and the feed-forward block's activation in every layer",
        citation: "Liu et al. 2022, arXiv:2205.05638",
    },
    BaselineFacts {
        baseline: BaselineName::BitFit,
        name: "BitFit",
        title: "BitFit",
        recipe: everywhere(&[(Module::BitFit, |_| 1)]),
        what: "the biases of every layer",
        citation: "Ben Zaken et al. 2022, arXiv:2106.10199",
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
            Recipe::Modules { .. } => Method::Peft,
        }
    }

    /// The learning rate that the method needs in place of the recipe's.
    pub fn learning_rate(self) -> Option<Decimal> {
        match self.facts().recipe {
            Recipe::EveryWeight { learning_rate } => learning_rate.parse().ok(),
            Recipe::Modules { .. } => None,
        }
    }

    /// How its modules are built.
    pub fn options(self) -> ModuleOptions {
        match self.facts().recipe {
            Recipe::EveryWeight { .. } => ModuleOptions::default(),
            Recipe::Modules { options, .. } => options(),
        }
    }

    /// Its configuration in a model with this number of layers and hidden size H, and its exact cost; the
    /// cost of full fine-tuning is the backbone's. `None` for a model without layers.
    pub fn configuration(
        self,
        layers: usize,
        shape: impl Into<Shape>,
        backbone_parameters: u64,
    ) -> Option<(PeftConfiguration, u64)> {
        match self.facts().recipe {
            Recipe::EveryWeight { .. } => {
                Some((PeftConfiguration::empty(layers).ok()?, backbone_parameters))
            }
            Recipe::Modules {
                modules,
                first_layer,
                options,
            } => {
                let shape = options().shape(shape.into());
                let first = first_layer(layers);
                let bits = (0..layers).map(|layer| layer >= first).collect();
                let mut configuration =
                    PeftConfiguration::new(LayerMask::from_bits(bits).ok()?, &[]);
                for (module, size) in modules {
                    configuration = configuration.with_size(*module, size(shape.hidden).max(1));
                }
                let parameters = configuration.parameters(shape);
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

    /// The paper's column: percent of BERT-base's 109,482,240 parameters (Table 1).
    #[test]
    fn the_baselines_cost_what_the_paper_says() {
        let percent = |baseline: BaselineName| {
            let (_, parameters) = baseline
                .configuration(12, 768, 109_482_240)
                .expect("layers");
            format!("{:.2}", 100.0 * parameters as f64 / 109_482_240.0)
        };
        for (baseline, expected) in [
            (BaselineName::FullFineTuning, "100.00"),
            (BaselineName::Prefix, "0.17"),
            (BaselineName::Lora, "0.27"),
            (BaselineName::SerialAdapter, "0.81"),
            (BaselineName::UniPelt, "1.25"),
            (BaselineName::ParallelAdapter, "6.46"),
            (BaselineName::Mam, "6.97"),
            (BaselineName::AdapterDrop, "0.47"),
            (BaselineName::Ia3, "0.05"),
            (BaselineName::BitFit, "0.09"),
        ] {
            assert_eq!(percent(baseline), expected, "{baseline:?}");
        }
    }
}
