//! The search engine: what to train next, as a pure function of the trials so far and a seed.
//!
//! No I/O, no clock and no threads: the same inputs give the same bits.
//!
//! `suggest` is what a planner calls; `results` is what it reports.

pub mod diagnostics;
pub mod encoding;
pub mod fit;
pub mod gp;
pub mod hypervolume;
pub mod improvement;
mod initial;
mod inputs_hash;
mod linalg;
pub mod local_search;
mod map;
mod matern;
pub mod nehvi;
pub mod neighbours;
pub mod normal;
pub mod pareto;
pub mod problem;
pub mod reference;
pub mod results;
pub mod saas;
mod sampler;
pub mod sampling;
mod stream;
pub mod suggest;
pub mod transform;

pub use problem::{
    InitialDesign, Observation, Outcome, Problem, ReferencePoint, ScoreTransform, Settings,
};
pub use results::{FrontPoint, Reference, front, hypervolume, hypervolume_trace, reference_point};
pub use suggest::{
    Origin, Predicted, SuggestError, Suggestion, SurrogateReport, suggest, suggest_unless,
};
