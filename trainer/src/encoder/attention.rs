//! Attention over visible keys.

use tch::{Device, Kind, Tensor};

use super::sites::{Attention, Pass};
use crate::nn::dropout;

/// The visible keys as a mask: for eager attention, added to the scores (0, or the lowest float32 for padding); for fused
/// attention, boolean.
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
    pub fn of_layer(&self, prefix: bool) -> &Tensor {
        match &self.with_prefix {
            Some(mask) if prefix => mask,
            _ => &self.text,
        }
    }
}

/// The output of attention: `[B, heads, T, d]`, of Q `[B, heads, T, d]`, K and V `[B, heads, S, d]`. `dropout` applies
/// to the probabilities, in training.
pub fn attend(
    [query, key, value]: [&Tensor; 3],
    mask: &Tensor,
    dropout: f64,
    pass: &Pass,
) -> Tensor {
    let p = if pass.train { dropout } else { 0.0 };
    match pass.attention {
        Attention::Eager => eager(query, key, value, mask, p),
        Attention::Fused => Tensor::scaled_dot_product_attention(
            query,
            key,
            value,
            Some(mask),
            p,
            false,
            None,
            false,
        ),
    }
}

/// softmax(QKᵀ/√d + mask)·V with dropout p on the probabilities; scores are softmaxed in float32.
fn eager(query: &Tensor, key: &Tensor, value: &Tensor, mask: &Tensor, p: f64) -> Tensor {
    let scale = (query.size()[3] as f64).powf(-0.5);
    let scores = query.matmul(&key.transpose(2, 3)) * scale;
    let probabilities = (scores + mask).softmax(-1, Kind::Float);
    dropout(&probabilities, p, p > 0.0)
        .to_kind(value.kind())
        .matmul(value)
}
