//! The program `peft-operator`.

use std::process::ExitCode;

use autopeft_operator::cli::{self, Cli};
use clap::Parser;

fn main() -> ExitCode {
    cli::main(Cli::parse())
}
