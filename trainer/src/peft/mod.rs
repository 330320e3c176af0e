//! The modules that a configuration inserts into a frozen encoder, one method a file.
//!
//! With x the feed-forward block's input, h its output after dropout and LN the layer's frozen
//! output norm, a layer with serial and parallel adapter gives
//! `y = LN(h + SA(LN(h + x)) + 4·PA(x) + x)`; a module that is left out drops its term
//! (AutoPEFT, arXiv:2301.12132, section 3.1, in the form of its authors' code). A prefix acts on
//! attention, independently of both.

pub mod parallel_adapter;
pub mod prefix;
pub mod serial_adapter;

use autopeft_crds::{Module, PeftConfiguration};
use tch::{Device, Kind, Tensor};

pub use parallel_adapter::ParallelAdapter;
pub use prefix::Prefix;
pub use serial_adapter::SerialAdapter;

use crate::encoder::bert::{KeyValue, Sites};
use crate::encoder::config::ModelConfig;
use crate::nn::LayerNorm;

/// Every module of a configuration.
#[derive(Debug)]
pub struct Modules {
    layers: Vec<LayerModules>,
    prefix: Option<Prefix>,
}

/// The adapters of one layer.
#[derive(Debug, Default)]
struct LayerModules {
    active: bool,
    serial_adapter: Option<SerialAdapter>,
    parallel_adapter: Option<ParallelAdapter>,
}

impl Modules {
    /// Fresh modules, drawn from libtorch's generator in the order of the layers, the prefix last.
    /// The configuration's mask has to have a bit for each of the model's layers.
    pub fn new(configuration: &PeftConfiguration, model: &ModelConfig, device: Device) -> Self {
        let hidden = model.hidden_size;
        let configuration = configuration.clone().canonical();
        let [serial, parallel, positions] = [
            Module::SerialAdapter,
            Module::ParallelAdapter,
            Module::Prefix,
        ]
        .map(|module| i64::from(configuration.size(module)));
        let layers = configuration
            .layers
            .bits()
            .iter()
            .map(|active| LayerModules {
                active: *active,
                serial_adapter: (*active && serial > 0)
                    .then(|| SerialAdapter::new(hidden, serial, device)),
                parallel_adapter: (*active && parallel > 0)
                    .then(|| ParallelAdapter::new(hidden, parallel, device)),
            })
            .collect();
        let inserted = configuration.layers.active() as i64;
        let prefix = (positions > 0).then(|| Prefix::new(positions, hidden, inserted, device));
        Self { layers, prefix }
    }

    /// The first layer that carries modules, or nothing for the empty model.
    pub fn first_active(&self) -> Option<usize> {
        self.layers.iter().position(|layer| layer.active)
    }

    /// Replaces the prefix's reparametrisation by the keys and values that it gives.
    pub fn eject_prefix(&mut self) {
        if let Some(prefix) = &self.prefix {
            self.prefix = Some(prefix.ejected());
        }
    }

    /// The trainable tensors under their names: `layer.2.serial_adapter.down.weight`,
    /// `prefix.embedding`. The order is that of the layers, the prefix last.
    pub fn named(&self) -> Vec<(String, Tensor)> {
        let mut tensors = self.named_adapters();
        if let Some(prefix) = &self.prefix {
            tensors.extend(prefix.named("prefix"));
        }
        tensors
    }

    /// The tensors that are needed at inference: those of `named`, the prefix in its ejected form.
    pub fn deployable(&self) -> Vec<(String, Tensor)> {
        let mut tensors = self.named_adapters();
        if let Some(prefix) = &self.prefix {
            tensors.extend(prefix.ejected().named("prefix"));
        }
        tensors
    }

    fn named_adapters(&self) -> Vec<(String, Tensor)> {
        let mut tensors = Vec::new();
        for (index, layer) in self.layers.iter().enumerate() {
            let named = |module: &str| format!("layer.{index}.{module}");
            if let Some(adapter) = &layer.serial_adapter {
                tensors.extend(adapter.named(&named("serial_adapter")));
            }
            if let Some(adapter) = &layer.parallel_adapter {
                tensors.extend(adapter.named(&named("parallel_adapter")));
            }
        }
        tensors
    }

    /// The parameters that are added at inference: biases included, prefix ejected.
    pub fn deployed_parameters(&self) -> u64 {
        let adapters = self.named_adapters();
        let adapters: usize = adapters.iter().map(|(_, tensor)| tensor.numel()).sum();
        let prefix = self.prefix.as_ref().map_or(0, Prefix::deployed_parameters);
        adapters as u64 + prefix
    }

    /// The prefix's keys and values, one entry per active layer; none without a prefix.
    /// `heads` is the encoder's number of attention heads.
    pub fn keys_and_values(&self, heads: i64) -> Vec<KeyValue> {
        self.prefix
            .as_ref()
            .map_or_else(Vec::new, |prefix| prefix.keys_and_values(heads))
    }

    /// What is inserted into each layer; `prefix` is the result of `keys_and_values`.
    pub fn sites<'a>(&'a self, prefix: &'a [KeyValue]) -> Vec<LayerSites<'a>> {
        let mut prefix = prefix.iter();
        self.layers
            .iter()
            .map(|modules| LayerSites {
                modules,
                prefix: if modules.active { prefix.next() } else { None },
            })
            .collect()
    }
}

/// What is inserted into one layer in one forward pass.
#[derive(Debug)]
pub struct LayerSites<'a> {
    modules: &'a LayerModules,
    prefix: Option<&'a KeyValue>,
}

impl Sites for LayerSites<'_> {
    fn prefix(&self) -> Option<&KeyValue> {
        self.prefix
    }

    fn output(&self, h: &Tensor, x: &Tensor, norm: &LayerNorm, kind: Kind) -> Tensor {
        let baseline = h + x;
        let serial = self.modules.serial_adapter.as_ref();
        let serial = serial.map(|adapter| adapter.forward(&norm.forward(&baseline), kind));
        let parallel = self.modules.parallel_adapter.as_ref();
        let parallel = parallel.map(|adapter| adapter.forward(x, kind));
        let sum = [serial, parallel]
            .into_iter()
            .flatten()
            .fold(baseline, |sum, term| sum + term);
        norm.forward(&sum)
    }
}
