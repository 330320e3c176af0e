//! Evaluates a model on validation examples.

use std::collections::BTreeMap;
use std::rc::Rc;

use autopeft_crds::spec::Metric;
use tch::{Kind as Number, TchError, Tensor};

use super::answers::{self, Answer};
use super::batches::{Batching, DataSet};
use super::metrics::{self, Predictions};
use crate::model::Evaluator;
use crate::reason::sentence;
use crate::task::{Kind, Targets};

/// The size of a validation batch, in training batches: it needs no gradients.
const VALIDATION_FACTOR: usize = 4;

/// Validation examples.
#[derive(Debug)]
pub struct Validation {
    /// The outputs.
    pub kind: Kind,
    /// The examples.
    pub examples: Rc<DataSet>,
    /// Their targets.
    pub truth: Targets,
    /// How training examples are batched.
    pub batching: Batching,
}

/// The value of the score's metric.
///
/// # Errors
/// It was not measured.
pub fn score(measured: &BTreeMap<Metric, f64>, metric: Metric) -> Result<f64, ValidationError> {
    let score = measured.get(&metric).copied();
    score.ok_or(ValidationError::NoMetric(metric))
}

/// Why a validation has no metrics.
#[derive(Debug, thiserror::Error)]
pub enum ValidationError {
    /// A prediction is NaN or infinite.
    #[error("a prediction is not finite")]
    NotFinite,
    /// The score's metric was not measured.
    #[error("the validation has no {}; its metrics are those of another kind of task", .0.label())]
    NoMetric(Metric),
    /// An error of libtorch.
    #[error("{}", sentence(.0))]
    Torch(#[from] TchError),
}

/// What a validation has found.
#[derive(Clone, Debug, PartialEq)]
pub struct Validated {
    /// Every metric that fits the task.
    pub metrics: BTreeMap<Metric, f64>,
    /// Whether every example got the same prediction.
    pub is_constant: bool,
}

impl Validation {
    /// The metrics, and an answer for each example.
    pub fn answers(
        &self,
        evaluator: &Evaluator<'_>,
    ) -> Result<(BTreeMap<Metric, f64>, Vec<Answer>), ValidationError> {
        let outputs = self.outputs(evaluator)?;
        let predictions = predictions(&outputs, &self.kind)?;
        let answers = answers::of(&outputs, &predictions, &self.kind, &self.truth)?;
        Ok((metrics::all(&predictions, &self.truth), answers))
    }

    /// Validates a model on these examples.
    pub fn validate(&self, evaluator: &Evaluator<'_>) -> Result<Validated, ValidationError> {
        let predictions = predictions(&self.outputs(evaluator)?, &self.kind)?;
        Ok(Validated {
            metrics: metrics::all(&predictions, &self.truth),
            is_constant: metrics::is_constant(&predictions, &self.truth),
        })
    }

    /// `[N, C]`, or `[N, choices]`, in the order of the examples, on the CPU.
    fn outputs(&self, evaluator: &Evaluator<'_>) -> Result<Tensor, TchError> {
        let _guard = tch::no_grad_guard();
        let batching = Batching {
            batch_size: self.batching.batch_size * VALIDATION_FACTOR,
            ..self.batching
        };
        let groups = batching.sorted(self.examples.lengths());
        let placed = self.examples.place(&groups)?;
        let parts = placed
            .iter()
            .map(|group| {
                let outputs = evaluator.predict(&self.examples.batch(group)?.0);
                per_example(outputs, &self.kind)
            })
            .collect::<Result<Vec<_>, TchError>>()?;
        let rows: Vec<i64> = groups.into_iter().flat_map(|group| group.rows).collect();
        let sorted = Tensor::f_cat(&parts, 0)?.f_to_device(tch::Device::Cpu)?;
        // Row i of `sorted` is example rows[i].
        let place = Tensor::f_from_slice(&rows)?.f_argsort(0, false)?;
        sorted.f_index_select(0, &place)
    }
}

/// A row per example: of multiple choice, the one output of each of its texts.
pub(super) fn per_example(outputs: Tensor, kind: &Kind) -> Result<Tensor, TchError> {
    match kind {
        Kind::MultipleChoice(choices) => outputs.f_view([-1, choices.len() as i64]),
        _ => Ok(outputs),
    }
}

fn predictions(outputs: &Tensor, kind: &Kind) -> Result<Predictions, ValidationError> {
    let all_finite = outputs.f_isfinite()?.f_all()?.f_int64_value(&[])? == 1;
    if !all_finite {
        return Err(ValidationError::NotFinite);
    }
    Ok(match kind {
        Kind::Classification(labels) => Predictions::Classes {
            predicted: Vec::try_from(outputs.f_argmax(1, false)?)?,
            count: labels.len(),
        },
        Kind::MultipleChoice(_) => {
            Predictions::Choices(Vec::try_from(outputs.f_argmax(1, false)?)?)
        }
        // A probability above one half.
        Kind::MultiLabel(labels) => {
            let chosen: Vec<bool> = Vec::try_from(outputs.f_gt(0.0)?.f_flatten(0, -1)?)?;
            let sets = chosen.chunks(labels.len()).map(|row| {
                let classes = (0..).zip(row).filter(|(_, is_chosen)| **is_chosen);
                classes.map(|(class, _)| class).collect()
            });
            Predictions::Sets(sets.collect())
        }
        Kind::Regression => Predictions::Numbers(Vec::try_from(
            outputs.f_squeeze_dim(1)?.f_to_kind(Number::Double)?,
        )?),
    })
}
