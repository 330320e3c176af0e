//! The serial adapter, SA(u) = Up(ReLU(Down(u))), of Pfeiffer et al. (arXiv:2005.00247).
//!
//! Its input u is LN(h + x): the layer's output norm is applied before it and, to the sum with its
//! output, a second time. Both matrices start from N(0, 0.02²) (BERT's own scheme) and biases from
//! 0, so that a fresh adapter is close to the identity, but not equal to it.

use tch::{Device, Kind, Tensor};

use crate::nn::{Linear, normal, zeros};

/// The standard deviation of fresh matrices.
const DEVIATION: f64 = 0.02;

/// A serial adapter; (2·D·H + D + H) parameters.
#[derive(Debug)]
pub struct SerialAdapter {
    /// H to D.
    down: Linear,
    /// D to H.
    up: Linear,
}

impl SerialAdapter {
    /// A fresh adapter of bottleneck D in a model of width H.
    pub fn new(hidden: i64, bottleneck: i64, device: Device) -> Self {
        Self {
            down: Linear {
                weight: normal(&[bottleneck, hidden], DEVIATION, device),
                bias: zeros(&[bottleneck], device),
            },
            up: Linear {
                weight: normal(&[hidden, bottleneck], DEVIATION, device),
                bias: zeros(&[hidden], device),
            },
        }
    }

    /// SA(u), `[.., H]` to `[.., H]`, computed in `kind`.
    pub fn forward(&self, u: &Tensor, kind: Kind) -> Tensor {
        self.up.forward(&self.down.forward(u, kind).relu(), kind)
    }

    /// The parameters under their names.
    pub fn named(&self, prefix: &str) -> impl Iterator<Item = (String, Tensor)> {
        let down = self.down.named(&format!("{prefix}.down"));
        down.into_iter()
            .chain(self.up.named(&format!("{prefix}.up")))
    }
}
