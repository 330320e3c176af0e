//! The ledger: what happened in a search, folded from events. No I/O, no clock.
//!
//! Events arrive in the order in which they were written down. A trial is planned, started (perhaps
//! more than once, each start a new attempt) and gets one result, which never changes. An event that
//! breaks these rules is refused, so that a ledger that was read back can be believed.

use std::collections::BTreeMap;

use autopeft_crds::spec::{BaselineName, PeftSearchSpec};
use autopeft_crds::status::{LedgerEntry, SurrogateStatus, TrialOrigin, TrialState};
use autopeft_crds::trial::{FailureReason, TrialMeasurements};
use autopeft_crds::{Decimal, PeftConfiguration};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One thing that happened in a search.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(
    rename_all = "camelCase",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
pub enum Event {
    /// A trial was decided on.
    Planned(Box<Planned>),
    /// An attempt is about to be started; its process may or may not exist.
    Started {
        /// The trial.
        trial: u32,
        /// The attempt, from 1.
        attempt: u32,
    },
    /// An attempt came to nothing, and another is due.
    Retried {
        /// The trial.
        trial: u32,
        /// The attempt that is due.
        attempt: u32,
        /// Why the one before came to nothing.
        cause: RetryCause,
    },
    /// A trial's result: the last event of a trial.
    Recorded {
        /// The trial.
        trial: u32,
        /// The attempt that ended it.
        attempt: u32,
        /// Its result.
        outcome: Recorded,
    },
    /// The user changed fields of the spec that do not touch past decisions.
    SpecChanged(Box<PeftSearchSpec>),
    /// The search ended.
    Concluded(Conclusion),
}

/// What is written down of a trial before it exists.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Planned {
    /// The trial's number, from 0.
    pub trial: u32,
    /// What to train, in canonical form.
    pub configuration: PeftConfiguration,
    /// The exact cost.
    pub parameters: u64,
    /// How it was chosen.
    pub origin: TrialOrigin,
    /// Which baseline, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<BaselineName>,
    /// The number of events that were written when the suggestion was begun: what it could know.
    pub basis: u64,
    /// The engine's hash of what it was given.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub inputs_hash: String,
    /// The logarithm of the acquisition value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acquisition: Option<Decimal>,
    /// The score that the surrogate expects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicted_mean: Option<Decimal>,
    /// The deviation of that expectation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicted_deviation: Option<Decimal>,
    /// What the fit behind the suggestion says, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub surrogate: Option<SurrogateStatus>,
}

/// Why an attempt came to nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(
    rename_all = "camelCase",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
pub enum RetryCause {
    /// The search itself was interrupted and the attempt with it; this costs no retry.
    Interrupted,
    /// The surroundings failed; this costs a retry.
    Failed {
        /// How.
        reason: FailureReason,
        /// In one sentence.
        message: String,
    },
}

/// A trial's result, as the ledger keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(
    rename_all = "camelCase",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
pub enum Recorded {
    /// It has a score.
    Succeeded {
        /// The score.
        score: Decimal,
        /// The epoch of the score, from 1.
        best_epoch: u32,
        /// Parameters that were trained, head included.
        trained_parameters: u64,
        /// Parameters that an adapter adds at inference.
        deployed_parameters: u64,
        /// Seconds of training and validation.
        train_seconds: Decimal,
        /// The most memory held, bytes.
        peak_memory_bytes: u64,
        /// Validation examples behind the score.
        validation_examples: u64,
    },
    /// Its configuration cannot be trained.
    Infeasible {
        /// Why.
        reason: FailureReason,
        /// In one sentence.
        message: String,
    },
    /// It was given up.
    Failed {
        /// Why.
        reason: FailureReason,
        /// In one sentence.
        message: String,
    },
}

impl Recorded {
    /// The result of a trial that succeeded. `None` where a number is not finite, which
    /// `parse_result` excludes.
    pub fn from_measurements(measured: &TrialMeasurements) -> Option<Self> {
        Some(Self::Succeeded {
            score: Decimal::new(measured.score).ok()?,
            best_epoch: measured.best_epoch,
            trained_parameters: measured.trained_parameters,
            deployed_parameters: measured.deployed_parameters,
            train_seconds: Decimal::new(measured.train_seconds).ok()?,
            peak_memory_bytes: measured.peak_memory_bytes,
            validation_examples: measured.validation_examples,
        })
    }
}

/// How a search ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Conclusion {
    /// Why.
    pub reason: ConclusionReason,
    /// Whether the search has a front to show.
    pub succeeded: bool,
    /// In one sentence.
    pub message: String,
}

/// Why a search ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConclusionReason {
    /// Every trial of the budget has its result.
    MaxTrialsReached,
    /// The hypervolume no longer grows.
    Converged,
    /// Every configuration of the space has been planned.
    SpaceExhausted,
    /// `activeDeadlineSeconds` have passed.
    DeadlineExceeded,
    /// More than `maxFailedTrials` trials have failed.
    TooManyFailedTrials,
    /// The model or the data cannot be used.
    BadInput,
    /// All trials are done and none has a score.
    NoTrialSucceeded,
}

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
    /// The attempt is not the one that is due.
    #[error("trial {trial} is at attempt {expected}, not {found}")]
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
}

/// What a search remembers. Made from events alone.
#[derive(Clone, Debug, PartialEq)]
pub struct Ledger {
    entries: Vec<LedgerEntry>,
    /// When the due attempt of an open trial was started. Entries leave with the attempt.
    started: BTreeMap<u32, Timestamp>,
    surrogate: Option<SurrogateStatus>,
    start_time: Timestamp,
    conclusion: Option<(Conclusion, Timestamp)>,
    /// How often, and when last, the spec was changed.
    spec_changes: u32,
    spec_time: Timestamp,
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
    /// When the spec became what it is.
    pub spec_time: Timestamp,
}

impl Ledger {
    /// The ledger of a search that began at `start_time`, before any event.
    pub fn new(start_time: Timestamp) -> Self {
        Self {
            entries: Vec::new(),
            started: BTreeMap::new(),
            surrogate: None,
            start_time,
            conclusion: None,
            spec_changes: 0,
            spec_time: start_time,
            events: 0,
        }
    }

    /// A ledger as a status keeps it, with the generation of the spec that it speaks of.
    pub fn restore(restored: Restored) -> Self {
        let Restored {
            entries,
            surrogate,
            start_time,
            conclusion,
            generation,
            spec_time,
        } = restored;
        let events = entries.len() as u64;
        Self {
            entries,
            started: BTreeMap::new(),
            surrogate,
            start_time,
            conclusion,
            spec_changes: u32::try_from(generation - 1).unwrap_or(0),
            spec_time,
            events,
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

    /// How and when the search ended.
    pub fn conclusion(&self) -> Option<&(Conclusion, Timestamp)> {
        self.conclusion.as_ref()
    }

    /// The generation of the spec, from 1: how Kubernetes counts its changes.
    pub fn generation(&self) -> i64 {
        i64::from(self.spec_changes) + 1
    }

    /// When the spec became what it is.
    pub fn spec_time(&self) -> Timestamp {
        self.spec_time
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
        if self.conclusion.is_some() && !matches!(event, Event::SpecChanged(_)) {
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
            } => {
                let entry = self.open_at(*trial, attempt.wrapping_sub(1))?;
                entry.attempt = *attempt;
                entry.job_uid = None;
                entry.failed_attempts += u32::from(*cause != RetryCause::Interrupted);
                self.started.remove(trial);
            }
            Event::Recorded {
                trial,
                attempt,
                outcome,
            } => {
                let entry = self.open_at(*trial, *attempt)?;
                entry.finished_at = Some(Time(at));
                record(entry, outcome);
                self.started.remove(trial);
            }
            // A search that had ended is judged anew under its changed spec.
            Event::SpecChanged(_) => {
                self.conclusion = None;
                self.spec_changes += 1;
                self.spec_time = at;
            }
            Event::Concluded(conclusion) => self.conclusion = Some((conclusion.clone(), at)),
        }
        self.events += 1;
        Ok(())
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
        if surrogate.is_some() {
            self.surrogate.clone_from(surrogate);
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
            peak_memory_bytes: None,
            validation_examples: None,
            reason: None,
            message: None,
            planned_at: Some(Time(at)),
            finished_at: None,
        });
        Ok(())
    }

    /// The entry of an open trial whose due attempt is `attempt`.
    fn open_at(&mut self, trial: u32, attempt: u32) -> Result<&mut LedgerEntry, LedgerError> {
        let index = usize::try_from(trial).unwrap_or(usize::MAX);
        let entry = self
            .entries
            .get_mut(index)
            .ok_or(LedgerError::Unknown(trial))?;
        if entry.state.is_final() {
            return Err(LedgerError::Final(trial));
        }
        if entry.attempt != attempt {
            return Err(LedgerError::Attempt {
                trial,
                expected: entry.attempt,
                found: attempt,
            });
        }
        Ok(entry)
    }
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
