//! What training on other tasks found (`spec.transfer`). No I/O, no clock.

use autopeft_crds::spec::{PromotionSpec, TransferTask};
use autopeft_crds::status::{PromotedResult, TransferResult, TransferScore};

use crate::ledger::Ledger;
use crate::measures::Subject;
use crate::promoted;
use crate::request;

/// The results on each task that has any, in the order of the spec.
pub fn results(subject: &Subject, ledger: &Ledger) -> Vec<TransferResult> {
    let Some(promotion) = &subject.spec.promotion else {
        return Vec::new();
    };
    let others = request::others(&subject.spec).iter();
    others
        .map(|other| of_task(subject, promotion, ledger, other))
        .filter(|found| !found.results.is_empty())
        .collect()
}

fn of_task(
    subject: &Subject,
    promotion: &PromotionSpec,
    ledger: &Ledger,
    other: &TransferTask,
) -> TransferResult {
    let found = promoted::results(subject, promotion, ledger, Some(other));
    TransferResult {
        task: other.name.clone(),
        metric: other.task.score_metric(),
        results: found.into_iter().map(score).collect(),
    }
}

/// Without what `status.promoted` says of the same configuration.
fn score(found: PromotedResult) -> TransferScore {
    let PromotedResult {
        trial,
        baseline,
        configuration: _,
        parameters,
        parameters_percent: _,
        fewest_parameters: _,
        search_score: _,
        mean,
        standard_deviation,
        train_seconds,
        progress,
        seeds,
    } = found;
    TransferScore {
        trial,
        baseline,
        parameters,
        mean,
        standard_deviation,
        train_seconds,
        progress,
        seeds,
    }
}
