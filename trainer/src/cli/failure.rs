//! Failures of a command, and their exit codes.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use autopeft_crds::trial::FailureReason;

use crate::reason;
use crate::trial::TrialError;

/// Why a command failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// Invalid input.
    BadInput(String),
    /// Trials failed; the result has been written.
    Recorded(String),
    /// Anything else.
    Internal(String),
}

impl Failure {
    pub(super) fn exit_code(&self) -> ExitCode {
        match self {
            Self::BadInput(_) => 2.into(),
            Self::Recorded(..) => 3.into(),
            Self::Internal(_) => 1.into(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadInput(message) | Self::Recorded(message) | Self::Internal(message) => {
                formatter.write_str(message)
            }
        }
    }
}

impl From<TrialError> for Failure {
    fn from(error: TrialError) -> Self {
        match error.reason() {
            FailureReason::BadInput => Self::BadInput(error.to_string()),
            FailureReason::Internal if error.is_about_a_place() => {
                Self::BadInput(error.to_string())
            }
            reason => Self::Internal(format!("{reason:?}: {error}")),
        }
    }
}

/// Runs something whose panics are failures: libtorch's errors inside a forward pass are panics.
pub(super) fn caught<T>(action: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    catch_unwind(AssertUnwindSafe(action)).unwrap_or_else(|payload| {
        let (reason, message) = panic_reason(payload.as_ref());
        Err(Failure::Internal(format!("{reason:?}: {message}")))
    })
}

/// The reason and the message of a panic.
pub(super) fn panic_reason(payload: &(dyn Any + Send)) -> (FailureReason, String) {
    let text = payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("a panic without a message");
    (reason::of_message(text), reason::sentence(text))
}
