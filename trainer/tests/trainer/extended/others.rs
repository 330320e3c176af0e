//! Modules that use the rest of the trait: one that trains the encoder's own tensors, and one whose keys and values
//! follow from the text.

use std::rc::Rc;

use autopeft_crds::Module;
use autopeft_trainer::encoder::sites::KeyValue;
use autopeft_trainer::nn::normal;
use autopeft_trainer::peft::{Insertion, LayerCall, ModuleRow, PeftModule, Scope};
use tch::{Kind, Tensor};

/// BitFit (arXiv:2106.10199) in the active layers: every bias is trained.
pub const BIASES: ModuleRow = ModuleRow {
    name: "biases",
    module: Module::SerialAdapter,
    scope: Scope::Model,
    init: |insertion| {
        let layers = insertion.layers.iter();
        let prefixes = layers.map(|layer| format!("encoder.layer.{layer}."));
        Rc::new(Biases(prefixes.collect()))
    },
};

/// The names that biases of active layers begin with.
#[derive(Debug)]
struct Biases(Vec<String>);

impl PeftModule for Biases {
    fn named(&self) -> Vec<(String, Tensor)> {
        Vec::new()
    }

    fn trains(&self, tensor: &str) -> bool {
        tensor.ends_with(".bias") && self.0.iter().any(|layer| tensor.starts_with(layer))
    }
}

/// A prefix that each text scales by itself, as a gate does.
pub const TEXT_PREFIX: ModuleRow = ModuleRow {
    name: "text_prefix",
    module: Module::Prefix,
    scope: Scope::Layer,
    init: |insertion| Rc::new(TextPrefix::new(insertion)),
};

#[derive(Debug)]
struct TextPrefix {
    /// `[heads, L, d]`.
    key_values: Tensor,
    /// `[H]`.
    gate: Tensor,
}

impl TextPrefix {
    fn new(insertion: &Insertion<'_>) -> Self {
        let (hidden, heads) = (insertion.model.hidden_size, insertion.model.heads);
        Self {
            key_values: normal(
                &[heads, insertion.size, hidden / heads],
                1.0,
                insertion.device,
            ),
            gate: normal(&[hidden], 0.02, insertion.device),
        }
    }
}

impl PeftModule for TextPrefix {
    fn named(&self) -> Vec<(String, Tensor)> {
        let [gate, key_values] = [&self.gate, &self.key_values].map(Tensor::shallow_clone);
        vec![("gate".into(), gate), ("key_values".into(), key_values)]
    }

    fn positions(&self) -> i64 {
        self.key_values.size()[1]
    }

    fn key_values(&self, _call: &LayerCall<'_>, input: &Tensor) -> Option<KeyValue> {
        // [B, T, H] -> [B, T] -> [B, 1, 1, 1]
        let gate = input.matmul(&self.gate).sigmoid();
        let gate = gate
            .mean_dim([1i64].as_slice(), false, Kind::Float)
            .view([-1, 1, 1, 1]);
        let own = gate * self.key_values.unsqueeze(0);
        Some(KeyValue {
            key: own.shallow_clone(),
            value: own,
        })
    }
}
