//! What a model is trained and validated on.

use std::rc::Rc;

use autopeft_crds::spec::Metric;
use tch::Tensor;

use super::batches::DataSet;
use super::validation::Validation;

/// What a model is trained and validated on.
#[derive(Debug)]
pub struct Data {
    /// The metric that is the score.
    pub metric: Metric,
    /// Training examples.
    pub train: Rc<DataSet>,
    /// Validation after an epoch, which chooses the best one.
    pub validation: Validation,
    /// What the score is measured on, where that is something else.
    pub report: Option<Validation>,
    /// Weights of the classes in the loss, `[C]`.
    pub weights: Option<Tensor>,
}
