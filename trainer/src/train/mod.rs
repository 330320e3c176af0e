//! Training: sampling of a task's examples, the loop with its recipe, and the score.

mod answers;
pub mod batches;
mod data;
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

pub use answers::Answer;
pub use data::Data;
pub use recipe::Recipe;
pub use training::{Observer, TrainError, Trained, train};
pub use validation::{Validated, Validation, ValidationError, score};
pub use weights::class_weights;
