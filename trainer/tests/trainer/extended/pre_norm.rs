//! A pre-norm encoder: each sublayer reads the norm of the residual stream, and its output is added to the stream
//! itself. One norm a layer, no biases but the norms', and a text is the mean of its tokens.

use std::rc::Rc;

use autopeft_trainer::encoder::architecture::{
    Architecture, ArchitectureRow, Encoder, Expected, MissingTensor, ModelConfig, Tensors,
};
use autopeft_trainer::encoder::attention::{Mask, attend};
use autopeft_trainer::encoder::fields::{ConfigError, Fields};
use autopeft_trainer::encoder::sites::{Batch, Pass, Site, Sites, Sublayer, SublayerEnd};
use autopeft_trainer::nn::LayerNorm;
use tch::{Device, Kind, Tensor};

/// The architecture.
pub const PRE_NORM: ArchitectureRow = ArchitectureRow {
    name: "pre_norm",
    read,
};

fn read(fields: &Fields<'_>) -> Result<ModelConfig, ConfigError> {
    let numbers = PreNorm {
        vocabulary: fields.size("vocab_size", None)?,
        hidden: fields.size("hidden_size", None)?,
        layers: fields.size("num_hidden_layers", None)? as usize,
        heads: fields.size("num_attention_heads", None)?,
    };
    Ok(ModelConfig {
        name: PRE_NORM.name,
        vocabulary_size: numbers.vocabulary,
        hidden_size: numbers.hidden,
        feed_forward_size: 4 * numbers.hidden,
        layers: numbers.layers,
        heads: numbers.heads,
        pad_id: fields.id("pad_token_id", 0)?,
        max_tokens: fields.size("max_position_embeddings", None)?,
        hidden_dropout: 0.0,
        special_tokens: None,
        architecture: Rc::new(numbers),
    })
}

#[derive(Clone, Debug)]
struct PreNorm {
    vocabulary: i64,
    hidden: i64,
    layers: usize,
    heads: i64,
}

const PROJECTIONS: [&str; 5] = ["query", "key", "value", "inner", "outer"];

impl Architecture for PreNorm {
    fn tensors(&self) -> Vec<Expected> {
        let h = self.hidden;
        let mut tensors = vec![("words.weight".to_owned(), vec![self.vocabulary, h])];
        for layer in 0..self.layers {
            let at = |name: &str| format!("layers.{layer}.{name}");
            tensors.push((at("norm.weight"), vec![h]));
            tensors.push((at("norm.bias"), vec![h]));
            tensors.extend(PROJECTIONS.map(|name| (at(&format!("{name}.weight")), vec![h, h])));
        }
        tensors
    }

    fn is_dense(&self, tensor: &str) -> bool {
        tensor.starts_with("layers.") && !self.is_norm(tensor)
    }

    fn is_norm(&self, tensor: &str) -> bool {
        tensor.contains(".norm.")
    }

    fn parameters(&self) -> u64 {
        let (h, layers) = (self.hidden as u64, self.layers as u64);
        self.vocabulary as u64 * h + layers * (5 * h * h + 2 * h)
    }

    fn encoder(&self, tensors: &Tensors, kind: Kind) -> Result<Box<dyn Encoder>, MissingTensor> {
        let get = |name: String| match tensors.get(&name) {
            Some(tensor) => Ok(tensor.shallow_clone()),
            None => Err(MissingTensor(name)),
        };
        let layers = (0..self.layers).map(|layer| {
            let at = |name: &str| get(format!("layers.{layer}.{name}"));
            let dense = |name: &str| at(&format!("{name}.weight"));
            Ok(Layer {
                norm: LayerNorm {
                    weight: at("norm.weight")?,
                    bias: at("norm.bias")?,
                    eps: 1e-5,
                },
                query: dense("query")?,
                key: dense("key")?,
                value: dense("value")?,
                inner: dense("inner")?,
                outer: dense("outer")?,
            })
        });
        Ok(Box::new(PreNormEncoder {
            words: get("words.weight".into())?,
            layers: layers.collect::<Result<_, MissingTensor>>()?,
            heads: self.heads,
            kind,
        }))
    }
}

#[derive(Debug)]
struct Layer {
    norm: LayerNorm,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    inner: Tensor,
    outer: Tensor,
}

#[derive(Debug)]
struct PreNormEncoder {
    words: Tensor,
    layers: Vec<Layer>,
    heads: i64,
    kind: Kind,
}

impl PreNormEncoder {
    fn dense(&self, x: &Tensor, weight: &Tensor, site: Site, sites: &dyn Sites) -> Tensor {
        let x = x.to_kind(self.kind);
        sites.replaced(site, &x, x.matmul(&weight.transpose(0, 1)))
    }

    /// `[B, T, H]` to `[B, heads, T, d]`.
    fn split(&self, x: &Tensor) -> Tensor {
        let (b, t, h) = (x.size()[0], x.size()[1], x.size()[2]);
        x.view([b, t, self.heads, h / self.heads]).transpose(1, 2)
    }

    fn end(
        &self,
        sublayer: Sublayer,
        output: &Tensor,
        input: &Tensor,
        sites: &dyn Sites,
    ) -> Tensor {
        sites.summed(&SublayerEnd {
            sublayer,
            output,
            input,
            sum: &(output + input),
            // Nothing comes after the sum.
            norm: &Tensor::shallow_clone,
            kind: self.kind,
        })
    }
}

impl Encoder for PreNormEncoder {
    fn device(&self) -> Device {
        self.words.device()
    }

    fn embed(&self, batch: &Batch, _pass: &Pass) -> Tensor {
        let ids = batch.input_ids.to_device(self.device());
        Tensor::embedding(&self.words, &ids, -1, false, false).to_kind(Kind::Float)
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
        let x = layer.norm.forward(hidden);
        let query = self.split(&self.dense(&x, &layer.query, Site::Query, sites));
        let mut key = self.split(&self.dense(&x, &layer.key, Site::Key, sites));
        let mut value = self.split(&self.dense(&x, &layer.value, Site::Value, sites));
        let prefix = sites.key_values(&x);
        if let Some(prefix) = &prefix {
            let before = |prefix: &Tensor, own: &Tensor| {
                let size = own.size();
                let prefix = prefix.unsqueeze(0).expand([size[0], -1, -1, -1], false);
                Tensor::cat(&[&prefix, own], 2)
            };
            key = before(&prefix.key, &key);
            value = before(&prefix.value, &value);
        }
        let found = attend(
            [&query, &key, &value],
            mask.of_layer(prefix.is_some()),
            0.0,
            pass,
        );
        let found = found.transpose(1, 2).flatten(2, 3);
        let hidden = self.end(Sublayer::Attention, &found, hidden, sites);
        let inner = self.dense(&hidden, &layer.inner, Site::Intermediate, sites);
        let active = sites.replaced(Site::Activation, &inner, inner.relu());
        let output = self.dense(&active, &layer.outer, Site::Output, sites);
        self.end(Sublayer::FeedForward, &output, &hidden, sites)
    }

    fn summary(&self, hidden: &Tensor) -> Tensor {
        hidden.mean_dim([1i64].as_slice(), false, Kind::Float)
    }
}
