//! `peft-trainer trial`: started by the operator. It writes a result in every case, if it can.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Instant;

use autopeft_crds::run::RunRequest;
use autopeft_crds::trial::{TrialMeasurements, TrialOutcome, TrialRequest};
use clap::Args;

use super::documents::read_document;
use super::failure::{Failure, panic_reason};
use super::machine::Machine;
use super::parent;
use super::progress::Progress;
use super::terminate::Termination;
use crate::adapter;
use crate::result;
use crate::trial::{self, Inputs, TrialError};

/// Arguments of `trial`.
#[derive(Debug, Args)]
pub(super) struct TrialArguments {
    /// The request, a JSON document.
    #[arg(long, value_name = "FILE")]
    request: PathBuf,
    /// The file for the result document.
    #[arg(long, value_name = "FILE")]
    result: PathBuf,
    #[command(flatten)]
    machine: Machine,
    /// Exit as soon as standard input is closed.
    #[arg(long)]
    exit_with_parent: bool,
}

pub(super) fn run(
    arguments: &TrialArguments,
    termination: &Termination,
    started: Instant,
) -> Result<(), Failure> {
    if arguments.exit_with_parent {
        parent::exit_with_parent();
    }
    let request: RunRequest = read_document(&arguments.request)?;
    termination.begin(request.clone(), arguments.result.clone());
    let mut inputs = None;
    let mut failures = Vec::new();
    let mut started = started;
    for trial in request.trials() {
        let mut progress = Progress::new(termination.clone());
        let outcome = outcome(
            trial,
            &mut inputs,
            &arguments.machine,
            &mut progress,
            started,
        );
        if let TrialOutcome::Failed { reason, message } = &outcome {
            failures.push(format!("{reason:?}: {message}"));
        }
        termination
            .record(outcome)
            .map_err(|error| Failure::Internal(error.to_string()))?;
        started = Instant::now();
    }
    if failures.is_empty() {
        Ok(())
    } else {
        Err(Failure::Recorded(failures.join("\n")))
    }
}

/// Runs one trial and returns its outcome, also after a panic. `started` is the start of the process or the end of the
/// previous trial.
fn outcome(
    trial: &TrialRequest,
    inputs: &mut Option<Inputs>,
    machine: &Machine,
    progress: &mut Progress,
    started: Instant,
) -> TrialOutcome {
    let trained = catch_unwind(AssertUnwindSafe(|| {
        let inputs = match inputs {
            Some(inputs) => inputs,
            None => inputs.insert(Inputs::new(machine.device()?)),
        };
        train(trial, inputs, progress, started)
    }));
    match trained {
        Ok(Ok(measured)) => result::succeeded(measured),
        Ok(Err(error)) => result::failed(error.reason(), &error.to_string()),
        Err(payload) => {
            // Frees what a panic left on the device.
            *inputs = None;
            let (reason, message) = panic_reason(payload.as_ref());
            result::failed(reason, &message)
        }
    }
}

fn train(
    request: &TrialRequest,
    inputs: &mut Inputs,
    progress: &mut Progress,
    started: Instant,
) -> Result<TrialMeasurements, TrialError> {
    progress.say(&format!(
        "trial {}: {:?}: {}",
        request.identity.trial, request.method, request.configuration
    ));
    // A retry replaces what an earlier attempt left.
    let artifacts = request.artifacts.as_ref().map(Path::new);
    if let Some(folder) = artifacts {
        adapter::prepare_place(folder, true)?;
    }
    let mut prepared = trial::prepare_with(inputs, request)?;
    for note in &prepared.notes {
        progress.say(note);
    }
    let (measured, _) = trial::run(&mut prepared, started, progress)?;
    progress.say_stop(&measured);
    if let Some(folder) = artifacts {
        let description = trial::describe(request, &prepared, &measured)?;
        adapter::save(&prepared.model, &description, folder, true)?;
        progress.say(&format!("the adapter is in {}", folder.display()));
    }
    Ok(measured)
}
