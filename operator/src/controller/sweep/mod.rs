//! Looks for what belongs to no search any more, and clears it away.

pub mod orphans;
pub mod unlabelled;
