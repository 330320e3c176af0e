//! Prefix tuning of Li and Liang (arXiv:2101.00190): L trained keys and values are prepended to those of the text, in
//! each of n layers.
//!
//! While training they come from one small network, shared by the layers: an embedding
//! E `[L, H]` ~ N(0, 1), a dense layer to m = 800 with tanh, and a dense layer to 2·n·H, both with
//! default initialisation; with m = 0 they are trained directly, from N(0, 1). Of the 2n slots of
//! width H, the i-th active layer takes slot 2i as keys and slot 2i + 1 as values. An adapter
//! checkpoint has the network's output, the deployed form.

use std::rc::Rc;

use autopeft_crds::Module;
use tch::{Kind, Tensor};

use super::gate::Gate;
use super::module::{Insertion, LayerCall, ModuleRow, PeftModule, Scope};
use crate::encoder::sites::KeyValue;
use crate::nn::{Linear, NamedTensors, normal, trainable};

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
    /// One a layer, where modules are gated.
    gates: Rc<[Gate]>,
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

impl Form {
    fn named(&self) -> NamedTensors {
        match self {
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
}

impl Prefix {
    /// A prefix of L positions for n layers of width H, with its initial values.
    fn new(insertion: &Insertion<'_>) -> Self {
        let device = insertion.device;
        let (positions, layers) = (insertion.size, insertion.layers.len() as i64);
        let hidden_size = insertion.model.hidden_size;
        let form = match i64::from(insertion.options.prefix.width) {
            0 => Form::Ejected(normal(&[positions, 2 * layers * hidden_size], 1.0, device)),
            width => Form::Reparametrised {
                embedding: normal(&[positions, hidden_size], 1.0, device),
                hidden: Linear::usual(hidden_size, width, device),
                output: Linear::usual(width, 2 * layers * hidden_size, device),
            },
        };
        Self {
            positions,
            hidden_size,
            heads: insertion.model.heads,
            form,
            gates: insertion
                .layers
                .iter()
                .filter_map(|_| Gate::of(insertion))
                .collect(),
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
        let mut tensors = self.form.named();
        for (slot, gate) in self.gates.iter().enumerate() {
            tensors.extend(gate.named(&format!("gate.{slot}")));
        }
        tensors
    }

    // The deployed form: the network is evaluated once. It has 2·L·H·n parameters.
    fn deployed(&self) -> Option<Rc<dyn PeftModule>> {
        let values = tch::no_grad(|| self.output());
        let device = values.device();
        Some(Rc::new(Self {
            form: Form::Ejected(trainable(values, device)),
            gates: self.gates.clone(),
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

    // Behind a gate, g·K and g·V of each text: `[B, heads, L, d]`.
    fn key_values(&self, call: &LayerCall<'_>, input: &Tensor) -> Option<KeyValue> {
        let by_slot = call.precomputed?;
        let slot = 2 * call.slot as i64;
        // [B, 1, 1] -> [B, 1, 1, 1]
        let gate = self
            .gates
            .get(call.slot)
            .map(|gate| gate.value(input).unsqueeze(-1));
        let gated = |values: Tensor| match &gate {
            Some(gate) => gate * values,
            None => values,
        };
        Some(KeyValue {
            key: gated(by_slot.get(slot)),
            value: gated(by_slot.get(slot + 1)),
        })
    }
}
