//! The SAAS-GP posterior density of the hyperparameters and its gradient.
//!
//! Eriksson and Jankowiak, High-Dimensional Bayesian Optimization with Sparse Axis-Aligned
//! Subspaces, UAI 2021, equations 8 to 10, with the priors of BoTorch's implementation:
//!
//! ```text
//! m ~ Normal(0, 1)                      τ² ~ HalfCauchy(0.1)
//! σ² ~ Gamma(2, 0.15)                   λ_i ~ HalfCauchy(1)
//! noise = 1e-4 + g, g ~ Gamma(0.9, 10)  ρ_i = τ² λ_i
//! y | X ~ Normal(m, Σ),  Σ = σ² k_ρ(X, X) + noise·I + diag(extra)
//! ```
//!
//! The position is `(m, ln σ², ln g, ln τ², ln λ_1 … ln λ_d)`, d + 4 values; the density includes
//! the Jacobians of the logarithms and every constant.
//!
//! Gradient of the likelihood (Rasmussen and Williams, equation 5.9): with `α = Σ⁻¹ (y − m)` and `W = α αᵀ −
//! Σ⁻¹`, `∂/∂θ = ½ tr(W ∂Σ/∂θ)`. For `ln ρ_i` that is `σ² ρ_i Σ_{a>b} W_ab k'(s_ab) (x_ai − x_bi)²`, summed
//! in this form rather than expanded, so that nothing cancels. For `ln σ²` the kernel is `Σ` minus the noise,
//! which needs only the diagonal of `Σ⁻¹`.

use faer::linalg::triangular_solve::{
    solve_lower_triangular_in_place, solve_upper_triangular_in_place,
};
use faer::{Mat, MatMut, MatRef, Par};
use pulp::Arch;

use super::gp::Hyperparameters;
use super::linalg::Factoriser;
use super::matern;

/// The smallest variance that the noise may have; BoTorch's `MIN_INFERRED_NOISE_LEVEL`.
pub const NOISE_FLOOR: f64 = 1e-4;

/// The parameters before the `ln λ_i`.
pub(super) const HEAD: usize = 4;

const OUTPUTSCALE: Gamma = Gamma {
    concentration: 2.0,
    rate: 0.15,
    log_gamma: 0.0,
};
const NOISE: Gamma = Gamma {
    concentration: 0.9,
    rate: 10.0,
    log_gamma: 0.066_376_239_734_742_97,
};
const GLOBAL_SHRINKAGE: f64 = 0.1;
const LOCAL_SHRINKAGE: f64 = 1.0;
const HALF_LN_2_PI: f64 = 0.918_938_533_204_672_8;

/// Why the density has no value at a position. The sampler treats both as a divergence.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum DensityError {
    /// `Σ` has no Cholesky factor in double precision.
    #[error("the covariance is not positive definite at pivot {0}")]
    NotPositiveDefinite(usize),
    /// The density or its gradient overflows.
    #[error("the density or its gradient is not finite")]
    NotFinite,
}

/// The density for one data set.
#[derive(Clone, Debug)]
pub struct Saas {
    /// `X`, n×d. A column is one dimension, so that loops over points are contiguous.
    inputs: Mat<f64>,
    /// `y`, n.
    values: Vec<f64>,
    /// Known variance of each observation, n.
    extra_noise: Vec<f64>,
    arch: Arch,
}

/// Scratch memory for the density of one data set; nothing is allocated during an evaluation.
pub struct Workspace {
    /// `Σ`, then its Cholesky factor, lower triangle, n×n.
    covariance: Mat<f64>,
    /// `k'(s)`, below the diagonal, n×n.
    slopes: Mat<f64>,
    /// `Σ⁻¹`, lower triangle, n×n.
    inverse: Mat<f64>,
    /// `X diag(√ρ)`, n×d.
    scaled: Mat<f64>,
    /// `α`, n.
    weights: Vec<f64>,
    /// `Σ_{a>b} W_ab k'(s_ab) (x_ai − x_bi)²`, d.
    sums: Vec<f64>,
    factoriser: Factoriser,
}

impl Saas {
    /// The density given `inputs` (n×d), `values` (n) and a known noise variance of each
    /// observation (n) beside the inferred one. The lengths must agree.
    pub fn new(inputs: MatRef<'_, f64>, values: &[f64], extra_noise: Option<&[f64]>) -> Self {
        let n = inputs.nrows();
        assert_eq!(n, values.len(), "one value an observation");
        let extra_noise = extra_noise.map_or_else(|| vec![0.0; n], <[f64]>::to_vec);
        assert_eq!(n, extra_noise.len(), "one variance an observation");
        Self {
            inputs: inputs.to_owned(),
            values: values.to_vec(),
            extra_noise,
            arch: Arch::new(),
        }
    }

    /// The number of unconstrained parameters, d + 4.
    pub fn parameters(&self) -> usize {
        HEAD + self.inputs.ncols()
    }

    /// Scratch memory of the right sizes.
    pub fn workspace(&self) -> Workspace {
        let (n, d) = self.inputs.shape();
        Workspace {
            covariance: Mat::zeros(n, n),
            slopes: Mat::zeros(n, n),
            inverse: Mat::zeros(n, n),
            scaled: Mat::zeros(n, d),
            weights: vec![0.0; n],
            sums: vec![0.0; d],
            factoriser: Factoriser::new(n),
        }
    }

    /// The hyperparameters at a position.
    pub fn hyperparameters(&self, position: &[f64]) -> Hyperparameters {
        Hyperparameters {
            mean: position[0],
            outputscale: position[1].exp(),
            noise: NOISE_FLOOR + position[2].exp(),
            inverse_squared_lengthscales: position[HEAD..]
                .iter()
                .map(|local| (position[3] + local).exp())
                .collect(),
        }
    }

    /// The log density at `position` and, in `gradient`, its gradient (both d + 4 values).
    pub fn log_density(
        &self,
        position: &[f64],
        gradient: &mut [f64],
        workspace: &mut Workspace,
    ) -> Result<f64, DensityError> {
        gradient.fill(0.0);
        let value =
            self.log_likelihood(position, gradient, workspace)? + log_prior(position, gradient);
        if value.is_finite() && gradient.iter().all(|g| g.is_finite()) {
            Ok(value)
        } else {
            Err(DensityError::NotFinite)
        }
    }

    /// `ln p(y | X, θ)`; adds its gradient to `gradient`.
    fn log_likelihood(
        &self,
        position: &[f64],
        gradient: &mut [f64],
        workspace: &mut Workspace,
    ) -> Result<f64, DensityError> {
        let n = self.values.len();
        let (mean, outputscale, above_floor) = (position[0], position[1].exp(), position[2].exp());
        let noise = NOISE_FLOOR + above_floor;

        self.fill_covariance(position, outputscale, noise, workspace);
        workspace
            .factoriser
            .factorise(workspace.covariance.as_mut())
            .map_err(DensityError::NotPositiveDefinite)?;

        for (weight, value) in workspace.weights.iter_mut().zip(&self.values) {
            *weight = value - mean;
        }
        let mut weights = MatMut::from_column_major_slice_mut(&mut workspace.weights, n, 1);
        let factor = workspace.covariance.as_ref();
        solve_lower_triangular_in_place(factor, weights.as_mut(), Par::Seq);
        solve_upper_triangular_in_place(factor.transpose(), weights.as_mut(), Par::Seq);
        workspace
            .factoriser
            .invert(factor, workspace.inverse.as_mut());

        let (mut fit, mut log_determinant, mut of_mean, mut of_noise, mut of_outputscale) =
            (0.0, 0.0, 0.0, 0.0, 0.0);
        for (a, (weight, value)) in workspace.weights.iter().zip(&self.values).enumerate() {
            fit += weight * (value - mean);
            log_determinant += workspace.covariance[(a, a)].ln();
            of_mean += weight;
            let diagonal = weight * weight - workspace.inverse[(a, a)];
            of_noise += diagonal;
            of_outputscale -= (noise + self.extra_noise[a]) * diagonal;
        }
        self.sum_distances(workspace);

        gradient[0] += of_mean;
        gradient[1] += 0.5 * (fit - n as f64 + of_outputscale);
        gradient[2] += 0.5 * above_floor * of_noise;
        for (i, sum) in workspace.sums.iter().enumerate() {
            let of_rho = outputscale * (position[3] + position[HEAD + i]).exp() * sum;
            gradient[3] += of_rho;
            gradient[HEAD + i] += of_rho;
        }
        Ok(-0.5 * fit - log_determinant - n as f64 * HALF_LN_2_PI)
    }

    /// Writes the lower triangles of `Σ` and of `k'(s)`.
    fn fill_covariance(
        &self,
        position: &[f64],
        outputscale: f64,
        noise: f64,
        workspace: &mut Workspace,
    ) {
        let (n, d) = self.inputs.shape();
        for i in 0..d {
            let scale = (0.5 * (position[3] + position[HEAD + i])).exp();
            let scaled = workspace.scaled.col_as_slice_mut(i);
            for (scaled, x) in scaled.iter_mut().zip(self.inputs.col_as_slice(i)) {
                *scaled = scale * x;
            }
        }
        for b in 0..n {
            let row = &mut workspace.covariance.col_as_slice_mut(b)[b..];
            matern::squared_distances(self.arch, row, &workspace.scaled, b);
            let slopes = &mut workspace.slopes.col_as_slice_mut(b)[b..];
            matern::values_and_slopes(self.arch, row, slopes, outputscale);
            row[0] = outputscale + noise + self.extra_noise[b];
        }
    }

    /// Fills `workspace.sums`.
    fn sum_distances(&self, workspace: &mut Workspace) {
        let n = self.values.len();
        workspace.sums.fill(0.0);
        for b in 0..n {
            let products = &mut workspace.slopes.col_as_slice_mut(b)[b..];
            let inverse = &workspace.inverse.col_as_slice(b)[b..];
            let weights = &workspace.weights[b..];
            self.arch.dispatch(
                #[inline(always)]
                || {
                    let weight = weights[0];
                    for ((product, inverse), other) in products.iter_mut().zip(inverse).zip(weights)
                    {
                        *product *= weight * other - inverse;
                    }
                },
            );
            matern::add_weighted_squares(self.arch, &mut workspace.sums, products, &self.inputs, b);
        }
    }
}

/// `ln p(θ)` with the Jacobians; adds its gradient to `gradient`.
fn log_prior(position: &[f64], gradient: &mut [f64]) -> f64 {
    let mean = position[0];
    gradient[0] -= mean;
    let mut value = -0.5 * mean * mean - HALF_LN_2_PI;
    value += OUTPUTSCALE.log_density(position[1], &mut gradient[1]);
    value += NOISE.log_density(position[2], &mut gradient[2]);
    value += half_cauchy(GLOBAL_SHRINKAGE, position[3], &mut gradient[3]);
    for (local, gradient) in position[HEAD..].iter().zip(&mut gradient[HEAD..]) {
        value += half_cauchy(LOCAL_SHRINKAGE, *local, gradient);
    }
    value
}

/// A Gamma distribution of a variable whose logarithm is the parameter.
struct Gamma {
    concentration: f64,
    rate: f64,
    /// `ln Γ(concentration)`.
    log_gamma: f64,
}

impl Gamma {
    /// `concentration · ln(rate · v) − rate · v − ln Γ(concentration)` at `v = exp(log)`.
    fn log_density(&self, log: f64, gradient: &mut f64) -> f64 {
        let scaled = self.rate * log.exp();
        *gradient += self.concentration - scaled;
        self.concentration * (self.rate.ln() + log) - scaled - self.log_gamma
    }
}

/// A half-Cauchy distribution of a variable whose logarithm is the parameter: with
/// `u = log − ln(scale)`, the density of `u` is `1 / (π cosh u)`.
fn half_cauchy(scale: f64, log: f64, gradient: &mut f64) -> f64 {
    let u = log - scale.ln();
    *gradient -= u.tanh();
    // ln cosh u without overflow.
    let log_cosh = u.abs() + (-2.0 * u.abs()).exp().ln_1p() - std::f64::consts::LN_2;
    -std::f64::consts::PI.ln() - log_cosh
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Inputs (n×d; the first half of the dimensions bits, duplicates likely), values, extra noise
    /// and a position.
    #[derive(Debug)]
    struct Case {
        n: usize,
        d: usize,
        inputs: Vec<f64>,
        values: Vec<f64>,
        extra_noise: Vec<f64>,
        position: Vec<f64>,
    }

    fn cases() -> impl Strategy<Value = Case> {
        use proptest::collection::vec;
        (0_usize..20, 1_usize..12).prop_flat_map(|(n, d)| {
            (
                vec(0.0..1.0, n * d),
                vec(-2.0..2.0, n),
                vec(0.0..0.5, n),
                vec(-2.0..2.0, d + HEAD),
            )
                .prop_map(move |(inputs, values, extra_noise, position)| Case {
                    n,
                    d,
                    inputs,
                    values,
                    extra_noise,
                    position,
                })
        })
    }

    impl Case {
        fn saas(&self) -> Saas {
            let inputs = Mat::from_fn(self.n, self.d, |row, i| {
                let x: f64 = self.inputs[row * self.d + i];
                if 2 * i < self.d { x.round() } else { x }
            });
            Saas::new(inputs.as_ref(), &self.values, Some(&self.extra_noise))
        }
    }

    proptest! {
        #[test]
        fn every_gradient_component_is_the_finite_difference(case in cases()) {
            let saas = case.saas();
            let mut workspace = saas.workspace();
            let (mut gradient, mut unused) = (case.position.clone(), case.position.clone());
            saas.log_density(&case.position, &mut gradient, &mut workspace)?;
            for (i, expected) in gradient.iter().enumerate() {
                let mut at = |step: f64| {
                    let mut position = case.position.clone();
                    position[i] += step;
                    saas.log_density(&position, &mut unused, &mut workspace)
                };
                // Fourth order, so that the error is that of rounding.
                let h = 1e-3;
                let numeric = (8.0 * (at(h)? - at(-h)?) - (at(2.0 * h)? - at(-2.0 * h)?)) / (12.0 * h);
                prop_assert!(
                    (numeric - expected).abs() < 1e-7 * (1.0 + expected.abs()),
                    "component {}: {} by differences, {} by the formula", i, numeric, expected
                );
            }
        }

        #[test]
        fn a_workspace_that_was_used_gives_the_same_bits(case in cases()) {
            let saas = case.saas();
            let (mut used, mut first, mut second) =
                (saas.workspace(), case.position.clone(), case.position.clone());
            let elsewhere: Vec<f64> = case.position.iter().map(|p| 0.3 - p).collect();
            saas.log_density(&elsewhere, &mut first, &mut used)?;
            let again = saas.log_density(&case.position, &mut first, &mut used)?;
            let fresh = saas.log_density(&case.position, &mut second, &mut saas.workspace())?;
            prop_assert_eq!((again, first), (fresh, second));
        }
    }

    #[test]
    fn positions_without_a_density_are_errors() {
        let inputs = Mat::from_fn(3, 1, |row, _| row as f64);
        let saas = Saas::new(inputs.as_ref(), &[1.0, 0.0, -1.0], None);
        let mut gradient = vec![0.0; 5];
        for position in [[1e3; 5], [f64::NAN; 5], [0.0, 1e3, 0.0, 0.0, 0.0]] {
            let found = saas.log_density(&position, &mut gradient, &mut saas.workspace());
            assert!(found.is_err(), "{position:?}: {found:?}");
        }
    }
}
