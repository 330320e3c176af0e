//! Decides what a search does next: spec, ledger, observed runs and the time in, actions out. No
//! I/O, no clock, no randomness.
//!
//! Results are recorded before anything new is decided: a plan that records results or retries starts
//! nothing. The shell executes a plan, observes, and plans again until the plan is empty; then it waits for a
//! run, for the engine, or until `Plan::wake`.

mod next;
mod run;
mod verdict;

use autopeft_crds::Decimal;
use autopeft_crds::PeftSearchSpec;
use autopeft_crds::status::{Attempt, LedgerEntry, TrialPurpose, TrialState};
use autopeft_crds::trial::{FailureClass, FailureReason, Inspection, TrialOutcome};
use k8s_openapi::jiff::Timestamp;

use crate::deadlines;
use crate::ledger::{Event, Ledger, Planned, Recorded, RetryCause};
use crate::promotion::{self, Training};

pub use run::{End, Run, RunState};

/// Everything that a decision depends on.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// The spec.
    pub spec: &'a PeftSearchSpec,
    /// The facts about model and data.
    pub inspection: &'a Inspection,
    /// What has happened.
    pub ledger: &'a Ledger,
    /// Every process or Job of this search that can be seen.
    pub runs: &'a [Run],
    /// The most trials of the search that one run carries out; at least 1.
    pub trials_per_run: usize,
    /// The state of the engine.
    pub engine: &'a Engine,
    /// Whether the hypervolume has stopped growing, by `measures::has_converged`.
    pub converged: bool,
    /// The trainings in full that the spec asks for, by `promotion::wanted`.
    pub promotion: &'a [Training],
    /// Whether to choose the next trial before one may start, where possible: worth it where a start takes
    /// round trips.
    pub ahead: bool,
    /// Whether the ledger's storage is full.
    pub full: bool,
    /// The time.
    pub now: Timestamp,
}

/// The state of the next suggestion.
#[derive(Clone, Debug, PartialEq)]
pub enum Engine {
    /// Nothing was requested.
    Idle,
    /// It computes.
    Busy,
    /// It has a suggestion.
    Ready(Box<Planned>),
    /// No configuration is left.
    Exhausted,
}

/// An action of the shell.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Record a decision or a result durably.
    Write(Event),
    /// Ask the engine for this trial's configuration.
    Suggest {
        /// The number that the trial will get.
        trial: u32,
    },
    /// Record `Event::Started`, then start the run.
    Start {
        /// The run, by its first trial and that trial's attempt.
        run: Attempt,
    },
    /// Stop a run.
    Stop {
        /// The run.
        run: Attempt,
        /// Why.
        why: StopReason,
    },
    /// Remove a run that ended and is no longer needed.
    Remove {
        /// The run.
        run: Attempt,
    },
}

/// Why a run is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// `trialDeadlineSeconds` have passed for each of its trials; the one that was running ends as
    /// `DeadlineExceeded`.
    TrialDeadline,
    /// The search ends, or the run belongs to nothing that is open.
    NotNeeded,
}

/// What to do, and when to plan again if nothing happens before.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// The actions, in order.
    pub actions: Vec<Action>,
    /// The next time at which a deadline passes.
    pub wake: Option<Timestamp>,
}

impl Plan {
    fn wake_at(&mut self, time: Timestamp) {
        self.wake = Some(self.wake.map_or(time, |wake| wake.min(time)));
    }

    fn writes(&self) -> bool {
        self.actions
            .iter()
            .any(|action| matches!(action, Action::Write(_)))
    }
}

/// Decides what to do.
pub fn plan(situation: &Situation<'_>) -> Plan {
    let mut plan = Plan::default();
    if situation.ledger.conclusion().is_some() {
        clear_away(situation, &mut plan);
        return plan;
    }
    take_in(situation, &mut plan);
    if !plan.writes() {
        withdraw(situation, &mut plan);
    }
    if plan.writes() {
        return plan;
    }
    if let Some(end) = active_deadline(situation).filter(|end| situation.now < *end) {
        plan.wake_at(end);
    }
    if let Some(conclusion) = verdict::early_end(situation) {
        if situation.runs.is_empty() {
            plan.actions
                .push(Action::Write(Event::Concluded(conclusion)));
        } else {
            plan.actions.clear();
            clear_away(situation, &mut plan);
        }
        return plan;
    }
    next::start_planned(situation, &mut plan);
    next::plan_more(situation, &mut plan);
    if let Some(conclusion) = verdict::end(situation, &plan) {
        plan.actions
            .push(Action::Write(Event::Concluded(conclusion)));
    }
    plan
}

/// Stops and removes every run: the search has ended or is about to.
fn clear_away(situation: &Situation<'_>, plan: &mut Plan) {
    plan.actions.extend(situation.runs.iter().map(unneeded));
}

/// What to do with a run that is no longer needed.
fn unneeded(run: &Run) -> Action {
    match run.state {
        RunState::Running { since: _ } => Action::Stop {
            run: run.id,
            why: StopReason::NotNeeded,
        },
        RunState::Ended(_) => Action::Remove { run: run.id },
    }
}

/// Judges every run: records results and retries, stops those over their deadline, removes finished ones.
fn take_in(situation: &Situation<'_>, plan: &mut Plan) {
    // Runs that are stopped because the search ends have not failed.
    let is_ending = verdict::early_end(situation).is_some();
    for run in situation.runs {
        let current = |attempt: &Attempt| {
            let entry = situation.ledger.entry(attempt.trial)?;
            let waits = entry.state == TrialState::Planned && entry.current_attempt() == *attempt;
            (waits && entry.run_id() == run.id).then_some(entry)
        };
        let waited_for = run.members.iter().filter_map(current).count();
        if waited_for == 0 {
            plan.actions.push(unneeded(run));
            continue;
        }
        match &run.state {
            RunState::Running { since } => {
                let members = run.members.iter();
                let members = members.filter_map(|member| situation.ledger.entry(member.trial));
                let seconds = deadlines::seconds_of_run(situation.spec, members);
                let end = deadlines::after(*since, seconds);
                if situation.now < end {
                    plan.wake_at(end);
                } else {
                    plan.actions.push(Action::Stop {
                        run: run.id,
                        why: StopReason::TrialDeadline,
                    });
                }
            }
            RunState::Ended(outcomes) => {
                let used = share(run.gpu_seconds, waited_for);
                for (attempt, end) in run.members.iter().zip(outcomes) {
                    if let Some(entry) = current(attempt) {
                        let event = match end {
                            End::Interrupted => retry(entry, RetryCause::Interrupted, used),
                            End::Outcome(TrialOutcome::Failed { reason, .. })
                                if is_ending && reason.class() == FailureClass::Infrastructure =>
                            {
                                retry(entry, RetryCause::Interrupted, used)
                            }
                            End::Outcome(outcome) => {
                                judge(entry, outcome, situation.spec.max_retries, used)
                            }
                        };
                        plan.actions.push(Action::Write(event));
                    }
                }
            }
        }
    }
}

/// Ends trainings in full that the spec no longer asks for; their runs then belong to nothing that is open.
fn withdraw(situation: &Situation<'_>, plan: &mut Plan) {
    for (entry, field) in promotion::withdrawn(situation.spec, situation.ledger) {
        let run = situation.runs.iter().find(|run| run.holds(entry.trial));
        let outcome = Recorded::Failed {
            reason: FailureReason::Withdrawn,
            message: format!("{field} no longer asks for this training"),
        };
        let used = run.and_then(|run| share(run.gpu_seconds, run.members.len()));
        plan.actions
            .push(Action::Write(recorded(entry, outcome, used)));
    }
}

/// The share of each of `count` trials in what their run used.
fn share(used: Option<Decimal>, count: usize) -> Option<Decimal> {
    match count {
        1 => used,
        count => Decimal::new(used?.get() / count as f64).ok(),
    }
}

fn retry(entry: &LedgerEntry, cause: RetryCause, gpu_seconds: Option<Decimal>) -> Event {
    Event::Retried {
        trial: entry.trial,
        attempt: entry.attempt + 1,
        cause,
        gpu_seconds,
    }
}

/// What an ended attempt means for its trial.
fn judge(
    entry: &LedgerEntry,
    outcome: &TrialOutcome,
    max_retries: u32,
    used: Option<Decimal>,
) -> Event {
    let (reason, message) = match outcome {
        TrialOutcome::Succeeded(measured) => match Recorded::from_measurements(measured) {
            Some(outcome) => return recorded(entry, outcome, used),
            None => (
                FailureReason::NotFinite,
                "a measurement is not finite".into(),
            ),
        },
        TrialOutcome::Failed { reason, message } => (*reason, message.clone()),
    };
    // A full disk seldom recovers by itself.
    let retries = match reason {
        FailureReason::DiskFull => max_retries.min(1),
        _ => max_retries,
    };
    match reason.class() {
        FailureClass::Infeasible => recorded(entry, Recorded::Infeasible { reason, message }, used),
        FailureClass::Infrastructure if entry.failed_attempts < retries => {
            retry(entry, RetryCause::Failed { reason, message }, used)
        }
        // The user can fix the input, so a trial of the search gets no result by it. A baseline may itself
        // not fit the model, and a transfer has a task of its own.
        FailureClass::Fatal
            if entry.baseline.is_none() && entry.purpose() != TrialPurpose::Transfer =>
        {
            retry(entry, RetryCause::Failed { reason, message }, used)
        }
        FailureClass::Infrastructure | FailureClass::Fatal => {
            recorded(entry, Recorded::Failed { reason, message }, used)
        }
    }
}

fn recorded(entry: &LedgerEntry, outcome: Recorded, gpu_seconds: Option<Decimal>) -> Event {
    Event::Recorded {
        trial: entry.trial,
        attempt: entry.attempt,
        outcome,
        gpu_seconds,
    }
}

/// Whether finished and running trials have used `maxGpuSeconds`: then nothing more starts.
fn gpu_budget_is_spent(situation: &Situation<'_>) -> bool {
    let Some(most) = situation.spec.max_gpu_seconds else {
        return false;
    };
    let running = situation.runs.iter().filter_map(|run| run.gpu_seconds);
    let running: f64 = running.map(Decimal::get).sum();
    situation.ledger.gpu_seconds() + running >= most as f64
}

/// When the whole search has to end.
fn active_deadline(situation: &Situation<'_>) -> Option<Timestamp> {
    deadlines::deadline(situation.spec, situation.ledger.start_time())
}
