//! The outcomes of a run that was a process on this machine. No I/O.

use std::collections::BTreeSet;

use autopeft_crds::Decimal;
use autopeft_crds::limits::MESSAGE;
use autopeft_crds::run::{Expected, TERMINATED, parse_run_result};
use autopeft_crds::status::Attempt;
use autopeft_crds::trial::{FailureReason, ResultError, TrialOutcome};

use crate::planner::{End, Run, RunState, StopReason};

/// The exit code of a trainer that cannot use its request.
const BAD_INPUT: i32 = 2;
/// SIGKILL.
const KILLED: i32 = 9;

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this exit code.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// It could not be determined: why, in one sentence.
    Unknown(String),
}

/// The name of a run's directory.
pub fn name_of(run: Attempt) -> String {
    format!("{:04}-{}", run.trial, run.attempt)
}

/// The outcome of each trial in a run's result document, or why it is not valid; `document` is the file's
/// content, or why it cannot be read, and `file` its name for messages.
pub fn results(
    document: Result<&[u8], String>,
    expected: &[Expected],
    file: &str,
) -> Vec<Result<TrialOutcome, String>> {
    match document {
        Err(error) => {
            let problem = format!("{file} cannot be read ({error})");
            expected.iter().map(|_| Err(problem.clone())).collect()
        }
        Ok(bytes) => parse_run_result(bytes, expected)
            .into_iter()
            .map(|outcome| {
                outcome.map_err(|error| match error {
                    ResultError::Terminated(message) => message,
                    error => format!("{file} is not valid: {error}"),
                })
            })
            .collect(),
    }
}

/// A run that has ended: its results, and how its process ended.
#[derive(Clone, Debug)]
pub struct Ended<'a> {
    /// The run.
    pub run: Attempt,
    /// Its trials.
    pub expected: &'a [Expected],
    /// Their outcomes in its document.
    pub results: Vec<Result<TrialOutcome, String>>,
    /// Why it was stopped, where it was.
    pub stopped: Option<StopReason>,
    /// How its process ended.
    pub exit: &'a Exit,
    /// The end of its output.
    pub output_end: &'a str,
}

/// The outcome of each trial of a run that has ended. `killed` remembers trials whose process was killed by
/// signal 9, and not by the operator.
pub fn judge(ended: Ended<'_>, killed: &mut BTreeSet<u32>) -> RunState {
    let Ended {
        run,
        expected,
        results,
        stopped,
        exit,
        output_end,
    } = ended;
    // The trial that was running when the run ended.
    let at = results.iter().position(Result::is_err).unwrap_or(0);
    let trial = expected
        .get(at)
        .map_or(run.trial, |expected| expected.identity.trial);
    RunState::ended(results, |problem| {
        let (reason, message) = match (stopped, exit) {
            (Some(StopReason::NotNeeded), _) => return End::Interrupted,
            (Some(StopReason::TrialDeadline), _) => (
                FailureReason::DeadlineExceeded,
                "it took longer than spec.trialDeadlineSeconds".to_owned(),
            ),
            (None, Exit::Unknown(error)) => (
                FailureReason::Lost,
                format!("waiting for the trainer failed: {error}"),
            ),
            (None, Exit::Code(TERMINATED)) => (FailureReason::Lost, problem),
            (None, Exit::Code(BAD_INPUT)) => (FailureReason::BadInput, output_end.to_owned()),
            // The kernel's OOM killer does this. A single kill may have another cause.
            (None, Exit::Signal(KILLED)) if !killed.insert(trial) => (
                FailureReason::OutOfMemory,
                "the trainer was killed by signal 9 twice, most likely because the machine ran out of memory"
                    .to_owned(),
            ),
            (None, Exit::Signal(signal)) => (
                FailureReason::Lost,
                format!("the trainer was killed by signal {signal}"),
            ),
            (None, Exit::Code(code)) => (
                FailureReason::NoResult,
                format!(
                    "{problem}; the trainer exited with code {code}, see trials/{}/log.txt",
                    name_of(run)
                ),
            ),
        };
        End::Outcome(TrialOutcome::Failed {
            reason,
            message: message.chars().take(MESSAGE).collect(),
        })
    })
}

/// A run as the planner sees it. Only a result says on which device it was computed.
pub fn seen(id: Attempt, expected: &[Expected], state: RunState) -> Run {
    let seconds_of = |end: &End| match end {
        End::Outcome(TrialOutcome::Succeeded(measured)) if measured.device.starts_with("cuda") => {
            Some(measured.total_seconds)
        }
        _ => None,
    };
    let gpu_seconds = match &state {
        RunState::Running { since: _ } => None,
        // Each has the seconds since the start of the process.
        RunState::Ended(ends) => ends.iter().filter_map(seconds_of).reduce(f64::max),
    };
    let attempt_of = |Expected { identity, .. }: &Expected| Attempt {
        trial: identity.trial,
        attempt: identity.attempt,
    };
    Run {
        id,
        members: expected.iter().map(attempt_of).collect(),
        state,
        gpu_seconds: gpu_seconds.and_then(|seconds| Decimal::new(seconds).ok()),
    }
}

/// The end of a program's output, short enough for a message.
pub fn output_end(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    let last = lines[lines.len().saturating_sub(6)..].join("\n");
    let skipped = last.chars().count().saturating_sub(1500);
    last.chars().skip(skipped).collect()
}
