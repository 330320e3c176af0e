//! The search engine: what to train next, as a pure function of the trials so far and a seed.
//!
//! No I/O, no clock and no threads: the same inputs give the same bits.

pub mod gp;
mod linalg;
mod matern;
