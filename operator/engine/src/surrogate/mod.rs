//! The surrogate: a fully Bayesian Gaussian process with the SAAS prior, from data to predictions.
//!
//! `fit` samples hyperparameters (`nuts`, or `map` where that fails) from the density of `saas`; `gp`
//! conditions each sample on the data. Scores enter on the scale of `transform`.

pub mod diagnostics;
pub mod fit;
pub mod gp;
mod linalg;
mod map;
mod matern;
mod nuts;
pub mod report;
pub mod saas;
pub mod settings;
mod start;
pub mod transform;

pub(crate) use linalg::Factoriser;
pub use linalg::NotPositiveDefinite;
