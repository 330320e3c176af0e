//! Trainings whose score comes from other examples than those that choose the epoch.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Instant;

use autopeft_crds::spec::{EvaluationSpec, Metric, TaskSpec};
use autopeft_crds::trial::{FailureReason, TrialMeasurements, TrialRequest};
use autopeft_trainer::adapter;
use autopeft_trainer::inspect::inspect;
use autopeft_trainer::task::{self, Examples, Task};
use autopeft_trainer::trial::{Split, TrialError, describe, prepare, run, split};
use serde_json::{Value, json};
use tch::Device;

use crate::common::program::{self, text};
use crate::common::{Silent, alone, configuration, small_request, small_trial};

fn request(folder: &Path, evaluation: Value) -> TrialRequest {
    let modules = configuration("111", 8, 0, 0);
    let request = small_request(folder, &modules, &[("/evaluation", evaluation)]);
    serde_json::from_value(request).expect("a request")
}

/// Trains into `folder/adapter`.
fn trained(folder: &Path, evaluation: Value) -> TrialMeasurements {
    let request = request(folder, evaluation);
    let mut prepared = prepare(&request, Device::Cpu).expect("prepared");
    let (measured, _) = run(&mut prepared, Instant::now(), &mut Silent).expect("trained");
    let description = describe(&request, &prepared, &measured).expect("a description");
    let place = folder.join("adapter");
    adapter::save(&prepared.model, &description, &place, true).expect("saved");
    measured
}

/// What `peft-trainer evaluate` prints about that adapter.
fn evaluated(folder: &Path, flag: &str, place: &Path) -> Value {
    let [adapter, model, place] =
        [&folder.join("adapter"), folder, place].map(|path| path.display().to_string());
    let output = program::run(&[
        "evaluate",
        "--adapter",
        &adapter,
        "--model",
        &model,
        "--device",
        "cpu",
        flag,
        &place,
    ]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// The best accuracy of the epochs.
fn best(measured: &TrialMeasurements) -> f64 {
    let epochs = measured.epochs.iter();
    let scores = epochs.map(|epoch| epoch.metrics[&Metric::Accuracy]);
    scores.fold(0.0, f64::max)
}

/// A test set of which every third label is wrong.
fn write_test(folder: &Path) {
    let examples = std::fs::read_to_string(folder.join("train.jsonl")).expect("examples");
    let lines = examples.lines().take(90).enumerate().map(|(number, line)| {
        let mut example: Value = serde_json::from_str(line).expect("JSON");
        if number % 3 == 0 {
            let other = if example["label"] == "low" {
                "high"
            } else {
                "low"
            };
            example["label"] = json!(other);
        }
        format!("{example}\n")
    });
    std::fs::write(folder.join("test.jsonl"), lines.collect::<String>()).expect("a file");
}

#[test]
fn a_test_file_gives_the_score_and_the_validation_examples_choose_the_epoch() {
    let _alone = alone();
    let folder = small_trial();
    let folder = folder.path();
    write_test(folder);
    let plain = trained(folder, Value::Null);
    assert_eq!(plain.selection_score, None);
    let measured = trained(folder, json!({"testFile": "test.jsonl"}));
    // The test examples take no part in the training.
    assert_eq!(measured.epochs, plain.epochs);
    assert_eq!(measured.selection_score, Some(plain.score));
    assert_eq!(measured.best_epoch, plain.best_epoch);
    assert_ne!(measured.score, plain.score);
    assert_eq!(measured.metrics[&Metric::Accuracy], measured.score);
    assert_eq!(measured.validation_examples, 90);
    for (flag, place) in [("--data", folder), ("--file", &folder.join("test.jsonl"))] {
        let found = evaluated(folder, flag, place);
        assert_eq!(found["score"].as_f64(), Some(measured.score), "{flag}");
        assert_eq!(found["scoreWhenTrained"].as_f64(), Some(measured.score));
        assert_eq!(found["validationExamples"], 90, "{flag}");
        assert_eq!(found["metrics"], json!(measured.metrics));
    }
    let card = std::fs::read_to_string(folder.join("adapter/README.md")).expect("a card");
    assert!(card.contains("\"split\":\"test\"") && card.contains("test examples: 90"));
}

#[test]
fn a_share_of_the_training_examples_chooses_the_epoch_and_validation_examples_give_the_score() {
    let _alone = alone();
    let folder = small_trial();
    let folder = folder.path();
    let measured = trained(folder, json!({"selectionPercent": 10}));
    assert_eq!(measured.selection_score, Some(best(&measured)));
    // 19 of 192 examples: steps of 16, six epochs.
    assert_eq!(measured.steps, 6 * 11);
    assert_eq!(measured.validation_examples, 64);
    let found = evaluated(folder, "--data", folder);
    assert_eq!(found["score"].as_f64(), Some(measured.score));
    assert_eq!(found["validationExamples"], 64);
}

#[test]
fn the_split_is_disjoint_repeatable_and_another_for_each_seed() {
    let folder = small_trial();
    let request = request(folder.path(), json!({"selectionPercent": 10}));
    let load = || task::load(&request.task, folder.path()).expect("a task");
    let parts = |seed: u64| {
        let evaluation = request.evaluation.as_ref();
        let Split { task, report } =
            split(load(), evaluation, &request.task, folder.path(), seed).expect("a split");
        assert_eq!(report.as_ref(), Some(&load().validation));
        let texts = |examples: &Examples| examples.texts.clone();
        (texts(&task.train), texts(&task.validation))
    };
    let (rest, kept) = parts(1);
    assert_eq!((rest.len(), kept.len()), (173, 19));
    let mut together = [rest.clone(), kept.clone()].concat();
    let mut all = load().train.texts;
    together.sort();
    all.sort();
    assert_eq!(together, all);
    assert_eq!(parts(1), (rest, kept.clone()));
    let other: BTreeSet<_> = parts(2).1.into_iter().collect();
    let same = kept.iter().filter(|text| other.contains(text));
    assert!(same.count() < 10);
}

#[test]
fn a_share_of_which_nothing_can_be_measured_is_refused() {
    let folder = small_trial();
    let task: TaskSpec = request(folder.path(), Value::Null).task;
    let one = EvaluationSpec {
        test_file: None,
        selection_percent: Some(1),
    };
    let mcc = Task {
        metric: Metric::Matthews,
        ..task::load(&task, folder.path()).expect("a task")
    };
    let refused = split(mcc, Some(&one), &task, folder.path(), 3).expect_err("one example");
    let message = refused.to_string();
    assert!(
        message.starts_with("1 selection example, every one labelled"),
        "{message}"
    );
    assert!(
        message.ends_with("raise spec.promotion.evaluation.selectionPercent (192 are there)"),
        "{message}"
    );
}

#[test]
fn the_inspection_says_at_once_that_a_test_file_is_missing_or_wrong() {
    let folder = small_trial();
    let folder = folder.path();
    let inspected = |evaluation: Value| inspect(&request(folder, evaluation));
    let refused = |evaluation: Value, words: &[&str]| {
        let error: TrialError = inspected(evaluation).expect_err("refused");
        assert_eq!(error.reason(), FailureReason::BadInput, "{error}");
        let message = error.to_string();
        for word in words {
            assert!(message.contains(word), "{message}");
        }
    };
    let field = "spec.promotion.evaluation.testFile: ";
    let file = |name: &str| json!({"testFile": name});
    refused(file("test.jsonl"), &[field, "test.jsonl"]);
    refused(file("../test.jsonl"), &[field, "without .."]);
    let write = |content: &str| std::fs::write(folder.join("test.jsonl"), content).expect("a file");
    write("{\"text\": \"w5\"}\n");
    refused(file("test.jsonl"), &[field, "test.jsonl", "label"]);
    write("{\"text\": \"w5\", \"label\": \"other\"}\n");
    refused(file("test.jsonl"), &[field, "test.jsonl", "other"]);
    refused(json!({}), &["spec.promotion.evaluation", "testFile"]);
    let (plain, _) = inspected(Value::Null).expect("inspected");
    write_test(folder);
    let (found, _) = inspected(file("test.jsonl")).expect("inspected");
    assert_eq!(found, plain, "the data of the search are the same");
}
