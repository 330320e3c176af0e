//! A short training of every kind of task on real weights and sentences: a model that is validated on its own training
//! examples knows them by heart.

use std::path::Path;
use std::time::Instant;

use autopeft_crds::spec::Metric;
use autopeft_crds::trial::{TrialMeasurements, TrialRequest};
use autopeft_trainer::trial::{prepare, run};
use serde_json::{Value, json};
use tch::Device;

use crate::common::{Silent, alone, configuration, movie_reviews, real_model, small_request};

/// The first sentences of the movie reviews, with a label and a rating each.
fn sentences(model: &Path, count: usize) -> Vec<Value> {
    let file = movie_reviews(model).join("train.jsonl");
    let text = std::fs::read_to_string(file).expect("the reviews");
    let lines = text.lines().take(count);
    lines
        .map(|line| serde_json::from_str(line).expect("a sentence"))
        .collect()
}

/// Trains on these examples of a task of one's own, and validates on the same.
fn trained(examples: &[Value], task: &Value, epochs: u32) -> TrialMeasurements {
    let _alone = alone();
    let model = real_model("all-MiniLM-L6-v2");
    let folder = tempfile::tempdir().expect("a folder");
    let lines: Vec<String> = examples.iter().map(Value::to_string).collect();
    std::fs::write(folder.path().join("all.jsonl"), lines.join("\n")).expect("a file");
    let mut task = task.clone();
    for field in ["trainFile", "validationFile"] {
        task[field] = json!("all.jsonl");
    }
    let request = small_request(
        &model,
        &configuration("000011", 24, 24, 0),
        &[
            ("/data", json!(folder.path())),
            ("/task/custom", task),
            ("/fidelity", json!({"epochs": epochs})),
            (
                "/training",
                json!({"learningRate": "2e-3", "maxLength": 24, "batchSize": 8}),
            ),
        ],
    );
    let request: TrialRequest = serde_json::from_value(request).expect("a request");
    let mut prepared = prepare(&request, Device::Cpu).expect("prepared");
    let (measured, _) = run(&mut prepared, Instant::now(), &mut Silent).expect("trained");
    measured
}

fn metrics(measured: &TrialMeasurements) -> Vec<Metric> {
    measured.epochs[0].metrics.keys().copied().collect()
}

#[test]
fn a_choice_among_texts_is_learnt() {
    let sentences = sentences(&real_model("all-MiniLM-L6-v2"), 1000);
    let of = |label: &'static str| sentences.iter().filter(move |row| row["label"] == label);
    // Which of two reviews is the positive one.
    let pairs = of("positive").zip(of("negative")).take(24).enumerate();
    let examples: Vec<Value> = pairs
        .map(|(index, (good, bad))| match index % 2 {
            0 => json!({"text": "The good one", "a": good["text"], "b": bad["text"], "label": 0}),
            _ => json!({"text": "The good one", "a": bad["text"], "b": good["text"], "label": 1}),
        })
        .collect();
    assert_eq!(examples.len(), 24);
    let task = json!({
        "type": "MultipleChoice", "textColumns": ["text"], "choiceColumns": ["a", "b"],
    });
    let measured = trained(&examples, &task, 12);
    assert_eq!(measured.metric, Metric::Accuracy);
    assert!(measured.score > 0.9, "{}", measured.score);
    assert_eq!(metrics(&measured), [Metric::Accuracy]);
}

#[test]
fn sets_of_classes_are_learnt() {
    let sentences = sentences(&real_model("all-MiniLM-L6-v2"), 32);
    let examples: Vec<Value> = sentences
        .iter()
        .map(|row| {
            let text = row["text"].as_str().expect("a text");
            let mut classes = Vec::new();
            classes.extend((row["label"] == "positive").then_some("positive"));
            classes.extend((text.len() > 80).then_some("long"));
            json!({"text": text, "label": classes})
        })
        .collect();
    let task = json!({"type": "MultiLabel", "textColumns": ["text"]});
    let measured = trained(&examples, &task, 12);
    assert_eq!(measured.metric, Metric::MicroF1);
    assert!(measured.score > 0.9, "{}", measured.score);
    let others = [Metric::MacroF1, Metric::SubsetAccuracy];
    for metric in others {
        assert!(metrics(&measured).contains(&metric), "{metric:?}");
    }
}

#[test]
fn numbers_are_learnt() {
    let sentences = sentences(&real_model("all-MiniLM-L6-v2"), 32);
    let task = json!({"type": "Regression", "textColumns": ["text"], "labelColumn": "rating"});
    let measured = trained(&sentences, &task, 12);
    assert_eq!(measured.metric, Metric::Spearman);
    assert!(measured.score > 0.9, "{}", measured.score);
    assert!(metrics(&measured).contains(&Metric::Pearson));
}

/// A class whose examples weigh next to nothing is given up.
#[test]
fn the_weights_of_classes_decide_what_is_learnt() {
    let sentences = sentences(&real_model("all-MiniLM-L6-v2"), 32);
    let positive = sentences
        .iter()
        .filter(|row| row["label"] == "positive")
        .count();
    let share = positive as f64 / sentences.len() as f64;
    let score = |weights: Value, epochs: u32| {
        let task = json!({
            "type": "Classification", "textColumns": ["text"], "labels": ["negative", "positive"],
            "classWeights": weights,
        });
        trained(&sentences, &task, epochs)
    };
    let recalls = |weights: [&str; 2]| {
        let measured = score(json!({"values": weights}), 3);
        measured.epochs.last().expect("an epoch").metrics[&Metric::Accuracy]
    };
    assert!((recalls(["0.001", "1"]) - share).abs() < 1e-9);
    assert!((recalls(["1", "0.001"]) - (1.0 - share)).abs() < 1e-9);
    let balanced = score(json!({"balanced": true}), 12);
    assert!(balanced.score > 0.9, "{}", balanced.score);
    let macro_f1 = balanced.epochs.last().expect("an epoch").metrics[&Metric::MacroF1];
    assert!(macro_f1 > 0.9, "{macro_f1}");
}
