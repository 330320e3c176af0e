//! The documents that commands read and print.

use std::io::{ErrorKind, Write};
use std::path::Path;

use super::failure::Failure;

/// Reads a request document.
pub(super) fn read_document<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, Failure> {
    let refused =
        |problem: String| Failure::BadInput(format!("--request {} {problem}", path.display()));
    let text = std::fs::read_to_string(path)
        .map_err(|error| refused(format!("cannot be read: {error}")))?;
    serde_json::from_str(&text)
        .map_err(|error| refused(format!("is not a trial's request: {error}")))
}

/// Prints a command's result.
pub(super) fn print_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Failure::Internal(error.to_string()))?;
    match writeln!(std::io::stdout(), "{text}") {
        // A closed pipe (`| head`) is no failure.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::Internal(format!(
            "standard output cannot be written: {error}"
        ))),
        _ => Ok(()),
    }
}
