//! What to start: planned trials without a run, then new ones, then baselines, then trainings in full. No I/O, no
//! clock.

use autopeft_crds::spec::BaselineName;
use autopeft_crds::status::{Attempt, LedgerEntry, TrialOrigin, TrialPurpose};

use super::{Action, Engine, Plan, RunState, Situation, gpu_budget_is_spent};
use crate::ledger::{Event, Planned};
use crate::promotion;
use crate::retries;

/// Starts planned trials that have no run, the oldest first, as far as `parallelism` allows.
pub(super) fn start_planned(situation: &Situation<'_>, plan: &mut Plan) {
    if situation.spec.suspend || gpu_budget_is_spent(situation) {
        return;
    }
    let running = situation
        .runs
        .iter()
        .filter(|run| matches!(run.state, RunState::Running { since: _ }))
        .count();
    let free = (situation.spec.parallelism as usize).saturating_sub(running);
    let waiting: Vec<&LedgerEntry> = situation
        .ledger
        .open()
        .filter(|entry| !situation.runs.iter().any(|run| run.holds(entry.trial)))
        .collect();
    for run in runs_of(situation, &waiting).into_iter().take(free) {
        let (first, others) = run;
        let joining = others.iter().filter(|entry| entry.run.is_none());
        let before = plan.actions.len();
        plan.actions.extend(joining.map(|entry| {
            Action::Write(Event::Joined {
                trial: entry.trial,
                attempt: entry.attempt,
                run: first,
            })
        }));
        // A run's members are recorded before it exists.
        if plan.actions.len() == before {
            plan.actions.push(Action::Start { run: first });
        }
    }
}

/// The runs for waiting trials: each by its first trial, with the others. Trials of the search share a run,
/// as far as `trials_per_run` allows; one that is not full waits for the next trials.
fn runs_of<'a>(
    situation: &Situation<'_>,
    waiting: &[&'a LedgerEntry],
) -> Vec<(Attempt, Vec<&'a LedgerEntry>)> {
    let most = situation.trials_per_run.max(1);
    let mut runs: Vec<(Attempt, Vec<&LedgerEntry>)> = Vec::new();
    let mut filling: Option<usize> = None;
    for entry in waiting {
        if let Some((_, others)) = runs.iter_mut().find(|(first, _)| entry.run == Some(*first)) {
            others.push(entry);
            continue;
        }
        let is_shared = entry.purpose() == TrialPurpose::Search && most > 1;
        let is_joined = waiting
            .iter()
            .any(|other| other.run == Some(entry.current_attempt()));
        if is_shared && !is_joined {
            if let Some((_, others)) = filling.and_then(|index| runs.get_mut(index)) {
                others.push(entry);
                if others.len() + 1 == most {
                    filling = None;
                }
                continue;
            }
            filling = Some(runs.len());
        }
        runs.push((entry.run_id(), Vec::new()));
    }
    if let Some(index) = filling
        && grows(situation)
    {
        runs.remove(index);
    }
    runs
}

/// Whether another trial of the search is planned before one ends.
fn grows(situation: &Situation<'_>) -> bool {
    let wanted = has_retry_due(situation) || wants_search_trial(situation);
    !situation.full && has_room(situation) && wanted
}

/// Whether a trial is to be tried again.
pub(super) fn has_retry_due(situation: &Situation<'_>) -> bool {
    let mut due = retries::due(situation.spec, situation.ledger);
    due.next().is_some()
}

/// Whether one more trial may be open.
fn has_room(situation: &Situation<'_>) -> bool {
    let most = situation.spec.parallelism as usize * situation.trials_per_run.max(1);
    situation.ledger.open().count() < most
}

/// Plans one more trial where there is room for it: one that is tried again, then the search's, or when all of those
/// are planned, a baseline, or when they have ended, a training in full.
pub(super) fn plan_more(situation: &Situation<'_>, plan: &mut Plan) {
    if situation.spec.suspend || situation.full || gpu_budget_is_spent(situation) {
        return;
    }
    let trial = situation.ledger.next_trial();
    let retried = retries::due(situation.spec, situation.ledger).next();
    if !has_room(situation) {
        // A trial that is tried again would take the number.
        if retried.is_none() && draws_ahead(situation) {
            plan.actions.push(Action::Suggest { trial });
        }
        return;
    }
    if let Some(entry) = retried {
        let planned = Box::new(retries::plan(entry, situation.ledger));
        plan.actions.push(Action::Write(Event::Planned(planned)));
    } else if wants_search_trial(situation) {
        match situation.engine {
            Engine::Idle => plan.actions.push(Action::Suggest { trial }),
            Engine::Ready(planned) if planned.trial == trial => plan
                .actions
                .push(Action::Write(Event::Planned(planned.clone()))),
            // Its number was taken in the meantime, by a baseline or a trial that is tried again.
            Engine::Ready(_) => plan.actions.push(Action::Suggest { trial }),
            Engine::Busy | Engine::Exhausted => {}
        }
    } else if let Some(name) = next_baseline(situation)
        && let Some(planned) = plan_baseline(situation, name)
    {
        plan.actions
            .push(Action::Write(Event::Planned(Box::new(planned))));
    } else if let Some(training) =
        promotion::missing(situation.spec, situation.promotion, situation.ledger)
    {
        let planned = Box::new(training.plan(situation.ledger));
        plan.actions.push(Action::Write(Event::Planned(planned)));
    }
}

/// Whether the next trial is chosen before one may start. The initial design does not depend on results.
/// Later, with several parallel trials, the next one is chosen while they are pending, so that no GPU waits
/// for the surrogate; with one, its result comes first.
fn draws_ahead(situation: &Situation<'_>) -> bool {
    let planned = situation.ledger.search_trials().count();
    situation.ahead
        && *situation.engine == Engine::Idle
        && wants_search_trial(situation)
        && (situation.spec.parallelism > 1
            || planned < situation.spec.algorithm.initial_trials as usize)
}

/// Whether the search itself wants another trial.
pub(super) fn wants_search_trial(situation: &Situation<'_>) -> bool {
    let planned = situation.ledger.search_trials().count();
    planned < situation.spec.max_trials as usize
        && !situation.converged
        && *situation.engine != Engine::Exhausted
}

/// The first baseline that has no trial.
pub(super) fn next_baseline(situation: &Situation<'_>) -> Option<BaselineName> {
    situation.spec.baselines.iter().copied().find(|name| {
        !situation
            .ledger
            .entries()
            .iter()
            .any(|entry| entry.purpose() == TrialPurpose::Baseline && entry.baseline == Some(*name))
    })
}

fn plan_baseline(situation: &Situation<'_>, name: BaselineName) -> Option<Planned> {
    let (configuration, parameters) = situation.inspection.baseline(name)?;
    let ledger = situation.ledger;
    Some(Planned {
        baseline: Some(name),
        ..ledger.next_plan(TrialOrigin::Baseline, configuration, parameters)
    })
}
