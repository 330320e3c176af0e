//! `training.earlyStopping`: what stops a training, and what it then comes to.

use std::path::Path;
use std::time::Instant;

use autopeft_crds::run::{Expected, MemberResult, RunRequest, RunResult, parse_run_result};
use autopeft_crds::spec::{EarlyStop, Metric};
use autopeft_crds::trial::{FailureReason, TrialMeasurements, TrialRequest};
use autopeft_trainer::result;
use autopeft_trainer::trial::{Prepared, describe, prepare, run};
use serde_json::{Value, json};
use tch::Device;

use crate::common::{Silent, alone, configuration, small_request, small_trial};

fn request(folder: &Path, changes: &[(&str, Value)]) -> TrialRequest {
    let modules = configuration("111", 8, 0, 0);
    let request = small_request(folder, &modules, changes);
    serde_json::from_value(request).expect("a request")
}

fn prepared(request: &TrialRequest) -> Prepared {
    prepare(request, Device::Cpu).expect("prepared")
}

fn trained(folder: &Path, changes: &[(&str, Value)]) -> TrialMeasurements {
    let mut prepared = prepared(&request(folder, changes));
    run(&mut prepared, Instant::now(), &mut Silent)
        .expect("trained")
        .0
}

fn constant_after(epochs: u32) -> (&'static str, Value) {
    let stop = json!({"constantPrediction": {"afterEpochs": epochs}});
    ("/training/earlyStopping", stop)
}

#[test]
fn a_constant_predictor_is_stopped_and_keeps_its_best_score() {
    let _alone = alone();
    let folder = small_trial();
    // Whoever cannot tell the examples apart predicts the same for each.
    let same = |label: &str| json!({"text": "w7 w8", "label": label}).to_string();
    let lines = [same("low"), same("high"), same("high"), same("high")].join("\n");
    std::fs::write(folder.path().join("validation.jsonl"), lines).expect("a file");
    let came_to = |changes: &[(&str, Value)]| {
        let measured = trained(folder.path(), changes);
        let best = &measured.epochs[measured.best_epoch as usize - 1];
        assert_eq!(best.metrics[&Metric::Accuracy], measured.score);
        let most = measured
            .epochs
            .iter()
            .map(|epoch| epoch.metrics[&Metric::Accuracy]);
        assert_eq!(most.fold(0.0, f64::max), measured.score);
        (measured.epochs.len(), measured.stopped_early)
    };
    let constant = Some(EarlyStop::ConstantPrediction);
    assert_eq!(came_to(&[]), (6, None));
    assert_eq!(came_to(&[constant_after(3)]), (3, constant));
    assert_eq!(came_to(&[constant_after(1)]), (1, constant));
    // A training that is over anyway is not stopped early.
    assert_eq!(came_to(&[constant_after(6)]), (6, None));
    let two = ("/fidelity/epochs", json!(2));
    assert_eq!(came_to(&[constant_after(3), two]), (2, None));
}

#[test]
fn guards_do_not_touch_a_training_that_learns() {
    let _alone = alone();
    let folder = small_trial();
    let stops = json!({"constantPrediction": {"afterEpochs": 1}, "notFinite": true});
    let ratings = [
        ("/task/custom/type", json!("Regression")),
        ("/task/custom/labelColumn", json!("rating")),
    ];
    let guarded = [("/training/earlyStopping", stops)];
    let with = trained(folder.path(), &[&ratings, &guarded[..]].concat());
    let without = trained(folder.path(), &ratings);
    assert_eq!((with.stopped_early, with.epochs), (None, without.epochs));
    assert_eq!(with.score, without.score);
}

/// A training whose rate, which no request may ask for, breaks it as soon as it is not zero: after the first of these
/// epochs, of one step each, with a warm-up, and in the first without.
fn diverging(folder: &Path, warmup_percent: u32, stops: bool) -> (TrialRequest, Prepared) {
    let request = request(
        folder,
        &[
            ("/fidelity/trainExamples", json!(16)),
            ("/training/warmupPercent", json!(warmup_percent)),
            ("/training/earlyStopping", json!({"notFinite": stops})),
        ],
    );
    let mut prepared = prepared(&request);
    prepared.recipe.training.learning_rate = "1e30".parse().expect("a number");
    (request, prepared)
}

/// The model's metrics as it is now.
fn now(prepared: &Prepared) -> Vec<(Metric, f64)> {
    let validation = &prepared.data.validation;
    let validated = validation.validate(&prepared.model.evaluator());
    validated.expect("finite").metrics.into_iter().collect()
}

/// What the operator reads of these measurements.
fn as_read(request: &TrialRequest, measured: TrialMeasurements) -> TrialMeasurements {
    let run = RunRequest::new(vec![request.clone()]).expect("a run");
    let identity = request.identity.clone();
    let outcome = result::succeeded(measured);
    let member = MemberResult {
        identity: identity.clone(),
        outcome,
    };
    let bytes = result::encode(RunResult::of(&run, vec![member]), 4096).expect("a document");
    let metric = Metric::Accuracy;
    let read = parse_run_result(&bytes, &[Expected { identity, metric }]).remove(0);
    match read.expect("a valid document") {
        autopeft_crds::trial::TrialOutcome::Succeeded(measured) => *measured,
        failed => panic!("{failed:?}"),
    }
}

#[test]
fn where_no_epoch_is_finite_the_untrained_model_has_the_score() {
    let _alone = alone();
    let folder = small_trial();
    let (request, mut prepared) = diverging(folder.path(), 0, true);
    let before = now(&prepared);
    let (measured, _) = run(&mut prepared, Instant::now(), &mut Silent).expect("stopped");
    assert_eq!(measured.stopped_early, Some(EarlyStop::NotFinite));
    assert_eq!(measured.best_epoch, 0);
    let [epoch] = &measured.epochs[..] else {
        panic!("{:?}", measured.epochs);
    };
    assert_eq!((epoch.epoch, epoch.loss), (0, None));
    assert_eq!(
        epoch.metrics.clone().into_iter().collect::<Vec<_>>(),
        before
    );
    assert_eq!(epoch.metrics[&Metric::Accuracy], measured.score);
    assert_eq!(
        now(&prepared),
        before,
        "the weights are those before training"
    );

    let description = describe(&request, &prepared, &measured).expect("an adapter");
    let kept = description.measured.expect("measurements");
    assert_eq!((kept.best_epoch, kept.metrics), (0, epoch.metrics.clone()));
    let read = as_read(&request, measured.clone());
    assert_eq!((read.best_epoch, read.score), (0, measured.score));
    assert_eq!(read.stopped_early, Some(EarlyStop::NotFinite));
}

#[test]
fn the_best_epoch_before_one_that_is_not_finite_stands() {
    let _alone = alone();
    let folder = small_trial();
    let (_, mut prepared) = diverging(folder.path(), 100, true);
    let before = now(&prepared);
    let (measured, _) = run(&mut prepared, Instant::now(), &mut Silent).expect("stopped");
    assert_eq!(measured.stopped_early, Some(EarlyStop::NotFinite));
    // The first epoch's rate is 0.
    assert_eq!((measured.best_epoch, measured.epochs.len()), (1, 1));
    assert!(measured.epochs[0].loss.is_some());
    assert_eq!(
        now(&prepared),
        before,
        "the weights are those of the best epoch"
    );
}

#[test]
fn without_the_guard_it_fails() {
    let _alone = alone();
    let folder = small_trial();
    for warmup_percent in [0, 100] {
        let (_, mut prepared) = diverging(folder.path(), warmup_percent, false);
        let error = run(&mut prepared, Instant::now(), &mut Silent).expect_err("it diverges");
        assert_eq!(error.reason(), FailureReason::NotFinite, "{error}");
    }
}
