//! What promoted configurations come to on other tasks: a matrix of configurations and baselines, and tasks.

use autopeft_crds::Decimal;
use autopeft_crds::spec::BaselineName;
use autopeft_crds::status::{PromotedResult, SeedScore, TransferResult, TransferScore};
use maud::{Markup, html};

use super::text::{DASH, counted, score, spread, title, visible};
use super::view::View;
use crate::request;

/// What was trained: the configuration of a trial, or a baseline.
type What = (Option<u32>, Option<BaselineName>);

/// What others are compared with.
const FULL: What = (None, Some(BaselineName::FullFineTuning));

/// The scores on one task.
struct Column<'a> {
    task: &'a str,
    metric: &'static str,
    cells: Vec<(What, Cell<'a>)>,
}

/// The scores of one configuration on one task.
#[derive(Clone, Copy)]
struct Cell<'a> {
    mean: Option<Decimal>,
    deviation: Option<Decimal>,
    progress: &'a str,
    /// Whether each of its trainings has a score.
    is_complete: bool,
}

impl<'a> Cell<'a> {
    fn new(
        (mean, deviation): (Option<Decimal>, Option<Decimal>),
        progress: &'a str,
        seeds: &[SeedScore],
        wanted: usize,
    ) -> Self {
        Self {
            mean,
            deviation,
            progress,
            is_complete: seeds.len() == wanted,
        }
    }

    /// The mean, where it is a fair one.
    fn fair(&self) -> Option<f64> {
        self.mean.filter(|_| self.is_complete).map(Decimal::get)
    }
}

impl Column<'_> {
    fn cell(&self, what: What) -> Option<&Cell<'_>> {
        let mut cells = self.cells.iter();
        cells.find(|(of, _)| *of == what).map(|(_, cell)| cell)
    }

    /// The best mean.
    fn best(&self) -> Option<f64> {
        let means = self.cells.iter().filter_map(|(_, cell)| cell.fair());
        means.max_by(f64::total_cmp)
    }

    /// How much better a configuration is than full fine-tuning.
    fn difference(&self, what: What) -> Option<f64> {
        let of = |what| self.cell(what)?.fair();
        let full = of(FULL).filter(|_| what != FULL)?;
        Some(of(what)? - full)
    }
}

/// The task of the search, then the others that have a result.
fn columns<'a>(view: &View<'a>) -> Vec<Column<'a>> {
    let promotion = view.spec.promotion.as_ref();
    let wanted = promotion.map_or(0, |promotion| promotion.seeds as usize);
    let own = |result: &'a PromotedResult| {
        let moments = (result.mean, result.standard_deviation);
        let cell = Cell::new(moments, &result.progress, &result.seeds, wanted);
        ((result.trial, result.baseline), cell)
    };
    let other = |result: &'a TransferScore| {
        let moments = (result.mean, result.standard_deviation);
        let cell = Cell::new(moments, &result.progress, &result.seeds, wanted);
        ((result.trial, result.baseline), cell)
    };
    let first = Column {
        task: view.spec.task.name.as_str(),
        metric: view.metric(),
        cells: view.status.promoted.iter().map(own).collect(),
    };
    let others = view.status.transfer.iter().map(|found| Column {
        task: &found.task,
        metric: found.metric.label(),
        cells: found.results.iter().map(other).collect(),
    });
    [first].into_iter().chain(others).collect()
}

/// What the rows are of: what was promoted, fewest parameters first, then what only other tasks have.
fn rows(columns: &[Column<'_>]) -> Vec<What> {
    let mut rows: Vec<What> = Vec::new();
    for (what, _) in columns.iter().flat_map(|column| &column.cells) {
        if !rows.contains(what) {
            rows.push(*what);
        }
    }
    rows
}

/// The mean over the tasks, where each has one.
fn mean(columns: &[Column<'_>], what: What) -> Option<f64> {
    let of_task = |column: &Column<'_>| column.cell(what)?.fair();
    let means: Option<Vec<f64>> = columns.iter().map(of_task).collect();
    let means = means?;
    Some(means.iter().sum::<f64>() / means.len() as f64)
}

/// A line for each of the other tasks: the best on it, beside full fine-tuning.
pub(super) fn lines(view: &View<'_>) -> Vec<String> {
    let best = |found: &TransferResult| {
        let scored = found
            .results
            .iter()
            .filter_map(|result| Some((result, result.mean?)));
        // Of equal means the one with the fewest parameters, which comes first.
        let (best, _) = scored
            .rev()
            .max_by(|left, right| left.1.get().total_cmp(&right.1.get()))?;
        let what = (best.trial, best.baseline);
        let beside = full(found).filter(|_| what != FULL);
        Some(format!(
            "on {}: best {}, {} {}{}",
            visible(&found.task),
            title(best.trial, best.baseline),
            found.metric.label(),
            spread(best.mean, best.standard_deviation),
            beside.map_or_else(String::new, |full| format!("; full fine-tuning {full}")),
        ))
    };
    view.status.transfer.iter().filter_map(best).collect()
}

/// The score of full fine-tuning on a task, where it has one.
fn full(found: &TransferResult) -> Option<String> {
    let mut results = found.results.iter();
    let full = results.find(|result| (result.trial, result.baseline) == FULL)?;
    full.mean?;
    Some(spread(full.mean, full.standard_deviation))
}

/// What a configuration comes to on each of the other tasks: the task's name and its score.
pub(super) fn of(view: &View<'_>, what: What) -> Vec<(String, String)> {
    let on = |found: &TransferResult| {
        let mut results = found.results.iter();
        let result = results.find(|result| (result.trial, result.baseline) == what)?;
        result.mean?;
        let mean = spread(result.mean, result.standard_deviation);
        let beside = full(found).filter(|_| what != FULL);
        let beside = beside.map_or_else(String::new, |full| format!("; full fine-tuning {full}"));
        let text = format!(
            "{} {mean}, {} trainings{beside}",
            found.metric.label(),
            result.progress
        );
        Some((format!("on {}", visible(&found.task)), text))
    };
    view.status.transfer.iter().filter_map(on).collect()
}

/// The page's section of other tasks; nothing where the spec asks for none.
pub(super) fn section(view: &View<'_>) -> Markup {
    let count = request::others(view.spec).len();
    if count == 0 {
        return html! {};
    }
    let columns = columns(view);
    html! {
        h2 id="transfer" { "On other tasks" }
        @if view.status.transfer.is_empty() {
            p { "Nothing has been trained on another task yet." }
        } @else {
            p {
                "What was trained in full, trained in the same way on "
                (counted(count, "other task")) ": the mean over the seeds with its standard deviation"
                @if columns.iter().any(|column| column.cell(FULL).is_some()) {
                    ", and the difference from full fine-tuning"
                }
                "."
            }
            (matrix(&columns))
        }
    }
}

fn matrix(columns: &[Column<'_>]) -> Markup {
    html! {
        div.wide {
            table {
                thead {
                    tr {
                        th { "Of" }
                        @for column in columns {
                            th.number { (visible(column.task)) br; (column.metric) }
                        }
                        th.number { "Mean" }
                    }
                }
                tbody {
                    @for what in rows(columns) {
                        tr {
                            td { (title(what.0, what.1)) }
                            @for column in columns {
                                td.number { (cell(column, what)) }
                            }
                            td.number { (mean(columns, what).map_or_else(|| DASH.into(), score)) }
                        }
                    }
                }
                caption {
                    "Fewest parameters first. The best mean of each task is bold; one without a score from each of its "
                    "trainings is compared with nothing and says how many have ended. The mean is that over the tasks."
                }
            }
        }
    }
}

fn cell(column: &Column<'_>, what: What) -> Markup {
    let Some(cell) = column.cell(what) else {
        return html! { (DASH) };
    };
    let told = spread(cell.mean, cell.deviation);
    let is_best = cell.fair().is_some() && cell.fair() == column.best();
    html! {
        @if is_best { b { (told) } } @else { (told) }
        @if !cell.is_complete { " (" (cell.progress) ")" }
        @if let Some(difference) = column.difference(what) { br; (format!("{difference:+.4}")) }
    }
}
