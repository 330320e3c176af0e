//! Every trial as one row of CSV.

use autopeft_crds::metrics::METRICS;
use autopeft_crds::modules::MODULES;
use autopeft_crds::{Decimal, LedgerEntry, PeftConfiguration, PeftSearchStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::Serialize;

use super::ReportError;
use super::view;

/// The columns and what they hold, in their order. Cells of unknown values are empty.
pub(super) fn columns() -> Vec<(&'static str, &'static str)> {
    // Modules that 0.1.0 did not know come last: the places of the others stay.
    let sizes = |of_the_paper: bool| {
        let modules = MODULES.iter();
        modules
            .filter(move |module| module.is_of_the_paper == of_the_paper)
            .map(|module| (module.name, module.size))
    };
    let outer = BEFORE_SIZES.into_iter().chain(sizes(true));
    let metrics = METRICS.iter().map(|facts| (facts.name, OTHER_METRIC));
    outer
        .chain(AFTER_SIZES)
        .chain(sizes(false))
        .chain([STOPPED_EARLY])
        .chain(metrics)
        .chain(OF_PURPOSE)
        .collect()
}

const STOPPED_EARLY: (&str, &str) = (
    "stoppedEarly",
    "which condition of training.earlyStopping has stopped it",
);
/// What the columns of the metrics hold.
const OTHER_METRIC: &str = "this validation metric, where it fits the task and is not the score";

const BEFORE_SIZES: [(&str, &str); 7] = [
    ("trial", "the trial's number, from 0"),
    (
        "origin",
        "Initial, Bayesian, Random (no fit, or no improvement expected), Baseline, Promotion or Transfer",
    ),
    ("baseline", "which baseline"),
    ("state", "Planned, Succeeded, Infeasible or Failed"),
    ("onFront", "whether it is on the Pareto front"),
    (
        "layers",
        "one character per layer, the input side first, 1 where modules are; read it as text",
    ),
    ("activeLayers", "the number of layers with modules"),
];

const AFTER_SIZES: [(&str, &str); 20] = [
    ("parameters", "trainable parameters, head left out"),
    ("parametersPercent", "the same in percent of the backbone's"),
    ("score", "the task's metric on the validation split"),
    (
        "bestEpoch",
        "the epoch of the score, from 1; 0 for the model before training",
    ),
    ("predictedMean", "the score that the surrogate predicted"),
    (
        "predictedDeviation",
        "the standard deviation of that prediction",
    ),
    ("logAcquisition", "the logarithm of the acquisition value"),
    (
        "trainedParameters",
        "parameters that were trained, head and reparametrisation included",
    ),
    (
        "deployedParameters",
        "parameters that an adapter adds at inference, biases included",
    ),
    ("trainSeconds", "seconds of training and validation"),
    ("gpuSeconds", "GPU seconds of all its attempts"),
    ("peakMemoryBytes", "peak memory"),
    ("validationExamples", "validation examples behind the score"),
    ("attempts", "the number of attempts"),
    (
        "failedAttempts",
        "attempts that failed because of the infrastructure",
    ),
    ("reason", "why it failed, in one word"),
    ("message", "why it failed, in one sentence"),
    ("inputsHash", "the hash of the suggestion's inputs"),
    ("plannedAt", "when it was planned"),
    ("finishedAt", "when its result was recorded"),
];

const OF_PURPOSE: [(&str, &str); 5] = [
    ("purpose", "Search, Baseline, Promotion or Transfer"),
    (
        "ofTrial",
        "the trial whose configuration this is, of a promotion, a transfer or a trial that is tried again",
    ),
    (
        "seed",
        "the seed of the training, where it is not the spec's",
    ),
    (
        "selectionScore",
        "the score that chose the epoch, where other examples did",
    ),
    ("otherTask", "the task of a transfer"),
];

/// The ledger as CSV, with a header.
pub(super) fn trials_csv(status: &PeftSearchStatus) -> Result<String, ReportError> {
    let refused = |error: &dyn std::fmt::Display| ReportError::Csv(error.to_string());
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer
        .write_record(columns().into_iter().map(|(name, _)| name))
        .map_err(|error| refused(&error))?;
    for entry in &status.ledger {
        writer
            .write_record(row(status, entry))
            .map_err(|error| refused(&error))?;
    }
    let bytes = writer.into_inner().map_err(|error| refused(&error))?;
    String::from_utf8(bytes).map_err(|error| refused(&error))
}

/// One row. The entry is destructured, so that a new field cannot be forgotten here.
pub(super) fn row(status: &PeftSearchStatus, entry: &LedgerEntry) -> Vec<String> {
    let LedgerEntry {
        trial,
        configuration: _,
        origin,
        baseline,
        of_trial: _,
        terms: _,
        state,
        attempt,
        run: _,
        job_uid: _,
        failed_attempts,
        inputs_hash,
        acquisition,
        predicted_mean,
        predicted_deviation,
        parameters,
        score,
        selection_score: _,
        metrics,
        best_epoch,
        selected_layers: _,
        stopped_early,
        trained_parameters,
        deployed_parameters,
        train_seconds,
        gpu_seconds,
        peak_memory_bytes,
        validation_examples,
        reason,
        message,
        planned_at,
        finished_at,
        other: _,
    } = entry;
    let configuration = entry.trained_configuration();
    let on_front = status
        .pareto_front
        .iter()
        .any(|member| member.trial == *trial);
    let percent = view::percent(status, *parameters).and_then(|value| Decimal::new(value).ok());
    let mut cells = vec![
        trial.to_string(),
        word(origin),
        baseline.as_ref().map(word).unwrap_or_default(),
        word(state),
        on_front.to_string(),
        configuration.layers.to_string(),
        configuration.layers.active().to_string(),
    ];
    cells.extend(sizes(&configuration, true));
    cells.extend([
        parameters.to_string(),
        known(&percent),
        known(score),
        known(best_epoch),
        known(predicted_mean),
        known(predicted_deviation),
        known(acquisition),
        known(trained_parameters),
        known(deployed_parameters),
        known(train_seconds),
        known(gpu_seconds),
        known(peak_memory_bytes),
        known(validation_examples),
        attempt.to_string(),
        failed_attempts.to_string(),
        reason.as_ref().map(word).unwrap_or_default(),
        known(message),
        inputs_hash.clone(),
        time(planned_at),
        time(finished_at),
    ]);
    cells.extend(sizes(&configuration, false));
    cells.push(stopped_early.as_ref().map(word).unwrap_or_default());
    cells.extend(METRICS.map(|facts| known(&metrics.get(facts.metric))));
    cells.extend(of_purpose(status, entry));
    cells
}

fn time(at: &Option<Time>) -> String {
    at.as_ref().map(|at| at.0.to_string()).unwrap_or_default()
}

/// The cells of what a trial is trained for.
fn of_purpose(status: &PeftSearchStatus, entry: &LedgerEntry) -> [String; 5] {
    let seed = entry.terms.as_ref().and_then(|terms| terms.seed);
    [
        entry.purpose().as_str().to_owned(),
        known(&entry.of_trial),
        known(&seed),
        known(&entry.selection_score),
        view::other_task(status, entry).unwrap_or_default(),
    ]
}

/// The cells of the paper's modules, or of the others.
fn sizes(
    configuration: &PeftConfiguration,
    of_the_paper: bool,
) -> impl Iterator<Item = String> + '_ {
    let sizes = configuration.sizes();
    sizes
        .filter(move |(module, _)| module.facts().is_of_the_paper == of_the_paper)
        .map(|(_, size)| size.to_string())
}

fn known<T: ToString>(value: &Option<T>) -> String {
    value.as_ref().map(T::to_string).unwrap_or_default()
}

/// A variant's name as the API spells it.
pub(super) fn word<T: Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}
