//! SIGTERM: the process ends at once and leaves what is known.
//!
//! A step, or the loading of a model, may take longer than a grace period, and cannot be interrupted. So a thread of its
//! own waits for the signal, adds to the result document, and ends the process without exit handlers, which would wait
//! for libtorch. Every command needs it: the first process of a container has no default action for signals.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use autopeft_crds::run::{MemberResult, RunRequest, RunResult, TERMINATED};
use autopeft_crds::trial::{FailureReason, TrialOutcome};
use signal_hook::consts::SIGTERM;
use signal_hook::iterator::Signals;

use super::say;
use crate::result::{self, ResultWriteError};

/// What a termination leaves, shared with the thread that waits for it.
#[derive(Clone, Debug, Default)]
pub(super) struct Termination(Arc<Mutex<Known>>);

/// What is known so far.
#[derive(Debug, Default)]
struct Known {
    /// The run, of the command that has one.
    run: Option<Run>,
    /// The epochs of the current training.
    epochs: u32,
    /// What was said of its best epoch.
    best: Option<String>,
}

/// A run and the outcomes of its trials that have ended.
#[derive(Debug)]
struct Run {
    request: RunRequest,
    result: PathBuf,
    members: Vec<MemberResult>,
}

impl Termination {
    /// Waits for SIGTERM in a thread of its own.
    pub(super) fn listen() -> Self {
        let known = Self::default();
        let shared = known.clone();
        match Signals::new([SIGTERM]) {
            Ok(mut signals) => {
                std::thread::spawn(move || {
                    if signals.forever().next().is_some() {
                        shared.end();
                    }
                });
            }
            Err(error) => say::write(format_args!("SIGTERM cannot be received: {error}")),
        }
        known
    }

    /// A run begins, whose document is to be written to `result`.
    pub(super) fn begin(&self, request: RunRequest, result: PathBuf) {
        self.known().run = Some(Run {
            request,
            result,
            members: Vec::new(),
        });
    }

    /// The next trial of the run has ended. The document is rewritten: if a later trial crashes the process, earlier
    /// outcomes are kept.
    pub(super) fn record(&self, outcome: TrialOutcome) -> Result<(), ResultWriteError> {
        self.restart();
        let mut known = self.known();
        known.run.as_mut().map_or(Ok(()), |run| run.record(outcome))
    }

    /// Another training begins.
    pub(super) fn restart(&self) {
        let mut known = self.known();
        (known.epochs, known.best) = (0, None);
    }

    /// An epoch has ended, of which this was said.
    pub(super) fn epoch(&self, line: &str, is_best: bool) {
        let mut known = self.known();
        known.epochs += 1;
        if is_best {
            known.best = Some(line.to_owned());
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // A panic of a trial is caught, and leaves what is known as it was.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the process. Nothing else is written meanwhile: the lock is never released.
    fn end(&self) {
        let mut known = self.known();
        let message = known.message();
        say::write(format_args!("peft-trainer: {message}"));
        if let Some(run) = &mut known.run
            && run.members.len() < run.request.trials().len()
            && let Err(error) = run.record(result::failed(FailureReason::Lost, &message))
        {
            say::write(format_args!("peft-trainer: {error}"));
        }
        signal_hook::low_level::exit(TERMINATED);
    }
}

impl Known {
    fn message(&self) -> String {
        match (&self.best, self.epochs) {
            (Some(best), 1) => format!("terminated by SIGTERM after {best}"),
            (Some(best), epochs) => {
                format!("terminated by SIGTERM after {epochs} epochs, of which the best is {best}")
            }
            (None, _) => "terminated by SIGTERM before an epoch had ended".to_owned(),
        }
    }
}

impl Run {
    fn record(&mut self, outcome: TrialOutcome) -> Result<(), ResultWriteError> {
        if let Some(trial) = self.request.trials().get(self.members.len()) {
            let identity = trial.identity.clone();
            self.members.push(MemberResult { identity, outcome });
        }
        result::write(
            &self.result,
            RunResult::of(&self.request, self.members.clone()),
        )
    }
}
