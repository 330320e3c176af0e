//! A run of several trials: one process, an outcome each, and each outcome what the trial gives alone.

use std::path::Path;

use autopeft_crds::run::{Expected, parse_run_result};
use autopeft_crds::trial::{
    FailureReason, RESULT_MAX_BYTES, ResultError, TrialOutcome, TrialRequest,
};
use serde_json::{Value, json};

use crate::common::program::{program, text, trial};
use crate::common::{configuration, small_request, small_trial};

/// A trial of the small task under a number of its own.
fn member(folder: &Path, trial: u32, sizes: [u32; 3], changes: &[(&str, Value)]) -> Value {
    let [serial, parallel, prefix] = sizes;
    let modules = configuration("011", serial, parallel, prefix);
    let mut request = small_request(folder, &modules, changes);
    request["identity"]["trial"] = json!(trial);
    request
}

/// Carries a run out; gives the exit code, an outcome for each trial and what was said.
fn run(
    folder: &Path,
    members: &[Value],
) -> (Option<i32>, Vec<Result<TrialOutcome, ResultError>>, String) {
    let (request, result) = (folder.join("run.json"), folder.join("run-result.json"));
    let document = json!({"version": 2, "trials": members});
    std::fs::write(&request, document.to_string()).expect("a request");
    let output = program()
        .args(["trial", "--device", "cpu", "--threads", "2", "--request"])
        .arg(&request)
        .arg("--result")
        .arg(&result)
        .output()
        .expect("the program starts");
    let bytes = std::fs::read(&result).unwrap_or_default();
    assert!(bytes.len() <= RESULT_MAX_BYTES);
    let expected: Vec<Expected> = members
        .iter()
        .map(|member| {
            let request: TrialRequest = serde_json::from_value(member.clone()).expect("a request");
            Expected {
                metric: request.task.score_metric(),
                identity: request.identity,
            }
        })
        .collect();
    let outcomes = parse_run_result(&bytes, &expected);
    (output.status.code(), outcomes, text(&output.stderr))
}

/// What must be the same in whatever company a trial is trained.
fn lasting(outcome: &TrialOutcome) -> String {
    let TrialOutcome::Succeeded(measured) = outcome else {
        panic!("{outcome:?}");
    };
    let mut lasting = measured.clone();
    lasting.train_seconds = 0.0;
    lasting.total_seconds = 0.0;
    lasting.peak_memory_bytes = 0;
    // Where documents are shared, old epochs give way.
    let best = lasting.best_epoch;
    lasting.epochs.retain(|epoch| epoch.epoch == best);
    serde_json::to_string(&lasting).expect("JSON")
}

#[test]
fn trials_of_a_run_come_to_what_they_come_to_alone() {
    let folder = small_trial();
    let members = [
        member(folder.path(), 4, [4, 0, 0], &[]),
        member(folder.path(), 5, [0, 4, 2], &[]),
        // Another sample, and every weight: nothing of what was loaded fits.
        member(
            folder.path(),
            6,
            [0, 0, 0],
            &[
                ("/method", json!("FullFineTuning")),
                ("/fidelity/trainExamples", json!(64)),
                ("/training/maxLength", json!(12)),
                ("/training/learningRate", json!("0.001")),
            ],
        ),
        member(folder.path(), 7, [4, 4, 2], &[]),
    ];
    let (code, outcomes, said) = run(folder.path(), &members);
    assert_eq!(code, Some(0), "{said}");
    for (request, outcome) in members.iter().zip(outcomes) {
        let (_, alone, _) = trial(folder.path(), request);
        let outcome = outcome.expect("an outcome");
        assert_eq!(lasting(&outcome), lasting(&alone.outcome));
    }
}

#[test]
fn a_trial_that_cannot_be_trained_says_nothing_of_the_others() {
    let folder = small_trial();
    let kept = folder.path().join("kept");
    let members = [
        member(
            folder.path(),
            1,
            [0, 8, 0],
            &[("/training/batchSize", json!(0))],
        ),
        member(folder.path(), 2, [4, 0, 0], &[("/artifacts", json!(kept))]),
        // Data that are not there.
        member(
            folder.path(),
            3,
            [4, 0, 0],
            &[("/data", json!("/no/such/data"))],
        ),
        member(folder.path(), 9, [2, 0, 0], &[]),
    ];
    let (code, outcomes, said) = run(folder.path(), &members);
    assert_eq!(code, Some(3), "{said}");
    let reason = |index: usize| match outcomes[index].as_ref().expect("an outcome") {
        TrialOutcome::Failed { reason, .. } => Some(*reason),
        TrialOutcome::Succeeded(_) => None,
    };
    assert_eq!(reason(0), Some(FailureReason::BadInput), "{said}");
    assert_eq!(reason(2), Some(FailureReason::Internal), "{said}");
    assert!(said.contains("spec.training.batchSize"), "{said}");
    assert!(said.contains("/no/such/data"), "{said}");
    for (index, request) in [(1, &members[1]), (3, &members[3])] {
        let (_, alone, _) = trial(folder.path(), request);
        let outcome = outcomes[index].as_ref().expect("an outcome");
        assert_eq!(lasting(outcome), lasting(&alone.outcome));
    }
    assert!(kept.join("adapter.safetensors").is_file());
}

#[test]
fn long_trainings_of_a_run_still_fit_into_one_document() {
    let folder = small_trial();
    let long = [
        ("/fidelity", json!({"epochs": 40, "trainExamples": 32})),
        ("/training/patience", json!(1000)),
    ];
    let members: Vec<Value> = (0..4)
        .map(|trial| member(folder.path(), trial, [trial + 1, 0, 0], &long))
        .collect();
    let (code, outcomes, said) = run(folder.path(), &members);
    assert_eq!(code, Some(0), "{said}");
    for outcome in outcomes {
        let TrialOutcome::Succeeded(measured) = outcome.expect("an outcome") else {
            panic!("{said}");
        };
        let mut kept = measured.epochs.iter();
        assert!(kept.any(|epoch| epoch.epoch == measured.best_epoch));
    }
}

#[test]
fn a_run_that_is_none_is_refused() {
    let folder = small_trial();
    let twice = member(folder.path(), 1, [4, 0, 0], &[]);
    let (code, outcomes, said) = run(folder.path(), &[twice.clone(), twice]);
    assert_eq!(code, Some(2), "{said}");
    assert!(
        said.contains("is not a trial's request: a run with trial 1 twice"),
        "{said}"
    );
    assert!(outcomes.iter().all(Result::is_err));
}
