//! `peft-trainer inspect`: checks a request's model and data and prints the facts about them.

use std::path::PathBuf;

use autopeft_crds::inspection::InspectionOutcome;
use autopeft_crds::trial::{FailureReason, TrialRequest};
use clap::Args;

use super::documents::{print_json, read_document};
use super::failure::Failure;
use super::machine::Machine;
use super::parent;
use super::say;
use crate::result;
use crate::trial::TrialError;

/// Arguments of `inspect`.
#[derive(Debug, Args)]
pub(super) struct InspectArguments {
    /// The request, a JSON document.
    #[arg(long, value_name = "FILE")]
    request: PathBuf,
    /// Also write the inspection document to this file.
    #[arg(long, value_name = "FILE")]
    result: Option<PathBuf>,
    #[command(flatten)]
    machine: Machine,
    /// Exit as soon as standard input is closed.
    #[arg(long)]
    exit_with_parent: bool,
}

pub(super) fn run(arguments: &InspectArguments) -> Result<(), Failure> {
    if arguments.exit_with_parent {
        parent::exit_with_parent();
    }
    let request: TrialRequest = read_document(&arguments.request)?;
    // Files are inspected on the CPU; a requested GPU must exist.
    let found = arguments
        .machine
        .device()
        .and_then(|_| crate::inspect::inspect(&request));
    if let Some(file) = &arguments.result {
        let message = |error: &TrialError| error.to_string().chars().take(1000).collect();
        let outcome = match &found {
            Ok((inspection, _)) => InspectionOutcome::Found(inspection.clone()),
            Err(error) if error.reason() == FailureReason::BadInput => InspectionOutcome::Refused {
                message: message(error),
            },
            Err(error) => InspectionOutcome::Unavailable {
                message: message(error),
            },
        };
        result::write_inspection(file, &request.identity.search_uid, outcome)
            .map_err(|error| Failure::Internal(error.to_string()))?;
    }
    let (inspection, notes) = found?;
    for note in &notes {
        say::write(note);
    }
    print_json(&inspection)
}
