//! The post-norm Transformer of BERT (arXiv:1810.04805) and those that follow it, without I/O: each sublayer's output
//! is added to its input, and the norm comes after the sum. Field names are the checkpoint's.
//!
//! Shapes: B texts, T tokens, H hidden, heads × d = H, L prefix positions. Tensors between
//! sublayers are float32; matrix products run in the encoder's number format.

use std::rc::Rc;

use autopeft_crds::configuration::MAX_LAYERS;
use tch::{Device, Kind, Tensor};

use super::architecture::{Architecture, Encoder, Expected, MissingTensor, ModelConfig, Tensors};
use super::attention::{Mask, attend};
use super::fields::{ConfigError, Fields};
use super::sites::{Batch, Pass, Site, Sites, Sublayer, SublayerEnd};
use crate::nn::{LayerNorm, Linear, dropout};

/// Rows of the position table, `[T]` or `[B, T]`, of token ids `[B, T]` and the padding id.
pub type Positions = fn(&Tensor, i64) -> Tensor;

/// The numbers of one model.
#[derive(Clone, Debug)]
pub struct PostNorm {
    vocabulary_size: i64,
    hidden_size: i64,
    layers: usize,
    heads: i64,
    /// The width between the two matrices of the feed-forward block.
    intermediate_size: i64,
    /// Rows of the position table.
    pub position_rows: i64,
    /// Rows of the token type table.
    token_types: i64,
    /// The padding id.
    pub pad_id: i64,
    /// The ε of every layer norm.
    layer_norm_eps: f64,
    /// Dropout after embeddings and dense layers.
    hidden_dropout: f64,
    /// Dropout of attention probabilities.
    attention_dropout: f64,
    positions: Positions,
}

impl PostNorm {
    /// Reads the numbers; `pad_id` is the architecture's usual padding id.
    ///
    /// # Errors
    /// A field is missing, malformed or names something that is not supported.
    pub fn read(
        fields: &Fields<'_>,
        pad_id: i64,
        positions: Positions,
    ) -> Result<Self, ConfigError> {
        fields.only("hidden_act", "gelu")?;
        fields.only("position_embedding_type", "absolute")?;
        if fields.get("is_decoder") == Some(&true.into()) {
            return Err(fields.wrong("is_decoder", "true", "false: an encoder"));
        }
        // Where a field may be left out, the default is Hugging Face's for the architecture.
        Ok(Self {
            vocabulary_size: fields.size("vocab_size", None)?,
            hidden_size: fields.size("hidden_size", None)?,
            layers: fields.size("num_hidden_layers", None)? as usize,
            heads: fields.size("num_attention_heads", None)?,
            intermediate_size: fields.size("intermediate_size", None)?,
            position_rows: fields.size("max_position_embeddings", Some(512))?,
            token_types: fields.size("type_vocab_size", Some(2))?,
            pad_id: fields.id("pad_token_id", pad_id)?,
            layer_norm_eps: fields.number("layer_norm_eps", 1e-12, 0.0..=1.0)?,
            hidden_dropout: fields.number("hidden_dropout_prob", 0.1, 0.0..=0.999)?,
            attention_dropout: fields.number("attention_probs_dropout_prob", 0.1, 0.0..=0.999)?,
            positions,
        })
    }

    /// The model with these numbers, under its architecture's name.
    ///
    /// # Errors
    /// Numbers do not fit together.
    pub fn model(
        self,
        fields: &Fields<'_>,
        name: &'static str,
        max_tokens: i64,
    ) -> Result<ModelConfig, ConfigError> {
        if self.layers > MAX_LAYERS {
            let expected = format!("at most {MAX_LAYERS}");
            return Err(fields.wrong("num_hidden_layers", self.layers, &expected));
        }
        if self.hidden_size % self.heads != 0 {
            let expected = format!("a divisor of hidden_size ({})", self.hidden_size);
            return Err(fields.wrong("num_attention_heads", self.heads, &expected));
        }
        if self.pad_id >= self.vocabulary_size {
            let expected = format!("below vocab_size ({})", self.vocabulary_size);
            return Err(fields.wrong("pad_token_id", self.pad_id, &expected));
        }
        if max_tokens < 1 {
            let found = self.position_rows;
            return Err(fields.wrong("max_position_embeddings", found, "above pad_token_id + 1"));
        }
        Ok(ModelConfig {
            name,
            vocabulary_size: self.vocabulary_size,
            hidden_size: self.hidden_size,
            feed_forward_size: self.intermediate_size,
            layers: self.layers,
            heads: self.heads,
            pad_id: self.pad_id,
            max_tokens,
            hidden_dropout: self.hidden_dropout,
            special_tokens: None,
            architecture: Rc::new(self),
        })
    }
}

impl Architecture for PostNorm {
    fn tensors(&self) -> Vec<Expected> {
        let (h, i) = (self.hidden_size, self.intermediate_size);
        let mut tensors: Vec<Expected> = [
            ("word_embeddings", self.vocabulary_size),
            ("position_embeddings", self.position_rows),
            ("token_type_embeddings", self.token_types),
        ]
        .into_iter()
        .map(|(name, rows)| (format!("embeddings.{name}.weight"), vec![rows, h]))
        .collect();
        let mut norm_or_dense = |name: &str, weight: Vec<i64>| {
            let bias = vec![weight[0]];
            tensors.push((format!("{name}.weight"), weight));
            tensors.push((format!("{name}.bias"), bias));
        };
        norm_or_dense("embeddings.LayerNorm", vec![h]);
        for layer in 0..self.layers {
            for (name, weight) in [
                ("attention.self.query", vec![h, h]),
                ("attention.self.key", vec![h, h]),
                ("attention.self.value", vec![h, h]),
                ("attention.output.dense", vec![h, h]),
                ("attention.output.LayerNorm", vec![h]),
                ("intermediate.dense", vec![i, h]),
                ("output.dense", vec![h, i]),
                ("output.LayerNorm", vec![h]),
            ] {
                norm_or_dense(&format!("encoder.layer.{layer}.{name}"), weight);
            }
        }
        tensors
    }

    fn is_dense(&self, tensor: &str) -> bool {
        tensor.starts_with("encoder.") && !self.is_norm(tensor)
    }

    fn is_norm(&self, tensor: &str) -> bool {
        tensor.contains(".LayerNorm.")
    }

    fn parameters(&self) -> u64 {
        let (h, i) = (self.hidden_size as u64, self.intermediate_size as u64);
        let norm = 2 * h;
        let rows = (self.vocabulary_size + self.position_rows + self.token_types) as u64;
        let embeddings = rows * h + norm;
        let attention = 4 * (h * h + h) + norm;
        let feed_forward = 2 * h * i + i + h + norm;
        let pooler = h * h + h;
        embeddings + self.layers as u64 * (attention + feed_forward) + pooler
    }

    fn encoder(&self, tensors: &Tensors, kind: Kind) -> Result<Box<dyn Encoder>, MissingTensor> {
        Ok(Box::new(PostNormEncoder::new(self, tensors, kind)?))
    }
}

#[derive(Debug)]
struct Embeddings {
    word_embeddings: Tensor,
    position_embeddings: Tensor,
    token_type_embeddings: Tensor,
    layer_norm: LayerNorm,
}

/// An encoder with its weights on a device.
#[derive(Debug)]
struct PostNormEncoder {
    numbers: PostNorm,
    embeddings: Embeddings,
    layers: Vec<Layer>,
}

impl PostNormEncoder {
    fn new(numbers: &PostNorm, tensors: &Tensors, kind: Kind) -> Result<Self, MissingTensor> {
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
                eps: numbers.layer_norm_eps,
            })
        };
        let layers = (0..numbers.layers)
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
                    heads: numbers.heads,
                    hidden_dropout: numbers.hidden_dropout,
                    attention_dropout: numbers.attention_dropout,
                    kind,
                })
            })
            .collect::<Result<_, MissingTensor>>()?;
        let table = |name: &str| get(format!("embeddings.{name}.weight"));
        Ok(Self {
            numbers: numbers.clone(),
            embeddings: Embeddings {
                word_embeddings: table("word_embeddings")?,
                position_embeddings: table("position_embeddings")?,
                token_type_embeddings: table("token_type_embeddings")?,
                layer_norm: norm("embeddings.LayerNorm".to_owned())?,
            },
            layers,
        })
    }
}

impl Encoder for PostNormEncoder {
    fn device(&self) -> Device {
        self.embeddings.word_embeddings.device()
    }

    fn embed(&self, batch: &Batch, pass: &Pass) -> Tensor {
        let device = self.device();
        let ids = batch.input_ids.to_device(device);
        let types = match self.numbers.token_types {
            1 => ids.zeros_like(),
            _ => batch.token_type_ids.to_device(device),
        };
        let positions = (self.numbers.positions)(&ids, self.numbers.pad_id);
        let lookup = |table: &Tensor, indices: &Tensor| {
            Tensor::embedding(table, indices, -1, false, false).to_kind(Kind::Float)
        };
        // The order of summation is Hugging Face's: floats do not commute over three terms.
        let sum = lookup(&self.embeddings.word_embeddings, &ids)
            + lookup(&self.embeddings.token_type_embeddings, &types)
            + lookup(&self.embeddings.position_embeddings, &positions);
        let normed = self.embeddings.layer_norm.forward(&sum);
        dropout(&normed, self.numbers.hidden_dropout, pass.train)
    }

    fn layer(
        &self,
        index: usize,
        hidden: &Tensor,
        mask: &Mask,
        sites: &dyn Sites,
        pass: &Pass,
    ) -> Tensor {
        let layer = &self.layers[index];
        let x = layer.attend(hidden, mask, sites, pass);
        layer.feed_forward(&x, sites, pass)
    }
}

/// One Transformer layer.
#[derive(Debug)]
struct Layer {
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

impl Layer {
    /// The attention sublayer: `[B, T, H]` to the feed-forward block's input `[B, T, H]`.
    fn attend(&self, hidden: &Tensor, mask: &Mask, sites: &dyn Sites, pass: &Pass) -> Tensor {
        let input = hidden.to_kind(self.kind);
        let projected = |site: Site, dense: &Linear| {
            let output = dense.forward(&input, self.kind);
            self.split_heads(&sites.replaced(site, &input, output))
        };
        let query = projected(Site::Query, &self.query);
        let mut key = projected(Site::Key, &self.key);
        let mut value = projected(Site::Value, &self.value);
        let prefix = sites.key_values(hidden);
        if let Some(prefix) = &prefix {
            key = self.prepend(&prefix.key, &key);
            value = self.prepend(&prefix.value, &value);
        }
        let mask = mask.of_layer(prefix.is_some());
        let context = attend([&query, &key, &value], mask, self.attention_dropout, pass);
        // [B, heads, T, d] -> [B, T, heads, d] -> [B, T, H]
        let context = context.transpose(1, 2).flatten(2, 3);
        let output = self.attention_output.forward(&context, self.kind);
        let output = sites.replaced(Site::AttentionOutput, &context, output);
        let output = dropout(&output, self.hidden_dropout, pass.train);
        self.end(Sublayer::Attention, &output, hidden, sites)
    }

    /// The feed-forward block: its input x `[B, T, H]` to the layer's output `[B, T, H]`.
    fn feed_forward(&self, x: &Tensor, sites: &dyn Sites, pass: &Pass) -> Tensor {
        let inner = self.intermediate.forward(x, self.kind);
        let inner = sites.replaced(Site::Intermediate, x, inner);
        let activated = inner.gelu("none");
        let activated = sites.replaced(Site::Activation, &inner, activated);
        let h = self.output.forward(&activated, self.kind);
        let h = sites.replaced(Site::Output, &activated, h);
        let h = dropout(&h, self.hidden_dropout, pass.train);
        self.end(Sublayer::FeedForward, &h, x, sites)
    }

    /// LN(h + x), with the terms of modules in the sum.
    fn end(&self, sublayer: Sublayer, h: &Tensor, x: &Tensor, sites: &dyn Sites) -> Tensor {
        let norm = match sublayer {
            Sublayer::Attention => &self.attention_norm,
            Sublayer::FeedForward => &self.output_norm,
        };
        let sum = sites.summed(&SublayerEnd {
            sublayer,
            output: h,
            input: x,
            sum: &(h + x),
            norm: &|sum| norm.forward(sum),
            kind: self.kind,
        });
        norm.forward(&sum)
    }

    /// `[B, T, H]` to `[B, T, heads, d]` to `[B, heads, T, d]`.
    fn split_heads(&self, x: &Tensor) -> Tensor {
        let (b, t, h) = (x.size()[0], x.size()[1], x.size()[2]);
        x.view([b, t, self.heads, h / self.heads]).transpose(1, 2)
    }

    /// `[heads, L, d]` for every text, or `[B, heads, L, d]`, before `[B, heads, T, d]`: `[B, heads, L + T, d]`.
    fn prepend(&self, prefix: &Tensor, own: &Tensor) -> Tensor {
        let size = own.size();
        let positions = prefix.size()[prefix.dim() - 2];
        let prefix = prefix
            .to_kind(self.kind)
            .expand([size[0], size[1], positions, size[3]], false);
        Tensor::cat(&[&prefix, own], 2)
    }
}
