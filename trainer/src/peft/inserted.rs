//! The modules of a configuration, inserted into an encoder.

use std::rc::Rc;

use autopeft_crds::PeftConfiguration;
use tch::{Device, Tensor};

use super::module::{MethodRow, PeftModule, Place, Scope, Turn};
use crate::encoder::ModelConfig;
use crate::encoder::sites::{KeyValue, Pass, Site, Sites, SublayerEnd};
use crate::nn::NamedTensors;

/// Every module of a configuration.
#[derive(Debug)]
pub struct Modules {
    /// In the order in which they were made.
    parts: Vec<Part>,
    /// The first layer that carries modules.
    first_active: Option<usize>,
}

/// A module and the layers that it serves.
#[derive(Clone, Debug)]
struct Part {
    /// What stands before the names of its tensors.
    name: String,
    layers: Vec<usize>,
    module: Rc<dyn PeftModule>,
}

impl Modules {
    /// Fresh modules, drawn from libtorch's generator layer by layer in the order of `methods`, those that serve the
    /// whole model last. The configuration's mask has to have a bit for each of the model's layers.
    pub fn new(
        methods: &[MethodRow],
        configuration: &PeftConfiguration,
        model: &ModelConfig,
        device: Device,
    ) -> Self {
        let configuration = configuration.clone().canonical();
        let layers: Vec<usize> = configuration.layers.active_layers().collect();
        let present = |scope: Scope| {
            let rows = methods.iter().filter(move |row| row.scope == scope);
            rows.map(|row| (row, i64::from(configuration.size(row.module))))
                .filter(|(_, size)| *size > 0)
                .collect::<Vec<_>>()
        };
        let part = |name: String, (row, size): &(&MethodRow, i64), layers: &[usize]| Part {
            name,
            layers: layers.to_vec(),
            module: (row.fresh)(&Place {
                size: *size,
                layers,
                model,
                device,
            }),
        };
        let mut parts = Vec::new();
        let of_a_layer = present(Scope::Layer);
        for layer in &layers {
            for method in &of_a_layer {
                let name = format!("layer.{layer}.{}", method.0.name);
                parts.push(part(name, method, &[*layer]));
            }
        }
        for method in &present(Scope::Model) {
            parts.push(part(method.0.name.to_owned(), method, &layers));
        }
        Self {
            parts,
            first_active: layers.first().copied(),
        }
    }

    /// The first layer that carries modules, or nothing for the empty model.
    pub fn first_active(&self) -> Option<usize> {
        self.first_active
    }

    /// The modules as an adapter keeps them.
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

    /// The modules in one forward pass.
    pub fn in_pass<'a>(&'a self, pass: &'a Pass) -> ModulesInPass<'a> {
        ModulesInPass {
            parts: self
                .parts
                .iter()
                .map(|part| (part, part.module.once()))
                .collect(),
            pass,
        }
    }
}

/// The modules in one forward pass, with what each computes once.
#[derive(Debug)]
pub struct ModulesInPass<'a> {
    parts: Vec<(&'a Part, Option<Tensor>)>,
    pass: &'a Pass,
}

impl ModulesInPass<'_> {
    /// L, the positions that are put before every text's keys and values.
    pub fn positions(&self) -> i64 {
        let positions = self.parts.iter().map(|(part, _)| part.module.positions());
        positions.max().unwrap_or(0)
    }

    /// What is inserted into a layer.
    pub fn sites(&self, layer: usize) -> LayerSites<'_> {
        let turns = self.parts.iter().filter_map(|(part, once)| {
            let slot = part.layers.iter().position(|served| *served == layer)?;
            let once = once.as_ref();
            let pass = self.pass;
            Some((&*part.module, Turn { slot, once, pass }))
        });
        LayerSites {
            turns: turns.collect(),
        }
    }
}

/// What is inserted into one layer in one forward pass.
#[derive(Debug)]
pub struct LayerSites<'a> {
    turns: Vec<(&'a dyn PeftModule, Turn<'a>)>,
}

impl Sites for LayerSites<'_> {
    fn key_values(&self, input: &Tensor) -> Option<KeyValue> {
        let mut turns = self.turns.iter();
        turns.find_map(|(module, turn)| module.key_values(turn, input))
    }

    fn replaced(&self, site: Site, input: &Tensor, output: Tensor) -> Tensor {
        self.turns.iter().fold(output, |output, (module, turn)| {
            module
                .replaced(turn, site, input, &output)
                .unwrap_or(output)
        })
    }

    fn summed(&self, end: &SublayerEnd<'_>) -> Tensor {
        let terms: Vec<Tensor> = self
            .turns
            .iter()
            .filter_map(|(module, turn)| module.term(turn, end))
            .collect();
        terms
            .into_iter()
            .fold(end.sum.shallow_clone(), |sum, term| sum + term)
    }
}
