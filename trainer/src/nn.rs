//! Dense layers and layer norms, and the distributions that fresh weights are drawn from.
//!
//! Number formats: parameters that are trained and everything between sublayers are float32; a
//! dense layer casts its operands to the given format (frozen weights are stored in it, so that the cast does
//! nothing). Layer norms compute in float32. `tch::autocast` is not used: it sets
//! no number format, and libtorch's default on a GPU is float16, which needs loss scaling.

use tch::{Device, Kind, Tensor};

/// Tensors by name, in a fixed order.
pub type NamedTensors = Vec<(String, Tensor)>;

/// y = x·Wᵀ + b.
#[derive(Debug)]
pub struct Linear {
    /// W, `[out, in]`.
    pub weight: Tensor,
    /// b, `[out]`.
    pub bias: Tensor,
}

impl Linear {
    /// A trainable layer with PyTorch's default initial values: weight, then bias.
    pub fn usual(inputs: i64, outputs: i64, device: Device) -> Self {
        let bound = default_bound(inputs);
        Self {
            weight: uniform(&[outputs, inputs], bound, device),
            bias: uniform(&[outputs], bound, device),
        }
    }

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

/// A trainable leaf with these values on a device.
pub fn trainable(values: Tensor, device: Device) -> Tensor {
    values.detach().to_device(device).set_requires_grad(true)
}

/// The bound of U for a dense layer's default weights and biases: 1/√fan_in, which is Kaiming's
/// uniform distribution with a = √5.
pub fn default_bound(fan_in: i64) -> f64 {
    1.0 / (fan_in as f64).sqrt()
}

/// Sets each value to 0 with probability p and scales the others, so that the mean is unchanged; does nothing unless
/// `train`. Random numbers come from libtorch's generator of the tensor's device.
///
/// On a CPU, libtorch draws one number per value, which takes a sixth of a training step (MiniLM,
/// 32 texts of 32 tokens). Here four values share 64 random bits. p is then rounded to a multiple
/// of 2⁻¹⁶, and the scale is that of the rounded p.
pub fn dropout(x: &Tensor, p: f64, train: bool) -> Tensor {
    if !train || p == 0.0 {
        return x.shallow_clone();
    }
    if x.device().is_cuda() {
        return x.dropout(p, true);
    }
    let count = x.numel() as i64;
    let dropped = (p * 65536.0).round();
    let bits = Tensor::empty([(count + 3) / 4], (Kind::Int64, x.device()))
        .random_from_(i64::MIN, None)
        .view_dtype(Kind::Int16);
    let kept = bits
        .narrow(0, 0, count)
        .ge(dropped - 32768.0)
        .view_as(x)
        .to_kind(x.kind());
    x * (kept * (65536.0 / (65536.0 - dropped)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropout_drops_the_share_and_keeps_the_mean() {
        tch::manual_seed(1);
        let n = 1_000_001;
        for p in [0.1, 0.5] {
            let ones = Tensor::ones([n], (Kind::Float, Device::Cpu)).set_requires_grad(true);
            let dropped = dropout(&ones, p, true);
            let kept = dropped.ne(0.0).to_kind(Kind::Double).mean(Kind::Double);
            // Five standard errors.
            let error = 5.0 * (p * (1.0 - p) / n as f64).sqrt();
            assert!(
                (kept.double_value(&[]) - (1.0 - p)).abs() < error,
                "p = {p}"
            );
            let largest = dropped.max().double_value(&[]);
            assert!(
                (largest - 1.0 / (1.0 - p)).abs() < 1e-4,
                "p = {p}: {largest}"
            );
            dropped.sum(Kind::Float).backward();
            assert_eq!(ones.grad(), dropped.detach(), "p = {p}: gradient");
        }
    }

    #[test]
    fn neighbours_are_dropped_independently() {
        tch::manual_seed(2);
        let x = Tensor::ones([400_000], (Kind::Float, Device::Cpu));
        // [n] -> [n/4, 4]: the four that share 64 bits
        let kept = dropout(&x, 0.5, true).ne(0.0).view([-1, 4]);
        for (left, right) in [(0, 1), (1, 2), (2, 3), (0, 3)] {
            let both = kept.select(1, left).logical_and(&kept.select(1, right));
            let share = both
                .to_kind(Kind::Double)
                .mean(Kind::Double)
                .double_value(&[]);
            // Five standard errors of a share of ¼ in 100,000.
            assert!((share - 0.25).abs() < 0.007, "{left} and {right}: {share}");
        }
    }

    #[test]
    fn dropout_does_nothing_outside_training() {
        let x = Tensor::randn([7], (Kind::Float, Device::Cpu));
        assert_eq!(dropout(&x, 0.5, false), x);
        assert_eq!(dropout(&x, 0.0, true), x);
    }
}
