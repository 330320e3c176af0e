//! What promoted configurations come to on other tasks: a matrix of configurations and baselines, and tasks.

use autopeft_crds::spec::BaselineName;
use autopeft_crds::status::{TransferResult, TransferScore};
use maud::{Markup, html};

use super::text::{DASH, counted, score, spread, title, visible};
use super::view::View;
use crate::promoted::average;
use crate::request;
use crate::transferred::{self, Cell, Column, What};

/// What others are compared with.
const FULL: What = (None, Some(BaselineName::FullFineTuning));

/// How much better a configuration is than full fine-tuning.
fn difference(column: &Column<'_>, what: What) -> Option<f64> {
    let of = |what| column.cell(what)?.fair();
    let full = of(FULL).filter(|_| what != FULL)?;
    Some(of(what)? - full)
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
    average(&means?)
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
        Some(format!(
            "on {}: best {}, {} {}{}",
            visible(&found.task),
            title(best.trial, best.baseline),
            found.metric.label(),
            spread(best.mean, best.standard_deviation),
            beside_full(found, (best.trial, best.baseline)),
        ))
    };
    view.status.transfer.iter().filter_map(best).collect()
}

/// What was trained on a task, where it has a score.
fn scored(found: &TransferResult, what: What) -> Option<&TransferScore> {
    let mut results = found.results.iter();
    let result = results.find(|result| (result.trial, result.baseline) == what)?;
    result.mean.map(|_| result)
}

/// The score of full fine-tuning on a task, where it has one, to append to that of another.
fn beside_full(found: &TransferResult, what: What) -> String {
    let full = scored(found, FULL).filter(|_| what != FULL);
    full.map_or_else(String::new, |full| {
        let mean = spread(full.mean, full.standard_deviation);
        format!("; full fine-tuning {mean}")
    })
}

/// What a configuration comes to on each of the other tasks: the task's name and its score.
pub(super) fn of(view: &View<'_>, what: What) -> Vec<(String, String)> {
    let on = |found: &TransferResult| {
        let result = scored(found, what)?;
        let text = format!(
            "{} {}, {} trainings{}",
            found.metric.label(),
            spread(result.mean, result.standard_deviation),
            result.progress,
            beside_full(found, what)
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
    let columns = transferred::columns(view.spec, view.status);
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
                            th.number { (visible(column.task)) br; (column.metric.label()) }
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
    let is_best = cell.fair().is_some() && cell.fair() == column.best();
    html! {
        (told(cell, is_best))
        @if let Some(difference) = difference(column, what) { br; (format!("{difference:+.4}")) }
    }
}

/// The mean of a cell, bold where it is the best, with how many trainings have ended where one has no score.
pub(super) fn told(cell: &Cell, is_best: bool) -> Markup {
    let told = spread(cell.mean, cell.deviation);
    html! {
        @if is_best { b { (told) } } @else { (told) }
        (progress(cell))
    }
}

/// How many trainings of a cell have ended, where one has no score.
pub(super) fn progress(cell: &Cell) -> String {
    match cell.is_complete {
        true => String::new(),
        false => format!(" ({})", cell.progress),
    }
}
