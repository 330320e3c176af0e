//! The encoder against Hugging Face transformers, and the modules against plain formulas: golden
//! values from `golden/make.py` and `golden/base.py`.

use std::path::Path;

use crate::common::*;
use autopeft_crds::PeftConfiguration;
use autopeft_crds::trial::Method;
use autopeft_trainer::encoder::ModelConfig;
use autopeft_trainer::encoder::sites::{Attention, Bare, Pass};
use autopeft_trainer::model::{Backbone, Batch, Model};
use autopeft_trainer::tokenize::{Limits, TextEncoder};
use serde_json::Value;
use tch::{Device, Kind, Tensor};

/// The largest difference that is allowed between hidden states: attention that is
/// fused or not differs by about 1e-6 in float32.
const TOLERANCE: f64 = 1e-5;

/// The embeddings and every layer's output, each `[B, T, H]`.
fn hidden_states(backbone: &Backbone, batch: &Batch, attention: Attention) -> Vec<Tensor> {
    let encoder = backbone.encoder().expect("an encoder");
    let pass = Pass {
        train: false,
        attention,
    };
    tch::no_grad(|| {
        let mask = encoder.mask(batch, 0, &pass);
        let mut states = vec![encoder.embed(batch, &pass)];
        for layer in 0..backbone.config().layers {
            let next = encoder.layer(layer, &states[layer], &mask, &Bare, &pass);
            states.push(next);
        }
        states
    })
}

/// The largest absolute difference; `what` is named where it is above the tolerance, relative to
/// values above 1.
fn check(what: &str, found: &[f64], expected: &[f64], tolerance: f64) -> f64 {
    assert_eq!(found.len(), expected.len(), "{what}: number of values");
    found
        .iter()
        .zip(expected)
        .enumerate()
        .map(|(index, (found, expected))| {
            let error = (found - expected).abs();
            assert!(
                error <= tolerance * expected.abs().max(1.0),
                "{what}, value {index}: {found} where {expected} is expected"
            );
            error
        })
        .fold(0.0, f64::max)
}

/// A real model against a golden file, which has every `step`th hidden unit.
fn check_real(directory: &Path, golden: &Value, step: i64, attention: Attention, device: Device) {
    let batch = on(device, batch(&golden["batch"]));
    let backbone =
        Backbone::load(directory, Method::Peft, device, Kind::Float).expect("the real weights");
    let states = hidden_states(&backbone, &batch, attention);
    let expected = golden["states"].as_array().expect("states");
    assert_eq!(states.len(), expected.len());
    for (layer, (state, expected)) in states.iter().zip(expected).enumerate() {
        let some = state.slice(2, 0, i64::MAX, step);
        let what = format!("{attention:?}, output {layer}");
        let error = check(
            &what,
            &values(&some),
            &numbers(&expected["values"]),
            TOLERANCE,
        );
        let norms = state.norm_scalaropt_dim(2.0, [-1i64].as_slice(), false);
        check(
            &what,
            &values(&norms),
            &numbers(&expected["norms"]),
            TOLERANCE,
        );
        eprintln!("{what}: largest error {error:.1e}");
    }
}

fn check_minilm(attention: Attention, device: Device) {
    let directory = real_model("all-MiniLM-L6-v2");
    check_real(&directory, &golden("minilm.json"), 32, attention, device);
}

/// The tokens of the golden file's texts are those of its batch.
fn check_tokens(directory: &Path, golden: &Value) {
    let config = ModelConfig::read(directory).expect("a configuration");
    let texts: Vec<(String, Option<String>)> =
        serde_json::from_value(golden["texts"].clone()).expect("texts");
    // A task has single texts or pairs; in the golden file the pairs are last.
    let (pairs, single) = texts.into_iter().partition(|(_, second)| second.is_some());
    let encode = |texts: Vec<(String, Option<String>)>, pairs: bool| {
        let encoder = TextEncoder::open(directory, Limits::of(&config), 128, pairs);
        let encoder = encoder.expect("a tokenizer");
        encoder.encode(&texts).expect("tokens")
    };
    let found = [encode(single, false), encode(pairs, true)];
    let flat = |field: &str| -> Vec<f64> {
        let rows = golden["batch"][field].as_array().expect("rows");
        rows.iter().flat_map(numbers).collect()
    };
    let mask = flat("attention_mask");
    let tokens = |field: &str| -> Vec<f64> {
        let all = flat(field).into_iter().zip(&mask);
        all.filter(|(_, seen)| **seen == 1.0)
            .map(|(token, _)| token)
            .collect()
    };
    let ids: Vec<f64> = found
        .iter()
        .flat_map(|some| some.ids.iter().map(|id| f64::from(*id)))
        .collect();
    let types: Vec<f64> = found
        .iter()
        .flat_map(|some| some.types.iter().map(|id| f64::from(*id)))
        .collect();
    assert_eq!(ids, tokens("input_ids"));
    assert_eq!(types, tokens("token_type_ids"));
}

/// A model of 12 layers whose weights and tokenizer were converted by `docs/examples/fetch.sh`.
fn check_converted(name: &str, argument: &str) {
    let Some(directory) = optional_model(name, argument) else {
        return;
    };
    let golden = golden(&format!("{name}.json"));
    check_tokens(&directory, &golden);
    for attention in [Attention::Eager, Attention::Fused] {
        check_real(&directory, &golden, 128, attention, Device::Cpu);
    }
}

#[test]
fn bert_base_has_the_hidden_states_of_hugging_face() {
    check_converted("bert-base-uncased", "bert-base");
}

#[test]
fn bge_small_has_the_hidden_states_of_hugging_face() {
    check_converted("bge-small-en-v1.5", "bge-small");
}

#[test]
fn minilm_has_the_hidden_states_of_hugging_face() {
    check_minilm(Attention::Eager, Device::Cpu);
}

#[test]
fn fused_attention_has_them_too() {
    check_minilm(Attention::Fused, Device::Cpu);
}

#[test]
fn small_bert_and_roberta_have_the_hidden_states_of_hugging_face() {
    for architecture in ["bert", "roberta"] {
        let golden = &golden("encoders.json")[architecture];
        let backbone = small_backbone(architecture, Method::Peft);
        for attention in [Attention::Eager, Attention::Fused] {
            let states = hidden_states(&backbone, &batch(&golden["batch"]), attention);
            let expected = golden["states"].as_array().expect("states");
            assert_eq!(states.len(), expected.len());
            for (layer, (state, expected)) in states.iter().zip(expected).enumerate() {
                let what = format!("{architecture}, {attention:?}, output {layer}");
                check(&what, &values(state), &numbers(expected), TOLERANCE);
            }
        }
    }
}

/// One case of `training.json`: logits, every gradient and ten losses.
fn check_training(case: &Value, attention: Attention, device: Device) {
    let architecture = case["architecture"].as_str().expect("a text");
    let method = serde_json::from_value(case["method"].clone()).expect("a method");
    let configuration: PeftConfiguration =
        serde_json::from_value(case["configuration"].clone()).expect("a configuration");
    let what = format!("{architecture}, {method:?}, {configuration}, {attention:?}");
    let backbone = small_backbone_on(device, architecture, method);
    let mut model = Model::new(&backbone, &configuration, 3, 0).expect("a model");
    model.set_attention(attention);
    fill_modules(&model);
    let batch = on(device, small_batch(architecture));
    let labels = Tensor::from_slice(&[0i64, 2, 1]).to_device(device);
    let expected_losses = numbers(&case["losses"]);
    for (step, expected) in expected_losses.iter().enumerate() {
        let logits = model.forward(&batch, false);
        let loss = logits.cross_entropy_for_logits(&labels);
        let name = format!("{what}: loss {step}");
        check(&name, &values(&loss), &[*expected], 2e-5);
        let mut found = gradients(&model, &loss);
        if step == 0 {
            check(
                &format!("{what}: logits"),
                &values(&logits),
                &numbers(&case["logits"]),
                TOLERANCE,
            );
            check_gradients(&what, &found, &case["gradients"]);
        }
        for (name, mut tensor) in model.trainable() {
            let gradient = found.remove(&name).expect("a gradient");
            let _ = tch::no_grad(|| tensor.g_sub_(&(gradient * 0.05)));
            tensor.zero_grad();
        }
    }
}

fn check_gradients(
    what: &str,
    found: &std::collections::HashMap<String, Tensor>,
    expected: &Value,
) {
    let expected = expected.as_object().expect("gradients");
    assert_eq!(found.len(), expected.len(), "{what}: number of gradients");
    for (name, summary) in expected {
        let what = format!("{what}: gradient of {name}");
        let gradient = found
            .get(name)
            .unwrap_or_else(|| panic!("{what} is missing"));
        let flat = gradient.flatten(0, -1).to_kind(Kind::Double);
        let direction = fill("direction", &flat.size()).to_device(flat.device());
        let norm = summary["norm"].as_f64().expect("a norm");
        let product = summary["product"].as_f64().expect("a product");
        // Gradients are smaller than 1: the scale of the comparison is the tensor's norm.
        let scale = norm.max(1e-3);
        let relative =
            |values: Vec<f64>| values.iter().map(|value| value / scale).collect::<Vec<_>>();
        check(
            &what,
            &relative(values(&flat.norm())),
            &relative(vec![norm]),
            1e-5,
        );
        check(
            &what,
            &relative(values(&flat.dot(&direction))),
            &relative(vec![product]),
            1e-5,
        );
        let first = relative(values(&flat.slice(0, 0, 3, 1)));
        check(&what, &first, &relative(numbers(&summary["first"])), 1e-5);
    }
}

fn check_modules(device: Device) {
    let _guard = among_others();
    let golden = golden("training.json");
    let cases = golden.as_array().expect("cases");
    assert!(cases.len() >= 8);
    for case in cases {
        check_training(case, Attention::Eager, device);
        check_training(case, Attention::Fused, device);
    }
}

#[test]
fn modules_have_the_logits_gradients_and_losses_of_the_formulas() {
    check_modules(Device::Cpu);
}

#[test]
#[ignore = "needs a GPU"]
fn a_gpu_has_the_hidden_states_of_hugging_face() {
    check_minilm(Attention::Eager, gpu());
    check_minilm(Attention::Fused, gpu());
}

#[test]
#[ignore = "needs a GPU"]
fn a_gpu_has_the_logits_gradients_and_losses_of_the_formulas() {
    check_modules(gpu());
}
