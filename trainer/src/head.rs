//! The prediction head: the pooled output (the last layer's \[CLS\] state) → dropout → dense H to H → tanh → dropout →
//! dense H to C, for BERT and RoBERTa alike; a pretrained pooler is not used (AdapterHub's
//! classification head, which the AutoPEFT paper trains). A regression has C = 1.

use tch::{Device, Kind, Tensor};

use crate::encoder::ModelConfig;
use crate::nn::{Linear, dropout, normal, zeros};

/// The standard deviation of fresh matrices.
const DEVIATION: f64 = 0.02;

/// A trainable head; H·H + H + C·H + C parameters, which no count of a configuration includes.
#[derive(Debug)]
pub struct Head {
    dense: Linear,
    output: Linear,
    dropout: f64,
}

impl Head {
    /// A fresh head with C outputs: weights from N(0, 0.02²), biases 0.
    pub fn new(model: &ModelConfig, outputs: i64, device: Device) -> Self {
        let hidden = model.hidden_size;
        let dense = |to: i64| Linear {
            weight: normal(&[to, hidden], DEVIATION, device),
            bias: zeros(&[to], device),
        };
        Self {
            dense: dense(hidden),
            output: dense(outputs),
            dropout: model.hidden_dropout,
        }
    }

    /// The pooled output, `[B, H]`, to `[B, C]`, in float32.
    pub fn forward(&self, summary: &Tensor, train: bool) -> Tensor {
        let summary = dropout(summary, self.dropout, train);
        let inner = self.dense.forward(&summary, Kind::Float).tanh();
        let inner = dropout(&inner, self.dropout, train);
        self.output.forward(&inner, Kind::Float)
    }

    /// The parameters under their names.
    pub fn named(&self) -> impl Iterator<Item = (String, Tensor)> {
        let dense = self.dense.named("head.dense");
        dense.into_iter().chain(self.output.named("head.output"))
    }
}
