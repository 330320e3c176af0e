//! What training on other tasks found (`spec.transfer`), and its matrix: what was trained in full, and tasks. No I/O, no
//! clock.

use autopeft_crds::metrics::Metric;
use autopeft_crds::spec::{BaselineName, PromotionSpec, TransferTask};
use autopeft_crds::status::{PromotedResult, TransferResult, TransferScore};
use autopeft_crds::{Decimal, PeftSearchSpec, PeftSearchStatus};

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

/// What was trained: the configuration of a trial, or a baseline.
pub type What = (Option<u32>, Option<BaselineName>);

/// A configuration or a baseline, trained in full on a task.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    /// Trainable parameters, head left out.
    pub parameters: u64,
    /// The mean score over its seeds.
    pub mean: Option<Decimal>,
    /// The standard deviation of its scores.
    pub deviation: Option<Decimal>,
    /// Trainings that have ended of all, such as `3/5`.
    pub progress: String,
    /// Whether each of its trainings has a score.
    pub is_complete: bool,
}

impl Cell {
    /// Of a result, which has `wanted` seeds once it is complete.
    fn new(result: TransferScore, wanted: usize) -> Self {
        Self {
            parameters: result.parameters,
            mean: result.mean,
            deviation: result.standard_deviation,
            progress: result.progress,
            is_complete: result.seeds.len() == wanted,
        }
    }

    /// The mean, where it is a fair one.
    pub fn fair(&self) -> Option<f64> {
        self.mean.filter(|_| self.is_complete).map(Decimal::get)
    }
}

/// What was trained in full on one task.
#[derive(Clone, Debug, PartialEq)]
pub struct Column<'a> {
    /// The task: the search's own by its name, another by that in `spec.transfer`.
    pub task: &'a str,
    /// The metric that is the score on it.
    pub metric: Metric,
    /// Each configuration and baseline, fewest parameters first.
    pub cells: Vec<(What, Cell)>,
}

impl Column<'_> {
    /// What a configuration or a baseline has on the task.
    pub fn cell(&self, what: What) -> Option<&Cell> {
        let mut cells = self.cells.iter();
        cells.find(|(of, _)| *of == what).map(|(_, cell)| cell)
    }

    /// The best fair mean.
    pub fn best(&self) -> Option<f64> {
        let means = self.cells.iter().filter_map(|(_, cell)| cell.fair());
        means.max_by(f64::total_cmp)
    }
}

/// The task of the search, then the others that have a result.
pub fn columns<'a>(spec: &'a PeftSearchSpec, status: &'a PeftSearchStatus) -> Vec<Column<'a>> {
    let promotion = spec.promotion.as_ref();
    let wanted = promotion.map_or(0, |promotion| promotion.seeds as usize);
    let cell = |result: TransferScore| {
        let what = (result.trial, result.baseline);
        (what, Cell::new(result, wanted))
    };
    let own_scores = status.promoted.iter().cloned().map(score);
    let own = Column {
        task: spec.task.name.as_str(),
        metric: spec.task.score_metric(),
        cells: own_scores.map(cell).collect(),
    };
    let others = status.transfer.iter().map(|found| Column {
        task: &found.task,
        metric: found.metric,
        cells: found.results.iter().cloned().map(cell).collect(),
    });
    [own].into_iter().chain(others).collect()
}
