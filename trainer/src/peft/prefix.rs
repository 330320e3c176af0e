//! Prefix tuning of Li and Liang (arXiv:2101.00190): L trained keys and values are prepended to those of the text, in
//! each of n layers.
//!
//! While training they come from one small network, shared by the layers: an embedding
//! E `[L, H]` ~ N(0, 1), a dense layer to m = 800 with tanh, and a dense layer to 2·n·H, both with
//! default initialisation. Of the 2n slots of width H, the i-th active layer takes slot 2i as keys
//! and slot 2i + 1 as values. An adapter checkpoint has the network's output, the deployed
//! form.

use std::rc::Rc;

use autopeft_crds::Module;
use tch::{Kind, Tensor};

use super::module::{Insertion, LayerCall, ModuleRow, PeftModule, Scope};
use crate::encoder::sites::KeyValue;
use crate::nn::{Linear, NamedTensors, default_bound, normal, trainable, uniform};

/// m, the width of the reparametrisation (AutoPEFT and MAM).
pub const REPARAMETRISATION: i64 = 800;

/// The module.
pub const PREFIX: ModuleRow = ModuleRow {
    name: "prefix",
    module: Module::Prefix,
    scope: Scope::Model,
    init: |insertion| Rc::new(Prefix::new(insertion)),
};

/// The prefix of all active layers.
#[derive(Debug)]
struct Prefix {
    /// L.
    positions: i64,
    hidden_size: i64,
    heads: i64,
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
    /// A prefix of L positions for n layers of width H, with its initial values.
    fn new(insertion: &Insertion<'_>) -> Self {
        let device = insertion.device;
        let (positions, layers) = (insertion.size, insertion.layers.len() as i64);
        let hidden_size = insertion.model.hidden_size;
        let dense = |from: i64, to: i64| Linear {
            weight: uniform(&[to, from], default_bound(from), device),
            bias: uniform(&[to], default_bound(from), device),
        };
        Self {
            positions,
            hidden_size,
            heads: insertion.model.heads,
            form: Form::Reparametrised {
                embedding: normal(&[positions, hidden_size], 1.0, device),
                hidden: dense(hidden_size, REPARAMETRISATION),
                output: dense(REPARAMETRISATION, 2 * layers * hidden_size),
            },
        }
    }

    /// The network's output, `[L, 2·n·H]`, in float32: it is small, and every text reads it.
    fn output(&self) -> Tensor {
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
}

impl PeftModule for Prefix {
    fn named(&self) -> NamedTensors {
        match &self.form {
            Form::Reparametrised {
                embedding,
                hidden,
                output,
            } => {
                let mut tensors = vec![("embedding".to_owned(), embedding.shallow_clone())];
                tensors.extend(hidden.named("hidden"));
                tensors.extend(output.named("output"));
                tensors
            }
            Form::Ejected(key_values) => {
                vec![("key_values".to_owned(), key_values.shallow_clone())]
            }
        }
    }

    // The deployed form: the network is evaluated once. It has 2·L·H·n parameters.
    fn deployed(&self) -> Option<Rc<dyn PeftModule>> {
        let values = tch::no_grad(|| self.output());
        let device = values.device();
        Some(Rc::new(Self {
            form: Form::Ejected(trainable(values, device)),
            ..*self
        }))
    }

    // [L, 2n·H] -> [L, 2n, heads, d] -> [2n, heads, L, d]
    fn precompute(&self) -> Option<Tensor> {
        let key_values = self.output();
        let slots = key_values.size()[1] / self.hidden_size;
        let width = self.hidden_size / self.heads;
        let by_slot = key_values.view([-1, slots, self.heads, width]);
        Some(by_slot.permute([1, 2, 0, 3]))
    }

    fn positions(&self) -> i64 {
        self.positions
    }

    fn key_values(&self, call: &LayerCall<'_>, _input: &Tensor) -> Option<KeyValue> {
        let by_slot = call.precomputed?;
        let slot = 2 * call.slot as i64;
        Some(KeyValue {
            key: by_slot.get(slot),
            value: by_slot.get(slot + 1),
        })
    }
}
