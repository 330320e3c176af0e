//! What to start: planned trials without a run, then new ones, then baselines. No I/O, no clock.

use autopeft_crds::spec::BaselineName;
use autopeft_crds::status::TrialOrigin;

use super::{Action, Engine, Plan, RunState, Situation, gpu_budget_is_spent};
use crate::ledger::{Event, Planned};

/// Starts trials that are written down and have no run, the oldest first, as far as `parallelism`
/// allows.
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
    let waiting = situation
        .ledger
        .open()
        .filter(|entry| !situation.runs.iter().any(|run| run.trial == entry.trial));
    for entry in waiting.take(free) {
        plan.actions.push(Action::Start {
            trial: entry.trial,
            attempt: entry.attempt,
        });
    }
}

/// Plans one more trial where there is room for it: the search's, or when all of those are planned,
/// a baseline.
pub(super) fn plan_more(situation: &Situation<'_>, plan: &mut Plan) {
    if situation.spec.suspend || situation.full || gpu_budget_is_spent(situation) {
        return;
    }
    let trial = situation.ledger.next_trial();
    if situation.ledger.open().count() >= situation.spec.parallelism as usize {
        if draws_ahead(situation) {
            plan.actions.push(Action::Suggest { trial });
        }
        return;
    }
    if wants_search_trial(situation) {
        match situation.engine {
            Engine::Idle => plan.actions.push(Action::Suggest { trial }),
            Engine::Ready(planned) if planned.trial == trial => plan
                .actions
                .push(Action::Write(Event::Planned(planned.clone()))),
            // Its number went to a baseline in the meantime.
            Engine::Ready(_) => plan.actions.push(Action::Suggest { trial }),
            Engine::Busy | Engine::Exhausted => {}
        }
    } else if let Some(name) = next_baseline(situation)
        && let Some(planned) = plan_baseline(situation, name)
    {
        plan.actions
            .push(Action::Write(Event::Planned(Box::new(planned))));
    }
}

/// Whether the next trial is chosen before there is room for it. The initial design does not depend on
/// results. Later, where several trials run, all of them are pending for the next one, so that no GPU waits
/// for the surrogate; where one runs, its result is what the next one is chosen by.
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
            .any(|entry| entry.baseline == Some(*name))
    })
}

fn plan_baseline(situation: &Situation<'_>, name: BaselineName) -> Option<Planned> {
    let model = situation.inspection;
    let (configuration, parameters) = name.configuration(
        model.layers as usize,
        model.hidden_size,
        model.backbone_parameters,
    )?;
    Some(Planned {
        trial: situation.ledger.next_trial(),
        configuration,
        parameters,
        origin: TrialOrigin::Baseline,
        baseline: Some(name),
        basis: situation.ledger.events(),
        inputs_hash: String::new(),
        acquisition: None,
        predicted_mean: None,
        predicted_deviation: None,
        surrogate: None,
    })
}
