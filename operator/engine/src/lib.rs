//! The search engine: what to train next, as a pure function of the trials so far and a seed.
//!
//! No I/O, no clock and no threads: the same inputs give the same bits.

pub mod diagnostics;
pub mod fit;
pub mod gp;
mod linalg;
mod map;
mod matern;
pub mod saas;
mod sampler;
