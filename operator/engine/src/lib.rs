//! The search engine: what to train next, as a pure function of the trials so far and a seed.
//!
//! No I/O, no clock and no threads: the same inputs give the same bits.
//!
//! A planner calls `suggest`, and reports `front`, `hypervolume` and `reference_point`. The folders import
//! one another in one direction only:
//!
//! ```text
//! suggest ─▶ maximise ─▶ problem ─▶ acquisition ─▶ surrogate
//!                              └───────┴─▶ objectives
//! ```

pub mod acquisition;
mod initial;
pub mod maximise;
pub mod normal;
pub mod objectives;
pub mod problem;
mod random;
pub mod rank;
pub mod suggest;
pub mod surrogate;

pub use problem::history::InputError;
pub use problem::results::{
    FrontPoint, Reference, front, hypervolume, hypervolume_trace, reference_point,
};
pub use problem::{InitialDesign, Observation, Outcome, Problem, ReferencePoint, Settings};
pub use suggest::{Origin, Predicted, SuggestError, Suggestion, suggest, suggest_cancellable};
pub use surrogate::fit::FitMethod;
pub use surrogate::report::SurrogateReport;
pub use surrogate::settings::NutsSettings;
pub use surrogate::transform::ScoreTransform;
