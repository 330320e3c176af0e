//! Training: sampling of a task's examples, the loop with its recipe, and the score.

pub mod batches;
mod guards;
mod loss;
pub mod metrics;
pub mod optimizer;
pub mod recipe;
pub mod sample;
pub mod schedule;
pub mod seeds;
pub mod training;
pub mod validation;
mod weights;

pub use recipe::Recipe;
pub use training::{Data, Observer, TrainError, Trained, train};
pub use validation::{Validated, Validation, ValidationError, score};
pub use weights::class_weights;
