//! The modules of a configuration, inserted into an encoder.

use std::rc::Rc;
use std::sync::LazyLock;

use autopeft_crds::{ModuleOptions, PeftConfiguration};
use tch::{Device, Tensor};

use super::module::{Insertion, LayerCall, ModuleRow, PeftModule, Scope};
use crate::encoder::ModelConfig;
use crate::encoder::sites::{KeyValue, Pass, Site, Sites, SublayerEnd};
use crate::nn::NamedTensors;

/// Every module of a configuration.
#[derive(Debug)]
pub struct Modules {
    /// In order of creation.
    parts: Vec<Part>,
    /// The first layer with modules.
    first_active: Option<usize>,
}

/// What is inserted into a model.
#[derive(Clone, Copy, Debug)]
pub struct Inserted<'a> {
    /// Layers and sizes.
    pub configuration: &'a PeftConfiguration,
    /// How modules are built.
    pub options: &'a ModuleOptions,
    /// Whether switches learn in which layers they are of use (Adaptable Adapters).
    pub is_switched: bool,
}

/// Modules that are built as is usual.
impl<'a> From<&'a PeftConfiguration> for Inserted<'a> {
    fn from(configuration: &'a PeftConfiguration) -> Self {
        static USUAL: LazyLock<ModuleOptions> = LazyLock::new(ModuleOptions::default);
        Self {
            configuration,
            options: &USUAL,
            is_switched: false,
        }
    }
}

/// A module and the layers that it serves.
#[derive(Clone, Debug)]
struct Part {
    /// The prefix of its tensors' names.
    name: String,
    layers: Vec<usize>,
    module: Rc<dyn PeftModule>,
}

impl Modules {
    /// Modules with their initial values, drawn from libtorch's generator layer by layer in the order of `registry`,
    /// those that serve the whole model last. The configuration's mask has to have a bit for each of the model's layers.
    pub fn new(
        registry: &[ModuleRow],
        inserted: Inserted<'_>,
        model: &ModelConfig,
        device: Device,
    ) -> Self {
        let (options, is_switched) = (inserted.options, inserted.is_switched);
        let configuration = inserted.configuration.clone().canonical();
        let layers: Vec<usize> = configuration.layers.active_layers().collect();
        let present = |scope: Scope| {
            let rows = registry.iter().filter(move |row| row.scope == scope);
            rows.map(|row| (row, i64::from(configuration.size(row.module))))
                .filter(|(_, size)| *size > 0)
                .collect::<Vec<_>>()
        };
        let part = |name: String, (row, size): &(&ModuleRow, i64), layers: &[usize]| Part {
            name,
            layers: layers.to_vec(),
            module: (row.init)(&Insertion {
                size: *size,
                layers,
                options,
                is_switched,
                model,
                device,
            }),
        };
        let mut parts = Vec::new();
        let of_a_layer = present(Scope::Layer);
        for layer in &layers {
            for row in &of_a_layer {
                let name = format!("layer.{layer}.{}", row.0.name);
                parts.push(part(name, row, &[*layer]));
            }
        }
        for row in &present(Scope::Model) {
            parts.push(part(row.0.name.to_owned(), row, &layers));
        }
        Self {
            parts,
            first_active: layers.first().copied(),
        }
    }

    /// The first layer with modules; `None` for the empty model.
    pub fn first_active(&self) -> Option<usize> {
        self.first_active
    }

    /// The modules in their deployed form.
    #[must_use]
    pub fn deployed(&self) -> Self {
        let deployed = |part: &Part| Part {
            module: part.module.deployed().unwrap_or(part.module.clone()),
            ..part.clone()
        };
        Self {
            parts: self.parts.iter().map(deployed).collect(),
            first_active: self.first_active,
        }
    }

    /// The trainable tensors under their names: `layer.2.serial_adapter.down.weight`,
    /// `prefix.embedding`. The order is that of `new`.
    pub fn named(&self) -> NamedTensors {
        let parts = self.parts.iter();
        parts
            .flat_map(|part| {
                let tensors = part.module.named().into_iter();
                tensors.map(|(name, tensor)| (format!("{}.{name}", part.name), tensor))
            })
            .collect()
    }

    /// The parameters that are added at inference, biases included.
    pub fn deployed_parameters(&self) -> u64 {
        let tensors = self.deployed().named();
        let tensors = tensors.iter();
        tensors.map(|(_, tensor)| tensor.numel() as u64).sum()
    }

    /// Whether a module trains a tensor of the encoder.
    pub fn trains(&self, tensor: &str) -> bool {
        self.parts.iter().any(|part| part.module.trains(tensor))
    }

    /// Whether a training pass draws which parameters act.
    pub fn is_random(&self) -> bool {
        self.parts.iter().any(|part| part.module.is_random())
    }

    /// By how much the switch of each layer prefers its module, for the layers that have one.
    pub fn preferences(&self) -> Vec<(usize, f64)> {
        let parts = self.parts.iter();
        parts
            .filter_map(|part| Some((*part.layers.first()?, part.module.preference()?)))
            .collect()
    }

    /// The modules in one forward pass.
    pub fn in_pass<'a>(&'a self, pass: &'a Pass) -> ModulesInPass<'a> {
        ModulesInPass {
            parts: self
                .parts
                .iter()
                .map(|part| (part, part.module.precompute()))
                .collect(),
            pass,
        }
    }
}

/// The modules in one forward pass, with their precomputed tensors.
#[derive(Debug)]
pub struct ModulesInPass<'a> {
    parts: Vec<(&'a Part, Option<Tensor>)>,
    pass: &'a Pass,
}

impl ModulesInPass<'_> {
    /// L, the number of positions that are prepended to every text's keys and values.
    pub fn positions(&self) -> i64 {
        let positions = self.parts.iter().map(|(part, _)| part.module.positions());
        positions.max().unwrap_or(0)
    }

    /// A layer without modules.
    pub fn none(&self) -> LayerSites<'_> {
        LayerSites { calls: Vec::new() }
    }

    /// The modules of a layer.
    pub fn sites(&self, layer: usize) -> LayerSites<'_> {
        let calls = self.parts.iter().filter_map(|(part, precomputed)| {
            let slot = part.layers.iter().position(|served| *served == layer)?;
            let precomputed = precomputed.as_ref();
            let pass = self.pass;
            Some((
                &*part.module,
                LayerCall {
                    slot,
                    precomputed,
                    pass,
                },
            ))
        });
        LayerSites {
            calls: calls.collect(),
        }
    }
}

/// The modules of one layer in one forward pass.
#[derive(Debug)]
pub struct LayerSites<'a> {
    calls: Vec<(&'a dyn PeftModule, LayerCall<'a>)>,
}

impl Sites for LayerSites<'_> {
    fn key_values(&self, input: &Tensor) -> Option<KeyValue> {
        let mut calls = self.calls.iter();
        calls.find_map(|(module, call)| module.key_values(call, input))
    }

    fn replaced(&self, site: Site, input: &Tensor, output: Tensor) -> Tensor {
        self.calls.iter().fold(output, |output, (module, call)| {
            module
                .replaced(call, site, input, &output)
                .unwrap_or(output)
        })
    }

    fn summed(&self, end: &SublayerEnd<'_>) -> Tensor {
        let terms: Vec<Tensor> = self
            .calls
            .iter()
            .filter_map(|(module, call)| module.term(call, end))
            .collect();
        terms
            .into_iter()
            .fold(end.sum.shallow_clone(), |sum, term| sum + term)
    }
}
