//! What each search found, on the tasks of the others, as a matrix.

use maud::{Markup, html};

use super::rows::Table;
use crate::compare::{Transfer, TransferColumn, TransferRow};
use crate::report::text::{DASH, significant, spread, title, visible};
use crate::report::transfer::{progress, told};

/// The steps of the colour scale of a column; the style sheet has a rule for each.
const STEPS: f64 = 5.0;

/// What the rows are, in a sentence.
pub(super) fn explained(budget: f64) -> String {
    format!(
        "The configuration of each search that trainings in full on its own task recommend within {budget} % of the \
         backbone's parameters, trained in the same way on the other tasks; then the baselines."
    )
}

/// The page's section of a matrix.
pub(super) fn section(found: &Transfer, budget: f64) -> Markup {
    html! {
        h2 { (visible(&found.title)) }
        p {
            (explained(budget)) " A cell is the mean over the seeds ± one standard deviation (the paper's Figure 5)."
        }
        div.wide {
            table.matrix {
                thead {
                    tr {
                        th { "Of" }
                        th.number { "% of backbone" }
                        @for column in &found.columns {
                            th.number { (visible(&column.task)) br; (column.metric.label()) }
                        }
                    }
                }
                tbody {
                    @for row in &found.rows {
                        tr {
                            td { (of(found, row)) }
                            td.number { (significant(row.percent)) }
                            @for (at, column) in found.columns.iter().enumerate() {
                                td class=(classes(row, at, column)) { (cell(row, at, column)) }
                            }
                        }
                    }
                }
                caption {
                    "A frame is around the task of the search itself. The best mean of each task is bold, and the colour "
                    "is stronger the nearer a mean is to it. One without a score from each of its trainings is compared "
                    "with nothing and says how many have ended."
                }
            }
        }
        @for note in &found.notes { p { (visible(note)) "." } }
    }
}

/// What a row is of.
fn of(found: &Transfer, row: &TransferRow) -> Markup {
    let own = &found.columns[row.own].task;
    html! {
        @match row.baseline() {
            None => {
                (visible(&row.search)) br;
                (title(row.what.0, None)) ", searched on " (visible(own))
            }
            Some(name) => {
                (name.facts().title)
                @if row.is_repeated { br; "trained by " (visible(&row.search)) }
            }
        }
    }
}

fn classes(row: &TransferRow, at: usize, column: &TransferColumn) -> String {
    let mut classes = "number".to_owned();
    if row.is_own(at) {
        classes.push_str(" own");
    }
    let height = row.cells[at].as_ref().and_then(|cell| column.height(cell));
    let step = height.map_or(0.0, |height| (height * STEPS).round());
    if step > 0.0 {
        classes.push_str(&format!(" heat{step}"));
    }
    classes
}

fn cell(row: &TransferRow, at: usize, column: &TransferColumn) -> Markup {
    match &row.cells[at] {
        Some(cell) => told(cell, column.is_best(cell)),
        None => html! { (DASH) },
    }
}

/// What the signs of `table` mean.
pub(super) const SIGNS: &str = "[ ]: the task of the search itself; *: the best mean of the task";

/// The matrix for a terminal.
pub(super) fn table(found: &Transfer) -> Table {
    let mut head: Vec<(String, bool)> = vec![
        ("search or baseline".into(), false),
        ("searched on".into(), false),
        ("trial".into(), true),
        ("% of backbone".into(), true),
    ];
    let names = found.columns.iter();
    let name =
        |column: &TransferColumn| format!("{}, {}", visible(&column.task), column.metric.label());
    head.extend(names.map(|column| (name(column), true)));
    Table {
        head,
        rows: found.rows.iter().map(|row| cells(found, row)).collect(),
    }
}

fn cells(found: &Transfer, row: &TransferRow) -> Vec<String> {
    let dash = || DASH.to_owned();
    let mut cells = match row.baseline() {
        None => vec![
            row.search.clone(),
            found.columns[row.own].task.clone(),
            row.what.0.map_or_else(dash, |trial| trial.to_string()),
        ],
        Some(name) => vec![
            match row.is_repeated {
                true => format!("{}, {}", name.facts().title, row.search),
                false => name.facts().title.to_owned(),
            },
            dash(),
            dash(),
        ],
    };
    cells.push(significant(row.percent));
    let columns = found.columns.iter().enumerate();
    cells.extend(columns.map(|(at, column)| {
        let cell = row.cells[at].as_ref();
        let told = cell.map_or_else(dash, |cell| {
            format!("{}{}", spread(cell.mean, cell.deviation), progress(cell))
        });
        let (open, close) = if row.is_own(at) {
            ("[", "]")
        } else {
            (" ", " ")
        };
        let is_best = cell.is_some_and(|cell| column.is_best(cell));
        format!("{open}{told}{close}{}", if is_best { "*" } else { " " })
    }));
    cells
}
