//! BitFit of Ben Zaken et al. (arXiv:2106.10199): every bias of the active layers is trained, those of norms
//! too; nothing is added.

use std::rc::Rc;

use autopeft_crds::Module;

use super::module::{ModuleRow, PeftModule, Scope};
use crate::nn::NamedTensors;

/// The module.
pub const BITFIT: ModuleRow = ModuleRow {
    name: "bitfit",
    module: Module::BitFit,
    scope: Scope::Model,
    init: |insertion| {
        let layers = insertion.layers.iter();
        let prefixes = layers.map(|layer| insertion.model.architecture.layer_prefix(*layer));
        Rc::new(BitFit {
            prefixes: prefixes.collect(),
        })
    },
};

#[derive(Debug)]
struct BitFit {
    /// What the names of the active layers' tensors begin with.
    prefixes: Vec<String>,
}

impl PeftModule for BitFit {
    fn named(&self) -> NamedTensors {
        Vec::new()
    }

    fn trains(&self, tensor: &str) -> bool {
        let of_a_layer = self
            .prefixes
            .iter()
            .any(|prefix| tensor.starts_with(prefix));
        of_a_layer && tensor.ends_with("bias")
    }
}
