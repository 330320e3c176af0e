//! One Gaussian process: a hyperparameter sample conditioned on data.
//!
//! Notation: `X` n×d inputs in [0,1], one point a row; `y` n standardised values, larger is
//! better; `m` the constant mean; `K` n×n with `K_ab = σ² k(x_a, x_b)`, `k` the Matérn-5/2 kernel
//! of `matern`; `Σ = K + noise·I + diag(extra)`; `L Lᵀ = Σ`; `α = Σ⁻¹ (y − m)`.
//!
//! Prediction of the latent function at `x` (Rasmussen and Williams, equations 2.25 and 2.26):
//! mean `m + k_xᵀ α`, covariance `K(x, x') − k_xᵀ Σ⁻¹ k_x'`.

use faer::linalg::triangular_solve::solve_lower_triangular_in_place;
use faer::linalg::triangular_solve::solve_upper_triangular_in_place;
use faer::{Mat, MatMut, MatRef, Par};
use pulp::Arch;

use super::linalg::{Factoriser, NotPositiveDefinite};
use super::matern;

/// The hyperparameters of one Gaussian process with a Matérn-5/2 ARD kernel, in their natural
/// (constrained) scale.
#[derive(Clone, Debug, PartialEq)]
pub struct Hyperparameters {
    /// `m`, the constant mean.
    pub mean: f64,
    /// `σ²`, the variance of the latent function.
    pub outputscale: f64,
    /// The variance of the observation noise.
    pub noise: f64,
    /// `ρ`, d values: large where the dimension matters, near 0 where it does not.
    pub inverse_squared_lengthscales: Vec<f64>,
}

/// A prediction of the latent (noise-free) function at one point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prediction {
    /// The posterior mean.
    pub mean: f64,
    /// The posterior variance, never negative.
    pub variance: f64,
}

impl Prediction {
    /// The mixture, in equal parts, of the predictions of several Gaussian processes.
    pub fn mixture(predictions: &[Self]) -> Self {
        let average = |value: &dyn Fn(&Self) -> f64| {
            predictions.iter().map(value).sum::<f64>() / predictions.len() as f64
        };
        let mean = average(&|p| p.mean);
        Self {
            mean,
            variance: average(&|p| p.variance + (p.mean - mean) * (p.mean - mean)),
        }
    }
}

/// Why data and hyperparameters do not make a Gaussian process.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum GpError {
    /// Lengths that do not fit together.
    #[error("{what}: expected {expected}, found {found}")]
    Shape {
        /// Which length.
        what: &'static str,
        /// The length that the inputs require.
        expected: usize,
        /// The length that was given.
        found: usize,
    },
    /// A value that is not finite, or a variance that is negative.
    #[error("{0} must be finite, and variances at least 0")]
    Value(&'static str),
    /// The covariance of the observations has no Cholesky factor, even with jitter.
    #[error(transparent)]
    NotPositiveDefinite(#[from] NotPositiveDefinite),
}

/// A hyperparameter sample conditioned on data.
#[derive(Clone, Debug)]
pub struct Gp {
    hyperparameters: Hyperparameters,
    /// `X`, n×d.
    inputs: Mat<f64>,
    /// `√ρ`, d.
    scales: Vec<f64>,
    /// `X diag(√ρ)`, n×d.
    scaled: Mat<f64>,
    /// `L`, n×n, lower triangular.
    factor: Mat<f64>,
    /// `α`, n.
    weights: Vec<f64>,
    jitter: f64,
    arch: Arch,
}

impl Gp {
    /// Conditions `hyperparameters` on `inputs` (n×d) and `values` (n). `extra_noise` (n) is a
    /// known variance of each observation, added to the inferred noise.
    pub fn new(
        hyperparameters: Hyperparameters,
        inputs: MatRef<'_, f64>,
        values: &[f64],
        extra_noise: Option<&[f64]>,
    ) -> Result<Self, GpError> {
        check(&hyperparameters, inputs, values, extra_noise)?;
        let (n, d) = inputs.shape();
        let scales: Vec<f64> = hyperparameters
            .inverse_squared_lengthscales
            .iter()
            .map(|rho| rho.sqrt())
            .collect();
        let mut gp = Self {
            inputs: inputs.to_owned(),
            scaled: Mat::from_fn(n, d, |row, i| inputs[(row, i)] * scales[i]),
            scales,
            factor: Mat::zeros(n, n),
            weights: values
                .iter()
                .map(|value| value - hyperparameters.mean)
                .collect(),
            jitter: 0.0,
            arch: Arch::new(),
            hyperparameters,
        };
        for column in 0..n {
            let mut row = vec![0.0; n];
            gp.prior_row(gp.inputs.row(column).iter().copied(), &mut row);
            row[column] += gp.hyperparameters.noise + extra_noise.map_or(0.0, |v| v[column]);
            gp.factor.col_as_slice_mut(column).copy_from_slice(&row);
        }
        gp.jitter = Factoriser::new(n).factorise_with_jitter(gp.factor.as_mut())?;
        let weights = MatMut::from_column_major_slice_mut(&mut gp.weights, n, 1);
        let mut weights = weights;
        solve_lower_triangular_in_place(gp.factor.as_ref(), weights.as_mut(), Par::Seq);
        solve_upper_triangular_in_place(gp.factor.transpose(), weights.as_mut(), Par::Seq);
        Ok(gp)
    }

    /// The hyperparameters that it was made with.
    pub fn hyperparameters(&self) -> &Hyperparameters {
        &self.hyperparameters
    }

    /// `X`, n×d, as given.
    pub fn inputs(&self) -> MatRef<'_, f64> {
        self.inputs.as_ref()
    }

    /// n, the number of observations.
    pub fn observations(&self) -> usize {
        self.inputs.nrows()
    }

    /// d, the number of dimensions.
    pub fn dimensions(&self) -> usize {
        self.inputs.ncols()
    }

    /// What had to be added to the diagonal for the Cholesky factorisation to succeed; usually 0.
    pub fn jitter(&self) -> f64 {
        self.jitter
    }

    /// The prior covariance `σ² k(a, b)` of the latent function at two points of d values.
    pub fn kernel(&self, a: &[f64], b: &[f64]) -> f64 {
        let squared: f64 = self
            .hyperparameters
            .inverse_squared_lengthscales
            .iter()
            .zip(a.iter().zip(b))
            .map(|(rho, (a, b))| rho * (a - b) * (a - b))
            .sum();
        self.hyperparameters.outputscale * matern::value(squared)
    }

    /// The latent function at `x` (d values).
    pub fn predict(&self, x: &[f64]) -> Prediction {
        let mut row = vec![0.0; self.observations()];
        self.predict_in(x, &mut row)
    }

    /// `predict` without allocation: `whitened` (n values) is overwritten with `L⁻¹ k_x`. The
    /// posterior covariance of two points is `kernel(a, b)` less the dot product of theirs.
    pub fn predict_in(&self, x: &[f64], whitened: &mut [f64]) -> Prediction {
        self.prior_row(x.iter().copied(), whitened);
        let mean = self.hyperparameters.mean + dot(whitened, &self.weights);
        let n = self.observations();
        let column = MatMut::from_column_major_slice_mut(whitened, n, 1);
        solve_lower_triangular_in_place(self.factor.as_ref(), column, Par::Seq);
        let explained = dot(whitened, whitened);
        Prediction {
            mean,
            variance: (self.hyperparameters.outputscale - explained).max(0.0),
        }
    }

    /// The joint posterior of the latent function at `points` (q×d): mean (q) and covariance
    /// (q×q, symmetric).
    pub fn joint(&self, points: MatRef<'_, f64>) -> (Vec<f64>, Mat<f64>) {
        let (n, q) = (self.observations(), points.nrows());
        let mut whitened: Mat<f64> = Mat::zeros(n, q);
        let mut mean = Vec::with_capacity(q);
        for point in 0..q {
            let row = whitened.col_as_slice_mut(point);
            self.prior_row(points.row(point).iter().copied(), row);
            mean.push(self.hyperparameters.mean + dot(row, &self.weights));
        }
        solve_lower_triangular_in_place(self.factor.as_ref(), whitened.as_mut(), Par::Seq);
        let rows: Vec<Vec<f64>> = points
            .row_iter()
            .map(|row| row.iter().copied().collect())
            .collect();
        let mut covariance = Mat::zeros(q, q);
        for a in 0..q {
            for b in 0..=a {
                let explained = dot(whitened.col_as_slice(a), whitened.col_as_slice(b));
                let mut value = self.kernel(&rows[a], &rows[b]) - explained;
                if a == b {
                    value = value.max(0.0);
                }
                covariance[(a, b)] = value;
                covariance[(b, a)] = value;
            }
        }
        (mean, covariance)
    }

    /// Writes `σ² k(x, x_j)` for every observation.
    fn prior_row(&self, x: impl Iterator<Item = f64>, row: &mut [f64]) {
        row.fill(0.0);
        for (i, (value, scale)) in x.zip(&self.scales).enumerate() {
            matern::accumulate(row, self.scaled.col_as_slice(i), value * scale);
        }
        matern::values(self.arch, row);
        for value in row {
            *value *= self.hyperparameters.outputscale;
        }
    }
}

/// The dot product in the order of the entries.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn check(
    hyperparameters: &Hyperparameters,
    inputs: MatRef<'_, f64>,
    values: &[f64],
    extra_noise: Option<&[f64]>,
) -> Result<(), GpError> {
    let (n, d) = inputs.shape();
    let rho = &hyperparameters.inverse_squared_lengthscales;
    let lengths = [
        ("values", n, values.len()),
        ("extra noise", n, extra_noise.map_or(n, <[f64]>::len)),
        ("inverse squared lengthscales", d, rho.len()),
    ];
    for (what, expected, found) in lengths {
        if expected != found {
            return Err(GpError::Shape {
                what,
                expected,
                found,
            });
        }
    }
    let variance = |v: &f64| v.is_finite() && *v >= 0.0;
    let checks = [
        ("the mean", hyperparameters.mean.is_finite()),
        ("the outputscale", variance(&hyperparameters.outputscale)),
        ("the noise", variance(&hyperparameters.noise)),
        ("the inverse squared lengthscales", rho.iter().all(variance)),
        (
            "the inputs",
            inputs
                .row_iter()
                .all(|row| row.iter().all(|x| x.is_finite())),
        ),
        ("the values", values.iter().all(|y| y.is_finite())),
        (
            "the extra noise",
            extra_noise.is_none_or(|extra| extra.iter().all(variance)),
        ),
    ];
    match checks.iter().find(|(_, ok)| !ok) {
        Some((what, _)) => Err(GpError::Value(what)),
        None => Ok(()),
    }
}
