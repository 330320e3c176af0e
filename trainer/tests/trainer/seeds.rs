//! What is drawn at random: initial values and dropout.

use crate::common::*;
use autopeft_crds::PeftConfiguration;
use autopeft_crds::trial::Method;
use autopeft_trainer::model::{Backbone, Model};
use tch::Tensor;

const OUTPUTS: i64 = 3;
const HIDDEN: i64 = 16;

fn model(backbone: &Backbone, configuration: &PeftConfiguration) -> Model {
    Model::new(backbone, configuration, OUTPUTS, 7).expect("a model")
}

#[test]
fn fresh_parallel_adapters_change_nothing_and_fresh_serial_ones_do() {
    let _alone = alone();
    let backbone = small_backbone("bert", Method::Peft);
    let batch = small_batch("bert");
    let logits = |layers: &str, sa, pa| {
        let model = model(&backbone, &configuration(layers, sa, pa, 0));
        values(&model.evaluator().predict(&batch))
    };
    let empty = logits("000", 0, 0);
    assert_eq!(logits("111", 0, 5), empty);
    assert_ne!(logits("111", 3, 0), empty);
}

#[test]
fn initial_values_follow_from_the_seed_alone() {
    let _alone = alone();
    let backbone = small_backbone("bert", Method::Peft);
    let configuration = configuration("101", 3, 5, 4);
    let values_of = |seed: i64| -> Vec<Vec<f64>> {
        let model = Model::new(&backbone, &configuration, OUTPUTS, seed).expect("a model");
        model
            .trainable()
            .iter()
            .map(|(_, tensor)| values(tensor))
            .collect()
    };
    tch::manual_seed(1);
    let first = values_of(3);
    tch::manual_seed(2);
    assert_eq!(values_of(3), first);
    assert_ne!(values_of(4), first);
}

/// The mean and the standard deviation of a tensor's values lie within five standard errors of
/// what the distribution has, and no value is outside its bound.
fn check_distribution(name: &str, tensor: &Tensor, deviation: f64, bound: f64) {
    let values = values(tensor);
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let found = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt();
    assert!(
        mean.abs() <= 5.0 * deviation / n.sqrt(),
        "{name}: mean {mean}"
    );
    // The standard error of a normal deviation is σ/√(2n); a uniform one has less.
    let error = 5.0 * deviation / (2.0 * n).sqrt();
    assert!(
        (found - deviation).abs() <= error,
        "{name}: deviation {found}, not {deviation}"
    );
    assert!(
        values.iter().all(|v| v.abs() <= bound),
        "{name}: a value is out of bounds"
    );
}

#[test]
fn initial_values_have_the_distributions_of_the_methods() {
    let _alone = alone();
    let backbone = small_backbone("bert", Method::Peft);
    let model = model(&backbone, &configuration("111", 200, 200, 100));
    let uniform = |bound: f64| (bound / 3.0_f64.sqrt(), bound);
    let h = uniform(1.0 / (HIDDEN as f64).sqrt());
    let m = uniform(1.0 / (800_f64).sqrt());
    for (name, tensor) in model.trainable() {
        let module = name.rsplitn(3, '.').collect::<Vec<_>>();
        let (deviation, bound) = match name.as_str() {
            "prefix.embedding" => (1.0, f64::INFINITY),
            "prefix.hidden.weight" | "prefix.hidden.bias" => h,
            "prefix.output.weight" | "prefix.output.bias" => m,
            _ if module[0] == "bias" => (0.0, 0.0),
            _ if name.ends_with("parallel_adapter.up.weight") => (0.0, 0.0),
            _ if name.ends_with("parallel_adapter.down.weight") => h,
            // Serial adapter and head.
            _ => (0.02, f64::INFINITY),
        };
        check_distribution(&name, &tensor, deviation, bound);
    }
}

#[test]
fn dropout_is_on_in_training_alone_and_follows_its_seed() {
    let _alone = alone();
    let backbone = small_backbone("bert", Method::Peft);
    let model = model(&backbone, &configuration("010", 3, 0, 0));
    let batch = small_batch("bert");
    let logits = |train: bool, seed: i64| {
        tch::manual_seed(seed);
        values(&model.forward(&batch, train))
    };
    assert_eq!(logits(false, 1), logits(false, 2));
    assert_eq!(logits(true, 1), logits(true, 1));
    assert_ne!(logits(true, 1), logits(true, 2));
}
