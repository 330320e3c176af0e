//! The methods of the literature: trained by name, saved, evaluated.

use std::path::Path;

use autopeft_crds::LayerMask;
use autopeft_crds::methods::Method;
use autopeft_crds::spec::BaselineName;
use autopeft_crds::trial::{FailureReason, TrialOutcome};
use autopeft_trainer::model::Model;
use serde_json::{Value, json};

use crate::common::program::{evaluated, measured, run, text, trial};
use crate::common::*;

/// H of the small models.
const HIDDEN: u64 = 16;

/// Trains a baseline on the small task.
fn train(folder: &Path, baseline: BaselineName, more: &[&str]) -> (Value, String) {
    let place = folder.display().to_string();
    let out = folder.join("adapter").display().to_string();
    let baseline = baseline.facts().name;
    let task = [
        "--task",
        "custom",
        "--text-column",
        "text",
        "--epochs",
        "2",
        "--max-length",
        "16",
    ];
    let output = run(&[
        ["train", "--device", "cpu", "--overwrite"].as_slice(),
        &["--model", &place, "--data", &place, "--out", &out],
        &["--baseline", baseline],
        &task,
        more,
    ]
    .concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    let result = serde_json::from_slice(&output.stdout).expect("JSON");
    (result, text(&output.stderr))
}

fn description(folder: &Path) -> Value {
    let text = std::fs::read(folder.join("adapter/adapter.json")).expect("adapter.json");
    serde_json::from_slice(&text).expect("JSON")
}

#[test]
fn every_baseline_is_trained_by_its_name_and_comes_back_with_its_score() {
    let folder = small_trial();
    for baseline in BaselineName::ALL {
        let (result, said) = train(folder.path(), baseline, &[]);
        let place = folder.path();
        let evaluated = evaluated(&place.join("adapter"), place, place, &[]);
        assert_eq!(evaluated["score"], result["score"], "{baseline:?}: {said}");
    }
}

#[test]
fn a_published_recipe_replaces_the_usual_one_and_flags_replace_it() {
    let folder = small_trial();
    let recipe = || {
        let training = &description(folder.path())["training"];
        (
            training["learningRate"].clone(),
            training["batchSize"].clone(),
        )
    };
    train(folder.path(), BaselineName::Lora, &[]);
    assert_eq!(recipe(), (json!("0.0001"), json!(32)));
    let published = ["--baseline-recipe", "Published"];
    train(folder.path(), BaselineName::Lora, &published);
    assert_eq!(recipe(), (json!("0.0005"), json!(32)));
    let faster = [published.as_slice(), &["--learning-rate", "0.01"]].concat();
    train(folder.path(), BaselineName::AdaMix, &faster);
    assert_eq!(recipe(), (json!("0.01"), json!(64)));
}

/// What is trained, measured and saved are fresh adapters in the layers that were chosen.
#[test]
fn adaptable_adapters_end_with_the_layers_of_their_switches() {
    let folder = small_trial();
    let all = configuration("111", 3, 0, 0);
    let kept = folder.path().join("adapter");
    let changes = [
        ("/method", json!("LayerSelection")),
        ("/artifacts", json!(kept)),
    ];
    let request = small_request(folder.path(), &all, &changes);
    let (code, result, said) = trial(folder.path(), &request);
    assert_eq!(code, 0, "{said}");
    let found = measured(&result);
    let layers = found.selected_layers.clone().expect("layers");
    assert!((1..=3).contains(&layers.active()), "{layers}");
    assert!(said.contains(&format!("layers chosen: {layers}")), "{said}");
    assert_eq!(
        description(folder.path())["configuration"]["layers"],
        json!(layers)
    );
    let hidden = HIDDEN;
    let adapter = 2 * 3 * hidden + 3 + hidden;
    let deployed = layers.active() as u64 * adapter;
    assert_eq!(found.deployed_parameters, deployed);
    // Twice six epochs of twelve steps.
    assert!(found.steps > 72 && found.steps <= 144, "{}", found.steps);
    let (_, again, _) = trial(folder.path(), &request);
    assert_eq!(measured(&again).score, found.score);
    assert_eq!(measured(&again).selected_layers, Some(layers));
}

#[test]
fn switches_need_a_serial_adapter_alone() {
    let folder = small_trial();
    let both = configuration("111", 3, 2, 0);
    let request = small_request(
        folder.path(),
        &both,
        &[("/method", json!("LayerSelection"))],
    );
    let (_, result, _) = trial(folder.path(), &request);
    let TrialOutcome::Failed { reason, message } = &result.outcome else {
        panic!("{result:?}");
    };
    assert_eq!(*reason, FailureReason::BadInput);
    assert!(message.contains("a serial adapter alone"), "{message}");
}

/// A step of robust AdapterDrop is one of the model that never had the lower adapters.
#[test]
fn dropped_layers_are_those_of_a_model_without_their_adapters() {
    let _guard = among_others();
    let backbone = small_backbone("bert", Method::Peft);
    let with = |layers: &str| {
        let configuration = configuration(layers, 3, 0, 0);
        let model = Model::new(&backbone, &configuration, 3, 7).expect("a model");
        fill_modules(&model);
        model
    };
    let batch = small_batch("bert");
    let full = with("111");
    for (first, layers) in [(0, "111"), (1, "011"), (2, "001"), (3, "000")] {
        let dropped = full.forward_from(first, &batch, false);
        let without = with(layers).forward(&batch, false);
        assert_eq!(values(&dropped), values(&without), "{layers}");
    }
}

#[test]
fn the_experts_of_adamix_are_averaged_for_predictions_and_for_deployment() {
    let _guard = among_others();
    let backbone = small_backbone("bert", Method::Peft);
    let layers: LayerMask = "101".parse().expect("a mask");
    let configuration =
        autopeft_crds::PeftConfiguration::new(layers, &[(autopeft_crds::Module::AdaMix, 3)]);
    let model = Model::new(&backbone, &configuration, 3, 7).expect("a model");
    fill_modules(&model);
    let hidden = HIDDEN;
    assert_eq!(
        model.deployed_parameters(),
        2 * (2 * 3 * hidden + 3 + hidden)
    );
    let batch = small_batch("bert");
    let validated = model.forward(&batch, false);
    let deployed = model.evaluator().predict(&batch);
    assert_eq!(values(&validated), values(&deployed));
}
