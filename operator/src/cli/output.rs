//! Standard output, standard error and exit codes.
//!
//! A closed pipe (`| head`) is no failure: further output is dropped silently.

use std::fmt::Display;
use std::io::{ErrorKind, Write};
use std::process::ExitCode;

/// The search failed, or the replay differs.
pub(super) const FAILED: u8 = 1;
/// Invalid input or flags.
pub(super) const UNUSABLE: u8 = 2;
/// Added to the number of the signal that stopped the program.
const STOPPED: i32 = 128;
/// 128 + SIGPIPE: what a shell reports of a program that a closed pipe has stopped.
pub(super) const BROKEN_PIPE: u8 = 128 + 13;

/// The exit code of a program that a signal has stopped.
pub(super) fn stopped(signal: i32) -> ExitCode {
    ExitCode::from(u8::try_from(STOPPED + signal).unwrap_or(FAILED))
}

/// The reading end of standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    /// Open, as far as is known.
    Open,
    /// The pipe is closed.
    Closed,
}

/// Prints a line of the command's result.
pub(super) fn print(text: impl Display) -> Result<Reader, String> {
    let mut stdout = std::io::stdout().lock();
    match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Ok(()) => Ok(Reader::Open),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(Reader::Closed),
        Err(error) => Err(format!("standard output cannot be written: {error}")),
    }
}

/// Writes to standard error, each line prefixed with the program's name.
pub(super) fn say(text: impl Display) {
    let mut stderr = std::io::stderr().lock();
    for line in text.to_string().lines() {
        // There is nowhere to report a failure to write here.
        let _ = writeln!(stderr, "peft-operator: {line}");
    }
}
