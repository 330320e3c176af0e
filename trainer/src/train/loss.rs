//! The loss of a batch.

use tch::{Reduction, TchError, Tensor};

use super::batches::Placed;
use super::data::Data;
use super::validation::per_example;
use crate::model::Model;
use crate::task::Kind;

/// The loss of a training batch, with the modules of the layers from `first` on. A model that draws which of its
/// parameters act (AdaMix) is run twice, and its predictions are asked to agree.
pub(super) fn loss(
    model: &Model,
    data: &Data,
    group: &Placed,
    first: usize,
) -> Result<Tensor, TchError> {
    let (batch, targets) = data.train.batch(group)?;
    let kind = &data.validation.kind;
    // [B, C], or [B, choices]
    let pass = || per_example(model.forward_from(first, &batch, true), kind);
    let outputs = pass()?;
    let task = of_task(&outputs, &targets, data)?;
    match kind {
        Kind::Classification(_) | Kind::MultipleChoice(_) if model.is_random() => {
            task.f_add(&disagreement(&outputs, &pass()?)?)
        }
        _ => Ok(task),
    }
}

fn of_task(outputs: &Tensor, targets: &Tensor, data: &Data) -> Result<Tensor, TchError> {
    let weights = data.weights.as_ref();
    match data.validation.kind {
        Kind::Classification(_) | Kind::MultipleChoice(_) => {
            outputs.f_cross_entropy_loss(targets, weights, Reduction::Mean, -100, 0.0)
        }
        Kind::MultiLabel(_) => outputs.f_binary_cross_entropy_with_logits(
            targets,
            None::<&Tensor>,
            weights,
            Reduction::Mean,
        ),
        // [B, 1] -> [B]
        Kind::Regression => outputs
            .f_squeeze_dim(1)?
            .f_mse_loss(targets, Reduction::Mean),
    }
}

/// ½·(KL(p‖q) + KL(q‖p)) of the predicted distributions p and q, the mean over the batch; the first argument of each
/// divergence is taken as given (AdaMix, arXiv:2205.12410, in the form of its authors' program).
fn disagreement(first: &Tensor, second: &Tensor) -> Result<Tensor, TchError> {
    let log = |outputs: &Tensor| outputs.f_log_softmax(1, tch::Kind::Float);
    let (p, q) = (log(first)?, log(second)?);
    let texts = first.size()[0].max(1) as f64;
    let divergence = |given: &Tensor, other: &Tensor| {
        let given = given.f_detach()?;
        let pointwise = given.f_exp()?.f_mul(&given.f_sub(other)?)?;
        pointwise.f_sum(tch::Kind::Float)?.f_div_scalar(texts)
    };
    divergence(&p, &q)?
        .f_add(&divergence(&q, &p)?)?
        .f_mul_scalar(0.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// p = (1/2, 1/2) and q = (1/4, 3/4): KL(p‖q) = ½ ln 2 + ½ ln ⅔, KL(q‖p) = ¼ ln ½ + ¾ ln 3/2.
    #[test]
    fn disagreement_is_the_mean_of_both_divergences() {
        let logits =
            |pair: [f64; 2]| Tensor::from_slice(&[pair.map(f64::ln)].concat()).view([1, 2]);
        let (p, q) = (logits([0.5, 0.5]), logits([0.25, 0.75]));
        let found = disagreement(&p, &q).expect("a number").double_value(&[]);
        let forward = 0.5 * 2_f64.ln() + 0.5 * (2.0_f64 / 3.0).ln();
        let backward = 0.25 * 0.5_f64.ln() + 0.75 * 1.5_f64.ln();
        assert!((found - 0.5 * (forward + backward)).abs() < 1e-6, "{found}");
        let itself = disagreement(&p, &p).expect("a number").double_value(&[]);
        assert!(itself.abs() < 1e-9);
    }
}
