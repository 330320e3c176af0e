//! `peft-trainer trial`: what the operator starts. Every ending writes a result, where it can.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Instant;

use autopeft_crds::trial::{TrialMeasurements, TrialRequest};
use clap::Args;

use super::failure::{Failure, panic_reason};
use super::progress::Progress;
use super::{Machine, parent, read_request};
use crate::adapter;
use crate::result;
use crate::trial::{self, TrialError};

/// Arguments of `trial`.
#[derive(Debug, Args)]
pub(super) struct TrialArguments {
    /// The request, a JSON document.
    #[arg(long, value_name = "FILE")]
    request: PathBuf,
    /// Where the result document goes.
    #[arg(long, value_name = "FILE")]
    result: PathBuf,
    #[command(flatten)]
    machine: Machine,
    /// End as soon as standard input is closed.
    #[arg(long)]
    exit_with_parent: bool,
}

pub(super) fn run(arguments: &TrialArguments, started: Instant) -> Result<(), Failure> {
    if arguments.exit_with_parent {
        parent::exit_with_parent();
    }
    let request = read_request(&arguments.request)?;
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        train(&request, arguments.machine.device()?, started)
    }));
    let identity = request.identity.clone();
    let (document, failure) = match outcome {
        Ok(Ok(measured)) => (result::succeeded(identity, measured), None),
        Ok(Err(error)) => {
            let (reason, message) = (error.reason(), error.to_string());
            let document = result::failed(identity, reason, &message);
            (document, Some(Failure::Recorded(reason, message)))
        }
        Err(payload) => {
            let (reason, message) = panic_reason(payload.as_ref());
            let document = result::failed(identity, reason, &message);
            (document, Some(Failure::Recorded(reason, message)))
        }
    };
    result::write(&arguments.result, document)
        .map_err(|error| Failure::Internal(error.to_string()))?;
    failure.map_or(Ok(()), Err)
}

fn train(
    request: &TrialRequest,
    device: tch::Device,
    started: Instant,
) -> Result<TrialMeasurements, TrialError> {
    let mut progress = Progress::new();
    progress.say(&format!("{:?}: {}", request.method, request.configuration));
    // A retry replaces what an attempt before it has left.
    let artifacts = request.artifacts.as_ref().map(Path::new);
    if let Some(folder) = artifacts {
        adapter::prepare_place(folder, true)?;
    }
    let prepared = trial::prepare(request, device)?;
    for note in &prepared.notes {
        progress.say(note);
    }
    let (measured, _) = trial::run(&prepared, started, &mut progress)?;
    if let Some(folder) = artifacts {
        let description = trial::describe(request, &prepared, measured.score);
        adapter::save(&prepared.model, &description, folder, true)?;
        progress.say(&format!("the adapter is in {}", folder.display()));
    }
    Ok(measured)
}
