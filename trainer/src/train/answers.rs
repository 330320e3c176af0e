//! A model's answers, example by example, for people and other programs.

use serde::Serialize;
use serde_json::{Value, json};
use tch::{Kind as Number, TchError, Tensor};

use super::metrics::Predictions;
use crate::task::{Kind, Targets};

/// The answer to an example.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Answer {
    /// The example's number in its file, from 0; rows that were skipped are not counted.
    pub example: usize,
    /// Its label: a class, a choice, a number, or a list of classes.
    pub label: Value,
    /// What was predicted, in the same form.
    pub predicted: Value,
    /// The model's outputs (logits): one per class or choice, or the number.
    pub outputs: Vec<f32>,
}

/// The answers to all examples; `outputs` is `[N, C]` or `[N, choices]`.
pub(super) fn of(
    outputs: &Tensor,
    predictions: &Predictions,
    kind: &Kind,
    truth: &Targets,
) -> Result<Vec<Answer>, TchError> {
    let width = outputs.size().last().map_or(1, |width| *width as usize);
    let flat: Vec<f32> = outputs
        .f_to_kind(Number::Float)?
        .f_contiguous()?
        .f_view([-1])?
        .try_into()?;
    let classes = |classes: &[i64]| classes.iter().map(|class| named(kind, *class)).collect();
    let sets = |sets: &[Vec<i64>]| sets.iter().map(|set| set_of(kind, set)).collect();
    let predicted: Vec<Value> = match predictions {
        Predictions::Classes { predicted, .. } | Predictions::Choices(predicted) => {
            classes(predicted)
        }
        Predictions::Numbers(numbers) => numbers.iter().map(|number| json!(number)).collect(),
        Predictions::Sets(members) => sets(members),
    };
    let labels: Vec<Value> = match truth {
        Targets::Classes(truth) => classes(truth),
        Targets::Numbers(truth) => truth.iter().map(|number| json!(number)).collect(),
        Targets::Sets(truth) => sets(&truth.members),
    };
    let rows = flat.chunks(width.max(1)).enumerate();
    let answers = rows.zip(labels.into_iter().zip(predicted));
    Ok(answers
        .map(|((example, outputs), (label, predicted))| Answer {
            example,
            label,
            predicted,
            outputs: outputs.to_vec(),
        })
        .collect())
}

fn named(kind: &Kind, class: i64) -> Value {
    let name = usize::try_from(class).ok();
    json!(name.and_then(|class| kind.labels().get(class)))
}

fn set_of(kind: &Kind, set: &[i64]) -> Value {
    set.iter().map(|class| named(kind, *class)).collect()
}
