//! The report of a fit: its quality, and the relevance of dimensions.

use super::fit::{Fit, FitMethod};

/// How the surrogate was fitted, and which dimensions it found relevant.
#[derive(Clone, Debug, PartialEq)]
pub struct SurrogateReport {
    /// Where its hyperparameters come from.
    pub method: FitMethod,
    /// Why the methods before it failed; empty if none did.
    pub reasons: Vec<String>,
    /// Draws that diverged.
    pub divergences: usize,
    /// The largest split R-hat; 0 without draws.
    pub max_r_hat: f64,
    /// The smallest effective sample size; 0 without draws.
    pub min_effective_sample_size: f64,
    /// The inverse lengthscale of each free dimension, the median over hyperparameter samples:
    /// large where the dimension is relevant.
    pub relevance: Vec<(String, f64)>,
}

impl SurrogateReport {
    /// The report of `fit`, whose dimensions have the names `dimensions` (d of them).
    pub fn new(fit: &Fit, dimensions: impl Iterator<Item = String>) -> Self {
        let relevance = dimensions.enumerate().map(|(i, name)| {
            let inverse_lengthscales = fit
                .samples
                .iter()
                .map(|sample| sample.inverse_squared_lengthscales[i].sqrt());
            (name, median(inverse_lengthscales.collect()))
        });
        Self {
            method: fit.method,
            reasons: fit.diagnostics.reasons.clone(),
            divergences: fit.diagnostics.divergences,
            max_r_hat: fit.diagnostics.max_r_hat,
            min_effective_sample_size: fit.diagnostics.min_effective_sample_size,
            relevance: relevance.collect(),
        }
    }
}

/// The median; 0 without values.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let n = values.len();
    if n == 0 {
        0.0
    } else {
        0.5 * (values[(n - 1) / 2] + values[n / 2])
    }
}
