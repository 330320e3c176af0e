//! Trainers that fail in every way: what the search makes of it.

use std::collections::{BTreeMap, BTreeSet};

use autopeft_crds::trial::FailureReason;
use autopeft_crds::{SearchSpace, TrialState};
use autopeft_operator::local::journal;
use autopeft_search::measures::Subject;
use autopeft_search::status::status;

use super::bench::{Bench, fail, operator, succeed};

/// Trial 1 always ends in this way; its state and reason in the ledger, and its attempts.
fn outcome(behaviour: &str) -> (TrialState, Option<FailureReason>, u32) {
    let bench = Bench::new("maxTrials: 4\nmaxRetries: 1");
    succeed(bench.run().env("FAKE", format!("1:{behaviour}")));
    let ledger = bench.ledger();
    assert!(
        [0, 2, 3]
            .iter()
            .all(|trial| ledger[*trial].state == TrialState::Succeeded)
    );
    let entry = &ledger[1];
    let said = entry.message.as_deref().unwrap_or_default();
    assert_eq!(said.is_empty(), entry.reason.is_none(), "{said}");
    (entry.state, entry.reason, entry.attempt)
}

#[test]
fn a_trainer_that_is_killed_is_tried_again_and_then_given_up() {
    let given_up = (TrialState::Failed, Some(FailureReason::Lost), 2);
    assert_eq!(outcome("aborted"), given_up);
    assert_eq!(outcome("killed-once"), (TrialState::Succeeded, None, 2));
}

/// Signal 9 that we did not send is how the kernel takes memory back.
#[test]
fn a_trainer_that_the_kernel_kills_twice_has_not_enough_memory() {
    let infeasible = (TrialState::Infeasible, Some(FailureReason::OutOfMemory), 2);
    assert_eq!(outcome("killed"), infeasible);
}

#[test]
fn what_is_not_a_result_is_never_an_observation() {
    let given_up = (TrialState::Failed, Some(FailureReason::NoResult), 2);
    for behaviour in [
        "silent",
        "garbled",
        "oversized",
        "truncated",
        "stranger",
        "infinite",
    ] {
        assert_eq!(outcome(behaviour), given_up, "{behaviour}");
    }
    assert_eq!(outcome("garbled-once"), (TrialState::Succeeded, None, 2));
}

#[test]
fn a_configuration_that_cannot_be_trained_is_infeasible_at_once() {
    let infeasible = (TrialState::Infeasible, Some(FailureReason::OutOfMemory), 1);
    assert_eq!(outcome("memory"), infeasible);
}

#[test]
fn a_trial_that_hangs_is_stopped_at_its_deadline() {
    let bench = Bench::new("maxTrials: 3\ntrialDeadlineSeconds: 2");
    succeed(bench.run().env("FAKE", "1:hangs"));
    let entry = &bench.ledger()[1];
    assert_eq!(entry.state, TrialState::Infeasible);
    assert_eq!(entry.reason, Some(FailureReason::DeadlineExceeded));
}

#[test]
fn a_search_ends_at_its_deadline_with_what_it_has() {
    let bench = Bench::new("activeDeadlineSeconds: 3");
    succeed(bench.run().env("FAKE", "2:hangs"));
    assert_eq!(bench.reason(), "DeadlineExceeded");
    assert_eq!(bench.status().trials.succeeded, 2);
    assert_eq!(bench.status().trials.running, 0);
}

#[test]
fn bad_input_ends_the_search_with_the_trainers_words() {
    let bench = Bench::new("");
    fail(
        bench.run().env("FAKE", "1:input"),
        &[
            "the search has failed",
            "trial 1, attempt 1: as the test wants it",
            "trials/0001-1/log.txt",
        ],
    );
    assert_eq!(bench.reason(), "BadInput");
    assert_eq!(bench.starts(), ["0/1", "1/1"]);
}

#[test]
fn a_search_that_bad_input_has_ended_goes_on_with_the_same_command() {
    let bench = Bench::new("maxRetries: 0");
    fail(bench.run().env("FAKE", "1:input"), &["trial 1, attempt 1"]);
    // As long as the inspection fails, nothing is started and the search stays as it is.
    fail(
        bench.run().env("FAKE_INSPECT", "refuses"),
        &["the column text is missing"],
    );
    assert_eq!(bench.reason(), "BadInput");
    let text = succeed(&mut bench.run());
    assert!(text.contains("valid now; the search continues"), "{text}");
    let ledger = bench.ledger();
    assert_eq!((ledger.len(), ledger[1].attempt), (8, 2));
    assert!(
        ledger
            .iter()
            .all(|entry| entry.state == TrialState::Succeeded)
    );
    succeed(operator().arg("replay").arg(bench.workdir()));
}

#[test]
fn a_search_that_keeps_failing_ends() {
    let bench = Bench::new("maxFailedTrials: 1\nmaxRetries: 0");
    fail(
        bench.run().env("FAKE", "0:silent 1:silent"),
        &["2 trials have failed, and maxFailedTrials is 1"],
    );
    assert_eq!(bench.reason(), "TooManyFailedTrials");
    // The reason is gone, and the user allows for what has failed.
    bench.rewrite("maxFailedTrials: 3\nmaxRetries: 0");
    succeed(&mut bench.run());
    assert_eq!(bench.status().trials.failed, 2);
    assert_eq!(bench.status().trials.succeeded, 6);
}

#[test]
fn a_trial_that_a_limit_ended_is_tried_again_as_the_manifest_says() {
    let bench = Bench::new("");
    succeed(bench.run().env("FAKE", "1:memory"));
    assert_eq!(bench.status().trials.infeasible, 1);
    bench.rewrite("retryTrials: [1, 30]");
    let text = succeed(&mut bench.run());
    assert!(text.contains("trial 8 planned (trial 1 again)"), "{text}");
    assert!(text.contains("but trial 30 does not exist"), "{text}");
    let status = bench.status();
    let (limited, retry) = (&status.ledger[1], &status.ledger[8]);
    assert_eq!(limited.state, TrialState::Infeasible);
    assert_eq!(
        (retry.state, retry.of_trial),
        (TrialState::Succeeded, Some(1))
    );
    assert_eq!(retry.configuration, limited.configuration);
    assert_eq!(
        (status.trials.progress.as_str(), status.trials.infeasible),
        ("8/8", 0)
    );
    // Once only; and what is suggested afterwards is suggested from its score.
    bench.rewrite("maxTrials: 9\nretryTrials: [1, 30]");
    succeed(&mut bench.run());
    assert_eq!(bench.ledger().len(), 10);
    let text = succeed(operator().arg("replay").arg(bench.workdir()));
    assert!(
        text.contains("all 9 suggestions are bit for bit the same"),
        "{text}"
    );
}

#[test]
fn a_small_space_ends_the_search_early() {
    let bench = Bench::new("searchSpace: { dimensions: [{ name: prefix, sizes: [0, 1, 2] }] }");
    let text = succeed(&mut bench.run());
    assert!(
        text.contains("every configuration of the search space"),
        "{text}"
    );
    assert_eq!(bench.reason(), "SpaceExhausted");
    assert_eq!(bench.ledger().len(), 3);
}

#[test]
fn the_time_of_a_condition_moves_with_its_status_alone() {
    let objectives = "maxRetries: 0
        objectives: [{ name: score, reference: \"0.3\" }, { name: trainableParameters, reference: \"0.5\" }]";
    let bench = Bench::new(&format!("suspend: true\n{objectives}"));
    succeed(&mut bench.run());
    bench.rewrite(objectives);
    succeed(bench.run().env("FAKE", "2:silent 3:memory"));
    bench.rewrite(&format!("maxTrials: 9\n{objectives}"));
    succeed(&mut bench.run());
    bench.rewrite(&format!("maxTrials: 12\nsuspend: true\n{objectives}"));
    succeed(&mut bench.run());

    let history = journal::read(&bench.workdir()).expect("read").expect("one");
    let model = &history.header.inspection;
    let mut before = BTreeMap::new();
    let mut changed = BTreeSet::new();
    for count in 0..=history.events.len() as u64 {
        let spec = history.spec_at(count);
        let layers = model.layers as usize;
        let space = SearchSpace::resolve(&spec.search_space, layers, model.hidden_size);
        let subject = Subject::new(spec, &space.expect("a space"), model);
        let ledger = history.ledger_at(count).expect("a ledger");
        for condition in status(&subject, &ledger).conditions {
            let found = (condition.status, condition.last_transition_time);
            match before.insert(condition.type_.clone(), found.clone()) {
                Some(old) if old.0 == found.0 => {
                    assert_eq!(old.1, found.1, "{} at {count}", condition.type_);
                }
                Some(_) => {
                    changed.insert(condition.type_);
                }
                None => {}
            }
        }
    }
    let expected = [
        "Degraded",
        "Progressing",
        "Succeeded",
        "SurrogateHealthy",
        "Suspended",
    ];
    assert_eq!(changed, expected.map(str::to_owned).into());
}
