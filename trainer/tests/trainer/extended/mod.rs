//! A PEFT module, an encoder and a task that the trainer does not have, added by the steps of docs/extending.md: a file and a
//! row each.

mod low_rank;
mod others;
mod pre_norm;
mod task;

use std::time::Instant;

use autopeft_crds::PeftConfiguration;
use autopeft_crds::trial::{Method, TrialRequest};
use autopeft_trainer::encoder::ModelConfig;
use autopeft_trainer::model::{Backbone, Model};
use autopeft_trainer::peft::{ModuleRow, REGISTRY};
use autopeft_trainer::trial::{prepare, run};
use tch::{Device, Kind, Tensor};

use crate::common::{
    Silent, alone, among_others, configuration, fill_modules, gradients, small_backbone,
    small_batch, small_config, small_request, small_trial, values, weight, write_model,
};
use low_rank::LOW_RANK;
use others::{BIASES, TEXT_PREFIX};
use pre_norm::PRE_NORM;

const OUTPUTS: i64 = 3;

fn model(registry: &[ModuleRow], backbone: &Backbone, modules: &PeftConfiguration) -> Model {
    Model::with_registry(registry, backbone, modules, OUTPUTS, 7).expect("a model")
}

fn loss(model: &Model) -> Tensor {
    let labels = Tensor::from_slice(&[0i64, 2, 1]);
    let logits = model.forward(&small_batch("bert"), false);
    logits.cross_entropy_for_logits(&labels)
}

/// Every trained tensor gets a gradient that is not zero.
fn check_gradients(model: &Model) {
    let gradients = gradients(model, &loss(model));
    for (name, _) in model.trainable() {
        let norm = gradients.get(&name).map(|gradient| gradient.norm());
        let norm = norm.map_or(0.0, |norm| norm.double_value(&[]));
        assert!(norm.is_finite() && norm > 0.0, "{name}: {norm}");
    }
}

#[test]
fn a_module_of_its_own_is_inserted_counted_and_trained() {
    let _alone = alone();
    let backbone = small_backbone("bert", Method::Peft);
    let modules = configuration("101", 2, 0, 0);
    let fresh = model(&[LOW_RANK], &backbone, &modules);
    let names: Vec<String> = fresh
        .trainable()
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(names[0], "layer.0.low_rank.query.down");
    assert_eq!(names[7], "layer.2.low_rank.value.up");
    // Two matrices of rank 2 at two sites of two layers of width 16.
    assert_eq!(fresh.deployed_parameters(), 2 * 2 * 16 * 2 * 2);

    // Its second matrix starts from 0.
    let predicted = |model: &Model| values(&model.evaluator().predict(&small_batch("bert")));
    let empty = model(&[LOW_RANK], &backbone, &configuration("000", 0, 0, 0));
    assert_eq!(predicted(&fresh), predicted(&empty));
    fill_modules(&fresh);
    fill_modules(&empty);
    assert_ne!(predicted(&fresh), predicted(&empty));
    check_gradients(&fresh);
}

#[test]
fn a_module_of_its_own_learns() {
    let _alone = alone();
    let folder = small_trial();
    let modules = configuration("111", 4, 0, 0);
    let request = small_request(folder.path(), &modules, &[]);
    let request: TrialRequest = serde_json::from_value(request).expect("a request");
    let mut prepared = prepare(&request, Device::Cpu).expect("prepared");
    let backbone = Backbone::load(folder.path(), Method::Peft, Device::Cpu, Kind::Float);
    let backbone = backbone.expect("a backbone");
    prepared.model = Model::with_registry(&[LOW_RANK], &backbone, &modules, 2, 7).expect("a model");
    let (measured, _) = run(&mut prepared, Instant::now(), &mut Silent).expect("trained");
    let loss = |epoch: usize| measured.epochs[epoch].loss.expect("a loss");
    assert!(loss(5) < loss(0), "{} to {}", loss(0), loss(5));
    assert_eq!(measured.deployed_parameters, 2 * 2 * 16 * 4 * 3);
}

#[test]
fn modules_meet_in_one_layer_and_their_order_is_that_of_the_rows() {
    let _guard = among_others();
    let backbone = small_backbone("bert", Method::Peft);
    let modules = configuration("010", 3, 5, 4);
    let both = model(&[REGISTRY, &[LOW_RANK]].concat(), &backbone, &modules);
    let named: Vec<String> = both.trainable().into_iter().map(|(name, _)| name).collect();
    let place = |part: &str| {
        named
            .iter()
            .position(|name| name.contains(part))
            .expect("a tensor")
    };
    let order = [
        "serial_adapter",
        "parallel_adapter",
        "low_rank",
        "prefix",
        "head",
    ]
    .map(place);
    assert!(order.is_sorted(), "{named:?}");
    fill_modules(&both);
    check_gradients(&both);
}

#[test]
fn a_module_may_train_the_encoders_own_tensors() {
    let _guard = among_others();
    let backbone = small_backbone("bert", Method::Peft);
    let modules = configuration("010", 1, 0, 0);
    let other = model(REGISTRY, &backbone, &configuration("000", 0, 0, 0));
    let predicted = |model: &Model| values(&model.evaluator().predict(&small_batch("bert")));
    let before = predicted(&other);
    let biases = model(&[BIASES], &backbone, &modules);
    let named = biases.trainable();
    let trained = named
        .iter()
        .filter(|(name, _)| name.starts_with("backbone."));
    // Six dense layers and two norms of one layer.
    assert_eq!(trained.clone().count(), 8);
    assert!(
        trained
            .clone()
            .all(|(name, _)| name.starts_with("backbone.encoder.layer.1."))
    );
    assert!(
        named
            .iter()
            .all(|(name, _)| biases.is_decayed(name) != name.ends_with("bias"))
    );
    assert_eq!(biases.deployed_parameters(), 7 * 16 + 32);
    fill_modules(&biases);
    let gradients = gradients(&biases, &loss(&biases));
    // A key's bias moves all scores of a query alike, which softmax does not see.
    let seen = trained.filter(|(name, _)| gradients[name].norm().double_value(&[]) > 1e-6);
    assert_eq!(seen.count(), 7);
    for (_, mut tensor) in biases.trainable() {
        let _ = tch::no_grad(|| tensor.g_add_scalar_(1.0));
    }
    assert_eq!(predicted(&other), before, "the backbone is shared");
}

#[test]
fn a_text_may_have_keys_and_values_of_its_own() {
    let _guard = among_others();
    let backbone = small_backbone("bert", Method::Peft);
    let own = model(&[TEXT_PREFIX], &backbone, &configuration("011", 0, 0, 2));
    fill_modules(&own);
    check_gradients(&own);
    let batch = small_batch("bert");
    let together = own.evaluator().predict(&batch);
    assert_eq!(together.size(), [3, OUTPUTS]);
}

#[test]
fn an_encoder_of_its_own_takes_every_module() {
    let _guard = among_others();
    let folder = tempfile::tempdir().expect("a folder");
    let mut config = small_config("bert");
    config["model_type"] = "pre_norm".into();
    let rows = [PRE_NORM];
    let unknown = ModelConfig::parse(&config.to_string(), folder.path()).expect_err("refused");
    assert!(
        unknown
            .to_string()
            .contains("field model_type is pre_norm; expected bert or roberta")
    );

    write_model(folder.path(), &config, &[]);
    let read = ModelConfig::read_as(folder.path(), &rows).expect("a configuration");
    assert_eq!(
        (read.name, read.layers, read.max_tokens),
        ("pre_norm", 3, 24)
    );
    let tensors: Vec<(String, Tensor)> = read
        .architecture
        .tensors()
        .into_iter()
        .map(|(name, shape)| (format!("pre_norm.{name}"), weight(&name, &shape)))
        .collect();
    let count: usize = tensors.iter().map(|(_, tensor)| tensor.numel()).sum();
    assert_eq!(read.backbone_parameters(), count as u64);
    write_model(folder.path(), &config, &tensors);

    let backbone = |method| {
        let config = ModelConfig::read_as(folder.path(), &rows).expect("a configuration");
        Backbone::load_as(config, folder.path(), method, Device::Cpu, Kind::Float)
            .expect("a backbone")
    };
    let peft = backbone(Method::Peft);
    for sizes in [[3, 0, 0], [0, 5, 0], [0, 0, 4], [3, 5, 4]] {
        let [serial, parallel, prefix] = sizes;
        let inserted = model(
            REGISTRY,
            &peft,
            &configuration("011", serial, parallel, prefix),
        );
        fill_modules(&inserted);
        check_gradients(&inserted);
        let hidden = 16;
        let cost = configuration("011", serial, parallel, prefix).parameters(hidden);
        assert!(inserted.deployed_parameters() >= cost, "{sizes:?}");
    }
    let full = model(
        REGISTRY,
        &backbone(Method::FullFineTuning),
        &configuration("000", 0, 0, 0),
    );
    assert_eq!(full.deployed_parameters(), count as u64);
    assert!(!full.is_decayed("backbone.layers.0.norm.weight"));
    assert!(full.is_decayed("backbone.layers.0.value.weight"));
}
