//! Every trial of several searches as one row of CSV.

use autopeft_crds::metrics::Metric;
use autopeft_crds::spec::TaskSpec;
use autopeft_crds::{LedgerEntry, PeftSearchStatus};

use crate::compare::{Comparison, Given, Kind, Run, Section};
use crate::report::{ReportError, csv};

/// What a row has before the columns of `trials.csv`.
const BEFORE: [&str; 8] = [
    "task",
    "metric",
    "model",
    "kind",
    "strategy",
    "space",
    "search",
    "searchSeed",
];
/// What it has after them: after a trial of the search, the best score so far, and the hypervolume against the
/// reference point that all searches of the task share.
const AFTER: [&str; 2] = ["bestSoFar", "commonHypervolume"];

/// The rows, search by search.
pub(in crate::report) fn csv(
    given: &[Given],
    comparison: &Comparison,
) -> Result<String, ReportError> {
    let refused = |error: &dyn std::fmt::Display| ReportError::Csv(error.to_string());
    let mut writer = ::csv::Writer::from_writer(Vec::new());
    let columns = csv::columns();
    let names = columns.iter().map(|(name, _)| *name);
    writer
        .write_record(BEFORE.into_iter().chain(names).chain(AFTER))
        .map_err(|error| refused(&error))?;
    let none = PeftSearchStatus::default();
    for (section, kind, run) in runs(comparison) {
        let status = given
            .get(run.place)
            .and_then(|one| one.search.status.as_ref())
            .unwrap_or(&none);
        for entry in &status.ledger {
            let mut cells = before(section, kind, run, metric(section, entry));
            cells.extend(csv::row(status, entry));
            cells.extend(after(run, entry.trial));
            writer
                .write_record(cells)
                .map_err(|error| refused(&error))?;
        }
    }
    let bytes = writer.into_inner().map_err(|error| refused(&error))?;
    String::from_utf8(bytes).map_err(|error| refused(&error))
}

fn runs(comparison: &Comparison) -> impl Iterator<Item = (&Section, &Kind, &Run)> {
    let kinds = comparison
        .sections
        .iter()
        .flat_map(|section| section.kinds.iter().map(move |kind| (section, kind)));
    kinds.flat_map(|(section, kind)| kind.runs.iter().map(move |run| (section, kind, run)))
}

/// The metric of a trial's score: that of another task where the trial has one.
fn metric(section: &Section, entry: &LedgerEntry) -> Metric {
    let other = entry.terms.as_ref().and_then(|terms| terms.task.as_ref());
    other.map_or(section.metric, TaskSpec::score_metric)
}

fn before(section: &Section, kind: &Kind, run: &Run, metric: Metric) -> Vec<String> {
    vec![
        section.task.clone(),
        metric.label().to_owned(),
        section.model.clone(),
        kind.label.clone(),
        kind.strategy.title().to_owned(),
        kind.space.clone(),
        run.label.clone(),
        run.seeds.0.to_string(),
    ]
}

fn after(run: &Run, trial: u32) -> [String; 2] {
    let found = run.trials.iter().find(|one| one.trial == trial);
    let best = found.and_then(|one| one.best);
    [best, found.map(|one| one.volume)]
        .map(|value| value.map(|value| value.to_string()).unwrap_or_default())
}
