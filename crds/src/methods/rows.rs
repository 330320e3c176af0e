//! The rows of the baselines.

use super::{BaselineFacts, BaselineName, Method, Published, Recipe, SizeOf};
use crate::modules::Module;
use crate::options::{ModuleOptions, PrefixOptions};

/// Modules in every layer, built as is usual.
const fn everywhere(modules: &'static [(Module, SizeOf)]) -> Recipe {
    trained(Method::Peft, modules)
}

/// The same, trained by a method.
const fn trained(method: Method, modules: &'static [(Module, SizeOf)]) -> Recipe {
    Recipe::Modules {
        modules,
        first_layer: |_| 0,
        options: ModuleOptions::default,
        method,
    }
}

/// Of the serial adapter.
const SERIAL: Published = Published {
    learning_rate: "0.0001",
    batch_size: 32,
    weight_decay: "0",
    warmup_percent: 0,
    patience: None,
    epochs: Some(30),
    source: "arXiv:2005.00247, section 4",
};

/// Of AdapterDrop, in both of its forms.
const ADAPTER_DROP: Published = Published {
    source: "as the serial adapter, in the library of its authors",
    ..SERIAL
};

/// Of the parallel adapter and of the mix-and-match adapter, which one publication trains alike.
const HE_ET_AL: Published = Published {
    learning_rate: "0.0001",
    batch_size: 32,
    weight_decay: "0.1",
    warmup_percent: 6,
    patience: None,
    epochs: Some(10),
    source: "the authors' script for GLUE",
};

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
        published: Published {
            learning_rate: "0.00002",
            batch_size: 32,
            weight_decay: "0.01",
            warmup_percent: 10,
            patience: None,
            epochs: Some(3),
            source: "arXiv:1810.04805, appendix A.3",
        },
        citation: "Devlin et al. 2019, arXiv:1810.04805",
    },
    BaselineFacts {
        baseline: BaselineName::SerialAdapter,
        name: "SerialAdapter",
        title: "serial adapter",
        recipe: everywhere(&[(Module::SerialAdapter, |hidden| hidden / 16)]),
        what: "a serial adapter of bottleneck H/16 in every layer",
        published: SERIAL,
        citation: "Pfeiffer et al. 2021, arXiv:2005.00247",
    },
    BaselineFacts {
        baseline: BaselineName::ParallelAdapter,
        name: "ParallelAdapter",
        title: "parallel adapter",
        recipe: everywhere(&[(Module::ParallelAdapter, |hidden| hidden / 2)]),
        what: "a parallel adapter of bottleneck H/2 in every layer",
        published: HE_ET_AL,
        citation: "He et al. 2022, arXiv:2110.04366",
    },
    BaselineFacts {
        baseline: BaselineName::Prefix,
        name: "Prefix",
        title: "prefix",
        recipe: everywhere(&[(Module::Prefix, |_| 10)]),
        what: "a prefix of 10 positions in every layer",
        published: Published {
            learning_rate: "0.0002",
            batch_size: 16,
            weight_decay: "0",
            warmup_percent: 0,
            patience: Some(10),
            epochs: Some(50),
            source: "arXiv:2110.07577, which trains it on GLUE",
        },
        citation: "Li and Liang 2021, arXiv:2101.00190",
    },
    BaselineFacts {
        baseline: BaselineName::Lora,
        name: "LoRA",
        title: "LoRA",
        recipe: everywhere(&[(Module::Lora, |_| 8)]),
        what: "LoRA of rank 8 and alpha 8 on queries and values in every layer",
        published: Published {
            learning_rate: "0.0005",
            batch_size: 32,
            weight_decay: "0.1",
            warmup_percent: 6,
            patience: None,
            epochs: Some(80),
            source: "the authors' script for RTE",
        },
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
        published: HE_ET_AL,
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
            method: Method::Peft,
        },
        what: "LoRA of rank 8, a prefix of 10 positions and a serial adapter of bottleneck H/16 in every layer, each behind a gate",
        published: Published {
            learning_rate: "0.0005",
            batch_size: 16,
            weight_decay: "0",
            warmup_percent: 0,
            patience: Some(10),
            epochs: Some(50),
            source: "arXiv:2110.07577, appendix",
        },
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
            method: Method::Peft,
        },
        what: "a serial adapter of bottleneck H/16 in every layer but the first 5 of 12",
        published: ADAPTER_DROP,
        citation: "Rücklé et al. 2021, arXiv:2010.11918",
    },
    BaselineFacts {
        baseline: BaselineName::Ia3,
        name: "IA3",
        title: "(IA)³",
        recipe: everywhere(&[(Module::Ia3, |_| 1)]),
        what: "scales of keys, values and the feed-forward block's activation in every layer",
        published: Published {
            learning_rate: "0.003",
            batch_size: 8,
            weight_decay: "0",
            warmup_percent: 6,
            patience: None,
            epochs: None,
            source: "arXiv:2205.05638, section 3.2",
        },
        citation: "Liu et al. 2022, arXiv:2205.05638",
    },
    BaselineFacts {
        baseline: BaselineName::BitFit,
        name: "BitFit",
        title: "BitFit",
        recipe: everywhere(&[(Module::BitFit, |_| 1)]),
        what: "the biases of every layer",
        published: Published {
            learning_rate: "0.001",
            batch_size: 8,
            weight_decay: "0",
            warmup_percent: 0,
            patience: None,
            epochs: Some(16),
            source: "the defaults of the authors' program",
        },
        citation: "Ben Zaken et al. 2022, arXiv:2106.10199",
    },
    BaselineFacts {
        baseline: BaselineName::AdaMix,
        name: "AdaMix",
        title: "AdaMix",
        recipe: everywhere(&[(Module::AdaMix, |hidden| hidden / 16)]),
        what: "a mixture of four adapters of bottleneck H/16 in every layer, averaged after training",
        published: Published {
            learning_rate: "0.0004",
            batch_size: 64,
            weight_decay: "0.1",
            warmup_percent: 6,
            patience: None,
            epochs: Some(40),
            source: "the authors' script for BERT-base",
        },
        citation: "Wang et al. 2022, arXiv:2205.12410",
    },
    BaselineFacts {
        baseline: BaselineName::RobustAdapterDrop,
        name: "RobustAdapterDrop",
        title: "robust AdapterDrop",
        recipe: trained(
            Method::LayerDrop,
            &[(Module::SerialAdapter, |hidden| hidden / 16)],
        ),
        what: "a serial adapter of bottleneck H/16 in every layer; each step drops those of the first n layers",
        published: ADAPTER_DROP,
        citation: "Rücklé et al. 2021, arXiv:2010.11918",
    },
    BaselineFacts {
        baseline: BaselineName::AdaptableAdapters,
        name: "AdaptableAdapters",
        title: "adaptable adapters",
        recipe: trained(
            Method::LayerSelection,
            &[(Module::SerialAdapter, |hidden| hidden / 16)],
        ),
        what: "a serial adapter of bottleneck H/16 in the layers that learned switches choose",
        published: Published {
            learning_rate: "0.0001",
            batch_size: 32,
            weight_decay: "0",
            warmup_percent: 0,
            patience: None,
            epochs: Some(20),
            source: "the defaults of the authors' program",
        },
        citation: "Moosavi et al. 2022, arXiv:2205.01549",
    },
];
