//! A pretrained encoder with a configuration's modules and a head, for one trial.
//!
//! libtorch's errors inside a forward pass (out of memory, a lost GPU) are panics of `tch` with libtorch's message;
//! loading returns them as errors.

use std::ops::Range;

use autopeft_crds::trial::Method;
use autopeft_crds::{LayerMask, PeftConfiguration};
use tch::{Device, Tensor};

pub use crate::backbone::{Backbone, ModelError};
pub use crate::encoder::sites::Batch;
use crate::encoder::sites::{Attention, Pass};
use crate::encoder::{Encoder, ModelConfig};
use crate::head::Head;
use crate::nn::NamedTensors;
use crate::peft::switch::{SWITCH, SWITCH_RATE};
use crate::peft::{Inserted, ModuleRow, Modules, REGISTRY};

/// The prefix of the names of the encoder's own tensors.
const BACKBONE: &str = "backbone.";

/// An encoder with modules and a head.
#[derive(Debug)]
pub struct Model {
    config: ModelConfig,
    encoder: Box<dyn Encoder>,
    modules: Modules,
    head: Head,
    configuration: PeftConfiguration,
    outputs: i64,
    method: Method,
    /// The encoder's trainable tensors: all of them in full fine-tuning, else those that a module trains.
    unfrozen: NamedTensors,
    attention: Option<Attention>,
}

impl Model {
    /// A model with a fresh head (`outputs` is C) and fresh modules. The values depend on
    /// `init_seed` alone; libtorch's generator is left in a state that depends on them: seed it again for
    /// dropout (`tch::manual_seed`).
    ///
    /// # Errors
    /// The configuration is for another depth or, in full fine-tuning, not empty; or there are no
    /// outputs.
    pub fn new<'a>(
        backbone: &Backbone,
        inserted: impl Into<Inserted<'a>>,
        outputs: i64,
        init_seed: i64,
    ) -> Result<Self, ModelError> {
        Self::with_registry(REGISTRY, backbone, inserted, outputs, init_seed)
    }

    /// The same with modules of another registry.
    ///
    /// # Errors
    /// As `new`.
    pub fn with_registry<'a>(
        registry: &[ModuleRow],
        backbone: &Backbone,
        inserted: impl Into<Inserted<'a>>,
        outputs: i64,
        init_seed: i64,
    ) -> Result<Self, ModelError> {
        let inserted = inserted.into();
        let configuration = inserted.configuration;
        let config = backbone.config();
        let method = backbone.method();
        if configuration.layers.len() != config.layers {
            return Err(ModelError::Layers {
                found: configuration.layers.len(),
                expected: config.layers,
            });
        }
        if outputs < 1 {
            return Err(ModelError::Outputs(outputs));
        }
        if method.trains_every_weight() && !configuration.is_empty_model() {
            return Err(ModelError::ModulesInFullFineTuning(configuration.clone()));
        }
        tch::manual_seed(init_seed);
        // The head first: its values follow from `init_seed` and not from the modules.
        let head = Head::new(config, outputs, backbone.device());
        let modules = Modules::new(registry, inserted, config, backbone.device());
        let every_weight = method.trains_every_weight();
        let (encoder, unfrozen) =
            backbone.unfrozen(|tensor| every_weight || modules.trains(tensor))?;
        Ok(Self {
            config: config.clone(),
            encoder,
            modules,
            head,
            configuration: configuration.clone().canonical(),
            outputs,
            method,
            unfrozen,
            attention: None,
        })
    }

    /// The encoder's shape and constants.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The configuration, in its canonical form.
    pub fn configuration(&self) -> &PeftConfiguration {
        &self.configuration
    }

    /// What is trained.
    pub fn method(&self) -> Method {
        self.method
    }

    /// C, the number of outputs.
    pub fn outputs(&self) -> i64 {
        self.outputs
    }

    /// The device that computes.
    pub fn device(&self) -> Device {
        self.encoder.device()
    }

    /// The encoder.
    pub fn encoder(&self) -> &dyn Encoder {
        &*self.encoder
    }

    /// Fixes how attention is computed, instead of choosing the faster way for the device.
    pub fn set_attention(&mut self, attention: Attention) {
        self.attention = Some(attention);
    }

    /// Logits, or predicted numbers: `[B, C]` in float32, on the model's device. `train` turns
    /// dropout on. Gradients are recorded under libtorch's usual rule; layers under the first one
    /// with modules never record any, unless the encoder itself is trained.
    ///
    /// # Panics
    /// With libtorch's message, if memory is exhausted, the device is lost, an id is not in the
    /// vocabulary or a text is longer than `ModelConfig::max_tokens`.
    pub fn forward(&self, batch: &Batch, train: bool) -> Tensor {
        self.forward_from(0, batch, train)
    }

    /// The same without the modules of the layers below `first` (AdapterDrop).
    ///
    /// # Panics
    /// As `forward`.
    pub fn forward_from(&self, first: usize, batch: &Batch, train: bool) -> Tensor {
        self.forward_with(&self.modules, first, batch, train)
    }

    fn forward_with(&self, modules: &Modules, first: usize, batch: &Batch, train: bool) -> Tensor {
        let pass = Pass {
            train,
            attention: self.attention.unwrap_or(self.faster_attention(train)),
        };
        let layers = self.config.layers;
        let inserted = modules.in_pass(&pass);
        let mask = self.encoder.mask(batch, inserted.positions(), &pass);
        let run = |hidden: Tensor, range: Range<usize>| {
            range.fold(hidden, |hidden, index| {
                let sites = match index {
                    dropped if dropped < first => inserted.none(),
                    index => inserted.sites(index),
                };
                self.encoder.layer(index, &hidden, &mask, &sites, &pass)
            })
        };
        let hidden = if self.unfrozen.is_empty() {
            let frozen = modules.first_active().unwrap_or(layers).max(first);
            let trunk = tch::no_grad(|| run(self.encoder.embed(batch, &pass), 0..frozen));
            run(trunk, frozen..layers)
        } else {
            run(self.encoder.embed(batch, &pass), 0..layers)
        };
        self.head.forward(&self.encoder.summary(&hidden), train)
    }

    /// The faster way of computing attention: on a CPU, the fused kernel has no dropout, and libtorch then falls back to
    /// a form that is slower than the eager one.
    fn faster_attention(&self, train: bool) -> Attention {
        if train && !self.device().is_cuda() {
            Attention::Eager
        } else {
            Attention::Fused
        }
    }

    /// The model with its current values, for predictions: what modules precompute is computed once, not per batch.
    pub fn evaluator(&self) -> Evaluator<'_> {
        Evaluator {
            modules: self.modules.deployed(),
            model: self,
        }
    }

    /// The trained tensors, float32 leaves on the model's device, with names and order that are the same in every run:
    /// modules by layer, those of the whole model, the backbone's (in full fine-tuning), the head.
    pub fn trainable(&self) -> NamedTensors {
        self.with_rest(self.modules.named())
    }

    /// The tensors of `trainable` with modules in their deployed form: what an adapter checkpoint
    /// holds.
    pub fn deployable(&self) -> NamedTensors {
        self.with_rest(self.modules.deployed().named())
    }

    fn with_rest(&self, mut modules: NamedTensors) -> NamedTensors {
        let unfrozen = self.unfrozen.iter();
        modules.extend(unfrozen.map(|(name, tensor)| (name.clone(), tensor.shallow_clone())));
        modules.extend(self.head.named());
        modules
    }

    /// Whether a training pass draws which parameters act (AdaMix).
    pub fn is_random(&self) -> bool {
        self.modules.is_random()
    }

    /// The layers whose switch prefers the adapter; where none does, the one that comes closest. `None` for a model
    /// without switches.
    pub fn selected_layers(&self) -> Option<LayerMask> {
        let preferences = self.modules.preferences();
        let most = |(_, left): &&(usize, f64), (_, right): &&(usize, f64)| left.total_cmp(right);
        let (closest, _) = preferences.iter().max_by(most)?;
        let mut bits = vec![false; self.config.layers];
        for (layer, preference) in &preferences {
            bits[*layer] = *preference > 0.0;
        }
        bits[*closest] = true;
        LayerMask::from_bits(bits).ok()
    }

    /// The learning rate of a tensor of `trainable` at the peak of the schedule, where it is not the recipe's.
    pub fn own_rate(name: &str) -> Option<f64> {
        name.ends_with(SWITCH).then_some(SWITCH_RATE)
    }

    /// Whether weight decay acts on a tensor of `trainable`: biases, norms and switches are left out.
    pub fn is_decayed(&self, name: &str) -> bool {
        let is_norm = |tensor| self.config.architecture.is_norm(tensor);
        !name.ends_with("bias")
            && !name.ends_with(SWITCH)
            && !name.strip_prefix(BACKBONE).is_some_and(is_norm)
    }

    /// The number of trained parameters, including the head and those that are discarded for inference.
    pub fn trained_parameters(&self) -> u64 {
        self.trainable()
            .iter()
            .map(|(_, tensor)| tensor.numel() as u64)
            .sum()
    }

    /// The number of parameters that this model adds to the pretrained one at inference, or replaces in it:
    /// biases included, modules in their deployed form, head left out.
    pub fn deployed_parameters(&self) -> u64 {
        let unfrozen: usize = self.unfrozen.iter().map(|(_, tensor)| tensor.numel()).sum();
        self.modules.deployed_parameters() + unfrozen as u64
    }

    /// Converts the modules to their deployed form, as an adapter checkpoint has them. This replaces the trainable
    /// tensors.
    pub fn deploy(&mut self) {
        self.modules = self.modules.deployed();
    }
}

/// A model for predictions, with the values at its creation.
#[derive(Debug)]
pub struct Evaluator<'a> {
    model: &'a Model,
    modules: Modules,
}

impl Evaluator<'_> {
    /// Logits, or predicted numbers: `[B, C]` in float32, without dropout and without gradient.
    ///
    /// # Panics
    /// As `Model::forward`.
    pub fn predict(&self, batch: &Batch) -> Tensor {
        tch::no_grad(|| self.model.forward_with(&self.modules, 0, batch, false))
    }
}
