//! An encoder's input, and the sites of a layer at which modules act.
//!
//! The encoder calls the sites; it does not depend on any module. Shapes: B texts, T tokens, H hidden, heads × d = H, L prefix
//! positions.

use tch::{Kind, Tensor};

/// One batch of tokenised texts, every tensor int64 `[B, T]`.
#[derive(Debug)]
pub struct Batch {
    /// Word piece ids, padded at the end.
    pub input_ids: Tensor,
    /// 1 for a token, 0 for padding.
    pub attention_mask: Tensor,
    /// 0 for the first text, 1 for the second; ignored if the model has one token type.
    pub token_type_ids: Tensor,
}

/// How attention is computed. Both give the same values up to rounding (1e-6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attention {
    /// Product, softmax and product one after the other, as Hugging Face's eager path.
    Eager,
    /// libtorch's `scaled_dot_product_attention`.
    Fused,
}

/// Settings of one forward pass, the same for every layer.
#[derive(Clone, Copy, Debug)]
pub struct Pass {
    /// Whether dropout is active, including that of the frozen encoder.
    pub train: bool,
    /// How attention is computed.
    pub attention: Attention,
}

/// Keys and values that every query of a layer sees besides the text's own.
#[derive(Debug)]
pub struct KeyValue {
    /// `[heads, L, d]`, or `[B, heads, L, d]` if they differ between texts.
    pub key: Tensor,
    /// As `key`.
    pub value: Tensor,
}

/// A tensor of a layer that modules may replace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Site {
    /// Queries, of the attention sublayer's input.
    Query,
    /// Keys, of the same.
    Key,
    /// Values, of the same.
    Value,
    /// The attention sublayer's dense output, before dropout.
    AttentionOutput,
    /// The feed-forward block's first dense output, before the activation.
    Intermediate,
    /// Its activation.
    Activation,
    /// The feed-forward block's second dense output, before dropout.
    Output,
}

/// A sublayer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sublayer {
    /// Attention.
    Attention,
    /// The feed-forward block.
    FeedForward,
}

/// A sublayer's output and the residual stream: the frozen layer continues with `sum`.
pub struct SublayerEnd<'a> {
    /// The sublayer.
    pub sublayer: Sublayer,
    /// h, the sublayer's output after dropout: `[B, T, H]`.
    pub output: &'a Tensor,
    /// x, its input: `[B, T, H]`.
    pub input: &'a Tensor,
    /// h + x.
    pub sum: &'a Tensor,
    /// The frozen norm of the sum, in a post-norm layer.
    pub norm: &'a dyn Fn(&Tensor) -> Tensor,
    /// The number format of matrix products.
    pub kind: Kind,
}

/// What modules do in one layer. The defaults do nothing.
pub trait Sites {
    /// Keys and values to prepend to the projections of `input` `[B, T, H]`.
    fn key_values(&self, _input: &Tensor) -> Option<KeyValue> {
        None
    }

    /// The replacement of a site's `output`, which was computed from `input`.
    fn replaced(&self, _site: Site, _input: &Tensor, output: Tensor) -> Tensor {
        output
    }

    /// The sublayer's sum with the modules' terms: `[B, T, H]`.
    fn summed(&self, end: &SublayerEnd<'_>) -> Tensor {
        end.sum.shallow_clone()
    }
}

/// A layer with nothing inserted.
#[derive(Debug)]
pub struct Bare;

impl Sites for Bare {}
