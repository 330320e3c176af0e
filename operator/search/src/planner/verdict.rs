//! Whether the search is over, and how it ended. No I/O, no clock.

use autopeft_crds::status::TrialState;

use super::{Engine, Plan, Situation, active_deadline, gpu_budget_is_spent, next};
use crate::ledger::{BadInput, Conclusion, ConclusionReason};
use crate::promoted;
use crate::promotion;
use crate::retries;

/// A reason to end at once, even if trials run.
pub(super) fn early_end(situation: &Situation<'_>) -> Option<Conclusion> {
    let trials = || situation.ledger.search_trials();
    if let Some(BadInput {
        trial,
        attempt,
        run: _,
        message,
    }) = situation.ledger.bad_input()
    {
        return Some(Conclusion {
            reason: ConclusionReason::BadInput,
            succeeded: false,
            message: format!("trial {trial}, attempt {attempt}: {message}"),
        });
    }
    let count = |state| trials().filter(|entry| entry.state == state).count();
    // Infeasible trials teach the surrogate what to avoid, so they count as failed only while no trial has
    // succeeded.
    let failed = count(TrialState::Failed)
        + match count(TrialState::Succeeded) {
            // Those that are tried again have not come to their end.
            0 => count(TrialState::Infeasible)
                .saturating_sub(retries::due(situation.spec, situation.ledger).count()),
            _ => 0,
        };
    if failed > situation.spec.max_failed_trials as usize {
        return Some(Conclusion {
            reason: ConclusionReason::TooManyFailedTrials,
            succeeded: false,
            message: format!(
                "{failed} trials have failed, and maxFailedTrials is {}{}",
                situation.spec.max_failed_trials,
                last_failure(situation)
            ),
        });
    }
    let is_late = active_deadline(situation).is_some_and(|end| situation.now >= end);
    // A search that completed in time is not late.
    if is_late && !is_complete(situation) {
        let succeeded = count(TrialState::Succeeded);
        return Some(Conclusion {
            reason: ConclusionReason::DeadlineExceeded,
            succeeded: succeeded > 0,
            message: format!(
                "{} seconds (activeDeadlineSeconds) have passed; {succeeded} of {} trials have a score{}",
                situation.spec.active_deadline_seconds.unwrap_or(0),
                situation.spec.max_trials,
                of_promotion(situation)
            ),
        });
    }
    None
}

/// The regular end: no trial is open or to come.
pub(super) fn end(situation: &Situation<'_>, plan: &Plan) -> Option<Conclusion> {
    if !plan.actions.is_empty() || !situation.runs.is_empty() {
        return None;
    }
    if let Some(conclusion) = end_of_room(situation) {
        return Some(conclusion);
    }
    let over = is_complete(situation);
    if !over {
        return None;
    }
    let trials = situation.ledger.search_trials().count();
    let scored = situation
        .ledger
        .search_trials()
        .filter(|entry| entry.state == TrialState::Succeeded)
        .count();
    if scored == 0 {
        return Some(Conclusion {
            reason: ConclusionReason::NoTrialSucceeded,
            succeeded: false,
            message: format!(
                "none of {trials} trials has a score{}",
                last_failure(situation)
            ),
        });
    }
    let (reason, why) = if trials >= situation.spec.max_trials as usize {
        (
            ConclusionReason::MaxTrialsReached,
            "all trials have their results",
        )
    } else if *situation.engine == Engine::Exhausted {
        (
            ConclusionReason::SpaceExhausted,
            "every configuration of the search space within the bounds has been trained",
        )
    } else {
        (
            ConclusionReason::Converged,
            "the hypervolume no longer grows",
        )
    };
    Some(Conclusion {
        reason,
        succeeded: true,
        message: format!(
            "{why}; {scored} of {trials} trials have a score{}",
            of_promotion(situation)
        ),
    })
}

/// What the trainings in full have come to, to append to a sentence.
fn of_promotion(situation: &Situation<'_>) -> String {
    let progress = promoted::progress(situation.spec, situation.ledger);
    let told = promotion::without_effect(situation.spec, situation.ledger.entries());
    let parts = [progress, told].into_iter().flatten();
    parts.map(|part| format!("; {part}")).collect()
}

/// The end of a search that has used its GPU seconds or whose ledger is full.
fn end_of_room(situation: &Situation<'_>) -> Option<Conclusion> {
    let trials = situation.ledger.search_trials();
    let scored = trials.filter(|entry| entry.state == TrialState::Succeeded);
    let scored = scored.count();
    let (reason, why) = if gpu_budget_is_spent(situation) {
        let used = situation.ledger.gpu_seconds();
        let most = situation.spec.max_gpu_seconds.unwrap_or_default();
        (
            ConclusionReason::MaxGpuSecondsReached,
            format!("{used:.0} GPU seconds are used, and maxGpuSeconds is {most}"),
        )
    } else if situation.full && situation.ledger.open().next().is_none() {
        (
            ConclusionReason::StatusFull,
            "the object is too large to hold one more trial".to_owned(),
        )
    } else {
        return None;
    };
    Some(Conclusion {
        reason,
        succeeded: scored > 0,
        message: format!(
            "{why}; {scored} of {} trials have a score{}",
            situation.spec.max_trials,
            of_promotion(situation)
        ),
    })
}

/// Whether no trial is open or to come.
fn is_complete(situation: &Situation<'_>) -> bool {
    situation.ledger.open().next().is_none()
        && !next::has_retry_due(situation)
        && !next::wants_search_trial(situation)
        && next::next_baseline(situation).is_none()
        && promotion::missing(situation.spec, situation.promotion, situation.ledger).is_none()
}

/// The last failed trial and its reason, to append to a sentence.
fn last_failure(situation: &Situation<'_>) -> String {
    let last = situation
        .ledger
        .search_trials()
        .filter(|entry| entry.reason.is_some())
        .max_by_key(|entry| entry.finished_at.as_ref().map(|time| time.0));
    let Some(entry) = last else {
        return String::new();
    };
    let reason = entry
        .reason
        .map_or(String::new(), |reason| format!(" ({})", reason.as_str()));
    format!(
        "; the last was trial {}, attempt {}{reason}: {}",
        entry.trial,
        entry.attempt,
        entry.message.as_deref().unwrap_or("no message")
    )
}
