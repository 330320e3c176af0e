//! A fixed training comes to what it has always come to: initial values, order, dropout and every
//! step follow from the request.
//!
//! `golden/replay.json` holds what version 0.1.0 gave. On the kind of CPU that it was recorded on,
//! the adapter's bytes are the same; another CPU's matrix products round otherwise, and there the
//! numbers agree up to rounding, which draws in another order would not.

use std::path::{Path, PathBuf};

use autopeft_crds::PeftConfiguration;
use autopeft_crds::configuration::hex_prefix;
use serde_json::{Value, json};

use crate::common::program::{measured, trial};
use crate::common::{configuration, golden, small_request, small_trial_of};

/// Set to write what is found in place of comparing it.
const RECORD: &str = "AUTOPEFT_RECORD";
/// The largest relative difference of a loss or of a tensor's norm on another CPU.
const TOLERANCE: f64 = 1e-4;

struct Case {
    name: &'static str,
    architecture: &'static str,
    configuration: PeftConfiguration,
    changes: Vec<(&'static str, Value)>,
}

fn cases() -> Vec<Case> {
    let all = || configuration("011", 4, 4, 2);
    let none = || configuration("000", 0, 0, 0);
    let full = ("/method", json!("FullFineTuning"));
    let recipe = json!({
        "learningRate": "0.01", "maxLength": 16, "batchSize": 16,
        "weightDecay": "0.1", "warmupPercent": 10, "padding": "MaxLength", "seed": 7,
    });
    let case = |name, architecture, configuration, changes| Case {
        name,
        architecture,
        configuration,
        changes,
    };
    vec![
        case("all modules", "bert", all(), vec![]),
        case("all modules, RoBERTa", "roberta", all(), vec![]),
        case(
            "serial adapter",
            "bert",
            configuration("101", 3, 0, 0),
            vec![],
        ),
        case(
            "parallel adapter",
            "roberta",
            configuration("001", 0, 5, 0),
            vec![],
        ),
        case("prefix", "bert", configuration("110", 0, 0, 4), vec![]),
        case("the head alone", "roberta", none(), vec![]),
        case(
            "full fine-tuning",
            "bert",
            none(),
            vec![full, ("/training/learningRate", json!("0.001"))],
        ),
        case(
            "another recipe",
            "bert",
            all(),
            vec![
                ("/training", recipe),
                (
                    "/fidelity",
                    json!({"epochs": 3, "stepsPercent": 60, "trainExamples": 90}),
                ),
            ],
        ),
        case(
            "a regression in bfloat16",
            "roberta",
            all(),
            vec![
                ("/task/custom/type", json!("Regression")),
                ("/task/custom/labelColumn", json!("rating")),
                ("/training/precision", json!("BFloat16")),
            ],
        ),
    ]
}

/// The CPU's name, which a virtual machine may shorten, and its vectors: kernels round in their own way.
fn cpu() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let value = |field: &str| {
        let line = text.lines().find(|line| line.starts_with(field));
        line.and_then(|line| line.split_once(": "))
            .map_or("", |(_, value)| value)
    };
    let has_wide = value("flags").split(' ').any(|flag| flag == "avx512f");
    let vectors = if has_wide { "AVX-512" } else { "AVX2" };
    format!("{}, {vectors}", value("model name"))
}

/// What a case comes to: every loss, every norm of a tensor, and a digest of the adapter's bytes.
fn outcome(case: &Case) -> Value {
    let folder = small_trial_of(case.architecture);
    let kept = folder.path().join("kept");
    let mut request = small_request(folder.path(), &case.configuration, &case.changes);
    request["artifacts"] = json!(kept);
    let (code, result, said) = trial(folder.path(), &request);
    assert_eq!(code, 0, "{}: {said}", case.name);
    let measured = measured(&result);
    let losses: Vec<f64> = measured
        .epochs
        .iter()
        .filter_map(|epoch| epoch.loss)
        .collect();
    let bytes = std::fs::read(kept.join("adapter.safetensors")).expect("an adapter");
    json!({
        "name": case.name,
        "losses": losses,
        "score": measured.score,
        "norms": norms(&kept),
        "digest": hex_prefix(&bytes),
    })
}

/// The norm of every tensor of an adapter, by name.
fn norms(adapter: &Path) -> serde_json::Map<String, Value> {
    let tensors = tch::Tensor::read_safetensors(adapter.join("adapter.safetensors"));
    let mut norms: Vec<(String, f64)> = tensors
        .expect("an adapter's tensors")
        .into_iter()
        .map(|(name, tensor)| (name, tensor.norm().double_value(&[])))
        .collect();
    norms.sort_by(|(a, _), (b, _)| a.cmp(b));
    norms
        .into_iter()
        .map(|(name, norm)| (name, json!(norm)))
        .collect()
}

fn check_close(what: &str, found: &Value, expected: &Value) {
    match (found, expected) {
        (Value::Object(found), Value::Object(expected)) => {
            let names =
                |map: &serde_json::Map<String, Value>| map.keys().cloned().collect::<Vec<_>>();
            assert_eq!(names(found), names(expected), "{what}");
            for (name, expected) in expected {
                check_close(&format!("{what}, {name}"), &found[name], expected);
            }
        }
        (Value::Array(found), Value::Array(expected)) => {
            assert_eq!(found.len(), expected.len(), "{what}");
            for (found, expected) in found.iter().zip(expected) {
                check_close(what, found, expected);
            }
        }
        _ => {
            let number = |value: &Value| value.as_f64().expect("a number");
            let (found, expected) = (number(found), number(expected));
            let error = (found - expected).abs();
            assert!(
                error <= TOLERANCE * expected.abs().max(1.0),
                "{what}: {found} where {expected} is expected"
            );
        }
    }
}

#[test]
fn a_training_comes_to_what_it_came_to_in_0_1_0() {
    let found: Vec<Value> = cases().iter().map(outcome).collect();
    if std::env::var_os(RECORD).is_some() {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/replay.json");
        let document = json!({"cpu": cpu(), "cases": found});
        let text = serde_json::to_string_pretty(&document).expect("JSON");
        std::fs::write(path, text + "\n").expect("it is written");
        return;
    }
    let golden = golden("replay.json");
    let expected = golden["cases"].as_array().expect("cases");
    assert_eq!(found.len(), expected.len());
    let is_same_cpu = golden["cpu"] == json!(cpu());
    for (found, expected) in found.iter().zip(expected) {
        let name = expected["name"].as_str().expect("a name");
        assert_eq!(found["name"], expected["name"]);
        if is_same_cpu {
            assert_eq!(found, expected, "{name}");
        }
        // bfloat16 has eight bits, and what is rounded otherwise moves on by whole ones.
        if !name.contains("bfloat16") {
            check_close(name, &found["losses"], &expected["losses"]);
            check_close(name, &found["norms"], &expected["norms"]);
        }
    }
}
