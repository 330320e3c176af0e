//! The parallel adapter, s·PA(x) = s·Up(ReLU(Down(x))) with s = 4, of He et al. (arXiv:2110.04366,
//! the "scaled parallel adapter").
//!
//! It reads the feed-forward block's input and is added to its output before the norm. Down is
//! initialised from Kaiming's uniform distribution with a = √5 (that is U(±1/√H)), Up and both biases with 0: an
//! untrained adapter changes nothing.

use std::rc::Rc;

use autopeft_crds::Module;
use tch::Tensor;

use super::module::{Insertion, LayerCall, ModuleRow, PeftModule, Scope};
use crate::encoder::sites::{Sublayer, SublayerEnd};
use crate::nn::{Linear, NamedTensors, default_bound, uniform, zeros};

/// s, the factor of the adapter's output.
const SCALE: f64 = 4.0;

/// The module.
pub const PARALLEL_ADAPTER: ModuleRow = ModuleRow {
    name: "parallel_adapter",
    module: Module::ParallelAdapter,
    scope: Scope::Layer,
    init: |insertion| Rc::new(ParallelAdapter::new(insertion)),
};

/// A parallel adapter; (2·D·H + D + H) parameters.
#[derive(Debug)]
struct ParallelAdapter {
    /// H to D.
    down: Linear,
    /// D to H.
    up: Linear,
}

impl ParallelAdapter {
    /// An adapter of bottleneck D in a model of width H, with its initial values.
    fn new(insertion: &Insertion<'_>) -> Self {
        let (hidden, bottleneck) = (insertion.model.hidden_size, insertion.size);
        let device = insertion.device;
        Self {
            down: Linear {
                weight: uniform(&[bottleneck, hidden], default_bound(hidden), device),
                bias: zeros(&[bottleneck], device),
            },
            up: Linear {
                weight: zeros(&[hidden, bottleneck], device),
                bias: zeros(&[hidden], device),
            },
        }
    }
}

impl PeftModule for ParallelAdapter {
    fn named(&self) -> NamedTensors {
        let down = self.down.named("down").into_iter();
        down.chain(self.up.named("up")).collect()
    }

    // 4·PA(x), [.., H] to [.., H].
    fn term(&self, _call: &LayerCall<'_>, end: &SublayerEnd<'_>) -> Option<Tensor> {
        if end.sublayer != Sublayer::FeedForward {
            return None;
        }
        let inner = self.down.forward(end.input, end.kind).relu();
        Some(self.up.forward(&inner, end.kind) * SCALE)
    }
}
