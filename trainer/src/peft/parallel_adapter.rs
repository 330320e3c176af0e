//! The parallel adapter, s·PA(x) = s·Up(ReLU(Down(x))) with s = 4, of He et al. (arXiv:2110.04366,
//! the "scaled parallel adapter").
//!
//! It reads the feed-forward block's input and is added to its output before the norm. Down starts
//! from Kaiming's uniform distribution with a = √5 (that is U(±1/√H)), Up and both biases from 0: a
//! fresh adapter changes nothing.

use tch::{Device, Kind, Tensor};

use crate::nn::{Linear, default_bound, uniform, zeros};

/// s, the factor of the adapter's output.
const SCALE: f64 = 4.0;

/// A parallel adapter; (2·D·H + D + H) parameters.
#[derive(Debug)]
pub struct ParallelAdapter {
    /// H to D.
    down: Linear,
    /// D to H.
    up: Linear,
}

impl ParallelAdapter {
    /// A fresh adapter of bottleneck D in a model of width H.
    pub fn new(hidden: i64, bottleneck: i64, device: Device) -> Self {
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

    /// 4·PA(x), `[.., H]` to `[.., H]`, computed in `kind`.
    pub fn forward(&self, x: &Tensor, kind: Kind) -> Tensor {
        self.up.forward(&self.down.forward(x, kind).relu(), kind) * SCALE
    }

    /// The parameters under their names.
    pub fn named(&self, prefix: &str) -> impl Iterator<Item = (String, Tensor)> {
        let down = self.down.named(&format!("{prefix}.down"));
        down.into_iter()
            .chain(self.up.named(&format!("{prefix}.up")))
    }
}
