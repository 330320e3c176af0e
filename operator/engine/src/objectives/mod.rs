//! The two objectives, as geometry: Pareto fronts, hypervolumes and the reference point.

pub mod hypervolume;
pub mod pareto;
pub mod reference;
