//! Finds the program `peft-trainer` and runs the inspection. Starts processes.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use autopeft_crds::trial::{Inspection, TRAINER_ENVIRONMENT, TrialRequest};

use autopeft_search::processes;

use super::files::{self, FileError};

const NAME: &str = "peft-trainer";

/// The request of the last inspection, in the work directory.
pub const PROBE: &str = "inspect.json";

/// Why the trainer cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TrainerError {
    /// It was not found.
    #[error(
        "the trainer {NAME} was found neither beside this program nor on PATH; build it with `make build`, or give its path with --trainer"
    )]
    Missing,
    /// It cannot be started.
    #[error("{path}: {source}; give the path of {NAME} with --trainer")]
    NotStarted {
        /// The program.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// It rejects the model or the data.
    #[error("{0}")]
    Refused(String),
    /// Its output is not an inspection document.
    #[error(
        "the output of {path} inspect is invalid ({message}); use the {NAME} of the same version"
    )]
    Garbled {
        /// The program.
        path: PathBuf,
        /// The problem.
        message: String,
    },
    /// The request could not be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The request could not be serialised: a defect of this program.
    #[error("the request cannot be serialised: {0}")]
    Request(#[from] serde_json::Error),
}

/// Finds the trainer: as given, beside this program, or on PATH.
pub fn find(given: Option<&Path>) -> Result<PathBuf, TrainerError> {
    if let Some(path) = given {
        return match std::fs::metadata(path) {
            Ok(_) => Ok(std::path::absolute(path).unwrap_or_else(|_| path.into())),
            Err(source) => Err(TrainerError::NotStarted {
                path: path.into(),
                source,
            }),
        };
    }
    let beside = std::env::current_exe()
        .ok()
        .and_then(|program| program.parent().map(Path::to_path_buf));
    let path = std::env::var_os("PATH").unwrap_or_default();
    beside
        .into_iter()
        .chain(std::env::split_paths(&path))
        .map(|folder| folder.join(NAME))
        .find(|program| program.is_file())
        .ok_or(TrainerError::Missing)
}

/// The variables of `TRAINER_ENVIRONMENT` that this process, whose environment is inherited, does not set.
pub fn environment() -> impl Iterator<Item = (&'static str, &'static str)> {
    TRAINER_ENVIRONMENT
        .into_iter()
        .filter(|(name, _)| std::env::var_os(name).is_none())
}

/// Runs the inspection of model, data and `device`: `auto`, `cpu` or `cuda`.
pub async fn inspect(
    trainer: &Path,
    workdir: &Path,
    request: &TrialRequest,
    device: &str,
) -> Result<Inspection, TrainerError> {
    let file = workdir.join(PROBE);
    files::replace(&file, &serde_json::to_vec_pretty(request)?)?;
    let refused = |source| TrainerError::NotStarted {
        path: trainer.into(),
        source,
    };
    let mut child = tokio::process::Command::new(trainer)
        .arg("inspect")
        .arg("--request")
        .arg(&file)
        .args(["--device", device, "--exit-with-parent"])
        .envs(environment())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(refused)?;
    // Held while it runs: `wait` closes a pipe that is still in `child`.
    let lifeline = child.stdin.take();
    let output = child.wait_with_output().await.map_err(refused)?;
    drop(lifeline);
    if !output.status.success() {
        let message = processes::output_end(&output.stderr);
        return Err(TrainerError::Refused(if message.is_empty() {
            format!("{} inspect ended with {}", trainer.display(), output.status)
        } else {
            message
        }));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| TrainerError::Garbled {
        path: trainer.into(),
        message: error.to_string(),
    })
}
