//! What a search reports to people, as text: the front as a table, every trial as CSV, the front as a
//! figure, and a page with all of it.
//!
//! Pure functions of the spec and the status. No I/O, no clock: the same search gives the same bytes. No
//! input makes them panic; external texts are escaped.
//!
//! | function | what it makes |
//! | --- | --- |
//! | `front_table(spec, status)` | what `peft-operator run` prints at the end |
//! | `trials_csv(status)` | `trials.csv` |
//! | `front_svg(search)` | `front.svg` |
//! | `best(search, files, budget, how)` | what `peft-operator best` prints |
//! | `report_html(search, trace)` | `report.html`; `trace` has the hypervolume after each finished trial |
//! | `comparison_text(comparison)` | what `peft-operator compare` prints |
//! | `comparison_html(comparison)` | its page |
//! | `comparison_csv(given, comparison)` | every trial of several searches |

mod answer;
mod axis;
mod cells;
mod columns;
mod compare;
mod csv;
mod estimate;
mod figure;
mod front_svg;
mod html;
mod placing;
mod prediction_svg;
mod sections;
mod series;
mod style;
mod table;
mod text;
mod trace_svg;
mod transfer;
mod view;

use autopeft_crds::{Decimal, PeftSearch, PeftSearchSpec, PeftSearchStatus};

use crate::compare::{Comparison, Given};
use view::View;

pub use answer::{Files, NoAnswer};

/// Why a report could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The CSV writer refused a row.
    #[error("the CSV could not be written: {0}")]
    Csv(String),
    /// The drawing library refused a figure.
    #[error("the figure {figure} could not be drawn: {message}")]
    Figure {
        /// Which figure.
        figure: &'static str,
        /// What the library said.
        message: String,
    },
    /// The manifest could not be written as YAML.
    #[error("the manifest could not be written as YAML: {0}")]
    Manifest(String),
}

/// The front as an aligned table, fewest parameters first, the baselines under it, and a summary.
pub fn front_table(spec: &PeftSearchSpec, status: &PeftSearchStatus) -> String {
    table::front_table(&View::new("", spec, status))
}

/// What a search will cost, as an aligned table and a summary.
pub fn estimate(found: &crate::estimate::Estimate) -> String {
    estimate::estimate(found)
}

/// Every trial and baseline as one row, in the order of the ledger.
pub fn trials_csv(status: &PeftSearchStatus) -> Result<String, ReportError> {
    csv::trials_csv(status)
}

/// The front, all trials and the baselines as an SVG figure on white.
pub fn front_svg(search: &PeftSearch) -> Result<String, ReportError> {
    let status = search.status.clone().unwrap_or_default();
    front_svg::front_svg(&View::new(name(search), &search.spec, &status))
}

/// The recommendations with their commands: that within a budget, in percent of the backbone's parameters, or those of
/// the status. `files`: where adapters are, if they are stored; `how`: what to do once the manifest asks for training
/// in full.
pub fn best(
    search: &PeftSearch,
    files: Option<&Files>,
    budget: Option<Decimal>,
    how: &'static str,
) -> Result<String, NoAnswer> {
    let status = search.status.clone().unwrap_or_default();
    let view = View::new(name(search), &search.spec, &status);
    let chosen = answer::chosen(&view, budget, how)?;
    let shown = chosen.iter().map(|taken| answer::best(&view, files, taken));
    Ok(shown.collect::<Vec<_>>().join("\n\n"))
}

/// The whole report as one HTML page without scripts and without files beside it. `trace` is the
/// hypervolume after each finished trial: (trial, hypervolume), in the order of planning.
pub fn report_html(search: &PeftSearch, trace: &[(u32, f64)]) -> Result<String, ReportError> {
    let status = search.status.clone().unwrap_or_default();
    html::report_html(
        &View::new(name(search), &search.spec, &status),
        search,
        trace,
    )
}

/// Several searches side by side in a terminal.
pub fn comparison_text(comparison: &Comparison) -> String {
    compare::text(comparison)
}

/// Several searches side by side as one HTML page without scripts and without files beside it.
pub fn comparison_html(comparison: &Comparison) -> Result<String, ReportError> {
    compare::html(comparison)
}

/// Every trial and baseline of several searches as one row, with its kind and what the search had reached. `given` is
/// what was compared.
pub fn comparison_csv(given: &[Given], comparison: &Comparison) -> Result<String, ReportError> {
    compare::csv(given, comparison)
}

fn name(search: &PeftSearch) -> &str {
    search.metadata.name.as_deref().unwrap_or("a search")
}
