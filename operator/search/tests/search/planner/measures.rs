//! What the results amount to, and what the conditions say of them.

use autopeft_crds::SearchSpace;
use autopeft_crds::status::{PeftSearchStatus, TrialOrigin};
use autopeft_crds::trial::{ConstantScore, FailureReason};
use autopeft_search::health::Health;
use autopeft_search::ledger::{Conclusion, ConclusionReason, Event, Ledger, Recorded};
use autopeft_search::measures::{self, Subject};
use autopeft_search::status::status;
use serde_json::json;

use crate::planner::world::{World, success};

/// A search of 4 layers with an initial design of 3 trials, and its ledger with these scores.
fn searched(scores: &[f64], constant: Option<&str>) -> (Subject, Ledger) {
    let mut world = World::new(&json!({"maxTrials": 40, "algorithm": {"initialTrials": 3}}));
    world.inspection.constant_score = constant.map(|score| ConstantScore {
        metric: world.spec.task.score_metric(),
        score: score.parse().expect("a score"),
    });
    let (spec, model) = (&world.spec, &world.inspection);
    let space = SearchSpace::resolve(&spec.search_space, 4, 64).expect("a space");
    let subject = Subject::new(spec, &space, model);
    for (trial, score) in (0..).zip(scores) {
        world.planned_by_another(world.suggestion(trial));
        record(&mut world.ledger, trial, *score);
    }
    (subject, world.ledger)
}

fn record(ledger: &mut Ledger, trial: u32, score: f64) {
    let autopeft_crds::trial::TrialOutcome::Succeeded(measured) = success(score) else {
        panic!("it succeeds")
    };
    let event = Event::Recorded {
        trial,
        attempt: 1,
        outcome: Recorded::from_measurements(&measured).expect("finite"),
        gpu_seconds: None,
    };
    let now = ledger.start_time();
    ledger.apply(&event, now).expect("it is open");
}

fn conclude(ledger: &mut Ledger, reason: ConclusionReason, succeeded: bool) {
    let message = "the end".to_owned();
    let end = Event::Concluded(Conclusion {
        reason,
        succeeded,
        message,
    });
    ledger.apply(&end, ledger.start_time()).expect("it is open");
}

fn degraded(status: &PeftSearchStatus) -> (&str, &str, &str) {
    let mut conditions = status.conditions.iter();
    let found = conditions.find(|condition| condition.type_ == "Degraded");
    let found = found.expect("the condition");
    (&found.status, &found.reason, &found.message)
}

#[test]
fn the_hypervolume_counts_from_the_end_of_the_initial_design_and_never_falls() {
    let scores: Vec<f64> = (0..30)
        .map(|n| 0.3 + 0.5 * f64::from(n * 7 % 11) / 11.0)
        .collect();
    let mut before = (0.0, None);
    for count in 0..=scores.len() {
        let (subject, ledger) = searched(&scores[..count], None);
        let measured = measures::measure(&subject, &ledger);
        if count < 3 {
            assert_eq!((measured.hypervolume, measured.reference), (None, None));
            assert_eq!(measures::trace(&subject, &ledger), []);
            continue;
        }
        let (now, point) = (
            measured.hypervolume.expect("a volume").get(),
            measured.reference,
        );
        assert!(now >= before.0, "{now} after {}", before.0);
        let inferred = point.as_ref().and_then(|point| point.inferred_from_trials);
        assert_eq!(inferred, Some(3));
        assert!(before.1.is_none() || before.1 == point, "the point moved");
        let trace = measures::trace(&subject, &ledger);
        assert!((trace[count - 1].1 - now).abs() < 1e-6);
        before = (now, point);
    }
}

#[test]
fn a_search_that_ends_within_its_initial_design_has_a_hypervolume() {
    let (subject, mut ledger) = searched(&[0.4, 0.6], None);
    conclude(&mut ledger, ConclusionReason::MaxTrialsReached, true);
    let measured = measures::measure(&subject, &ledger);
    assert!(measured.hypervolume.is_some());
    let inferred = measured
        .reference
        .and_then(|point| point.inferred_from_trials);
    assert_eq!(inferred, Some(2));
}

#[test]
fn where_no_trial_beats_a_constant_answer_nothing_was_learned() {
    for (constant, expected) in [
        (None, ("False", "AsExpected")),
        (Some("0.8234"), ("False", "AsExpected")),
        (Some("0.8235"), ("True", "NothingLearned")),
        (Some("0.9"), ("True", "NothingLearned")),
    ] {
        let (subject, mut ledger) = searched(&[0.8235; 4], constant);
        assert_eq!(
            degraded(&status(&subject, &ledger)).0,
            "False",
            "it goes on"
        );
        conclude(&mut ledger, ConclusionReason::MaxTrialsReached, true);
        let status = status(&subject, &ledger);
        let (is, reason, message) = degraded(&status);
        assert_eq!((is, reason), expected, "{constant:?}");
        assert_eq!(message.contains("more epochs"), is == "True", "{message}");
    }
}

#[test]
fn a_search_that_failed_is_not_called_healthy() {
    let (subject, mut ledger) = searched(&[], None);
    conclude(&mut ledger, ConclusionReason::NoTrialSucceeded, false);
    let status = status(&subject, &ledger);
    assert!(degraded(&status).2.contains("Succeeded says why"));
}

/// What is stored and compared is one word, however it is read.
#[test]
fn reasons_are_written_as_statuses_and_journals_have_them() {
    let words = |value| serde_json::from_value::<String>(value).expect("a word");
    for reason in [
        ConclusionReason::MaxTrialsReached,
        ConclusionReason::Converged,
        ConclusionReason::SpaceExhausted,
        ConclusionReason::DeadlineExceeded,
        ConclusionReason::MaxGpuSecondsReached,
        ConclusionReason::StatusFull,
        ConclusionReason::TooManyFailedTrials,
        ConclusionReason::BadInput,
        ConclusionReason::NoTrialSucceeded,
    ] {
        assert_eq!(words(json!(reason)), reason.as_str());
    }
    for reason in [
        FailureReason::OutOfMemory,
        FailureReason::NotFinite,
        FailureReason::DeadlineExceeded,
        FailureReason::BadInput,
        FailureReason::DiskFull,
        FailureReason::DeviceLost,
        FailureReason::NoResult,
        FailureReason::Lost,
        FailureReason::Conflict,
        FailureReason::Internal,
    ] {
        assert_eq!(words(json!(reason)), reason.as_str());
    }
    for origin in [
        TrialOrigin::Initial,
        TrialOrigin::Bayesian,
        TrialOrigin::Random,
        TrialOrigin::Baseline,
        TrialOrigin::Promotion,
        TrialOrigin::Transfer,
    ] {
        assert_eq!(words(json!(origin)), origin.as_str());
    }
    assert_eq!(Health::Fitted.as_str(), "Fitted");
}
