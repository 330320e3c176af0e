//! Training: it learns, by every module and on real text, it ends when it should, and says so when
//! it cannot go on.

use std::time::Instant;

use crate::common::{
    Silent, alone, configuration, movie_reviews, real_model, small_request, small_trial,
};
use autopeft_crds::PeftConfiguration;
use autopeft_crds::spec::Metric;
use autopeft_crds::trial::{EpochMeasurements, FailureReason, TrialMeasurements, TrialRequest};
use autopeft_trainer::task::Targets;
use autopeft_trainer::train::score;
use autopeft_trainer::trial::{Prepared, TrialError, prepare, run};
use serde_json::{Value, json};
use tch::Device;

fn prepared(request: Value) -> Result<Prepared, TrialError> {
    let request: TrialRequest = serde_json::from_value(request).expect("a request");
    prepare(&request, Device::Cpu)
}

fn train(request: Value) -> Result<TrialMeasurements, TrialError> {
    let mut prepared = prepared(request)?;
    Ok(run(&mut prepared, Instant::now(), &mut Silent)?.0)
}

fn small(
    configuration: &PeftConfiguration,
    changes: &[(&str, Value)],
) -> Result<TrialMeasurements, TrialError> {
    let _alone = alone();
    let folder = small_trial();
    train(small_request(folder.path(), configuration, changes))
}

/// Trains all-MiniLM-L6-v2 on movie-review sentences; also gives the share of the more frequent
/// class among the validation examples.
fn sentences(
    configuration: &PeftConfiguration,
    changes: &[(&str, Value)],
) -> (TrialMeasurements, f64) {
    let _alone = alone();
    let model = real_model("all-MiniLM-L6-v2");
    let data = ("/data", json!(movie_reviews(&model)));
    let request = small_request(&model, configuration, &[&[data], changes].concat());
    let mut prepared = prepared(request).expect("prepared");
    let majority = match &prepared.data.validation.truth {
        Targets::Numbers(_) | Targets::Sets(_) => 0.0,
        Targets::Classes(classes) => {
            let ones = classes.iter().sum::<i64>() as f64 / classes.len() as f64;
            ones.max(1.0 - ones)
        }
    };
    let measured = run(&mut prepared, Instant::now(), &mut Silent)
        .expect("trained")
        .0;
    (measured, majority)
}

fn losses(measured: &TrialMeasurements) -> (f64, f64) {
    let loss =
        |epoch: Option<&EpochMeasurements>| epoch.and_then(|epoch| epoch.loss).expect("a loss");
    (loss(measured.epochs.first()), loss(measured.epochs.last()))
}

/// A few real sentences, four times over.
fn few_sentences(modules: &PeftConfiguration, changes: &[(&str, Value)]) -> TrialMeasurements {
    let mut all = vec![
        (
            "/fidelity",
            json!({"epochs": 6, "trainExamples": 64, "validationExamples": 50}),
        ),
        (
            "/training",
            json!({"learningRate": "1e-3", "maxLength": 24, "batchSize": 8}),
        ),
    ];
    all.extend_from_slice(changes);
    sentences(modules, &all).0
}

#[test]
fn every_module_alone_lowers_the_training_loss() {
    // The head alone learns these few sentences too, but less well.
    let head_alone = losses(&few_sentences(&configuration("000000", 0, 0, 0), &[])).1;
    for (name, modules) in [
        ("serial adapter", configuration("111111", 24, 0, 0)),
        ("parallel adapter", configuration("111111", 0, 24, 0)),
        ("prefix", configuration("111111", 0, 0, 6)),
    ] {
        let measured = few_sentences(&modules, &[]);
        let (first, last) = losses(&measured);
        assert!(last < 0.6 * first, "{name}: loss {first} to {last}");
        assert!(
            last < 0.9 * head_alone,
            "{name}: loss {last}, the head alone {head_alone}"
        );
        assert!(measured.deployed_parameters > 0, "{name}");
    }
}

#[test]
fn full_fine_tuning_and_regression_lower_the_loss_too() {
    let full = few_sentences(
        &configuration("000000", 0, 0, 0),
        &[
            ("/method", json!("FullFineTuning")),
            ("/training/learningRate", json!("1e-4")),
        ],
    );
    let (first, last) = losses(&full);
    assert!(
        last < 0.7 * first,
        "full fine-tuning: loss {first} to {last}"
    );

    let regression = few_sentences(
        &configuration("111111", 24, 0, 0),
        &[
            ("/task/custom/type", json!("Regression")),
            ("/task/custom/labelColumn", json!("rating")),
        ],
    );
    let (first, last) = losses(&regression);
    assert!(last < 0.7 * first, "regression: loss {first} to {last}");
    assert_eq!(regression.metric, Metric::Spearman);
}

#[test]
fn the_best_epoch_is_the_score_and_patience_ends_the_training() {
    let modules = configuration("001", 0, 2, 0);
    // So small a rate never changes a prediction: the first epoch stays the best.
    let still = [
        ("/training/learningRate", json!("1e-12")),
        ("/training/patience", json!(3)),
        ("/fidelity/epochs", json!(50)),
    ];
    let measured = small(&modules, &still).expect("trained");
    assert_eq!(measured.best_epoch, 1);
    assert_eq!(measured.epochs.len(), 4);

    let measured = small(&modules, &[("/fidelity/stepsPercent", json!(30))]).expect("trained");
    // 192 examples in batches of 16 are 12 steps an epoch: 30 % of 6 epochs are 21.6 steps.
    assert_eq!(measured.steps, 22);
    assert_eq!(measured.epochs.len(), 2);
    let best = &measured.epochs[measured.best_epoch as usize - 1];
    assert_eq!(best.metrics[&Metric::Accuracy], measured.score);
}

#[test]
fn a_diverging_training_is_not_finite() {
    let _alone = alone();
    let folder = small_trial();
    let request = small_request(folder.path(), &configuration("111", 0, 8, 0), &[]);
    let mut prepared = prepared(request).expect("prepared");
    // No request may ask for such a rate.
    prepared.recipe.training.learning_rate = "1e30".parse().expect("a number");
    let error = run(&mut prepared, Instant::now(), &mut Silent).expect_err("diverged");
    assert_eq!(error.reason(), FailureReason::NotFinite, "{error}");
}

#[test]
fn a_request_that_contradicts_itself_is_bad_input() {
    for (pointer, value, expected) in [
        (
            "/training/batchSize",
            json!(0),
            "spec.training.batchSize: 0; expected 1 to 4096",
        ),
        (
            "/training/learningRate",
            json!("0"),
            "spec.training.learningRate: 0; expected a number above 0 and at most 1",
        ),
        (
            "/training/weightDecay",
            json!("1.5"),
            "spec.training.weightDecay: 1.5; expected a number from 0 to 1",
        ),
        (
            "/training/maxLength",
            json!(2000),
            "spec.training.maxLength is 2000; the model has positions for 24 tokens",
        ),
        (
            "/configuration/layers",
            json!("11"),
            "the configuration's layers have 2 bits; the model has 3 layers",
        ),
        (
            "/identity/configurationHash",
            json!("00"),
            "identity.configurationHash: 00; expected",
        ),
    ] {
        let mut modules = configuration("111", 8, 0, 0);
        if pointer == "/configuration/layers" {
            modules = configuration("11", 8, 0, 0);
        }
        let error = small(&modules, &[(pointer, value)]).expect_err("refused");
        assert_eq!(error.reason(), FailureReason::BadInput);
        assert!(error.to_string().contains(expected), "{error}");
    }
}

/// The project's promise on real data: half a minute of training on real weights and real sentences
/// is well above always giving the more frequent answer.
#[test]
fn real_text_is_learnt_beyond_the_majority_class() {
    const MARGIN: f64 = 0.1;
    let (measured, majority) = sentences(
        &configuration("000111", 24, 48, 0),
        &[
            (
                "/fidelity",
                json!({"epochs": 1, "trainExamples": 1200, "validationExamples": 400}),
            ),
            (
                "/training",
                json!({"learningRate": "2e-3", "maxLength": 40}),
            ),
        ],
    );
    assert!(
        measured.score > majority + MARGIN,
        "accuracy {}, majority {majority}",
        measured.score
    );
}

#[test]
fn a_metric_that_was_not_measured_is_an_error_and_not_a_score() {
    let measured = [(Metric::Accuracy, 0.5)].into();
    assert_eq!(score(&measured, Metric::Accuracy).ok(), Some(0.5));
    let error = TrialError::from(score(&measured, Metric::Spearman).expect_err("not measured"));
    assert_eq!(error.reason(), FailureReason::Internal);
    assert!(error.to_string().contains("Spearman"), "{error}");
}
