//! The post-norm Transformer encoder of BERT (arXiv:1810.04805) and RoBERTa (arXiv:1907.11692),
//! without I/O. Field names are the checkpoint's.
//!
//! Shapes: B texts, T tokens, H hidden, heads × d = H, L prefix positions. Tensors between
//! sublayers are float32; matrix products run in the encoder's number format.
//!
//! The encoder knows nothing of PEFT methods. It offers two sites per layer (`Sites`): keys and
//! values put before the layer's own, and the layer's output.

use std::collections::HashMap;

use tch::{Device, Kind, Tensor};

use super::config::{Architecture, ModelConfig};
use crate::nn::{LayerNorm, Linear, dropout};

/// One batch of tokenised texts, every tensor int64 `[B, T]`.
#[derive(Debug)]
pub struct Batch {
    /// Word piece ids, padded at the end.
    pub input_ids: Tensor,
    /// 1 for a token, 0 for padding.
    pub attention_mask: Tensor,
    /// 0 for the first text, 1 for the second; ignored where the model has one token type.
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

/// What is the same for every layer of one forward pass.
#[derive(Clone, Copy, Debug)]
pub struct Pass {
    /// Whether dropout is on, in the frozen trunk too.
    pub train: bool,
    /// How attention is computed.
    pub attention: Attention,
}

/// Keys and values that every query of a layer sees besides the text's own.
#[derive(Debug)]
pub struct KeyValue {
    /// `[heads, L, d]`.
    pub key: Tensor,
    /// `[heads, L, d]`.
    pub value: Tensor,
}

/// Where modules are inserted into one layer. The defaults insert nothing.
pub trait Sites {
    /// Keys and values put before the layer's own, after the projections.
    fn prefix(&self) -> Option<&KeyValue> {
        None
    }

    /// The layer's output `[B, T, H]` from h, the feed-forward block's output after dropout, and
    /// x, its input; `norm` is the layer's output norm.
    fn output(&self, h: &Tensor, x: &Tensor, norm: &LayerNorm, _kind: Kind) -> Tensor {
        norm.forward(&(h + x))
    }
}

/// A layer with nothing inserted.
#[derive(Debug)]
pub struct Bare;

impl Sites for Bare {}

/// Which keys are visible, in the form that the way of computing attention wants: added to scores
/// (0, or the least float32 for padding), or true and false.
#[derive(Debug)]
pub struct Mask {
    /// `[B, 1, 1, T]`.
    text: Tensor,
    /// `[B, 1, 1, L + T]`, with L visible positions in front.
    with_prefix: Option<Tensor>,
}

impl Mask {
    /// From a batch's `attention_mask` `[B, T]`; `prefix` is L, 0 without a prefix.
    pub fn new(attention_mask: &Tensor, prefix: i64, device: Device, pass: &Pass) -> Self {
        // [B, T] -> [B, 1, 1, T]
        let mask = attention_mask.to_device(device).unsqueeze(1).unsqueeze(1);
        let form = |mask: &Tensor| match pass.attention {
            Attention::Eager => {
                let padding: Tensor = 1.0 - mask.to_kind(Kind::Float);
                padding * f64::from(f32::MIN)
            }
            Attention::Fused => mask.to_kind(Kind::Bool),
        };
        let with_prefix = (prefix > 0).then(|| {
            let visible = Tensor::ones([mask.size()[0], 1, 1, prefix], (mask.kind(), device));
            form(&Tensor::cat(&[&visible, &mask], 3))
        });
        Self {
            text: form(&mask),
            with_prefix,
        }
    }

    /// The mask of a layer, with a prefix or without.
    fn of_layer(&self, prefix: bool) -> &Tensor {
        match &self.with_prefix {
            Some(mask) if prefix => mask,
            _ => &self.text,
        }
    }
}

#[derive(Debug)]
struct Embeddings {
    word_embeddings: Tensor,
    position_embeddings: Tensor,
    token_type_embeddings: Tensor,
    layer_norm: LayerNorm,
}

/// One Transformer layer.
#[derive(Debug)]
pub struct Layer {
    query: Linear,
    key: Linear,
    value: Linear,
    attention_output: Linear,
    attention_norm: LayerNorm,
    intermediate: Linear,
    output: Linear,
    output_norm: LayerNorm,
    heads: i64,
    hidden_dropout: f64,
    attention_dropout: f64,
    kind: Kind,
}

/// A tensor that the encoder computes with is not there.
#[derive(Debug, thiserror::Error)]
#[error("the encoder's tensor {0} is missing")]
pub struct MissingTensor(pub String);

/// An encoder with its weights on a device.
#[derive(Debug)]
pub struct Encoder {
    config: ModelConfig,
    embeddings: Embeddings,
    layers: Vec<Layer>,
    kind: Kind,
}

impl Encoder {
    /// An encoder from the tensors of `weights::expected_tensors`, which all have to be there, on
    /// the device that computes. Matrix products are computed in `kind`.
    ///
    /// # Errors
    /// A tensor is not in `tensors`.
    pub fn new(
        config: &ModelConfig,
        tensors: &HashMap<String, Tensor>,
        kind: Kind,
    ) -> Result<Self, MissingTensor> {
        let get = |name: String| match tensors.get(&name) {
            Some(tensor) => Ok(tensor.shallow_clone()),
            None => Err(MissingTensor(name)),
        };
        let linear = |name: String| -> Result<Linear, MissingTensor> {
            Ok(Linear {
                weight: get(format!("{name}.weight"))?,
                bias: get(format!("{name}.bias"))?,
            })
        };
        let norm = |name: String| -> Result<LayerNorm, MissingTensor> {
            Ok(LayerNorm {
                weight: get(format!("{name}.weight"))?,
                bias: get(format!("{name}.bias"))?,
                eps: config.layer_norm_eps,
            })
        };
        let layers = (0..config.layers)
            .map(|index| {
                let at = |name: &str| format!("encoder.layer.{index}.{name}");
                Ok(Layer {
                    query: linear(at("attention.self.query"))?,
                    key: linear(at("attention.self.key"))?,
                    value: linear(at("attention.self.value"))?,
                    attention_output: linear(at("attention.output.dense"))?,
                    attention_norm: norm(at("attention.output.LayerNorm"))?,
                    intermediate: linear(at("intermediate.dense"))?,
                    output: linear(at("output.dense"))?,
                    output_norm: norm(at("output.LayerNorm"))?,
                    heads: config.heads,
                    hidden_dropout: config.hidden_dropout,
                    attention_dropout: config.attention_dropout,
                    kind,
                })
            })
            .collect::<Result<_, MissingTensor>>()?;
        let table = |name: &str| get(format!("embeddings.{name}.weight"));
        Ok(Self {
            config: config.clone(),
            embeddings: Embeddings {
                word_embeddings: table("word_embeddings")?,
                position_embeddings: table("position_embeddings")?,
                token_type_embeddings: table("token_type_embeddings")?,
                layer_norm: norm("embeddings.LayerNorm".to_owned())?,
            },
            layers,
            kind,
        })
    }

    /// The model's configuration.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The layers, the input side first.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// The number format of matrix products.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The device that computes.
    pub fn device(&self) -> Device {
        self.embeddings.word_embeddings.device()
    }

    /// The first layer's input: `[B, T, H]` in float32.
    pub fn embed(&self, batch: &Batch, pass: &Pass) -> Tensor {
        let device = self.device();
        let ids = batch.input_ids.to_device(device);
        let types = match self.config.token_types {
            1 => ids.zeros_like(),
            _ => batch.token_type_ids.to_device(device),
        };
        let lookup = |table: &Tensor, indices: &Tensor| {
            Tensor::embedding(table, indices, -1, false, false).to_kind(Kind::Float)
        };
        // The order of summation is Hugging Face's: floats do not commute over three terms.
        let sum = lookup(&self.embeddings.word_embeddings, &ids)
            + lookup(&self.embeddings.token_type_embeddings, &types)
            + lookup(&self.embeddings.position_embeddings, &self.positions(&ids));
        let normed = self.embeddings.layer_norm.forward(&sum);
        dropout(&normed, self.config.hidden_dropout, pass.train)
    }

    /// Rows of the position table, `[T]` or `[B, T]`. BERT counts from 0; RoBERTa counts tokens
    /// from pad + 1 and gives padding the row of pad.
    fn positions(&self, ids: &Tensor) -> Tensor {
        match self.config.architecture {
            Architecture::Bert => Tensor::arange(ids.size()[1], (Kind::Int64, ids.device())),
            Architecture::Roberta => {
                let token = ids.ne(self.config.pad_id).to_kind(Kind::Int64);
                token.cumsum(1, Kind::Int64) * &token + self.config.pad_id
            }
        }
    }
}

impl Layer {
    /// `[B, T, H]` to `[B, T, H]`, with what `sites` inserts.
    pub fn forward<S: Sites>(
        &self,
        hidden: &Tensor,
        mask: &Mask,
        sites: &S,
        pass: &Pass,
    ) -> Tensor {
        let x = self.attend(hidden, mask, sites.prefix(), pass);
        let inner = self.intermediate.forward(&x, self.kind).gelu("none");
        let h = self.output.forward(&inner, self.kind);
        let h = dropout(&h, self.hidden_dropout, pass.train);
        sites.output(&h, &x, &self.output_norm, self.kind)
    }

    /// The attention sublayer: x, the feed-forward block's input `[B, T, H]`.
    fn attend(
        &self,
        hidden: &Tensor,
        mask: &Mask,
        prefix: Option<&KeyValue>,
        pass: &Pass,
    ) -> Tensor {
        let input = hidden.to_kind(self.kind);
        let query = self.split_heads(&self.query.forward(&input, self.kind));
        let mut key = self.split_heads(&self.key.forward(&input, self.kind));
        let mut value = self.split_heads(&self.value.forward(&input, self.kind));
        if let Some(prefix) = prefix {
            key = self.prepend(&prefix.key, &key);
            value = self.prepend(&prefix.value, &value);
        }
        let mask = mask.of_layer(prefix.is_some());
        let p = if pass.train {
            self.attention_dropout
        } else {
            0.0
        };
        let context = match pass.attention {
            Attention::Eager => eager_attention(&query, &key, &value, mask, p),
            Attention::Fused => Tensor::scaled_dot_product_attention(
                &query,
                &key,
                &value,
                Some(mask),
                p,
                false,
                None,
                false,
            ),
        };
        // [B, heads, T, d] -> [B, T, heads, d] -> [B, T, H]
        let context = context.transpose(1, 2).flatten(2, 3);
        let output = self.attention_output.forward(&context, self.kind);
        let output = dropout(&output, self.hidden_dropout, pass.train);
        self.attention_norm.forward(&(output + hidden))
    }

    /// `[B, T, H]` to `[B, T, heads, d]` to `[B, heads, T, d]`.
    fn split_heads(&self, x: &Tensor) -> Tensor {
        let (b, t, h) = (x.size()[0], x.size()[1], x.size()[2]);
        x.view([b, t, self.heads, h / self.heads]).transpose(1, 2)
    }

    /// `[heads, L, d]` for every text, before `[B, heads, T, d]`: `[B, heads, L + T, d]`.
    fn prepend(&self, prefix: &Tensor, own: &Tensor) -> Tensor {
        let [heads, positions, width] = [0, 1, 2].map(|dimension| prefix.size()[dimension]);
        let prefix = prefix
            .to_kind(self.kind)
            .expand([own.size()[0], heads, positions, width], false);
        Tensor::cat(&[&prefix, own], 2)
    }
}

/// softmax(QKᵀ/√d + mask)·V with dropout p on the probabilities; scores are softmaxed in float32.
/// Q `[B, heads, T, d]`, K and V `[B, heads, S, d]`, result `[B, heads, T, d]`.
fn eager_attention(query: &Tensor, key: &Tensor, value: &Tensor, mask: &Tensor, p: f64) -> Tensor {
    let scale = (query.size()[3] as f64).powf(-0.5);
    let scores = query.matmul(&key.transpose(2, 3)) * scale;
    let probabilities = (scores + mask).softmax(-1, Kind::Float);
    dropout(&probabilities, p, p > 0.0)
        .to_kind(value.kind())
        .matmul(value)
}
