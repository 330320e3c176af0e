//! Every method in every layer subset of every architecture: what is trained, counted, frozen and
//! put back.

use crate::common::*;
use autopeft_crds::trial::Method;
use autopeft_crds::{Module, PeftConfiguration};
use autopeft_trainer::model::{Backbone, Model, ModelError};
use tch::{Device, Kind, Tensor};

const OUTPUTS: i64 = 3;
const HIDDEN: u64 = 16;
const HEAD: u64 = HIDDEN * HIDDEN + HIDDEN + 3 * HIDDEN + 3;
/// Serial adapter, parallel adapter and prefix: on or off.
const SIZES: [[u32; 3]; 8] = [
    [0, 0, 0],
    [3, 0, 0],
    [0, 5, 0],
    [0, 0, 4],
    [3, 5, 0],
    [3, 0, 4],
    [0, 5, 4],
    [3, 5, 4],
];

/// Runs a check on every method × layer subset × architecture.
fn for_every_configuration(check: impl Fn(&str, &Backbone, &PeftConfiguration)) {
    for architecture in ["bert", "roberta"] {
        let backbone = small_backbone(architecture, Method::Peft);
        for mask in 0..8 {
            for [sa, pa, prefix] in SIZES {
                let configuration = configuration(&format!("{mask:03b}"), sa, pa, prefix);
                check(architecture, &backbone, &configuration);
            }
        }
    }
}

fn model(backbone: &Backbone, configuration: &PeftConfiguration) -> Model {
    Model::new(backbone, configuration, OUTPUTS, 7).expect("a model")
}

fn loss(model: &Model, architecture: &str) -> Tensor {
    let device = model.device();
    model
        .forward(&on(device, small_batch(architecture)), false)
        .cross_entropy_for_logits(&Tensor::from_slice(&[0i64, 2, 1]).to_device(device))
}

#[test]
fn counts_are_those_of_the_formulas() {
    let _guard = among_others();
    for_every_configuration(|_, backbone, configuration| {
        let model = model(backbone, configuration);
        let canonical = configuration.clone().canonical();
        let n = canonical.layers.active() as u64;
        let adapter = |d: u32| match u64::from(d) {
            0 => 0,
            d => (2 * d * HIDDEN + d + HIDDEN) * n,
        };
        let adapters = adapter(canonical.size(Module::SerialAdapter))
            + adapter(canonical.size(Module::ParallelAdapter));
        let prefix = u64::from(canonical.size(Module::Prefix));
        let deployed = adapters + 2 * prefix * HIDDEN * n;
        assert_eq!(model.deployed_parameters(), deployed, "{configuration}");
        let m = 800;
        let network = prefix * HIDDEN + (HIDDEN * m + m) + (m + 1) * 2 * n * HIDDEN;
        let trained = adapters + HEAD + if prefix > 0 { network } else { 0 };
        assert_eq!(model.trained_parameters(), trained, "{configuration}");
        // The paper's cost leaves biases out.
        let biases: usize = model
            .deployable()
            .iter()
            .filter(|(name, _)| name.starts_with("layer.") && name.ends_with(".bias"))
            .map(|(_, tensor)| tensor.numel())
            .sum();
        let cost = configuration.parameters(HIDDEN as u32);
        assert_eq!(deployed - biases as u64, cost, "{configuration}");
    });
}

#[test]
fn every_trainable_tensor_gets_a_gradient_and_nothing_else_does() {
    let _guard = among_others();
    for_every_configuration(|architecture, backbone, configuration| {
        let model = model(backbone, configuration);
        fill_modules(&model);
        let gradients = gradients(&model, &loss(&model, architecture));
        for (name, tensor) in model.trainable() {
            assert!(tensor.is_leaf() && tensor.kind() == Kind::Float, "{name}");
            let gradient = gradients.get(&name);
            assert!(
                gradient.is_some_and(|gradient| {
                    let norm = f64::try_from(gradient.norm()).expect("a number");
                    norm.is_finite() && norm > 0.0
                }),
                "{architecture}, {configuration}: no gradient for {name}"
            );
        }
    });
}

#[test]
fn frozen_weights_need_no_gradient_and_are_not_changed() {
    let _guard = among_others();
    let backbone = small_backbone("bert", Method::Peft);
    let batch = small_batch("bert");
    let empty = Model::new(&backbone, &configuration("000", 0, 0, 0), OUTPUTS, 7).expect("a model");
    fill_modules(&empty);
    let before = values(&empty.forward(&batch, false));
    let other = model(&backbone, &configuration("111", 3, 5, 4));
    for (name, mut tensor) in other.trainable() {
        let _ = tch::no_grad(|| tensor.g_add_scalar_(1.0));
        assert!(tensor.requires_grad(), "{name}");
    }
    assert_eq!(values(&empty.forward(&batch, false)), before);
}

#[test]
fn layers_under_the_first_active_one_record_nothing() {
    let _guard = among_others();
    let backbone = small_backbone("bert", Method::Peft);
    let empty = model(&backbone, &configuration("000", 0, 0, 0));
    assert_eq!(empty.trainable().len(), 4);
    let full = small_backbone("bert", Method::FullFineTuning);
    let full = Model::new(&full, &configuration("000", 0, 0, 0), OUTPUTS, 7).expect("a model");
    let encoder = full.encoder();
    let pass = autopeft_trainer::encoder::sites::Pass {
        train: false,
        attention: autopeft_trainer::encoder::sites::Attention::Eager,
    };
    assert!(encoder.embed(&small_batch("bert"), &pass).requires_grad());
    let frozen = backbone.encoder().expect("an encoder");
    assert!(!frozen.embed(&small_batch("bert"), &pass).requires_grad());
}

#[test]
fn the_ejected_prefix_predicts_the_same_bit_for_bit() {
    let _guard = among_others();
    for_every_configuration(|architecture, backbone, configuration| {
        let mut model = model(backbone, configuration);
        let batch = small_batch(architecture);
        let before = values(&model.evaluator().predict(&batch));
        let deployed = model.deployed_parameters();
        assert_eq!(
            values(&model.forward(&batch, false)),
            before,
            "{configuration}"
        );
        model.deploy();
        assert_eq!(
            values(&model.evaluator().predict(&batch)),
            before,
            "{configuration}"
        );
        assert_eq!(model.deployed_parameters(), deployed);
        assert_eq!(
            model.trained_parameters(),
            deployed + HEAD,
            "{configuration}"
        );
    });
}

fn check_bfloat16(device: Device) {
    for architecture in ["bert", "roberta"] {
        let directory = small_model(architecture);
        for [sa, pa, prefix] in SIZES {
            let configuration = configuration("101", sa, pa, prefix);
            let logits = |kind: Kind| {
                let backbone = Backbone::load(directory.path(), Method::Peft, device, kind)
                    .expect("a small model");
                let model = model(&backbone, &configuration);
                fill_modules(&model);
                let gradients = gradients(&model, &loss(&model, architecture));
                assert!(
                    gradients
                        .values()
                        .all(|gradient| gradient.kind() == Kind::Float)
                );
                values(
                    &model
                        .evaluator()
                        .predict(&on(device, small_batch(architecture))),
                )
            };
            let (exact, rounded) = (logits(Kind::Float), logits(Kind::BFloat16));
            let largest = exact
                .iter()
                .zip(&rounded)
                .map(|(a, b)| (a - b).abs())
                .fold(0.0, f64::max);
            // Eight bits of mantissa over three layers.
            assert!(
                largest < 0.05 && largest > 0.0,
                "{architecture}, {configuration}: {largest}"
            );
        }
    }
}

#[test]
fn bfloat16_is_close_to_float32_with_every_method() {
    let _guard = among_others();
    check_bfloat16(Device::Cpu);
}

#[test]
#[ignore = "needs a GPU"]
fn bfloat16_is_close_to_float32_on_a_gpu() {
    let _guard = among_others();
    check_bfloat16(gpu());
}

#[test]
fn full_fine_tuning_trains_a_copy_of_the_backbone() {
    let _guard = among_others();
    let backbone = small_backbone("bert", Method::FullFineTuning);
    let empty = configuration("000", 0, 0, 0);
    let model = Model::new(&backbone, &empty, OUTPUTS, 7).expect("a model");
    let backbone_parameters = backbone.config().backbone_parameters();
    let pooler = HIDDEN * HIDDEN + HIDDEN;
    assert_eq!(model.deployed_parameters(), backbone_parameters - pooler);
    assert_eq!(
        model.trained_parameters(),
        backbone_parameters - pooler + HEAD
    );
    let other = Model::new(&backbone, &empty, OUTPUTS, 7).expect("a model");
    let before = values(&other.evaluator().predict(&small_batch("bert")));
    for (_, mut tensor) in model.trainable() {
        let _ = tch::no_grad(|| tensor.g_add_scalar_(1.0));
    }
    assert_eq!(
        values(&other.evaluator().predict(&small_batch("bert"))),
        before
    );
}

#[test]
fn what_does_not_fit_is_refused() {
    let _guard = among_others();
    let backbone = small_backbone("bert", Method::Peft);
    let refused = |backbone: &Backbone, layers: &str, outputs: i64| -> ModelError {
        Model::new(backbone, &configuration(layers, 3, 0, 0), outputs, 7).expect_err("refused")
    };
    assert_eq!(
        refused(&backbone, "0101", 2).to_string(),
        "the configuration's layers have 4 bits; the model has 3 layers"
    );
    assert_eq!(
        refused(&backbone, "010", 0).to_string(),
        "the head has 0 outputs; at least 1 is needed"
    );
    let full = small_backbone("bert", Method::FullFineTuning);
    assert_eq!(
        refused(&full, "010", 2).to_string(),
        "full fine-tuning has no modules; the configuration is layers 010, SA 3, PA 0, prefix 0"
    );
}
