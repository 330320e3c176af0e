//! Dense layers and layer norms, and the distributions that fresh weights are drawn from.
//!
//! Number formats: parameters that are trained and everything between sublayers are float32; a
//! dense layer casts its operands to the format it is told (for frozen weights, which are stored in
//! it, the cast does nothing). Layer norms compute in float32. `tch::autocast` is not used: on a
//! GPU it would choose float16 (trainer.md, sections 0 and 5).

use tch::{Device, Kind, Tensor};

/// y = x·Wᵀ + b.
#[derive(Debug)]
pub struct Linear {
    /// W, `[out, in]`.
    pub weight: Tensor,
    /// b, `[out]`.
    pub bias: Tensor,
}

impl Linear {
    /// `[.., in]` to `[.., out]`, computed and returned in `kind`.
    pub fn forward(&self, x: &Tensor, kind: Kind) -> Tensor {
        x.to_kind(kind)
            .linear(&self.weight.to_kind(kind), Some(&self.bias.to_kind(kind)))
    }

    /// The parameters under the names that checkpoints use.
    pub fn named(&self, prefix: &str) -> [(String, Tensor); 2] {
        [
            (format!("{prefix}.weight"), self.weight.shallow_clone()),
            (format!("{prefix}.bias"), self.bias.shallow_clone()),
        ]
    }
}

/// y = γ·(x − mean)/√(variance + ε) + β over the last dimension.
#[derive(Debug)]
pub struct LayerNorm {
    /// γ, `[H]`.
    pub weight: Tensor,
    /// β, `[H]`.
    pub bias: Tensor,
    /// ε, from the model's configuration.
    pub eps: f64,
}

impl LayerNorm {
    /// `[.., H]` in any format to `[.., H]` in float32.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        x.to_kind(Kind::Float).layer_norm(
            self.weight.size(),
            Some(&self.weight),
            Some(&self.bias),
            self.eps,
            true,
        )
    }
}

/// A trainable tensor with values from N(0, deviation²). Drawn on the CPU, so that a seed gives the
/// same values on every device.
pub fn normal(shape: &[i64], deviation: f64, device: Device) -> Tensor {
    trainable(
        Tensor::randn(shape, (Kind::Float, Device::Cpu)) * deviation,
        device,
    )
}

/// A trainable tensor with values from U(−bound, bound), drawn on the CPU.
pub fn uniform(shape: &[i64], bound: f64, device: Device) -> Tensor {
    let unit = Tensor::rand(shape, (Kind::Float, Device::Cpu));
    trainable((unit * 2.0 - 1.0) * bound, device)
}

/// A trainable tensor of zeros.
pub fn zeros(shape: &[i64], device: Device) -> Tensor {
    trainable(Tensor::zeros(shape, (Kind::Float, Device::Cpu)), device)
}

/// A leaf that gradients are computed for, with these values, on a device.
pub fn trainable(values: Tensor, device: Device) -> Tensor {
    values.detach().to_device(device).set_requires_grad(true)
}

/// The bound of U for a dense layer's default weights and biases: 1/√fan_in, which is Kaiming's
/// uniform distribution with a = √5.
pub fn default_bound(fan_in: i64) -> f64 {
    1.0 / (fan_in as f64).sqrt()
}
