//! The switch of Adaptable Adapters (Moosavi et al., arXiv:2205.01549): two logits a layer, of skipping and of the
//! adapter, both 0.5 at the start.
//!
//! In training, the adapter's weight in a text is the second component of softmax((logits + g)/τ), with Gumbel noise g
//! and τ = 0.1; in validation, the larger logit decides. Skipping leaves the frozen layer as it is. (The authors'
//! program adds the layer's normed output a second time where an adapter is skipped, so that its layers without an
//! adapter are none of the frozen model's; a layer that is not chosen has none afterwards, hence the form here.)

use tch::{Device, Kind, Tensor};

use crate::nn::trainable;

/// τ.
const TEMPERATURE: f64 = 0.1;
/// Both logits at the start.
const START: f64 = 0.5;
/// The learning rate of the logits at the peak of the schedule.
pub const SWITCH_RATE: f64 = 0.05;
/// The name of the logits within their module.
pub const SWITCH: &str = "switch.logits";

/// The logits, `[2]`: skipping, adapter.
#[derive(Debug)]
pub struct Switch(Tensor);

impl Switch {
    /// A switch that prefers neither.
    pub fn new(device: Device) -> Self {
        let start = Tensor::full([2], START, (Kind::Float, Device::Cpu));
        Self(trainable(start, device))
    }

    /// The adapter's weight in each of `texts` texts: `[B, 1, 1]`. Noise comes from libtorch's generator of the device.
    pub fn value(&self, texts: i64, train: bool) -> Tensor {
        if !train {
            let chosen = self.0.select(0, 1).gt_tensor(&self.0.select(0, 0));
            return chosen.to_kind(Kind::Float).view([1, 1, 1]);
        }
        // An exponential draw e > 0: −ln e is a Gumbel draw.
        let noise = self
            .0
            .new_empty([texts, 2], (Kind::Float, self.0.device()))
            .exponential_(1.0)
            .log()
            .neg();
        let weights = ((noise + &self.0) / TEMPERATURE).softmax(1, Kind::Float);
        weights.select(1, 1).view([texts, 1, 1])
    }

    /// By how much the adapter is preferred.
    pub fn preference(&self) -> f64 {
        let logits = &self.0;
        (logits.select(0, 1) - logits.select(0, 0)).double_value(&[])
    }

    /// The logits under their name.
    pub fn named(&self) -> (String, Tensor) {
        (SWITCH.into(), self.0.shallow_clone())
    }
}
