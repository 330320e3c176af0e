//! Acquisition functions: how much the evaluation of a candidate is worth.
//!
//! An acquisition function is one file here, with its formula and its paper on top: a type that
//! implements `Acquisition`, and a row of type `AcquisitionFunction`, listed in `FUNCTIONS`. Nothing
//! else in the engine knows it (docs/extending.md).

mod improvement;
pub mod nehvi;

use std::fmt;

pub use improvement::Staircase;

use crate::objectives::pareto::Point;
use crate::surrogate::NotPositiveDefinite;
use crate::surrogate::gp::{Gp, Prediction};

/// Every acquisition function.
pub static FUNCTIONS: [&AcquisitionFunction; 1] = [&nehvi::NEHVI];

/// An acquisition function, by its name and its constructor.
#[derive(Clone, Copy)]
pub struct AcquisitionFunction {
    /// Distinct from all others; part of the hash of a suggestion's inputs.
    pub name: &'static str,
    /// Prepares the function for one suggestion. The same inputs must give the same bits.
    pub prepare: fn(Inputs<'_>) -> Result<Box<dyn Acquisition>, AcquisitionError>,
}

impl PartialEq for AcquisitionFunction {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for AcquisitionFunction {}

impl fmt::Debug for AcquisitionFunction {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name)
    }
}

/// What an acquisition function is prepared from. Scores are on the surrogate's scale, costs are
/// log10(1 + parameters).
#[derive(Clone, Debug)]
pub struct Inputs<'a> {
    /// The fitted surrogate, one Gaussian process per hyperparameter sample.
    pub models: Vec<Gp>,
    /// The scored and pending points within the budget.
    pub in_sample: &'a [InSamplePoint],
    /// The reference point of the hypervolume.
    pub reference: Point,
    /// Quasi-Monte Carlo draws for each hyperparameter sample.
    pub draws: usize,
    /// The seed of the draws.
    pub seed: u32,
}

/// A point that is observed with noise, or pending: its noise-free score is uncertain, its cost exact.
#[derive(Clone, Debug, PartialEq)]
pub struct InSamplePoint {
    /// The encoded configuration, d values.
    pub input: Vec<f64>,
    /// Its exact cost, log10(1 + parameters).
    pub cost: f64,
}

/// An acquisition function, prepared for one suggestion.
pub trait Acquisition {
    /// The value of a candidate: `input` is its encoding (d values), `cost` log10(1 + parameters).
    /// Larger is better; −∞ where the candidate is of no use.
    fn value(&self, input: &[f64], cost: f64) -> f64;

    /// The noise-free score of a candidate on the surrogate's scale, over all models used.
    fn predict(&self, input: &[f64]) -> Prediction;
}

/// Why an acquisition function cannot be prepared.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum AcquisitionError {
    /// The surrogate has no models.
    #[error("there is no hyperparameter sample")]
    NoModel,
    /// No model has a usable posterior at the in-sample points; the error of the last.
    #[error("the front cannot be drawn: {0}")]
    NotPositiveDefinite(#[from] NotPositiveDefinite),
}
