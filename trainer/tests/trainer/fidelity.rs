//! What a fidelity takes: samples over which nothing can be learned or told apart are refused, by a trial and
//! by an inspection alike, and even a training of one step trains.

use std::time::Instant;

use autopeft_crds::PeftConfiguration;
use autopeft_crds::spec::Metric;
use autopeft_crds::trial::{FailureReason, TrialRequest};
use autopeft_trainer::inspect::inspect;
use autopeft_trainer::trial::{TrialError, prepare, run};
use serde_json::{Value, json};
use tch::Device;

use crate::common::{
    Silent, alone, among_others, configuration, small_request, small_trial, values,
};

fn modules() -> PeftConfiguration {
    configuration("011", 4, 0, 0)
}

/// A regression on the small trial's ratings.
fn regression() -> [(&'static str, Value); 2] {
    [
        ("/task/custom/type", json!("Regression")),
        ("/task/custom/labelColumn", json!("rating")),
    ]
}

fn request(folder: &std::path::Path, changes: &[(&str, Value)]) -> TrialRequest {
    let request = small_request(folder, &modules(), changes);
    serde_json::from_value(request).expect("a request")
}

/// What a trial and an inspection say alike; nothing where they accept the request.
fn refused(changes: &[(&str, Value)]) -> Option<String> {
    let _guard = among_others();
    let folder = small_trial();
    let request = request(folder.path(), changes);
    let message = |error: TrialError| {
        assert_eq!(error.reason(), FailureReason::BadInput, "{error}");
        error.to_string()
    };
    let of_trial = prepare(&request, Device::Cpu).err().map(message);
    assert_eq!(inspect(&request).err().map(message), of_trial);
    of_trial
}

fn check_refused(changes: &[(&str, Value)], expected: &str) {
    let message = refused(changes).unwrap_or_else(|| panic!("accepted: {changes:?}"));
    assert_eq!(message, expected);
}

#[test]
fn a_correlation_over_too_few_examples_is_refused() {
    let [kind, column] = regression();
    for metric in ["Pearson", "Spearman"] {
        let with = |count: u32| {
            [
                kind.clone(),
                column.clone(),
                ("/task/metric", json!(metric)),
                ("/fidelity/validationExamples", json!(count)),
            ]
        };
        for count in [1, 2] {
            check_refused(
                &with(count),
                &format!(
                    "{count} validation example{}: {} needs at least 3; raise spec.fidelity.validationExamples (64 are there)",
                    if count == 1 { "" } else { "s" },
                    label(metric)
                ),
            );
        }
        assert_eq!(refused(&with(40)), None);
    }
}

/// A metric's name in messages.
fn label(metric: &str) -> &'static str {
    let metric: Metric = serde_json::from_value(json!(metric)).expect("a metric");
    metric.label()
}

#[test]
fn examples_of_one_label_are_refused_where_the_metric_says_nothing_of_them() {
    let one = |field: &'static str| (field, json!(1));
    check_refused(
        &[one("/fidelity/trainExamples")],
        "1 training example, every one labelled \"high\": there is nothing to learn; raise spec.fidelity.trainExamples (192 are there)",
    );
    let [kind, column] = regression();
    let message = refused(&[kind, column, one("/fidelity/trainExamples")]).expect("refused");
    assert!(message.contains("there is nothing to learn"), "{message}");

    let matthews = ("/task/metric", json!("Matthews"));
    let message = refused(&[matthews, one("/fidelity/validationExamples")]).expect("refused");
    assert!(
        message.contains("1 validation example, every one labelled \""),
        "{message}"
    );
    assert!(message.contains("is 0 for any model; raise"), "{message}");

    // The one example is of the first class, and F1 is that of the second.
    let f1 = |labels: Value| {
        refused(&[
            ("/task/metric", json!("F1")),
            ("/task/custom/labels", labels),
            one("/fidelity/validationExamples"),
        ])
    };
    let told = [f1(json!(["high", "low"])), f1(json!(["low", "high"]))];
    assert_eq!(told.iter().flatten().count(), 1, "{told:?}");
    assert!(
        told.iter()
            .flatten()
            .all(|message| message.contains("none labelled \""))
    );

    // Right or wrong: accuracy tells models apart by one example.
    assert_eq!(refused(&[one("/fidelity/validationExamples")]), None);
}

#[test]
fn a_whole_file_of_one_label_is_refused_for_a_correlation_of_classes() {
    let folder = small_trial();
    let line = json!({"text": "w5 w6", "label": "low", "rating": 1}).to_string();
    std::fs::write(
        folder.path().join("validation.jsonl"),
        [&*line; 5].join("\n"),
    )
    .expect("a file");
    let refused = |metric: &str| {
        let request = request(folder.path(), &[("/task/metric", json!(metric))]);
        inspect(&request).err().map(|error| error.to_string())
    };
    let message = refused("Matthews").expect("refused");
    assert!(
        message.ends_with("the validation file needs others"),
        "{message}"
    );
    assert_eq!(refused("Accuracy"), None);
}

#[test]
fn a_label_whose_squared_error_overflows_is_refused_with_its_line() {
    for rating in ["1e30", "-1e20", "3e14"] {
        let folder = small_trial();
        let file = folder.path().join("train.jsonl");
        let text = std::fs::read_to_string(&file).expect("the small task");
        let line = format!("{{\"text\": \"w5\", \"label\": \"low\", \"rating\": {rating}}}");
        std::fs::write(&file, format!("{text}\n{line}\n")).expect("a file");
        let error = inspect(&request(folder.path(), &regression())).expect_err("refused");
        let message = error.to_string();
        assert_eq!(error.reason(), FailureReason::BadInput, "{message}");
        assert!(
            message.contains("train.jsonl, line 193, field \"rating\""),
            "{message}"
        );
        assert!(
            message.contains("squared error, overflows beyond; scale the labels"),
            "{message}"
        );
    }
}

#[test]
fn an_only_step_trains_whatever_the_warm_up() {
    let _alone = alone();
    let folder = small_trial();
    for (fidelity, warmup) in [
        (json!({"trainExamples": 16}), 10),
        (json!({"trainExamples": 16}), 100),
        (json!({"stepsPercent": 1}), 10),
        (json!({"epochs": 3, "stepsPercent": 1}), 10),
    ] {
        let changes = [
            ("/fidelity", fidelity.clone()),
            ("/training/warmupPercent", json!(warmup)),
        ];
        let mut prepared =
            prepare(&request(folder.path(), &changes), Device::Cpu).expect("prepared");
        let flat = |prepared: &autopeft_trainer::trial::Prepared| -> Vec<Vec<f64>> {
            let trainable = prepared.model.trainable();
            trainable.iter().map(|(_, tensor)| values(tensor)).collect()
        };
        let before = flat(&prepared);
        let (measured, _) = run(&mut prepared, Instant::now(), &mut Silent).expect("trained");
        assert_eq!(measured.steps, 1, "{fidelity}");
        assert_ne!(flat(&prepared), before, "{fidelity}, warm-up {warmup} %");
    }
}

#[test]
fn an_inspection_tells_what_a_constant_answer_scores_on_the_trials_examples() {
    let folder = small_trial();
    let constant = |changes: &[(&str, Value)]| {
        let (found, _) = inspect(&request(folder.path(), changes)).expect("inspected");
        let constant = found.constant_score.expect("a score");
        (constant.metric, constant.score.get())
    };
    let text = std::fs::read_to_string(folder.path().join("validation.jsonl")).expect("a file");
    let high = text
        .lines()
        .filter(|line| line.contains("\"high\""))
        .count() as f64;
    let (metric, score) = constant(&[]);
    assert_eq!(metric, Metric::Accuracy);
    assert_eq!(score, high.max(64.0 - high) / 64.0);
    let (metric, score) = constant(&[
        ("/task/metric", json!("F1")),
        ("/task/custom/labels", json!(["low", "high"])),
    ]);
    assert_eq!(metric, Metric::F1);
    assert!(
        (score - 2.0 * high / (high + 64.0)).abs() < 1e-12,
        "{score}"
    );
    let (_, sampled) = constant(&[("/fidelity/validationExamples", json!(7))]);
    assert!((sampled * 7.0 - (sampled * 7.0).round()).abs() < 1e-9 && sampled >= 0.5);
    assert_eq!(constant(&regression()), (Metric::Spearman, 0.0));
}
