//! A pretrained encoder with a configuration's modules and a head: what one trial trains.
//!
//! A `Backbone` is loaded once and serves any number of `Model`s, one after the other.
//!
//! libtorch's errors inside a forward pass (memory that is not enough, a lost GPU) are panics of
//! `tch`, whose message holds libtorch's own; loading returns them as errors.

use std::collections::HashMap;
use std::path::Path;

use autopeft_crds::PeftConfiguration;
use autopeft_crds::trial::Method;
use tch::{Device, Kind, TchError, Tensor};

use crate::encoder::bert::{Attention, KeyValue, Mask, MissingTensor, Pass};
use crate::encoder::config::ConfigError;
use crate::encoder::weights::WeightsError;
use crate::encoder::{Encoder, ModelConfig, weights};
use crate::head::Head;
use crate::peft::Modules;
use crate::reason::sentence;

pub use crate::encoder::bert::Batch;

/// Why a model cannot be loaded or built.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// `config.json` cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// `model.safetensors` cannot be used.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// A tensor that the encoder computes with is not there.
    #[error(transparent)]
    Missing(#[from] MissingTensor),
    /// The configuration's mask is for another depth.
    #[error("the configuration's layers have {found} bits; the model has {expected} layers")]
    Layers {
        /// The mask's length.
        found: usize,
        /// The model's layers.
        expected: usize,
    },
    /// Full fine-tuning was asked for together with modules.
    #[error("full fine-tuning takes no modules; the configuration is {0}")]
    ModulesInFullFineTuning(PeftConfiguration),
    /// A head needs at least one output.
    #[error("the head has {0} outputs; at least 1 is needed")]
    Outputs(i64),
    /// The device refused the weights.
    #[error("the weights cannot be put on {device}: {}", sentence(source))]
    Device {
        /// The device.
        device: String,
        /// Why.
        source: TchError,
    },
}

impl ModelError {
    /// Whether a file of the model is not there.
    pub fn is_absence(&self) -> bool {
        matches!(
            self,
            Self::Config(ConfigError::Absent(_)) | Self::Weights(WeightsError::Absent(_))
        )
    }
}

/// A pretrained encoder's weights on a device.
#[derive(Debug)]
pub struct Backbone {
    config: ModelConfig,
    tensors: HashMap<String, Tensor>,
    method: Method,
    kind: Kind,
    device: Device,
}

impl Backbone {
    /// Reads `config.json` and `model.safetensors` of a directory, which is never written to, and
    /// puts the weights on a device. Frozen dense layers are cast to `kind` once, here; for full
    /// fine-tuning every weight stays float32 and `kind` is what matrix products are computed in.
    ///
    /// # Errors
    /// A file cannot be used (the error names file and field or tensor), or the device refuses.
    pub fn load(
        model: &Path,
        method: Method,
        device: Device,
        kind: Kind,
    ) -> Result<Self, ModelError> {
        let config = ModelConfig::read(model)?;
        let refused = |source| ModelError::Device {
            device: crate::device::name(device),
            source,
        };
        let tensors = weights::read(model, &config)?
            .into_iter()
            .map(|(name, tensor)| {
                let stored = match method {
                    Method::Peft if is_dense(&name) => kind,
                    _ => Kind::Float,
                };
                let tensor = tensor.f_to_kind(stored)?.f_to_device(device)?;
                Ok((name, tensor))
            })
            .collect::<Result<_, TchError>>()
            .map_err(refused)?;
        Ok(Self {
            config,
            tensors,
            method,
            kind,
            device,
        })
    }

    /// The encoder's shape and constants.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// What is trained of it.
    pub fn method(&self) -> Method {
        self.method
    }

    /// The number format of matrix products.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The device that computes.
    pub fn device(&self) -> Device {
        self.device
    }

    /// The encoder over these weights, which are shared and not copied.
    ///
    /// # Errors
    /// None for a backbone that was loaded.
    pub fn encoder(&self) -> Result<Encoder, ModelError> {
        Ok(Encoder::new(&self.config, &self.tensors, self.kind)?)
    }
}

/// Whether a tensor belongs to a dense layer, rather than to an embedding table or a norm.
fn is_dense(name: &str) -> bool {
    name.starts_with("encoder.") && !name.contains(".LayerNorm.")
}

/// An encoder with modules and a head.
#[derive(Debug)]
pub struct Model {
    encoder: Encoder,
    modules: Modules,
    head: Head,
    configuration: PeftConfiguration,
    outputs: i64,
    method: Method,
    /// The encoder's trainable tensors: all of them in full fine-tuning, else none.
    unfrozen: Vec<(String, Tensor)>,
    attention: Option<Attention>,
}

impl Model {
    /// A model with a fresh head (`outputs` is C) and fresh modules. The values depend on
    /// `init_seed` alone; libtorch's generator is left in a state that follows from them, so that
    /// dropout wants a seed of its own afterwards (`tch::manual_seed`).
    ///
    /// # Errors
    /// The configuration is for another depth or, in full fine-tuning, not empty; or there are no
    /// outputs.
    pub fn new(
        backbone: &Backbone,
        configuration: &PeftConfiguration,
        outputs: i64,
        init_seed: i64,
    ) -> Result<Self, ModelError> {
        let config = &backbone.config;
        if configuration.layers.len() != config.layers {
            return Err(ModelError::Layers {
                found: configuration.layers.len(),
                expected: config.layers,
            });
        }
        if outputs < 1 {
            return Err(ModelError::Outputs(outputs));
        }
        if backbone.method == Method::FullFineTuning && !configuration.is_empty_model() {
            return Err(ModelError::ModulesInFullFineTuning(configuration.clone()));
        }
        let (encoder, unfrozen) = match backbone.method {
            Method::Peft => (backbone.encoder()?, Vec::new()),
            Method::FullFineTuning => unfreeze(backbone)?,
        };
        tch::manual_seed(init_seed);
        Ok(Self {
            encoder,
            // The head first: its values follow from `init_seed` and not from the modules.
            head: Head::new(config, outputs, backbone.device),
            modules: Modules::new(configuration, config, backbone.device),
            configuration: configuration.clone().canonical(),
            outputs,
            method: backbone.method,
            unfrozen,
            attention: None,
        })
    }

    /// The encoder's shape and constants.
    pub fn config(&self) -> &ModelConfig {
        self.encoder.config()
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
    pub fn encoder(&self) -> &Encoder {
        &self.encoder
    }

    /// Computes attention one way always, instead of the faster way for the device.
    pub fn set_attention(&mut self, attention: Attention) {
        self.attention = Some(attention);
    }

    /// Logits, or predicted numbers: `[B, C]` in float32, on the model's device. `train` turns
    /// dropout on. Gradients are recorded under libtorch's usual rule; layers under the first one
    /// with modules never record any.
    ///
    /// # Panics
    /// With libtorch's message, where memory is not enough, the device is lost, an id is not in the
    /// vocabulary or a text is longer than `ModelConfig::max_tokens`.
    pub fn forward(&self, batch: &Batch, train: bool) -> Tensor {
        let prefix = self.modules.keys_and_values(self.config().heads);
        self.forward_with(batch, train, &prefix)
    }

    fn forward_with(&self, batch: &Batch, train: bool, prefix: &[KeyValue]) -> Tensor {
        let pass = Pass {
            train,
            attention: self.attention.unwrap_or(self.faster_attention(train)),
        };
        let sites = self.modules.sites(prefix);
        let frozen = match self.method {
            Method::Peft => self.modules.first_active().unwrap_or(sites.len()),
            Method::FullFineTuning => 0,
        };
        let positions = prefix.first().map_or(0, |prefix| prefix.key.size()[1]);
        let mask = Mask::new(&batch.attention_mask, positions, self.device(), &pass);
        let layers = self.encoder.layers();
        let run = |hidden: Tensor, range: std::ops::Range<usize>| {
            range.fold(hidden, |hidden, index| {
                layers[index].forward(&hidden, &mask, &sites[index], &pass)
            })
        };
        let hidden = match self.method {
            Method::Peft => {
                let trunk = tch::no_grad(|| run(self.encoder.embed(batch, &pass), 0..frozen));
                run(trunk, frozen..layers.len())
            }
            Method::FullFineTuning => run(self.encoder.embed(batch, &pass), 0..layers.len()),
        };
        self.head.forward(&hidden, train)
    }

    /// The way of computing attention that is faster: on a CPU, the fused kernel has no dropout, and
    /// libtorch then falls back to a form that is slower than the eager one.
    fn faster_attention(&self, train: bool) -> Attention {
        if train && !self.device().is_cuda() {
            Attention::Eager
        } else {
            Attention::Fused
        }
    }

    /// The model as it is now, ready for predictions: the prefix is evaluated once, not per batch.
    pub fn evaluator(&self) -> Evaluator<'_> {
        Evaluator {
            prefix: tch::no_grad(|| self.modules.keys_and_values(self.config().heads)),
            model: self,
        }
    }

    /// The tensors that are trained, float32 leaves on the model's device, each under a name that
    /// is the same in every run, in an order that is the same too: modules by layer, the prefix,
    /// the backbone (in full fine-tuning), the head. Names of biases end in `.bias`; those of norms
    /// contain `.LayerNorm.`.
    pub fn trainable(&self) -> Vec<(String, Tensor)> {
        self.with_rest(self.modules.named())
    }

    /// The tensors of `trainable` with the prefix in its ejected form: what an adapter checkpoint
    /// holds.
    pub fn deployable(&self) -> Vec<(String, Tensor)> {
        self.with_rest(self.modules.deployable())
    }

    fn with_rest(&self, mut modules: Vec<(String, Tensor)>) -> Vec<(String, Tensor)> {
        let unfrozen = self.unfrozen.iter();
        modules.extend(unfrozen.map(|(name, tensor)| (name.clone(), tensor.shallow_clone())));
        modules.extend(self.head.named());
        modules
    }

    /// Parameters that are trained, head and prefix reparametrisation included.
    pub fn trained_parameters(&self) -> u64 {
        self.trainable()
            .iter()
            .map(|(_, tensor)| tensor.numel() as u64)
            .sum()
    }

    /// Parameters that this model adds to the pretrained one at inference, or replaces in it:
    /// biases included, prefix ejected, head left out.
    pub fn deployed_parameters(&self) -> u64 {
        let unfrozen: usize = self.unfrozen.iter().map(|(_, tensor)| tensor.numel()).sum();
        self.modules.deployed_parameters() + unfrozen as u64
    }

    /// Replaces the prefix's reparametrisation by the keys and values that it gives, as an adapter
    /// checkpoint holds it. The trainable tensors are others afterwards.
    pub fn eject_prefix(&mut self) {
        self.modules.eject_prefix();
    }
}

/// An encoder over trainable float32 copies of a backbone's weights, and those copies in the order
/// of the forward pass.
fn unfreeze(backbone: &Backbone) -> Result<(Encoder, Vec<(String, Tensor)>), ModelError> {
    let copies: HashMap<String, Tensor> = backbone
        .tensors
        .iter()
        .map(|(name, tensor)| {
            let copy = crate::nn::trainable(tensor.copy(), backbone.device);
            (name.clone(), copy)
        })
        .collect();
    let encoder = Encoder::new(&backbone.config, &copies, backbone.kind)?;
    let named = weights::expected_tensors(&backbone.config)
        .into_iter()
        .filter_map(|(name, _)| {
            let tensor = copies.get(&name)?.shallow_clone();
            Some((format!("backbone.{name}"), tensor))
        })
        .collect();
    Ok((encoder, named))
}

/// A model that predicts with the values it had when this was made.
#[derive(Debug)]
pub struct Evaluator<'a> {
    model: &'a Model,
    prefix: Vec<KeyValue>,
}

impl Evaluator<'_> {
    /// Logits, or predicted numbers: `[B, C]` in float32, without dropout and without gradient.
    ///
    /// # Panics
    /// As `Model::forward`.
    pub fn predict(&self, batch: &Batch) -> Tensor {
        tch::no_grad(|| self.model.forward_with(batch, false, &self.prefix))
    }
}
