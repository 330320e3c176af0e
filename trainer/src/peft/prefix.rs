//! Prefix tuning of Li and Liang (arXiv:2101.00190): L trained keys and values before those of the
//! text, in each of n layers.
//!
//! While training they come from one small network, shared by the layers: an embedding
//! E `[L, H]` ~ N(0, 1), a dense layer to m = 800 with tanh, and a dense layer to 2·n·H, both with
//! default initialisation. Of the 2n slots of width H, the i-th active layer takes slot 2i as keys
//! and slot 2i + 1 as values. What an adapter keeps is the network's output, its ejected form.

use tch::{Device, Kind, Tensor};

use crate::encoder::bert::KeyValue;
use crate::nn::{Linear, default_bound, normal, trainable, uniform};

/// m, the width of the reparametrisation (AutoPEFT and MAM).
pub const REPARAMETRISATION: i64 = 800;

/// The prefix of all active layers.
#[derive(Debug)]
pub struct Prefix {
    hidden_size: i64,
    form: Form,
}

#[derive(Debug)]
enum Form {
    /// As it is trained.
    Reparametrised {
        /// E, `[L, H]`.
        embedding: Tensor,
        /// H to m.
        hidden: Linear,
        /// m to 2·n·H.
        output: Linear,
    },
    /// As it is deployed: the output of the network, `[L, 2·n·H]`.
    Ejected(Tensor),
}

impl Prefix {
    /// A fresh prefix of L positions for n layers of width H.
    pub fn new(positions: i64, hidden_size: i64, layers: i64, device: Device) -> Self {
        let dense = |from: i64, to: i64| Linear {
            weight: uniform(&[to, from], default_bound(from), device),
            bias: uniform(&[to], default_bound(from), device),
        };
        Self {
            hidden_size,
            form: Form::Reparametrised {
                embedding: normal(&[positions, hidden_size], 1.0, device),
                hidden: dense(hidden_size, REPARAMETRISATION),
                output: dense(REPARAMETRISATION, 2 * layers * hidden_size),
            },
        }
    }

    /// The network's output, `[L, 2·n·H]`, in float32: it is small, and every text reads it.
    fn key_values(&self) -> Tensor {
        match &self.form {
            Form::Reparametrised {
                embedding,
                hidden,
                output,
            } => {
                let inner = hidden.forward(embedding, Kind::Float).tanh();
                output.forward(&inner, Kind::Float)
            }
            Form::Ejected(key_values) => key_values.shallow_clone(),
        }
    }

    /// Keys and values, one entry per active layer.
    pub fn keys_and_values(&self, heads: i64) -> Vec<KeyValue> {
        let key_values = self.key_values();
        let slots = key_values.size()[1] / self.hidden_size;
        // [L, 2n·H] -> [L, 2n, heads, d] -> [2n, heads, L, d]
        let by_slot = key_values
            .view([-1, slots, heads, self.hidden_size / heads])
            .permute([1, 2, 0, 3]);
        (0..slots / 2)
            .map(|layer| KeyValue {
                key: by_slot.get(2 * layer),
                value: by_slot.get(2 * layer + 1),
            })
            .collect()
    }

    /// The same prefix in its ejected form: the network is evaluated once.
    #[must_use]
    pub fn ejected(&self) -> Self {
        let values = tch::no_grad(|| self.key_values());
        let device = values.device();
        Self {
            hidden_size: self.hidden_size,
            form: Form::Ejected(trainable(values, device)),
        }
    }

    /// 2·L·H·n: the parameters of the ejected form.
    pub fn deployed_parameters(&self) -> u64 {
        match &self.form {
            Form::Reparametrised {
                embedding, output, ..
            } => (embedding.size()[0] * output.bias.size()[0]) as u64,
            Form::Ejected(key_values) => key_values.numel() as u64,
        }
    }

    /// The parameters under their names.
    pub fn named(&self, prefix: &str) -> Vec<(String, Tensor)> {
        match &self.form {
            Form::Reparametrised {
                embedding,
                hidden,
                output,
            } => {
                let mut tensors = vec![(format!("{prefix}.embedding"), embedding.shallow_clone())];
                tensors.extend(hidden.named(&format!("{prefix}.hidden")));
                tensors.extend(output.named(&format!("{prefix}.output")));
                tensors
            }
            Form::Ejected(key_values) => {
                vec![(format!("{prefix}.key_values"), key_values.shallow_clone())]
            }
        }
    }
}
