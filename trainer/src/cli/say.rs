//! Lines on standard error.

use std::fmt::Display;
use std::io::Write;

/// Writes a line to standard error; it is dropped silently if the pipe is closed.
pub(super) fn write(line: impl Display) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
