//! How a model is trained: fidelity, settings of the optimiser, seeds.

use autopeft_crds::spec::{FidelitySpec, TrainingSpec};
use autopeft_crds::trial::Method;

use super::batches::Batching;
use super::seeds::Seeds;

/// How a model is trained.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// How much.
    pub fidelity: FidelitySpec,
    /// The optimiser's settings.
    pub training: TrainingSpec,
    /// What is trained.
    pub method: Method,
    /// The seeds of the streams.
    pub seeds: Seeds,
}

impl Recipe {
    /// How training examples are batched.
    pub fn batching(&self) -> Batching {
        Batching {
            batch_size: self.training.batch_size as usize,
            padding: self.training.padding,
            max_length: self.training.max_length as usize,
        }
    }
}
