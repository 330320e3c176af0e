//! Garbage collection of Jobs and pods whose search is gone.

pub mod orphans;
pub mod unlabelled;
