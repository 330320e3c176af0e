//! The command line of `peft-trainer`.
//!
//! Results go to standard output or to a file, progress and errors to standard error. The help
//! tells the exit codes.

mod environment;
mod evaluate;
mod failure;
mod flags;
mod parent;
mod progress;
mod sizes;
mod train;
mod trial;

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use autopeft_crds::inspection::InspectionOutcome;
use autopeft_crds::limits;
use autopeft_crds::trial::{FailureReason, TrialRequest};
use clap::builder::RangedI64ValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use tch::Device;

use crate::result;
use crate::trial::TrialError;
use failure::Failure;

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  something else than the input was in the way: memory, the disk, the GPU, a loss that is not
     finite, a result that cannot be written, or a defect of this program; the message tells which
  2  the input or a flag cannot be used; the message says what would be right
  3  a trial failed, or one of several, and the result document says why (trial alone)";

/// Trains PEFT configurations of a pretrained encoder.
#[derive(Debug, Parser)]
#[command(name = "peft-trainer", version, arg_required_else_help = true, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Train the candidates of one run of a search, one or several, and write their result document.
    Trial(trial::TrialArguments),
    /// Read a request's model and data, and print what they are as JSON.
    Inspect {
        /// The request, a JSON document.
        #[arg(long, value_name = "FILE")]
        request: PathBuf,
        /// Where an inspection's document goes, beside what is printed.
        #[arg(long, value_name = "FILE")]
        result: Option<PathBuf>,
        #[command(flatten)]
        machine: Machine,
        /// End as soon as standard input is closed.
        #[arg(long)]
        exit_with_parent: bool,
    },
    /// Train one configuration and save its adapter.
    Train(Box<train::TrainArguments>),
    /// Measure a saved adapter on its task's validation examples.
    Evaluate(evaluate::EvaluateArguments),
}

/// Where and how a command computes.
#[derive(Debug, Args)]
struct Machine {
    /// The device.
    #[arg(long, value_enum, default_value_t = DeviceChoice::Auto)]
    device: DeviceChoice,
    /// Threads of the CPU's operations; one a core where it is left out.
    // More would take all the processes that a machine allows.
    #[arg(long, value_name = "N", value_parser = threads())]
    threads: Option<i32>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum DeviceChoice {
    /// The first GPU where there is one, else the CPU.
    Auto,
    /// The CPU.
    Cpu,
    /// The first GPU.
    Cuda,
}

/// Threads within their limits.
fn threads() -> RangedI64ValueParser<i32> {
    let [least, most] = [limits::THREADS.least, limits::THREADS.most].map(|end| end as i64);
    clap::value_parser!(i32).range(least..=most)
}

impl Machine {
    fn device(&self) -> Result<Device, TrialError> {
        if let Some(threads) = self.threads {
            tch::set_num_threads(threads);
        }
        match self.device {
            DeviceChoice::Auto => Ok(crate::device::choose()),
            DeviceChoice::Cpu => Ok(Device::Cpu),
            DeviceChoice::Cuda => Ok(crate::device::gpu()?),
        }
    }
}

/// Runs the program.
pub fn main() -> ExitCode {
    let started = Instant::now();
    environment::set();
    // A panic's message is printed where it is caught, in one line.
    std::panic::set_hook(Box::new(|_| {}));
    let command = Cli::parse().command;
    let done = failure::caught(|| match command {
        Command::Trial(arguments) => trial::run(&arguments, started),
        Command::Inspect {
            request,
            result,
            machine,
            exit_with_parent,
        } => {
            if exit_with_parent {
                parent::exit_with_parent();
            }
            inspect(&request, result.as_deref(), &machine)
        }
        Command::Train(arguments) => train::run(*arguments, started),
        Command::Evaluate(arguments) => evaluate::run(&arguments),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            progress::write(format_args!("peft-trainer: {failure}"));
            failure.exit_code()
        }
    }
}

fn inspect(request: &Path, file: Option<&Path>, machine: &Machine) -> Result<(), Failure> {
    let request = read_request(request)?;
    // Files are looked at on the CPU; a GPU that is asked for must be there.
    let found = machine
        .device()
        .and_then(|_| crate::inspect::inspect(&request));
    if let Some(file) = file {
        let message = |error: &TrialError| error.to_string().chars().take(1000).collect();
        let outcome = match &found {
            Ok(inspection) => InspectionOutcome::Found(inspection.clone()),
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
    print_json(&found?)
}

/// Reads the request document of a trial.
fn read_request(path: &Path) -> Result<TrialRequest, Failure> {
    read_document(path)
}

/// Reads a request document.
fn read_document<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, Failure> {
    let refused =
        |problem: String| Failure::BadInput(format!("--request {} {problem}", path.display()));
    let text = std::fs::read_to_string(path)
        .map_err(|error| refused(format!("cannot be read: {error}")))?;
    serde_json::from_str(&text)
        .map_err(|error| refused(format!("is not a trial's request: {error}")))
}

fn print_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Failure::Internal(error.to_string()))?;
    match writeln!(std::io::stdout(), "{text}") {
        // Whoever was to read it, such as `head`, has gone away: that is no failure.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::Internal(format!(
            "standard output cannot be written: {error}"
        ))),
        _ => Ok(()),
    }
}
