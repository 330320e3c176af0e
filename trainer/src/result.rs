//! The result document of a run: built, kept within its size limit, and written atomically.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use autopeft_crds::inspection::{InspectionOutcome, InspectionResult};
use autopeft_crds::limits::MESSAGE;
use autopeft_crds::run::{RunResult, SeveralResults};
use autopeft_crds::trial::{
    EpochMeasurements, FailureReason, RESULT_MAX_BYTES, RESULT_VERSION, TrialMeasurements,
    TrialOutcome,
};

/// The size limit: a kubelet allows all containers of a pod 12 KiB of termination messages together, and webhooks may
/// have added containers.
const MESSAGE_BYTES: usize = 1024;

/// Why a result could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ResultWriteError {
    /// The file cannot be written.
    #[error("the result cannot be written to {}: {source}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The document cannot be serialised.
    #[error("the result cannot be serialised: {0}")]
    Json(#[from] serde_json::Error),
    /// Its identity alone is too long.
    #[error("the result has at least {0} bytes; the limit is {RESULT_MAX_BYTES}")]
    TooLarge(usize),
}

/// The outcome of a trial that succeeded.
pub fn succeeded(measured: TrialMeasurements) -> TrialOutcome {
    TrialOutcome::Succeeded(Box::new(rounded(measured)))
}

/// Measurements for printing: numbers are rounded, except the score, which is exact.
#[must_use]
pub fn rounded(mut measured: TrialMeasurements) -> TrialMeasurements {
    for epoch in &mut measured.epochs {
        epoch.loss = epoch.loss.map(|loss| digits(loss, 6));
        for value in epoch.metrics.values_mut() {
            *value = digits(*value, 6);
        }
    }
    for value in measured.metrics.values_mut() {
        *value = digits(*value, 6);
    }
    measured.train_seconds = digits(measured.train_seconds, 3);
    measured.total_seconds = digits(measured.total_seconds, 3);
    measured
}

/// The outcome of a trial that failed.
pub fn failed(reason: FailureReason, message: &str) -> TrialOutcome {
    // One line: messages of libtorch continue with a stack trace.
    let line = message.lines().next().unwrap_or_default();
    TrialOutcome::Failed {
        reason,
        message: line.chars().take(MESSAGE).collect(),
    }
}

/// The document as bytes within the limit, and within `wanted` bytes if possible: if it is too long, the oldest epochs,
/// but never the best one, are omitted, and messages truncated.
pub fn encode(mut result: RunResult, wanted: usize) -> Result<Vec<u8>, ResultWriteError> {
    loop {
        let bytes = serde_json::to_vec(&result)?;
        if bytes.len() <= wanted.min(RESULT_MAX_BYTES) {
            return Ok(bytes);
        }
        if !shorten(outcomes(&mut result)) {
            return match bytes.len() {
                ..=RESULT_MAX_BYTES => Ok(bytes),
                length => Err(ResultWriteError::TooLarge(length)),
            };
        }
    }
}

/// The outcomes of a document.
fn outcomes(result: &mut RunResult) -> Vec<&mut TrialOutcome> {
    match result {
        RunResult::One(result) => vec![&mut result.outcome],
        RunResult::Several(SeveralResults { trials, .. }) => {
            let trials = trials.iter_mut();
            trials.map(|member| &mut member.outcome).collect()
        }
    }
}

/// Shortens one outcome, the longest first; false if none can be shortened.
fn shorten(mut outcomes: Vec<&mut TrialOutcome>) -> bool {
    outcomes.sort_by_key(|outcome| {
        std::cmp::Reverse(match outcome {
            TrialOutcome::Succeeded(measured) => (measured.epochs.len(), 0),
            TrialOutcome::Failed { message, .. } => (0, message.len()),
        })
    });
    outcomes.into_iter().any(|outcome| match outcome {
        TrialOutcome::Succeeded(measured) => drop_oldest(&mut measured.epochs, measured.best_epoch),
        TrialOutcome::Failed { message, .. } => {
            let half = message.chars().count() / 2;
            let is_shorter = !message.is_empty();
            *message = message.chars().take(half).collect();
            is_shorter
        }
    })
}

fn drop_oldest(epochs: &mut Vec<EpochMeasurements>, best: u32) -> bool {
    match epochs.iter().position(|epoch| epoch.epoch != best) {
        Some(oldest) => {
            epochs.remove(oldest);
            true
        }
        None => false,
    }
}

fn digits(value: f64, count: i32) -> f64 {
    let unit = 10_f64.powi(count);
    (value * unit).round() / unit
}

/// Writes a result to a file: atomically, by a rename, if it is a regular file; directly if it is a device, a pipe, or a
/// mount point (`/dev/termination-log`).
pub fn write(path: &Path, mut result: RunResult) -> Result<(), ResultWriteError> {
    let wanted = if is_special(path) {
        MESSAGE_BYTES * outcomes(&mut result).len()
    } else {
        RESULT_MAX_BYTES
    };
    write_bytes(path, &encode(result, wanted)?)
}

/// Writes an inspection's document in the same way.
pub fn write_inspection(
    path: &Path,
    search_uid: &str,
    outcome: InspectionOutcome,
) -> Result<(), ResultWriteError> {
    let document = InspectionResult {
        version: RESULT_VERSION,
        search_uid: search_uid.into(),
        outcome,
    };
    write_bytes(path, &serde_json::to_vec(&document)?)
}

fn write_bytes(path: &Path, bytes: &[u8]) -> Result<(), ResultWriteError> {
    let unwritable = |source| ResultWriteError::Unwritable {
        path: path.into(),
        source,
    };
    if is_special(path) {
        return directly(path, bytes).map_err(unwritable);
    }
    match renamed(path, bytes) {
        // A mount point cannot be replaced.
        Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
            directly(path, bytes).map_err(unwritable)
        }
        other => other.map_err(unwritable),
    }
}

/// Whether it is not a regular file, or a container's termination message, which is one.
fn is_special(path: &Path) -> bool {
    path.starts_with("/dev") || fs::metadata(path).is_ok_and(|metadata| !metadata.is_file())
}

fn directly(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)?;
    file.write_all(bytes)?;
    file.flush()
}

fn renamed(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}
