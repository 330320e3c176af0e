//! A pretrained encoder's weights on a device: loaded once, they serve any number of models, one after another.

use std::path::Path;

use autopeft_crds::PeftConfiguration;
use autopeft_crds::trial::Method;
use tch::{Device, Kind, TchError, Tensor};

use crate::encoder::architecture::{MissingTensor, Tensors};
use crate::encoder::fields::ConfigError;
use crate::encoder::weights::{self, WeightsError};
use crate::encoder::{Encoder, ModelConfig};
use crate::nn::{NamedTensors, trainable};
use crate::reason::sentence;

/// Why a model cannot be loaded or built.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// `config.json` cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// `model.safetensors` cannot be used.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// A tensor of the encoder is missing.
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
    /// Full fine-tuning was requested together with modules.
    #[error("full fine-tuning has no modules; the configuration is {0}")]
    ModulesInFullFineTuning(PeftConfiguration),
    /// A head needs at least one output.
    #[error("the head has {0} outputs; at least 1 is needed")]
    Outputs(i64),
    /// The weights could not be put on the device.
    #[error("the weights cannot be put on {device}: {}", sentence(source))]
    Device {
        /// The device.
        device: String,
        /// Why.
        source: TchError,
    },
}

impl ModelError {
    /// Whether a file of the model is missing.
    pub fn is_absence(&self) -> bool {
        matches!(
            self,
            Self::Config(ConfigError::Absent(_)) | Self::Weights(WeightsError::Absent(_))
        )
    }
}

/// The table of positions among an encoder's tensors.
pub const POSITIONS: &str = "embeddings.position_embeddings.weight";

/// A pretrained encoder's weights on a device.
#[derive(Debug)]
pub struct Backbone {
    config: ModelConfig,
    tensors: Tensors,
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
        Self::load_as(ModelConfig::read(model)?, model, method, device, kind)
    }

    /// The same with a configuration that has been read.
    ///
    /// # Errors
    /// The weights cannot be used, or the device refuses.
    pub fn load_as(
        config: ModelConfig,
        model: &Path,
        method: Method,
        device: Device,
        kind: Kind,
    ) -> Result<Self, ModelError> {
        let refused = |source| ModelError::Device {
            device: crate::device::name(device),
            source,
        };
        let tensors = weights::read(model, &config)?
            .into_iter()
            .map(|(name, tensor)| {
                let is_frozen = !method.trains_every_weight();
                let stored = if is_frozen && config.architecture.is_dense(&name) {
                    kind
                } else {
                    Kind::Float
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
    pub fn encoder(&self) -> Result<Box<dyn Encoder>, ModelError> {
        Ok(self.config.architecture.encoder(&self.tensors, self.kind)?)
    }

    /// The same model with the positions of a text's tokens counted from a number instead of 0, as with so many tokens
    /// before it. The model has positions for as many tokens fewer.
    #[must_use]
    pub fn counted_from(&self, first: i64) -> Self {
        let mut tensors = share(&self.tensors);
        if let Some(table) = tensors.get_mut(POSITIONS) {
            *table = moved_positions(table, &self.config, first);
        }
        Self {
            config: ModelConfig {
                max_tokens: (self.config.max_tokens - first).max(0),
                ..self.config.clone()
            },
            tensors,
            ..*self
        }
    }

    /// The encoder with trainable float32 copies of the tensors that `trains` names, and those copies under
    /// `backbone.NAME`, in the order of the forward pass.
    ///
    /// # Errors
    /// None for a backbone that was loaded.
    pub fn unfrozen(
        &self,
        trains: impl Fn(&str) -> bool,
    ) -> Result<(Box<dyn Encoder>, NamedTensors), ModelError> {
        let mut tensors = share(&self.tensors);
        let mut named = Vec::new();
        for (name, _) in self.config.architecture.tensors() {
            if let Some(tensor) = tensors.get_mut(&name).filter(|_| trains(&name)) {
                *tensor = trainable(tensor.to_kind(Kind::Float).copy(), self.device);
                named.push((format!("backbone.{name}"), tensor.shallow_clone()));
            }
        }
        let encoder = self.config.architecture.encoder(&tensors, self.kind)?;
        Ok((encoder, named))
    }
}

/// The same tensors, not copied.
fn share(tensors: &Tensors) -> Tensors {
    let shared = tensors.iter();
    shared
        .map(|(name, tensor)| (name.clone(), tensor.shallow_clone()))
        .collect()
}

/// A table of positions whose row of a text's n-th token is the row of its (n + `by`)-th, where `by` may be negative.
/// Rows that the table does not have are zeros; those before the first token's stay.
pub fn moved_positions(table: &Tensor, config: &ModelConfig, by: i64) -> Tensor {
    let (rows, width) = (table.size()[0], table.size()[1]);
    let first = rows - config.max_tokens;
    let kept = (config.max_tokens - by.abs()).max(0);
    let zeros = Tensor::zeros(
        [config.max_tokens - kept, width],
        (table.kind(), table.device()),
    );
    let before = table.narrow(0, 0, first);
    if by >= 0 {
        Tensor::cat(&[before, table.narrow(0, rows - kept, kept), zeros], 0)
    } else {
        Tensor::cat(&[before, zeros, table.narrow(0, first, kept)], 0)
    }
}
