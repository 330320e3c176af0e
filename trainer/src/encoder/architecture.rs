//! The interface of architectures and encoders; the rest of the trainer depends on none by name.

use std::collections::HashMap;
use std::fmt::Debug;
use std::rc::Rc;

use autopeft_crds::Shape;
use tch::{Device, Kind, Tensor};

use super::attention::Mask;
use super::fields::{ConfigError, Fields};
use super::sites::{Batch, Pass, Sites};

/// A tensor's name without the architecture's prefix, and its shape.
pub type Expected = (String, Vec<i64>);

/// An architecture: a row of `config::ARCHITECTURES`.
#[derive(Clone, Copy, Debug)]
pub struct ArchitectureRow {
    /// The name in `model_type`, and the prefix of the checkpoint's tensors.
    pub name: &'static str,
    /// Reads the rest of a `config.json`.
    pub read: fn(&Fields<'_>) -> Result<ModelConfig, ConfigError>,
}

/// The special tokens of an architecture, for a tokenizer whose file does not define them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpecialTokens {
    /// Before an example.
    pub start: &'static str,
    /// After each text.
    pub end: &'static str,
    /// Whether the second text of a pair is segment 1. If not, another `end` separates the two.
    pub has_segments: bool,
}

/// An encoder's shape: what every architecture has.
#[derive(Clone, Debug)]
pub struct ModelConfig {
    /// The architecture's name.
    pub name: &'static str,
    /// The number of word pieces.
    pub vocabulary_size: i64,
    /// H, the width of the residual stream.
    pub hidden_size: i64,
    /// I, the width of the feed-forward block.
    pub feed_forward_size: i64,
    /// L, the number of Transformer layers.
    pub layers: usize,
    /// Attention heads a layer; they divide H.
    pub heads: i64,
    /// The padding id.
    pub pad_id: i64,
    /// The longest text that has positions, in tokens.
    pub max_tokens: i64,
    /// Dropout of the encoder's dense layers, and of the head.
    pub hidden_dropout: f64,
    /// The special tokens of the architecture, if they are known.
    pub special_tokens: Option<SpecialTokens>,
    /// The architecture with this model's numbers.
    pub architecture: Rc<dyn Architecture>,
}

/// The widths that costs depend on.
impl From<&ModelConfig> for Shape {
    fn from(config: &ModelConfig) -> Self {
        let width = |width: i64| u32::try_from(width).unwrap_or(u32::MAX);
        Self {
            feed_forward: width(config.feed_forward_size),
            ..Self::from(width(config.hidden_size))
        }
    }
}

impl ModelConfig {
    /// The backbone's parameters, pooler included: the denominator of parameter percentages, as in
    /// AutoPEFT (arXiv:2301.12132, table 1). 109,482,240 for BERT-base.
    pub fn backbone_parameters(&self) -> u64 {
        self.architecture.parameters()
    }
}

/// An architecture with the numbers of one model.
pub trait Architecture: Debug {
    /// The tensors that the encoder computes with, in the order of the forward pass.
    fn tensors(&self) -> Vec<Expected>;

    /// What the names of a layer's tensors begin with.
    fn layer_prefix(&self, layer: usize) -> String {
        format!("encoder.layer.{layer}.")
    }

    /// Whether a tensor is a dense layer's: frozen, it is stored in the number format of matrix products.
    fn is_dense(&self, tensor: &str) -> bool;

    /// Whether a tensor is a norm's, which weight decay leaves out.
    fn is_norm(&self, tensor: &str) -> bool;

    /// The parameters, pooler included.
    fn parameters(&self) -> u64;

    /// The encoder over `tensors`, on the device that computes. Matrix products are computed in `kind`.
    ///
    /// # Errors
    /// A tensor is missing.
    fn encoder(&self, tensors: &Tensors, kind: Kind) -> Result<Box<dyn Encoder>, MissingTensor>;
}

/// An encoder with its weights on a device: its layers, each with sites for modules. Tensors between sublayers are
/// float32.
pub trait Encoder: Debug {
    /// The device that computes.
    fn device(&self) -> Device;

    /// The first layer's input: `[B, T, H]`.
    fn embed(&self, batch: &Batch, pass: &Pass) -> Tensor;

    /// Which keys are visible; `prefix` is L, 0 without a prefix.
    fn mask(&self, batch: &Batch, prefix: i64, pass: &Pass) -> Mask {
        Mask::new(&batch.attention_mask, prefix, self.device(), pass)
    }

    /// One layer, from 0: `[B, T, H]` to `[B, T, H]`.
    fn layer(
        &self,
        index: usize,
        hidden: &Tensor,
        mask: &Mask,
        sites: &dyn Sites,
        pass: &Pass,
    ) -> Tensor;

    /// The pooled output: `[B, H]`, of the last layer's output. By default the first token, \[CLS\].
    fn summary(&self, hidden: &Tensor) -> Tensor {
        hidden.select(1, 0)
    }
}

/// A model's tensors by their names without prefix.
pub type Tensors = HashMap<String, Tensor>;

/// A tensor of the encoder is missing.
#[derive(Debug, thiserror::Error)]
#[error("the encoder's tensor {0} is missing")]
pub struct MissingTensor(pub String);
