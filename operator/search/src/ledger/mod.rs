//! The ledger: what happened in a search, folded from events. No I/O, no clock.
//!
//! Events arrive in the order in which they were written down. A trial is planned, started (perhaps
//! more than once, each start a new attempt) and gets one result, which never changes. An event that
//! breaks these rules is refused, so that a ledger that was read back can be believed.

mod event;

use std::collections::BTreeMap;

use autopeft_crds::Decimal;
use autopeft_crds::status::{LedgerEntry, SurrogateStatus, TrialOrigin, TrialState};
use autopeft_crds::trial::FailureClass;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use crate::health;

pub use event::{Conclusion, ConclusionReason, Event, Planned, Recorded, RetryCause};

/// Why an event cannot be what happened next.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// Trials are numbered in the order of planning.
    #[error("trial {found} is planned where trial {expected} comes next")]
    Number {
        /// The next number.
        expected: u32,
        /// The event's.
        found: u32,
    },
    /// The trial was never planned.
    #[error("trial {0} was never planned")]
    Unknown(u32),
    /// The trial has its result, which never changes.
    #[error("trial {0} already has its result")]
    Final(u32),
    /// The attempt is not the one that comes next.
    #[error("attempt {found} of trial {trial} stands where attempt {expected} belongs")]
    Attempt {
        /// The trial.
        trial: u32,
        /// The attempt that is due.
        expected: u32,
        /// The event's.
        found: u32,
    },
    /// One attempt is started once.
    #[error("attempt {attempt} of trial {trial} was started before")]
    StartedTwice {
        /// The trial.
        trial: u32,
        /// The attempt.
        attempt: u32,
    },
    /// Nothing happens after the end.
    #[error("the search had ended before")]
    Concluded,
    /// Only bad input is taken back.
    #[error("the search is reopened where no bad input was found")]
    NotEnded,
}

/// Why a ledger that a status keeps cannot be gone on with: somebody else has written it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// Entries stand in the order of planning.
    #[error(
        "entry {expected} of status.ledger is trial {found}; trials are numbered from 0, in order and without a gap"
    )]
    Number {
        /// The number that belongs there.
        expected: u32,
        /// The entry's.
        found: u32,
    },
    /// Attempts are counted from 1, and each that failed was one of them.
    #[error(
        "trial {trial} of status.ledger is at attempt {attempt} with {failed} failed attempts, which is impossible"
    )]
    Attempt {
        /// The trial.
        trial: u32,
        /// Its attempt.
        attempt: u32,
        /// Those that failed.
        failed: u32,
    },
}

/// The attempt by which it was found that the model or the data cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadInput {
    /// The trial.
    pub trial: u32,
    /// The attempt.
    pub attempt: u32,
    /// What the trainer said, in one sentence.
    pub message: String,
}

/// Since when things are as they are; the times of the status's conditions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Since {
    /// Since when the search goes on or, after its end, has gone on.
    pub open: Timestamp,
    /// Since when the spec suspends the search or does not.
    pub suspended: Timestamp,
    /// Since when the surrogate is as healthy as it is.
    pub surrogate: Timestamp,
    /// Since when the search progresses or does not.
    pub progressing: Timestamp,
}

/// What a search remembers. Made from events alone.
#[derive(Clone, Debug, PartialEq)]
pub struct Ledger {
    entries: Vec<LedgerEntry>,
    /// When the due attempt of an open trial was started. Entries leave with the attempt.
    started: BTreeMap<u32, Timestamp>,
    surrogate: Option<SurrogateStatus>,
    start_time: Timestamp,
    /// What was found of the input since the search was opened last.
    bad_input: Option<BadInput>,
    conclusion: Option<(Conclusion, Timestamp)>,
    spec_changes: u32,
    suspend: bool,
    progresses: bool,
    since: Since,
    events: u64,
}

/// What a status keeps of a ledger.
#[derive(Clone, Debug, PartialEq)]
pub struct Restored {
    /// One entry per trial, in the order of planning.
    pub entries: Vec<LedgerEntry>,
    /// What the latest fit says.
    pub surrogate: Option<SurrogateStatus>,
    /// When the search began.
    pub start_time: Timestamp,
    /// How and when it ended.
    pub conclusion: Option<(Conclusion, Timestamp)>,
    /// The generation of the spec.
    pub generation: i64,
    /// Whether its spec suspends it.
    pub suspend: bool,
    /// What was found of the input.
    pub bad_input: Option<BadInput>,
}

impl Ledger {
    /// The ledger of a search that began at `start_time`, before any event.
    pub fn new(start_time: Timestamp) -> Self {
        Self {
            entries: Vec::new(),
            started: BTreeMap::new(),
            surrogate: None,
            start_time,
            bad_input: None,
            conclusion: None,
            spec_changes: 0,
            suspend: false,
            progresses: true,
            since: Since {
                open: start_time,
                suspended: start_time,
                surrogate: start_time,
                progressing: start_time,
            },
            events: 0,
        }
    }

    /// A ledger as a status keeps it, with the generation of the spec that it speaks of.
    pub fn restore(restored: Restored) -> Result<Self, RestoreError> {
        let Restored {
            entries,
            surrogate,
            start_time,
            conclusion,
            generation,
            suspend,
            bad_input,
        } = restored;
        for (expected, entry) in (0..).zip(&entries) {
            check(expected, entry)?;
        }
        Ok(Self {
            events: entries.len() as u64,
            entries,
            surrogate,
            bad_input,
            conclusion,
            spec_changes: u32::try_from(generation - 1).unwrap_or(0),
            suspend,
            ..Self::new(start_time)
        })
    }

    /// The same for a search whose first spec suspends it, or not (as `new` has it).
    #[must_use]
    pub fn suspended(self, suspend: bool) -> Self {
        Self {
            suspend,
            progresses: !suspend,
            ..self
        }
    }

    /// One entry per trial, in the order of planning.
    pub fn entries(&self) -> &[LedgerEntry] {
        &self.entries
    }

    /// One trial.
    pub fn entry(&self, trial: u32) -> Option<&LedgerEntry> {
        self.entries.get(usize::try_from(trial).ok()?)
    }

    /// The number that the next trial gets.
    pub fn next_trial(&self) -> u32 {
        u32::try_from(self.entries.len()).unwrap_or(u32::MAX)
    }

    /// When the due attempt of an open trial was started; `None` before that.
    pub fn started(&self, trial: u32) -> Option<Timestamp> {
        self.started.get(&trial).copied()
    }

    /// What the latest fit of the surrogate says.
    pub fn surrogate(&self) -> Option<&SurrogateStatus> {
        self.surrogate.as_ref()
    }

    /// When the search began.
    pub fn start_time(&self) -> Timestamp {
        self.start_time
    }

    /// What was found to be wrong with the model or the data, until the search is reopened.
    pub fn bad_input(&self) -> Option<&BadInput> {
        self.bad_input.as_ref()
    }

    /// How and when the search ended.
    pub fn conclusion(&self) -> Option<&(Conclusion, Timestamp)> {
        self.conclusion.as_ref()
    }

    /// The generation of the spec, from 1: how Kubernetes counts its changes.
    pub fn generation(&self) -> i64 {
        i64::from(self.spec_changes) + 1
    }

    /// Since when things are as they are.
    pub fn since(&self) -> &Since {
        &self.since
    }

    /// The number of events folded so far.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// The search's own trials, baselines left out.
    pub fn search_trials(&self) -> impl Iterator<Item = &LedgerEntry> {
        self.entries
            .iter()
            .filter(|entry| entry.origin != TrialOrigin::Baseline)
    }

    /// GPU seconds that every attempt that ended has used.
    pub fn gpu_seconds(&self) -> f64 {
        let known = self.entries.iter().filter_map(|entry| entry.gpu_seconds);
        known.map(Decimal::get).sum()
    }

    /// Trials without a result.
    pub fn open(&self) -> impl Iterator<Item = &LedgerEntry> {
        self.entries.iter().filter(|entry| !entry.state.is_final())
    }

    /// Notes the Job of an attempt that is due: from now on no other Job's result is read.
    pub fn note_job(&mut self, trial: u32, attempt: u32, uid: &str) -> Result<(), LedgerError> {
        let entry = self.open_at(trial, attempt)?;
        entry.job_uid = Some(uid.to_owned());
        Ok(())
    }

    /// Adds what happened at `at`. On an error nothing has changed.
    pub fn apply(&mut self, event: &Event, at: Timestamp) -> Result<(), LedgerError> {
        let opens = matches!(event, Event::SpecChanged(_) | Event::Reopened);
        if self.conclusion.is_some() && !opens {
            return Err(LedgerError::Concluded);
        }
        match event {
            Event::Planned(planned) => self.plan(planned, at)?,
            Event::Started { trial, attempt } => {
                self.open_at(*trial, *attempt)?;
                if self.started.contains_key(trial) {
                    let (trial, attempt) = (*trial, *attempt);
                    return Err(LedgerError::StartedTwice { trial, attempt });
                }
                self.started.insert(*trial, at);
            }
            Event::Retried {
                trial,
                attempt,
                cause,
                gpu_seconds,
            } => {
                let entry = self.open_entry(*trial)?;
                let ended = entry.attempt;
                expect_attempt(*trial, ended + 1, *attempt)?;
                entry.attempt = *attempt;
                entry.job_uid = None;
                add_gpu_seconds(entry, *gpu_seconds);
                entry.failed_attempts += u32::from(cause.costs_a_retry());
                self.started.remove(trial);
                if let RetryCause::Failed { reason, message } = cause
                    && reason.class() == FailureClass::Fatal
                {
                    self.bad_input.get_or_insert(BadInput {
                        trial: *trial,
                        attempt: ended,
                        message: message.clone(),
                    });
                }
            }
            Event::Recorded {
                trial,
                attempt,
                outcome,
                gpu_seconds,
            } => {
                let entry = self.open_at(*trial, *attempt)?;
                add_gpu_seconds(entry, *gpu_seconds);
                entry.finished_at = Some(Time(at));
                record(entry, outcome);
                self.started.remove(trial);
            }
            Event::Reopened => {
                let by_input = self
                    .conclusion
                    .as_ref()
                    .is_some_and(|(end, _)| end.reason == ConclusionReason::BadInput);
                if self.bad_input.take().is_none() && !by_input {
                    return Err(LedgerError::NotEnded);
                }
                self.open_again(at);
            }
            // A search that had ended is judged anew under its changed spec.
            Event::SpecChanged(spec) => {
                self.open_again(at);
                self.spec_changes += 1;
                if self.suspend != spec.suspend {
                    self.suspend = spec.suspend;
                    self.since.suspended = at;
                }
            }
            Event::Concluded(conclusion) => self.conclusion = Some((conclusion.clone(), at)),
        }
        self.events += 1;
        let progresses = self.conclusion.is_none() && !self.is_idle();
        if self.progresses != progresses {
            self.progresses = progresses;
            self.since.progressing = at;
        }
        Ok(())
    }

    /// Whether the spec suspends the search and nothing of it runs any more.
    fn is_idle(&self) -> bool {
        self.suspend && self.search_trials().all(|entry| entry.state.is_final())
    }

    /// Takes an end back, where there is one.
    fn open_again(&mut self, at: Timestamp) {
        if self.conclusion.take().is_some() {
            self.since.open = at;
        }
    }

    fn plan(&mut self, planned: &Planned, at: Timestamp) -> Result<(), LedgerError> {
        let Planned {
            trial,
            configuration,
            parameters,
            origin,
            baseline,
            basis: _,
            inputs_hash,
            acquisition,
            predicted_mean,
            predicted_deviation,
            surrogate,
        } = planned;
        if *trial != self.next_trial() {
            return Err(LedgerError::Number {
                expected: self.next_trial(),
                found: *trial,
            });
        }
        if let Some(fit) = surrogate {
            let before = self.surrogate.as_ref().map(health::of);
            if before.is_none_or(|before| before.is_well() != health::of(fit).is_well()) {
                self.since.surrogate = at;
            }
            self.surrogate = Some(fit.clone());
        }
        self.entries.push(LedgerEntry {
            trial: *trial,
            configuration: configuration.clone(),
            origin: *origin,
            baseline: *baseline,
            state: TrialState::Planned,
            attempt: 1,
            job_uid: None,
            failed_attempts: 0,
            inputs_hash: inputs_hash.clone(),
            acquisition: *acquisition,
            predicted_mean: *predicted_mean,
            predicted_deviation: *predicted_deviation,
            parameters: *parameters,
            score: None,
            best_epoch: None,
            trained_parameters: None,
            deployed_parameters: None,
            train_seconds: None,
            gpu_seconds: None,
            peak_memory_bytes: None,
            validation_examples: None,
            reason: None,
            message: None,
            planned_at: Some(Time(at)),
            finished_at: None,
            other: BTreeMap::new(),
        });
        Ok(())
    }

    /// The entry of an open trial whose due attempt is `attempt`.
    fn open_at(&mut self, trial: u32, attempt: u32) -> Result<&mut LedgerEntry, LedgerError> {
        let entry = self.open_entry(trial)?;
        expect_attempt(trial, entry.attempt, attempt)?;
        Ok(entry)
    }

    /// The entry of a trial without a result.
    fn open_entry(&mut self, trial: u32) -> Result<&mut LedgerEntry, LedgerError> {
        let index = usize::try_from(trial).unwrap_or(usize::MAX);
        let entry = self
            .entries
            .get_mut(index)
            .ok_or(LedgerError::Unknown(trial))?;
        if entry.state.is_final() {
            return Err(LedgerError::Final(trial));
        }
        Ok(entry)
    }
}

/// Adds what an attempt has used to its trial's sum.
fn add_gpu_seconds(entry: &mut LedgerEntry, used: Option<Decimal>) {
    let Some(used) = used else { return };
    let before = entry.gpu_seconds.map_or(0.0, Decimal::get);
    // A sum that is not finite cannot come from a clock; what was known stays.
    entry.gpu_seconds = Decimal::new(before + used.get()).ok().or(entry.gpu_seconds);
}

/// Whether an entry can stand where it stands.
fn check(expected: u32, entry: &LedgerEntry) -> Result<(), RestoreError> {
    let (trial, attempt, failed) = (entry.trial, entry.attempt, entry.failed_attempts);
    if trial != expected {
        return Err(RestoreError::Number {
            expected,
            found: trial,
        });
    }
    // The next attempt has a number too.
    if failed >= attempt || attempt == u32::MAX {
        return Err(RestoreError::Attempt {
            trial,
            attempt,
            failed,
        });
    }
    Ok(())
}

fn expect_attempt(trial: u32, expected: u32, found: u32) -> Result<(), LedgerError> {
    if expected == found {
        return Ok(());
    }
    Err(LedgerError::Attempt {
        trial,
        expected,
        found,
    })
}

fn record(entry: &mut LedgerEntry, outcome: &Recorded) {
    match outcome {
        Recorded::Succeeded {
            score,
            best_epoch,
            trained_parameters,
            deployed_parameters,
            train_seconds,
            peak_memory_bytes,
            validation_examples,
        } => {
            entry.state = TrialState::Succeeded;
            entry.score = Some(*score);
            entry.best_epoch = Some(*best_epoch);
            entry.trained_parameters = Some(*trained_parameters);
            entry.deployed_parameters = Some(*deployed_parameters);
            entry.train_seconds = Some(*train_seconds);
            entry.peak_memory_bytes = Some(*peak_memory_bytes);
            entry.validation_examples = Some(*validation_examples);
        }
        Recorded::Infeasible { reason, message } => {
            entry.state = TrialState::Infeasible;
            entry.reason = Some(*reason);
            entry.message = Some(message.clone());
        }
        Recorded::Failed { reason, message } => {
            entry.state = TrialState::Failed;
            entry.reason = Some(*reason);
            entry.message = Some(message.clone());
        }
    }
}
