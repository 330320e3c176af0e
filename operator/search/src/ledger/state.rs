//! The ledger and its queries. No I/O, no clock.

use std::collections::{BTreeMap, BTreeSet};

use autopeft_crds::spec::BaselineName;
use autopeft_crds::status::{
    self, Attempt, LedgerEntry, SurrogateStatus, TrialOrigin, TrialPurpose, TrialTerms,
};
use autopeft_crds::{Decimal, PeftConfiguration};
use k8s_openapi::jiff::Timestamp;

use super::error::RestoreError;
use super::event::{Conclusion, Planned};

/// The attempt that found that the model or the data cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadInput {
    /// The trial.
    pub trial: u32,
    /// The attempt.
    pub attempt: u32,
    /// The run that it was a part of.
    pub run: Attempt,
    /// What the trainer said, in one sentence.
    pub message: String,
}

/// The transition times of the status's conditions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Since {
    /// When the search began or was last reopened.
    pub open: Timestamp,
    /// When the search was last suspended or resumed.
    pub suspended: Timestamp,
    /// When the surrogate's health last changed.
    pub surrogate: Timestamp,
    /// When the search last began or ceased to progress.
    pub progressing: Timestamp,
}

/// The state of a search, a function of its events.
#[derive(Clone, Debug, PartialEq)]
pub struct Ledger {
    pub(super) entries: Vec<LedgerEntry>,
    /// When the current attempt of each open trial was started; removed when the attempt ends.
    pub(super) started: BTreeMap<u32, Timestamp>,
    pub(super) surrogate: Option<SurrogateStatus>,
    pub(super) start_time: Timestamp,
    /// Bad input found since the search was last opened.
    pub(super) bad_input: Option<BadInput>,
    pub(super) conclusion: Option<(Conclusion, Timestamp)>,
    pub(super) spec_changes: u32,
    pub(super) suspend: bool,
    pub(super) progresses: bool,
    pub(super) since: Since,
    pub(super) events: u64,
}

/// The part of a ledger that a status stores.
#[derive(Clone, Debug, PartialEq)]
pub struct Restored {
    /// One entry per trial, in the order of planning.
    pub entries: Vec<LedgerEntry>,
    /// The latest fit of the surrogate.
    pub surrogate: Option<SurrogateStatus>,
    /// When the search began.
    pub start_time: Timestamp,
    /// How and when it ended.
    pub conclusion: Option<(Conclusion, Timestamp)>,
    /// The generation of the spec.
    pub generation: i64,
    /// Whether its spec suspends it.
    pub suspend: bool,
    /// Bad input, if found.
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

    /// A ledger from what a status stores.
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

    /// The same with the suspension of the search's first spec.
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

    /// The plan of a trial that no surrogate suggests: of this configuration, as the next one.
    pub fn next_plan(
        &self,
        origin: TrialOrigin,
        configuration: PeftConfiguration,
        parameters: u64,
    ) -> Planned {
        Planned {
            trial: self.next_trial(),
            configuration,
            parameters,
            origin,
            baseline: None,
            of_trial: None,
            terms: None,
            basis: self.events(),
            inputs_hash: String::new(),
            acquisition: None,
            predicted_mean: None,
            predicted_deviation: None,
            surrogate: None,
        }
    }

    /// When the current attempt of an open trial was started; `None` before that.
    pub fn started(&self, trial: u32) -> Option<Timestamp> {
        self.started.get(&trial).copied()
    }

    /// The latest fit of the surrogate.
    pub fn surrogate(&self) -> Option<&SurrogateStatus> {
        self.surrogate.as_ref()
    }

    /// When the search began.
    pub fn start_time(&self) -> Timestamp {
        self.start_time
    }

    /// Why the model or the data cannot be used, until the search is reopened.
    pub fn bad_input(&self) -> Option<&BadInput> {
        self.bad_input.as_ref()
    }

    /// How and when the search ended.
    pub fn conclusion(&self) -> Option<&(Conclusion, Timestamp)> {
        self.conclusion.as_ref()
    }

    /// The generation of the spec, from 1, as Kubernetes counts it.
    pub fn generation(&self) -> i64 {
        i64::from(self.spec_changes) + 1
    }

    /// The transition times of the conditions.
    pub fn since(&self) -> &Since {
        &self.since
    }

    /// The number of events folded so far.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// The trials of purpose `Search`, without those that were planned again: only these enter the surrogate, the
    /// counts and the front.
    pub fn search_trials(&self) -> impl Iterator<Item = &LedgerEntry> {
        status::search_trials(&self.entries)
    }

    /// The trials that a run carries out or has carried out, in the order in which they are trained.
    pub fn members(&self, run: Attempt) -> impl Iterator<Item = &LedgerEntry> {
        self.entries
            .iter()
            .filter(move |entry| entry.run_id() == run)
    }

    /// The runs that were started and whose trials are open, by trial.
    pub fn started_runs(&self) -> BTreeSet<Attempt> {
        self.open()
            .filter(|entry| self.started(entry.trial).is_some())
            .map(LedgerEntry::run_id)
            .collect()
    }

    /// The run that failed last, where one has.
    pub fn last_failure(&self) -> Option<Attempt> {
        if let Some(found) = &self.bad_input {
            return Some(found.run);
        }
        let failed = self.entries.iter().filter(|entry| entry.reason.is_some());
        let last = failed.max_by_key(|entry| entry.finished_at.as_ref().map(|time| time.0))?;
        Some(last.run_id())
    }

    /// The UID of a run's Job, once it is recorded.
    pub fn job_uid(&self, run: Attempt) -> Option<&String> {
        let mut open = self.members(run).filter(|entry| !entry.state.is_final());
        open.find_map(|entry| entry.job_uid.as_ref())
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
}

/// Whether an entry is valid at its position.
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
    let what = (entry.origin, entry.baseline, entry.of_trial);
    let purpose = purpose_problem(what, entry.terms.as_deref(), trial);
    let run = entry.run.filter(|run| run.trial >= trial);
    match purpose.or(run.map(|_| "a run is named by the first of its trials")) {
        Some(problem) => Err(RestoreError::Inconsistent { trial, problem }),
        None => Ok(()),
    }
}

/// What is inconsistent about a trial's purpose, if anything.
pub(super) fn purpose_problem(
    (origin, baseline, of_trial): (TrialOrigin, Option<BaselineName>, Option<u32>),
    terms: Option<&TrialTerms>,
    trial: u32,
) -> Option<&'static str> {
    let has_task = terms.is_some_and(|terms| terms.task.is_some());
    match (origin.purpose(), of_trial) {
        (TrialPurpose::Search, of) if terms.is_none() && of.is_none_or(|of| of < trial) => None,
        (TrialPurpose::Baseline, None) => None,
        (TrialPurpose::Promotion, Some(of)) if of < trial && baseline.is_none() => None,
        (TrialPurpose::Promotion, None) if baseline.is_some() => None,
        (TrialPurpose::Transfer, Some(of)) if of < trial && has_task => None,
        (TrialPurpose::Transfer, None) if baseline.is_some() && has_task => None,
        (TrialPurpose::Search, _) => Some("a trial of the search is trained as the spec says"),
        (TrialPurpose::Baseline, _) => Some("a baseline is of no trial"),
        (TrialPurpose::Promotion, _) => Some("a promotion is of an earlier trial or a baseline"),
        (TrialPurpose::Transfer, _) => {
            Some("a transfer is of an earlier trial or a baseline, to a task of its own")
        }
    }
}
