//! The modules against Hugging Face's `peft` and AdapterHub's `adapters`: golden values from
//! `golden/references.py`, which these Python libraries computed with the same weights and inputs. Methods that neither
//! has are compared with the published formulas, written in Python there.
//!
//! `cargo test --test trainer references -- --nocapture` prints the largest differences.

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;

use autopeft_crds::trial::Method;
use autopeft_crds::{ModuleOptions, PeftConfiguration};
use autopeft_trainer::encoder::sites::Attention;
use autopeft_trainer::model::{Backbone, Model};
use autopeft_trainer::peft::Inserted;
use autopeft_trainer::train::optimizer::AdamW;
use autopeft_trainer::train::schedule::Schedule;
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};

use crate::common::*;

/// Of outputs and gradients, relative to a tensor's norm.
const TOLERANCE: f64 = 1e-5;
/// Of losses.
const LOSS_TOLERANCE: f64 = 1e-4;
/// The norm that a gradient is held against where its own is smaller: that of keys' biases is 0 but for rounding.
const LEAST_NORM: f64 = 1e-3;

/// Of the draws in training.
const SEED: i64 = 7;
/// The case that has switches.
const SWITCHED: &str = "serial adapter behind switches";

/// The largest differences of a case.
#[derive(Debug, Default)]
struct Differences {
    logits: f64,
    gradients: f64,
    losses: f64,
}

/// A case of a golden file.
struct Case<'a> {
    value: &'a Value,
    architecture: &'a str,
    configuration: PeftConfiguration,
    options: ModuleOptions,
}

impl<'a> Case<'a> {
    fn new(value: &'a Value) -> Self {
        let mut configuration = json!({
            "layers": value["layers"], "serialAdapter": 0, "parallelAdapter": 0, "prefix": 0,
        });
        for (field, size) in value["sizes"].as_object().expect("sizes") {
            configuration[field] = size.clone();
        }
        Self {
            value,
            architecture: value["architecture"].as_str().expect("an architecture"),
            configuration: serde_json::from_value(configuration).expect("a configuration"),
            options: serde_json::from_value(value["options"].clone()).expect("options"),
        }
    }

    fn model(&self) -> Model {
        let mut config = small_config(self.architecture);
        for dropout in ["hidden_dropout_prob", "attention_probs_dropout_prob"] {
            config[dropout] = json!(0.0);
        }
        let folder = tempfile::tempdir().expect("a temporary directory");
        write_model(folder.path(), &config, &small_tensors(&config));
        let backbone = Backbone::load(folder.path(), Method::Peft, Device::Cpu, Kind::Float)
            .expect("a small model");
        let inserted = Inserted {
            configuration: &self.configuration,
            options: &self.options,
            is_switched: self.module() == SWITCHED,
        };
        let mut model = Model::new(&backbone, inserted, 3, 0).expect("a model");
        model.set_attention(Attention::Eager);
        fill_modules(&model);
        model
    }

    fn module(&self) -> &str {
        self.value["module"].as_str().expect("a module")
    }

    fn differences(&self, golden: &Value) -> Differences {
        let model = self.model();
        tch::manual_seed(SEED);
        let logits = model.forward(&small_batch(self.architecture), true);
        let loss = logits.cross_entropy_for_logits(&Tensor::from_slice(&[0i64, 2, 1]));
        let expected = Tensor::from_slice(&numbers(&self.value["logits"]));
        Differences {
            logits: largest(
                &(flat(&logits) - &expected),
                f64::try_from(expected.norm()).expect("a number"),
            ),
            gradients: self.of_gradients(&gradients(&model, &loss)),
            losses: self.of_losses(golden),
        }
    }

    /// Norm, product with a fixed direction and first values of each gradient, relative to its norm.
    fn of_gradients(&self, found: &HashMap<String, Tensor>) -> f64 {
        let expected = self.value["gradients"].as_object().expect("gradients");
        let mut names: Vec<_> = found.keys().collect();
        names.sort();
        let mut expected_names: Vec<_> = expected.keys().collect();
        expected_names.sort();
        assert_eq!(names, expected_names, "{self:?}");
        let of_tensor = |(name, summary): (&String, &Value)| {
            let gradient = flat(&found[name]);
            let direction = fill("direction", &gradient.size());
            let norm = summary["norm"].as_f64().expect("a norm");
            let summed = [gradient.norm(), gradient.dot(&direction)];
            let product = summary["product"].as_f64().expect("a product");
            let first = numbers(&summary["first"]);
            let values = values(&gradient.slice(0, 0, 3, 1));
            let differences = std::iter::zip(values, first)
                .chain(std::iter::zip(summed.map(number), [norm, product]))
                .map(|(found, expected)| (found - expected).abs() / norm.max(LEAST_NORM));
            let difference = differences.fold(0.0, f64::max);
            if difference > TOLERANCE {
                eprintln!("{self:?}: gradient of {name} differs by {difference:.1e}");
            }
            difference
        };
        expected.iter().map(of_tensor).fold(0.0, f64::max)
    }

    /// A training without dropout in the same order, by the trainer's own optimiser and schedule.
    fn of_losses(&self, golden: &Value) -> f64 {
        let model = self.model();
        let batches = golden["batches"][self.architecture].as_array();
        let batches = batches.expect("batches");
        let expected = numbers(&self.value["losses"]);
        let peak = golden["peakRate"].as_f64().expect("a rate");
        let schedule = Schedule::new(peak, expected.len() as u64, 0);
        let mut optimizer = AdamW::new(
            model.trainable(),
            0.0,
            |_| true,
            |name| Model::own_rate(name).map(|rate| rate / peak),
        )
        .expect("an optimiser");
        tch::manual_seed(SEED);
        let step = |(step, expected): (usize, &f64)| {
            let rows = &batches[step % batches.len()];
            let labels = Tensor::from_slice(&numbers(&rows["labels"])).to_kind(Kind::Int64);
            let logits = model.forward(&batch(rows), true);
            let loss = logits.cross_entropy_for_logits(&labels);
            let rate = schedule.rate(step as u64);
            optimizer.step(&loss, rate).expect("a step");
            (number(loss) - expected).abs()
        };
        expected.iter().enumerate().map(step).fold(0.0, f64::max)
    }
}

impl std::fmt::Debug for Case<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, {}", self.module(), self.architecture)
    }
}

fn flat(tensor: &Tensor) -> Tensor {
    tensor.detach().flatten(0, -1).to_kind(Kind::Double)
}

fn number(tensor: Tensor) -> f64 {
    f64::try_from(tensor.detach()).expect("a number")
}

fn largest(difference: &Tensor, scale: f64) -> f64 {
    number(difference.abs().max()) / scale
}

fn check(library: &str) {
    // They draw from libtorch's one generator.
    let _guard = alone();
    let golden = golden(&format!("references-{library}.json"));
    let cases = golden["cases"].as_array().expect("cases");
    let mut different = Vec::new();
    for value in cases {
        let case = Case::new(value);
        let found = case.differences(&golden);
        let module = case.module();
        eprintln!(
            "| {module} | {} | {library} | {:.1e} | {:.1e} | {:.1e} |",
            case.architecture, found.logits, found.gradients, found.losses
        );
        let equal = found.logits <= TOLERANCE
            && found.gradients <= TOLERANCE
            && found.losses <= LOSS_TOLERANCE;
        if !equal {
            different.push(format!("{case:?}: {found:?}"));
        }
    }
    assert!(different.is_empty(), "{different:#?}");
}

#[test]
fn references_of_peft() {
    check("peft");
}

#[test]
fn references_of_adapters() {
    check("adapters");
}

#[test]
fn references_of_formulas() {
    check("formulas");
}

/// The golden values are the libraries' own: they are computed again, where PyPI can be reached.
#[test]
#[ignore = "fetches Python's torch, peft and adapters, about 1 GB"]
fn references_are_what_the_libraries_compute() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    for (library, environment) in [
        ("peft", "peft"),
        ("adapters", "adapters"),
        ("formulas", "peft"),
    ] {
        let setup = Command::new(tests.join("python/setup.sh"))
            .arg(environment)
            .output()
            .expect("setup.sh starts");
        let said = String::from_utf8_lossy(&setup.stderr);
        if setup.status.code() == Some(75) {
            eprintln!("skipped: {}", said.trim());
            return;
        }
        assert!(setup.status.success(), "{said}");
        let python = String::from_utf8_lossy(&setup.stdout).trim().to_owned();
        let checked = Command::new(python)
            .arg(tests.join("golden/references.py"))
            .args([library, "check"])
            .output()
            .expect("Python starts");
        let printed = String::from_utf8_lossy(&checked.stdout);
        let said = String::from_utf8_lossy(&checked.stderr);
        assert!(checked.status.success(), "{printed}{said}");
        eprintln!("{}", printed.trim());
    }
}
