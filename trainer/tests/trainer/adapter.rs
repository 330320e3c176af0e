//! Adapter checkpoints: saved, read back, replaced, refused.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::common::*;
use autopeft_crds::PeftConfiguration;
use autopeft_crds::spec::{FidelitySpec, Metric, TrainingSpec};
use autopeft_crds::trial::Method;
use autopeft_trainer::adapter::{
    ADAPTER_VERSION, Adapter, AdapterDescription, AdapterError, ModelShape, save,
};
use autopeft_trainer::model::{Backbone, Model};

fn description(backbone: &Backbone, configuration: &PeftConfiguration) -> AdapterDescription {
    AdapterDescription {
        version: ADAPTER_VERSION,
        configuration: configuration.clone(),
        options: Default::default(),
        method: backbone.method(),
        model: ModelShape::from(backbone.config()),
        task: serde_json::from_value(
            serde_json::json!({ "name": "rte", "source": { "path": "data" } }),
        )
        .expect("a task"),
        labels: vec!["a".into(), "b".into(), "c".into()],
        fidelity: FidelitySpec::default(),
        training: TrainingSpec::default(),
        metric: Metric::Accuracy,
        evaluation: None,
        score: Some(0.1 + 0.2),
        base: None,
        first_position: 0,
        tokenizer: None,
        cost: None,
        measured: None,
        search: None,
        license: None,
        versions: BTreeMap::from([("libtorch".into(), "2.11.0".into())]),
    }
}

/// Saves a model and reads it back.
fn check_round_trip(backbone: &Backbone, architecture: &str, configuration: &PeftConfiguration) {
    let place = tempfile::tempdir().expect("a temporary directory");
    let directory = place.path().join("new/adapter");
    let model = Model::new(backbone, configuration, 3, 7).expect("a model");
    let batch = small_batch(architecture);
    let expected = values(&model.evaluator().predict(&batch));
    let description = description(backbone, configuration);
    // The second time replaces the first.
    for overwrite in [false, true] {
        save(&model, &description, &directory, overwrite).expect("it is saved");
    }
    let modes: BTreeSet<u32> = ["adapter.json", "adapter.safetensors"]
        .map(|name| {
            std::fs::metadata(directory.join(name))
                .expect("a file")
                .mode()
        })
        .into();
    assert_eq!(modes.len(), 1, "the umask's mode is that of every file");
    let left: Vec<_> = std::fs::read_dir(place.path().join("new"))
        .expect("a directory")
        .collect();
    assert_eq!(left.len(), 1, "nothing is left beside the adapter");
    let adapter = Adapter::open(&directory).expect("it is read");
    assert_eq!(adapter.description(), &description);
    let again = adapter.attach(backbone, 3).expect("it fits");
    assert_eq!(
        values(&again.evaluator().predict(&batch)),
        expected,
        "{configuration}"
    );
    for ((name, saved), (again_name, again)) in model.deployable().iter().zip(&again.trainable()) {
        assert_eq!(name, again_name);
        assert_eq!(values(saved), values(again), "{configuration}: {name}");
    }
}

#[test]
fn every_method_comes_back_bit_for_bit() {
    let _guard = among_others();
    for architecture in ["bert", "roberta"] {
        let backbone = small_backbone(architecture, Method::Peft);
        for (sa, pa, prefix) in [(3, 0, 0), (0, 5, 0), (0, 0, 4), (3, 5, 4)] {
            check_round_trip(
                &backbone,
                architecture,
                &configuration("101", sa, pa, prefix),
            );
        }
        let backbone = small_backbone(architecture, Method::FullFineTuning);
        check_round_trip(&backbone, architecture, &configuration("000", 0, 0, 0));
    }
}

fn saved(directory: &Path) -> Backbone {
    let backbone = small_backbone("bert", Method::Peft);
    let configuration = configuration("101", 3, 0, 4);
    let model = Model::new(&backbone, &configuration, 3, 7).expect("a model");
    save(
        &model,
        &description(&backbone, &configuration),
        directory,
        false,
    )
    .expect("it is saved");
    backbone
}

fn message(error: &AdapterError, directory: &Path) -> String {
    error
        .to_string()
        .replace(&format!("{}", directory.display()), "DIR")
}

#[test]
fn another_model_is_refused_by_the_field_that_differs() {
    let _guard = among_others();
    let place = tempfile::tempdir().expect("a temporary directory");
    let directory = place.path().join("adapter");
    saved(&directory);
    let adapter = Adapter::open(&directory).expect("it is read");
    let error = adapter
        .attach(&small_backbone("roberta", Method::Peft), 3)
        .expect_err("refused");
    assert_eq!(
        message(&error, &directory),
        "DIR/adapter.json: the adapter is for a model with architecture bert; this one has roberta"
    );
}

#[test]
fn other_outputs_are_refused_by_the_tensor_that_differs() {
    let _guard = among_others();
    let place = tempfile::tempdir().expect("a temporary directory");
    let directory = place.path().join("adapter");
    let backbone = saved(&directory);
    let adapter = Adapter::open(&directory).expect("it is read");
    let error = adapter.attach(&backbone, 2).expect_err("refused");
    assert_eq!(
        message(&error, &directory),
        "DIR/adapter.safetensors: tensor head.output.weight is of shape [3, 16]; expected shape \
         [2, 16]"
    );
}

#[test]
fn a_garbled_checkpoint_is_refused_with_its_file() {
    let _guard = among_others();
    let place = tempfile::tempdir().expect("a temporary directory");
    let directory = place.path().join("adapter");
    let backbone = saved(&directory);
    let tensors = directory.join("adapter.safetensors");
    let whole = std::fs::read(&tensors).expect("a file");
    std::fs::write(&tensors, &whole[..whole.len() / 2]).expect("a file");
    let adapter = Adapter::open(&directory).expect("it is read");
    let error = adapter.attach(&backbone, 3).expect_err("refused");
    assert!(
        message(&error, &directory)
            .starts_with("DIR/adapter.safetensors: is not a whole safetensors file")
    );
    let json = directory.join("adapter.json");
    let text = std::fs::read_to_string(&json).expect("a file");
    let check = |text: &str, expected: &str| {
        std::fs::write(&json, text).expect("a file");
        let error = Adapter::open(&directory).expect_err("refused");
        let found = message(&error, &directory);
        assert!(found.starts_with(expected), "{found}");
    };
    check(
        "{",
        "DIR/adapter.json: is not a valid adapter description: EOF",
    );
    check(
        "version https://git-lfs.github.com/spec/v1\n",
        "DIR/adapter.json: cannot be read: it is a Git LFS pointer",
    );
    check(
        &text.replace("\"version\": 1", "\"version\": 2"),
        "DIR/adapter.json: field version is 2; this program reads 1",
    );
    check(
        &text.replace("\"score\"", "\"scores\""),
        "DIR/adapter.json: is not a valid adapter description: unknown field `scores`",
    );
}

#[test]
fn what_is_not_an_adapter_is_never_replaced() {
    let _guard = among_others();
    let place = tempfile::tempdir().expect("a temporary directory");
    let directory = place.path().join("adapter");
    let backbone = saved(&directory);
    std::fs::write(directory.join("notes.txt"), "mine").expect("a file");
    let configuration = configuration("101", 3, 0, 4);
    let model = Model::new(&backbone, &configuration, 3, 7).expect("a model");
    let error = save(
        &model,
        &description(&backbone, &configuration),
        &directory,
        true,
    )
    .expect_err("refused");
    assert_eq!(
        message(&error, &directory),
        "DIR: exists and does not hold an adapter; name a new directory"
    );
    assert!(directory.join("notes.txt").is_file() && directory.join("adapter.json").is_file());
    let file = place.path().join("file");
    std::fs::write(&file, "mine").expect("a file");
    let error = save(
        &model,
        &description(&backbone, &configuration),
        &file.join("x"),
        false,
    );
    assert!(
        matches!(error, Err(AdapterError::Write { .. })),
        "{error:?}"
    );
}

#[test]
fn an_adapter_is_replaced_only_where_that_was_asked_for() {
    let _guard = among_others();
    let place = tempfile::tempdir().expect("a temporary directory");
    let directory = place.path().join("adapter");
    let backbone = saved(&directory);
    let configuration = configuration("101", 3, 0, 4);
    let model = Model::new(&backbone, &configuration, 3, 7).expect("a model");
    let description = description(&backbone, &configuration);
    let error = save(&model, &description, &directory, false).expect_err("refused");
    assert_eq!(
        message(&error, &directory),
        "DIR: already holds an adapter; name a new directory, or give --overwrite"
    );
}
