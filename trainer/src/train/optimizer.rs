//! AdamW over one flat buffer, with the gradient clipped to norm 1.
//!
//! P is the number of trained parameters. The model's trained tensors become views of one buffer of
//! P values, so that a step is a handful of operations for any configuration, and never waits for the device.
//!
//! Semantics are those of Hugging Face's AdamW, which the authors of AutoPEFT used: ε is added to
//! √v before the bias correction, and the decay uses the uncorrected rate.

use tch::{TchError, Tensor};

use crate::nn::NamedTensors;

/// Decay rates of the first and the second moment.
const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;
const EPSILON: f64 = 1e-8;
/// The largest norm of a gradient.
const CLIP: f64 = 1.0;
/// Added to the norm that a gradient is divided by (as `clip_grad_norm_` has it).
const CLIP_EPSILON: f64 = 1e-6;

/// The optimiser with its state.
#[derive(Debug)]
pub struct AdamW {
    leaves: Vec<Tensor>,
    /// `[P]`, the parameters themselves.
    values: Tensor,
    /// `[P]`, m.
    mean: Tensor,
    /// `[P]`, v.
    square: Tensor,
    /// `[P]`, the weight decay of each parameter; `None` if it is 0 for all.
    decay: Option<Tensor>,
    /// `[P]`, what each parameter's learning rate is multiplied by; `None` if it is 1 for all.
    factor: Option<Tensor>,
    steps: i32,
}

impl AdamW {
    /// Makes the trained tensors, float32 leaves on one device, views of the buffer. `weight_decay` acts on those whose names
    /// `is_decayed`; `factor` multiplies the learning rate of those for which it is not `None`.
    pub fn new(
        trainable: NamedTensors,
        weight_decay: f64,
        is_decayed: impl Fn(&str) -> bool,
        factor: impl Fn(&str) -> Option<f64>,
    ) -> Result<Self, TchError> {
        let _guard = tch::no_grad_guard();
        let flat = |tensor: &Tensor| tensor.f_detach()?.f_reshape([-1]);
        let flats = trainable
            .iter()
            .map(|(_, tensor)| flat(tensor))
            .collect::<Result<Vec<_>, _>>()?;
        let values = Tensor::f_cat(&flats, 0)?;
        // [P], of one number per tensor.
        let spread = |number: &dyn Fn(&str) -> f64| {
            let named = trainable.iter().zip(&flats);
            let parts = named.map(|((name, _), part)| part.f_full_like(number(name)));
            Tensor::f_cat(&parts.collect::<Result<Vec<_>, _>>()?, 0)
        };
        let decay_of = |name: &str| if is_decayed(name) { weight_decay } else { 0.0 };
        let decay = (weight_decay > 0.0).then(|| spread(&decay_of));
        let has_own_rate = trainable.iter().any(|(name, _)| factor(name).is_some());
        let factor = has_own_rate.then(|| spread(&|name| factor(name).unwrap_or(1.0)));
        let (decay, factor) = (decay.transpose()?, factor.transpose()?);
        let mut leaves: Vec<Tensor> = trainable.into_iter().map(|(_, leaf)| leaf).collect();
        let mut start = 0;
        for leaf in &mut leaves {
            let count = leaf.numel() as i64;
            let view = values
                .f_narrow(0, start, count)?
                .f_view(leaf.size().as_slice())?;
            leaf.f_set_data(&view)?;
            start += count;
        }
        Ok(Self {
            leaves,
            mean: values.f_zeros_like()?,
            square: values.f_zeros_like()?,
            values,
            decay,
            factor,
            steps: 0,
        })
    }

    /// One step down the gradient of a loss, at a learning rate.
    pub fn step(&mut self, loss: &Tensor, rate: f64) -> Result<(), TchError> {
        let gradients = Tensor::f_run_backward(&[loss], &self.leaves, false, false)?;
        let _guard = tch::no_grad_guard();
        let gradient = self.clipped(gradients)?;
        self.steps += 1;
        let _ = self.mean.f_lerp_(&gradient, 1.0 - BETA1)?;
        let weighted = gradient.f_mul_scalar(1.0 - BETA2)?;
        let _ = self
            .square
            .f_mul_scalar_(BETA2)?
            .f_addcmul_(&gradient, &weighted)?;
        let corrected =
            rate * (1.0 - BETA2.powi(self.steps)).sqrt() / (1.0 - BETA1.powi(self.steps));
        let denominator = self.square.f_sqrt()?.f_add_scalar_(EPSILON)?;
        let mut change = self.mean.f_mul_scalar(-corrected)?;
        if let Some(factor) = &self.factor {
            change = change.f_mul_(factor)?;
        }
        let _ = self.values.f_addcdiv_(&change, &denominator)?;
        if let Some(decay) = &self.decay {
            let kept = decay.f_mul_scalar(-rate)?.f_add_scalar(1.0)?;
            let _ = self.values.f_mul_(&kept)?;
        }
        Ok(())
    }

    /// A copy of the parameters, for `restore`.
    pub fn snapshot(&self) -> Result<Tensor, TchError> {
        let _guard = tch::no_grad_guard();
        let mut copy = self.values.f_empty_like()?;
        copy.f_copy_(&self.values)?;
        Ok(copy)
    }

    /// Writes the parameters of a snapshot back.
    pub fn restore(&mut self, snapshot: &Tensor) -> Result<(), TchError> {
        let _guard = tch::no_grad_guard();
        self.values.f_copy_(snapshot)?;
        Ok(())
    }

    /// The gradients as one vector of norm 1 or less. A tensor that the loss does not depend on
    /// (an encoder's pooler) has none and counts as 0.
    fn clipped(&self, gradients: Vec<Tensor>) -> Result<Tensor, TchError> {
        let flats = gradients
            .iter()
            .zip(&self.leaves)
            .map(|(gradient, leaf)| {
                if gradient.defined() {
                    gradient.f_reshape([-1])
                } else {
                    leaf.f_zeros_like()?.f_reshape([-1])
                }
            })
            .collect::<Result<Vec<_>, _>>()?;
        let mut gradient = Tensor::f_cat(&flats, 0)?;
        let scale = gradient
            .f_norm()?
            .f_add_scalar(CLIP_EPSILON)?
            .f_reciprocal()?
            .f_mul_scalar(CLIP)?
            .f_clamp_max(1.0)?;
        gradient.f_mul_(&scale)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Kind;

    fn leaf(values: &[f32]) -> Tensor {
        Tensor::from_slice(values).set_requires_grad(true)
    }

    fn values(tensor: &Tensor) -> Vec<f32> {
        Vec::try_from(tensor.detach()).expect("floats")
    }

    /// Two steps by hand, in 64 bits, on the loss Σ c·x with a gradient that is clipped.
    #[test]
    fn two_steps_are_hugging_faces() {
        let (weight, bias) = (leaf(&[0.5, -1.0]), leaf(&[2.0]));
        let named = vec![
            ("a.weight".to_owned(), weight.shallow_clone()),
            ("a.bias".to_owned(), bias.shallow_clone()),
        ];
        let mut optimizer =
            AdamW::new(named, 0.1, |name| !name.ends_with("bias"), |_| None).expect("an optimiser");
        let coefficients = Tensor::from_slice(&[3.0_f32, 0.0]);
        let mut expected = [0.5_f64, -1.0, 2.0];
        let (mut mean, mut square) = ([0.0_f64; 3], [0.0_f64; 3]);
        for (step, rate) in [(1, 0.1), (2, 0.05)] {
            let loss = (&weight * &coefficients).sum(Kind::Float) + (&bias * 4.0).sum(Kind::Float);
            optimizer.step(&loss, rate).expect("a step");
            let scale = 1.0 / (5.0 + CLIP_EPSILON);
            for (place, raw) in [3.0, 0.0, 4.0].into_iter().enumerate() {
                let gradient = raw * scale;
                mean[place] = BETA1 * mean[place] + (1.0 - BETA1) * gradient;
                square[place] = BETA2 * square[place] + (1.0 - BETA2) * gradient * gradient;
                let corrected = rate * (1.0 - BETA2.powi(step)).sqrt() / (1.0 - BETA1.powi(step));
                expected[place] -= corrected * mean[place] / (square[place].sqrt() + EPSILON);
                let decay = if place < 2 { 0.1 } else { 0.0 };
                expected[place] -= rate * decay * expected[place];
            }
        }
        let found: Vec<f32> = [values(&weight), values(&bias)].concat();
        for (found, expected) in found.iter().zip(expected) {
            assert!(
                (f64::from(*found) - expected).abs() < 1e-6,
                "{found} {expected}"
            );
        }
    }

    #[test]
    fn a_snapshot_brings_the_models_own_tensors_back() {
        let weight = leaf(&[1.0, 2.0]);
        let named = vec![("w".to_owned(), weight.shallow_clone())];
        let mut optimizer = AdamW::new(named, 0.0, |_| true, |_| None).expect("an optimiser");
        let before = optimizer.snapshot().expect("a copy");
        let loss = (&weight * &weight).sum(Kind::Float);
        optimizer.step(&loss, 0.1).expect("a step");
        assert_ne!(values(&weight), [1.0, 2.0]);
        optimizer.restore(&before).expect("restored");
        assert_eq!(values(&weight), [1.0, 2.0]);
    }

    #[test]
    fn a_tensor_that_the_loss_ignores_stays_as_it_is() {
        let (used, unused) = (leaf(&[1.0]), leaf(&[3.0]));
        let named = vec![
            ("used".to_owned(), used.shallow_clone()),
            ("unused".to_owned(), unused.shallow_clone()),
        ];
        let mut optimizer = AdamW::new(named, 0.0, |_| true, |_| None).expect("an optimiser");
        let loss = used.sum(Kind::Float);
        optimizer.step(&loss, 0.1).expect("a step");
        assert_eq!(values(&unused), [3.0]);
        assert!((values(&used)[0] - 0.9).abs() < 1e-4);
    }

    #[test]
    fn a_factor_multiplies_the_rate_of_its_tensor_alone() {
        let (usual, faster) = (leaf(&[1.0]), leaf(&[1.0]));
        let named = vec![
            ("usual".to_owned(), usual.shallow_clone()),
            ("faster".to_owned(), faster.shallow_clone()),
        ];
        let factor = |name: &str| (name == "faster").then_some(3.0);
        let mut optimizer = AdamW::new(named, 0.0, |_| true, factor).expect("an optimiser");
        let loss = (&usual + &faster).sum(Kind::Float);
        optimizer.step(&loss, 0.01).expect("a step");
        let step = |leaf: &Tensor| 1.0 - values(leaf)[0];
        assert!((step(&faster) / step(&usual) - 3.0).abs() < 1e-4);
    }
}
