//! One trial from its request to its measurements: files, tokens, model, training.

mod check;
mod error;
mod inputs;
mod places;
mod prepare;
mod split;

pub use check::evaluation as check_evaluation;
pub use error::TrialError;
pub use inputs::{Inputs, TokenizerFacts, tokenizer_facts};
pub use places::{MODEL_FILES, Places, model_fingerprint, model_folder};
pub use prepare::{
    Labelled, Prepared, describe, prepare, prepare_with, run, validation_data, versions,
};
pub use split::{Split, split};
