//! The baselines: methods of the literature that are trained beside a search. A row each.
//!
//! A new baseline that combines known modules is a variant here and a row in `rows.rs` (docs/extending.md).

mod rows;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::configuration::{LayerMask, MAX_LAYERS, PeftConfiguration};
use crate::decimal::Decimal;
use crate::modules::Module;
use crate::named::{Named, written_by_name};
use crate::options::ModuleOptions;
use crate::shape::Shape;
use crate::spec::TrainingSpec;

pub use rows::BASELINES;

/// What a trial trains.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Method {
    /// The configuration's modules and the head.
    #[default]
    Peft,
    /// Every weight; the configuration is the empty one.
    FullFineTuning,
    /// As `Peft`, and each step leaves out the modules of the first n layers, with n drawn anew: AdapterDrop,
    /// robust (arXiv:2010.11918).
    LayerDrop,
    /// Adaptable Adapters (arXiv:2205.01549): a switch in every layer learns whether the serial adapter is of
    /// use there; then fresh adapters are trained in the layers that were chosen.
    LayerSelection,
}

impl Method {
    /// Whether every weight of the encoder is trained.
    pub fn trains_every_weight(self) -> bool {
        self == Self::FullFineTuning
    }

    /// The module that the method trains, where it can train no other.
    pub fn only_module(self) -> Option<Module> {
        match self {
            Self::LayerSelection => Some(Module::SerialAdapter),
            Self::Peft | Self::FullFineTuning | Self::LayerDrop => None,
        }
    }

    /// What an adapter that it trained holds: modules, or every weight.
    #[must_use]
    pub fn of_adapter(self) -> Self {
        match self {
            Self::FullFineTuning => Self::FullFineTuning,
            Self::Peft | Self::LayerDrop | Self::LayerSelection => Self::Peft,
        }
    }
}

/// Whose recipe trains the baselines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum BaselineRecipe {
    /// The search's, except for the learning rate of full fine-tuning.
    #[default]
    Search,
    /// The one that the method was published with: learning rate, batch size, weight decay, warm-up and patience.
    Published,
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
    /// A mixture of adapters in every layer.
    AdaMix,
    /// A serial adapter in every layer, trained so that lower ones can be dropped.
    RobustAdapterDrop,
    /// A serial adapter in the layers that switches choose.
    AdaptableAdapters,
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
        /// How they are trained.
        method: Method,
    },
}

/// The recipe that a method was published with: what replaces the search's where a manifest asks for it.
#[derive(Clone, Copy, Debug)]
pub struct Published {
    /// The learning rate, as a decimal string.
    pub learning_rate: &'static str,
    /// Examples per step.
    pub batch_size: u32,
    /// The weight decay, as a decimal string.
    pub weight_decay: &'static str,
    /// Percent of the steps over which the rate rises.
    pub warmup_percent: u32,
    /// Epochs without a better score until training ends, where the publication stops early.
    pub patience: Option<u32>,
    /// The epochs of the publication, for information: a baseline gets the search's fidelity.
    pub epochs: Option<u32>,
    /// Where this is from.
    pub source: &'static str,
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
    /// How it was trained where it was published.
    pub published: Published,
    /// Where the method and its sizes come from.
    pub citation: &'static str,
}

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
            Recipe::Modules { method, .. } => method,
        }
    }

    /// Whether the method is about which layers carry modules.
    pub fn chooses_layers(self) -> bool {
        match self.facts().recipe {
            Recipe::EveryWeight { .. } => false,
            Recipe::Modules {
                first_layer,
                method,
                ..
            } => {
                matches!(method, Method::LayerDrop | Method::LayerSelection)
                    || first_layer(MAX_LAYERS) > 0
            }
        }
    }

    /// The learning rate that the method needs in place of the search's.
    pub fn learning_rate(self) -> Option<Decimal> {
        match self.facts().recipe {
            Recipe::EveryWeight { learning_rate } => learning_rate.parse().ok(),
            Recipe::Modules { .. } => None,
        }
    }

    /// How it is trained in a search with this recipe.
    pub fn training(self, search: &TrainingSpec, recipe: BaselineRecipe) -> TrainingSpec {
        let mut training = search.clone();
        match recipe {
            BaselineRecipe::Search => {
                if let Some(rate) = self.learning_rate() {
                    training.learning_rate = rate;
                }
            }
            BaselineRecipe::Published => {
                let published = self.facts().published;
                // A test parses every row.
                if let Ok(rate) = published.learning_rate.parse() {
                    training.learning_rate = rate;
                }
                if let Ok(decay) = published.weight_decay.parse() {
                    training.weight_decay = decay;
                }
                training.batch_size = published.batch_size;
                training.warmup_percent = published.warmup_percent;
                training.patience = published.patience.unwrap_or(search.patience);
            }
        }
        training
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
                method: _,
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
            let rates = match row.recipe {
                Recipe::EveryWeight { learning_rate } => Some(learning_rate),
                Recipe::Modules { .. } => None,
            };
            let Published {
                learning_rate,
                weight_decay,
                ..
            } = row.published;
            for number in rates.iter().chain([&learning_rate, &weight_decay]) {
                assert!(number.parse::<Decimal>().is_ok(), "{}", row.name);
            }
        }
    }

    #[test]
    fn three_baselines_choose_layers() {
        let choosing = BaselineName::ALL
            .into_iter()
            .filter(|name| name.chooses_layers());
        assert_eq!(
            choosing.collect::<Vec<_>>(),
            [
                BaselineName::AdapterDrop,
                BaselineName::RobustAdapterDrop,
                BaselineName::AdaptableAdapters
            ]
        );
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
            (BaselineName::AdaMix, "0.81"),
            (BaselineName::RobustAdapterDrop, "0.81"),
            // Before layers are chosen.
            (BaselineName::AdaptableAdapters, "0.81"),
        ] {
            assert_eq!(percent(baseline), expected, "{baseline:?}");
        }
    }

    #[test]
    fn a_baseline_is_trained_by_the_searchs_recipe_or_its_own() {
        let search = TrainingSpec::default();
        let rate = |baseline: BaselineName, recipe| {
            let training = baseline.training(&search, recipe);
            (training.learning_rate.get(), training.batch_size)
        };
        let (usual, tuned) = (BaselineName::AdaMix, BaselineName::FullFineTuning);
        assert_eq!(rate(usual, BaselineRecipe::Search), (1e-4, 32));
        assert_eq!(rate(usual, BaselineRecipe::Published), (4e-4, 64));
        assert_eq!(rate(tuned, BaselineRecipe::Search), (2e-5, 32));
        let own = BaselineName::Lora.training(&search, BaselineRecipe::Published);
        assert_eq!((own.warmup_percent, own.seed), (6, search.seed));
    }
}
