//! (IA)³ of Liu et al. (arXiv:2205.05638): trained vectors, 1 at the start, that scale keys, values and the
//! feed-forward block's activation.
//!
//! The paper and Hugging Face `peft` scale after the activation; AdapterHub's `adapters` scales what goes into
//! it, which `options.ia3.feedForward` selects.

use std::rc::Rc;

use autopeft_crds::Module;
use autopeft_crds::options::Ia3Site;
use tch::{Kind, Tensor};

use super::module::{Insertion, LayerCall, ModuleRow, PeftModule, Scope};
use crate::encoder::sites::Site;
use crate::nn::{NamedTensors, trainable};

/// The module.
pub const IA3: ModuleRow = ModuleRow {
    name: "ia3",
    module: Module::Ia3,
    scope: Scope::Layer,
    init: |insertion| Rc::new(Ia3::new(insertion)),
};

/// The vectors of one layer; 2·H + I parameters.
#[derive(Debug)]
struct Ia3 {
    /// `[H]`.
    key: Tensor,
    /// `[H]`.
    value: Tensor,
    /// `[I]`.
    feed_forward: Tensor,
    feed_forward_site: Site,
}

impl Ia3 {
    fn new(insertion: &Insertion<'_>) -> Self {
        let model = insertion.model;
        let ones = |width: i64| {
            trainable(
                Tensor::ones([width], (Kind::Float, insertion.device)),
                insertion.device,
            )
        };
        Self {
            key: ones(model.hidden_size),
            value: ones(model.hidden_size),
            feed_forward: ones(model.feed_forward_size),
            feed_forward_site: match insertion.options.ia3.feed_forward {
                Ia3Site::AfterActivation => Site::Activation,
                Ia3Site::BeforeActivation => Site::Intermediate,
            },
        }
    }
}

impl PeftModule for Ia3 {
    fn named(&self) -> NamedTensors {
        let tensors = [
            ("key", &self.key),
            ("value", &self.value),
            ("feed_forward", &self.feed_forward),
        ];
        tensors
            .map(|(name, tensor)| (name.to_owned(), tensor.shallow_clone()))
            .into()
    }

    fn replaced(
        &self,
        _call: &LayerCall<'_>,
        site: Site,
        _input: &Tensor,
        output: &Tensor,
    ) -> Option<Tensor> {
        let scale = match site {
            Site::Key => &self.key,
            Site::Value => &self.value,
            other if other == self.feed_forward_site => &self.feed_forward,
            _ => return None,
        };
        Some(output * scale.to_kind(output.kind()))
    }
}
