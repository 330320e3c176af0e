//! The command line of `peft-trainer`.
//!
//! Results go to standard output or to a file, progress and errors to standard error. The help
//! lists the exit codes.

mod documents;
mod environment;
mod evaluate;
mod export;
mod failure;
mod flags;
mod import;
mod inspect;
mod machine;
mod options;
mod parent;
mod progress;
mod say;
mod sizes;
mod terminate;
mod train;
mod trial;

use std::process::ExitCode;
use std::time::Instant;

use clap::{Parser, Subcommand};
use terminate::Termination;

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  not the input: memory, disk, GPU, a loss that is not finite, a result that cannot be written, or a
     defect of this program; the message says which
  2  invalid input or flag; the message says what would be right
  3  a trial failed, or one of several, and the result document says why (trial alone)
  143  terminated by SIGTERM; the result document of a trial says how far it was";

/// Trains PEFT configurations of a pretrained encoder.
#[derive(Debug, Parser)]
#[command(name = "peft-trainer", version, arg_required_else_help = true, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Train the trials of one run of a search and write their result document.
    Trial(trial::TrialArguments),
    /// Check a request's model and data, and print the facts about them as JSON.
    Inspect(inspect::InspectArguments),
    /// Train one configuration and save its adapter.
    Train(Box<train::TrainArguments>),
    /// Evaluate a saved adapter on its task's validation examples.
    Evaluate(evaluate::EvaluateArguments),
    /// Write a saved adapter as a directory that Python's peft or adapters loads.
    Export(export::ExportArguments),
    /// Make an adapter of Python's peft or adapters into one that evaluate uses.
    Import(Box<import::ImportArguments>),
}

/// Runs the program.
pub fn main() -> ExitCode {
    let started = Instant::now();
    environment::set();
    // The message of a panic is printed where it is caught, in one line.
    std::panic::set_hook(Box::new(|_| {}));
    let command = Cli::parse().command;
    let termination = Termination::listen();
    let done = failure::caught(|| match command {
        Command::Trial(arguments) => trial::run(&arguments, &termination, started),
        Command::Inspect(arguments) => inspect::run(&arguments),
        Command::Train(arguments) => train::run(*arguments, &termination, started),
        Command::Evaluate(arguments) => evaluate::run(&arguments),
        Command::Export(arguments) => export::run(&arguments),
        Command::Import(arguments) => import::run(*arguments),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            say::write(format_args!("peft-trainer: {failure}"));
            failure.exit_code()
        }
    }
}
