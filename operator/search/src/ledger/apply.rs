//! How a ledger follows from events. No I/O, no clock.

use std::collections::BTreeMap;

use autopeft_crds::metrics::MetricValues;
use autopeft_crds::status::{Attempt, LedgerEntry, TrialPurpose, TrialState};
use autopeft_crds::trial::FailureClass;
use autopeft_crds::{Decimal, LayerMask};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use super::error::LedgerError;
use super::event::{ConclusionReason, Event, Planned, Recorded, RetryCause};
use super::state::{BadInput, Ledger, purpose_problem};
use crate::health;

impl Ledger {
    /// Records the Job of a run for its open trials: from now on no other Job's result is read for them.
    pub fn note_job(&mut self, run: Attempt, uid: &str) -> Result<(), LedgerError> {
        let mut noted = false;
        for entry in &mut self.entries {
            if entry.run_id() == run && !entry.state.is_final() {
                entry.job_uid = Some(uid.to_owned());
                noted = true;
            }
        }
        if noted {
            Ok(())
        } else {
            Err(LedgerError::Unknown(run.trial))
        }
    }

    /// Applies an event of time `at`. On an error nothing has changed.
    pub fn apply(&mut self, event: &Event, at: Timestamp) -> Result<(), LedgerError> {
        let opens = matches!(event, Event::SpecChanged(_) | Event::Reopened);
        if self.conclusion.is_some() && !opens {
            return Err(LedgerError::Concluded);
        }
        match event {
            Event::Planned(planned) => self.plan(planned, at)?,
            Event::Joined {
                trial,
                attempt,
                run,
            } => self.join(*trial, *attempt, *run)?,
            Event::Started { trial, attempt } => self.start(*trial, *attempt, at)?,
            Event::Retried {
                trial,
                attempt,
                cause,
                gpu_seconds,
            } => self.retry(*trial, *attempt, cause, *gpu_seconds)?,
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
            // A search that had ended is judged again under its changed spec.
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

    /// Whether the spec suspends the search and no trial of it, or training in full, runs any more.
    pub fn is_idle(&self) -> bool {
        let mut open = self.open();
        self.suspend && !open.any(|entry| entry.purpose() != TrialPurpose::Baseline)
    }

    /// Revokes the end of the search, if it has ended.
    fn open_again(&mut self, at: Timestamp) {
        if self.conclusion.take().is_some() {
            self.since.open = at;
        }
    }

    fn join(&mut self, trial: u32, attempt: u32, run: Attempt) -> Result<(), LedgerError> {
        let refused = |problem| LedgerError::Joined {
            trial,
            run: run.trial,
            problem,
        };
        let first = self.open_at(run.trial, run.attempt)?;
        if first.run.is_some() {
            return Err(refused("that trial is itself in the run of another one"));
        }
        if run.trial >= trial {
            return Err(refused("a run is named by the first of its trials"));
        }
        if self.started.contains_key(&run.trial) || self.started.contains_key(&trial) {
            return Err(refused("it was started before"));
        }
        let current = Attempt { trial, attempt };
        let is_a_run = self.members(current).count() > 1;
        let entry = self.open_at(trial, attempt)?;
        if entry.run.is_some() || is_a_run {
            return Err(refused("it is in a run already"));
        }
        entry.run = Some(run);
        Ok(())
    }

    fn start(&mut self, trial: u32, attempt: u32, at: Timestamp) -> Result<(), LedgerError> {
        let run = Attempt { trial, attempt };
        if self.open_at(trial, attempt)?.run.is_some() {
            let problem = "it is started with the run that it has joined";
            return Err(LedgerError::Joined {
                trial,
                run: trial,
                problem,
            });
        }
        if self.started.contains_key(&trial) {
            return Err(LedgerError::StartedTwice { trial, attempt });
        }
        let members: Vec<u32> = self.members(run).map(|entry| entry.trial).collect();
        self.started
            .extend(members.into_iter().map(|member| (member, at)));
        Ok(())
    }

    fn retry(
        &mut self,
        trial: u32,
        attempt: u32,
        cause: &RetryCause,
        gpu_seconds: Option<Decimal>,
    ) -> Result<(), LedgerError> {
        let entry = self.open_entry(trial)?;
        let (ended, run) = (entry.attempt, entry.run_id());
        expect_attempt(trial, ended + 1, attempt)?;
        entry.attempt = attempt;
        entry.run = None;
        entry.job_uid = None;
        add_gpu_seconds(entry, gpu_seconds);
        entry.failed_attempts += u32::from(cause.costs_a_retry());
        self.started.remove(&trial);
        if let RetryCause::Failed { reason, message } = cause
            && reason.class() == FailureClass::Fatal
        {
            self.bad_input.get_or_insert(BadInput {
                trial,
                attempt: ended,
                run,
                message: message.clone(),
            });
        }
        Ok(())
    }

    fn plan(&mut self, planned: &Planned, at: Timestamp) -> Result<(), LedgerError> {
        let Planned {
            trial,
            origin,
            baseline,
            of_trial,
            terms,
            surrogate,
            ..
        } = planned;
        if *trial != self.next_trial() {
            return Err(LedgerError::Number {
                expected: self.next_trial(),
                found: *trial,
            });
        }
        if let Some(problem) =
            purpose_problem((*origin, *baseline, *of_trial), terms.as_deref(), *trial)
        {
            return Err(LedgerError::Inconsistent {
                trial: *trial,
                problem,
            });
        }
        let retried = of_trial.filter(|_| origin.purpose() == TrialPurpose::Search);
        if retried.is_some_and(|trial| !self.may_retry(trial)) {
            return Err(LedgerError::Inconsistent {
                trial: *trial,
                problem: "a trial of the search is tried again once, and only if a limit ended it",
            });
        }
        if let Some(fit) = surrogate {
            let before = self.surrogate.as_ref().map(health::of);
            if before.is_none_or(|before| before.is_well() != health::of(fit).is_well()) {
                self.since.surrogate = at;
            }
            self.surrogate = Some(fit.clone());
        }
        self.entries.push(entry_of(planned, at));
        Ok(())
    }

    /// Whether a trial may be tried again: a limit ended it, and no other trial tries it again.
    fn may_retry(&self, trial: u32) -> bool {
        let mut ended = self.search_trials().filter(|entry| entry.may_be_retried());
        ended.any(|entry| entry.trial == trial)
    }

    /// The entry of an open trial whose current attempt is `attempt`.
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

/// The entry of a trial that is planned.
fn entry_of(planned: &Planned, at: Timestamp) -> LedgerEntry {
    LedgerEntry {
        trial: planned.trial,
        configuration: planned.configuration.clone(),
        origin: planned.origin,
        baseline: planned.baseline,
        of_trial: planned.of_trial,
        terms: planned.terms.clone(),
        state: TrialState::Planned,
        attempt: 1,
        run: None,
        job_uid: None,
        failed_attempts: 0,
        inputs_hash: planned.inputs_hash.clone(),
        acquisition: planned.acquisition,
        predicted_mean: planned.predicted_mean,
        predicted_deviation: planned.predicted_deviation,
        parameters: planned.parameters,
        score: None,
        selection_score: None,
        metrics: MetricValues::default(),
        best_epoch: None,
        selected_layers: None,
        stopped_early: None,
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
    }
}

/// Adds the GPU seconds of an attempt to its trial's sum.
fn add_gpu_seconds(entry: &mut LedgerEntry, used: Option<Decimal>) {
    let Some(used) = used else { return };
    let before = entry.gpu_seconds.map_or(0.0, Decimal::get);
    // A sum that is not finite cannot come from a clock; the old one stays.
    entry.gpu_seconds = Decimal::new(before + used.get()).ok().or(entry.gpu_seconds);
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

/// The cost of an entry's configuration in a part of its layers: all layers cost the same.
fn cost_of(entry: &LedgerEntry, selected: &LayerMask) -> u64 {
    let planned = &entry.configuration.layers;
    let kept = planned
        .active_layers()
        .filter(|layer| selected.active_layers().any(|other| other == *layer));
    entry.parameters / (planned.active() as u64).max(1) * kept.count() as u64
}

fn record(entry: &mut LedgerEntry, outcome: &Recorded) {
    match outcome {
        Recorded::Succeeded {
            score,
            selection_score,
            metrics,
            best_epoch,
            selected_layers,
            stopped_early,
            trained_parameters,
            deployed_parameters,
            train_seconds,
            peak_memory_bytes,
            validation_examples,
        } => {
            if let Some(selected) = selected_layers {
                entry.parameters = cost_of(entry, selected);
                entry.selected_layers = Some(selected.clone());
            }
            entry.state = TrialState::Succeeded;
            entry.score = Some(*score);
            entry.selection_score = *selection_score;
            entry.metrics = metrics.clone();
            entry.best_epoch = Some(*best_epoch);
            entry.stopped_early = *stopped_early;
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
