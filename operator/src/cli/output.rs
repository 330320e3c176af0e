//! What the program writes to its two streams, and its exit codes.
//!
//! A reader that has gone away, such as `head`, is no failure: what is said on the standard error is lost
//! quietly, and so is a result that nobody reads any more.

use std::fmt::Display;
use std::io::{ErrorKind, Write};

/// The search failed, or the replay differs.
pub(super) const FAILED: u8 = 1;
/// The command cannot be carried out.
pub(super) const UNUSABLE: u8 = 2;
/// Stopped by the signal of this number more.
pub(super) const STOPPED: i32 = 128;
/// What a shell reports of a program that a closed pipe has stopped.
pub(super) const UNHEARD: u8 = 128 + 13;

/// Whether somebody still reads the standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    /// As far as can be seen.
    There,
    /// The pipe is closed.
    Gone,
}

/// Prints a part of the command's result, with a line's end.
pub(super) fn print(text: impl Display) -> Result<Reader, String> {
    let mut stdout = std::io::stdout().lock();
    match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Ok(()) => Ok(Reader::There),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(Reader::Gone),
        Err(error) => Err(format!("the standard output cannot be written: {error}")),
    }
}

/// Tells of something on the standard error, each line under the program's name.
pub(super) fn say(text: impl Display) {
    let mut stderr = std::io::stderr().lock();
    for line in text.to_string().lines() {
        // Where nobody listens, there is nobody to tell that to either.
        let _ = writeln!(stderr, "peft-operator: {line}");
    }
}
