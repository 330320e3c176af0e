//! Loading a model's directory: the spellings that are read, and the messages of those that are
//! not.

use std::path::Path;

use crate::common::*;
use autopeft_crds::trial::Method;
use autopeft_trainer::model::{Backbone, Model};
use serde_json::Value;
use tch::{Device, Kind, Tensor};

fn load(directory: &Path) -> Result<Backbone, String> {
    Backbone::load(directory, Method::Peft, Device::Cpu, Kind::Float).map_err(|error| {
        error
            .to_string()
            .replace(&format!("{}/", directory.display()), "")
    })
}

/// Loads a small BERT whose stored tensors were changed.
fn load_changed(
    change: impl Fn(String, Tensor) -> Option<(String, Tensor)>,
) -> Result<Backbone, String> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let config = small_config("bert");
    let tensors: Vec<(String, Tensor)> = small_tensors(&config)
        .into_iter()
        .filter_map(|(name, tensor)| change(name, tensor))
        .collect();
    write_model(directory.path(), &config, &tensors);
    load(directory.path())
}

fn logits(backbone: &Backbone) -> Vec<f64> {
    logits_of("bert", backbone)
}

fn logits_of(architecture: &str, backbone: &Backbone) -> Vec<f64> {
    let model = Model::new(backbone, &configuration("011", 3, 5, 4), 3, 1).expect("a model");
    values(&model.evaluator().predict(&small_batch(architecture)))
}

#[test]
fn prefix_and_spelling_of_norms_make_no_difference() {
    let _guard = alone();
    let expected = logits(&small_backbone("bert", Method::Peft));
    let plain = load_changed(|name, tensor| {
        let name = name.trim_start_matches("bert.").to_owned();
        let name = name.replace("gamma", "weight").replace("beta", "bias");
        Some((name, tensor))
    });
    assert_eq!(logits(&plain.expect("it loads")), expected);
}

/// A model whose checkpoint's names are in a wrapper: `bert.` and what follows.
fn wrapped(wrapper: &str, keeps_bert: bool) -> Result<Backbone, String> {
    load_changed(|name, tensor| {
        let inner = match keeps_bert {
            true => name.as_str(),
            false => name.trim_start_matches("bert."),
        };
        Some((format!("{wrapper}{inner}"), tensor))
    })
}

#[test]
fn what_wrapped_a_model_when_it_was_saved_makes_no_difference() {
    let _guard = alone();
    let expected = logits(&small_backbone("bert", Method::Peft));
    for wrapper in [
        "module.",
        "_orig_mod.",
        "base_model.model.",
        "model.",
        "module._orig_mod.",
        "_orig_mod.module.",
        "module.module.base_model.model.",
        "_fsdp_wrapped_module.",
        "0.auto_model.",
    ] {
        for keeps_bert in [true, false] {
            let backbone = wrapped(wrapper, keeps_bert).expect(wrapper);
            assert_eq!(logits(&backbone), expected, "{wrapper}");
        }
    }
    let expected = logits_of("roberta", &small_backbone("roberta", Method::Peft));
    let directory = tempfile::tempdir().expect("a temporary directory");
    let config = small_config("roberta");
    let tensors: Vec<(String, Tensor)> = small_tensors(&config)
        .into_iter()
        .map(|(name, tensor)| (format!("module.{name}"), tensor))
        .collect();
    write_model(directory.path(), &config, &tensors);
    let backbone = load(directory.path()).expect("it loads");
    assert_eq!(logits_of("roberta", &backbone), expected);
}

#[test]
fn names_that_are_not_known_are_shown() {
    let message = wrapped("student.", true).expect_err("refused");
    assert_eq!(
        message,
        "model.safetensors: tensor embeddings.word_embeddings.weight is missing; the file has \
         student.bert.embeddings.word_embeddings.weight; expected are the names of a bert checkpoint"
    );
    let message = load_changed(|name, tensor| Some((name.replace('.', "/"), tensor)));
    assert_eq!(
        message.expect_err("refused"),
        "model.safetensors: tensor embeddings.word_embeddings.weight is missing; the file has \
         bert/embeddings/LayerNorm/beta, bert/embeddings/LayerNorm/gamma, \
         bert/embeddings/position_embeddings/weight, bert/embeddings/token_type_embeddings/weight \
         and 52 more; expected are the names of a bert checkpoint"
    );
    // LoRA that was not merged is not left out silently.
    let message = load_changed(|name, tensor| {
        let name = name.replace("self.query.weight", "self.query.base_layer.weight");
        Some((format!("base_model.model.{name}"), tensor))
    });
    assert_eq!(
        message.expect_err("refused"),
        "model.safetensors: tensor encoder.layer.0.attention.self.query.weight is missing; the file \
         has base_model.model.bert.encoder.layer.0.attention.self.query.base_layer.weight; expected \
         are the names of a bert checkpoint"
    );
}

#[test]
fn two_encoders_in_one_file_are_refused() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let config = small_config("bert");
    let mut tensors = small_tensors(&config);
    let name = "module.bert.embeddings.word_embeddings.weight";
    tensors.push((name.into(), weight(name, &[40, 16])));
    write_model(directory.path(), &config, &tensors);
    assert_eq!(
        load(directory.path()).expect_err("refused"),
        "model.safetensors: tensors bert.embeddings.word_embeddings.weight and \
         module.bert.embeddings.word_embeddings.weight both are the encoder's \
         embeddings.word_embeddings.weight; save the one encoder that is meant"
    );
}

#[test]
fn a_missing_tensor_is_named() {
    let error = load_changed(|name, tensor| {
        (name != "bert.encoder.layer.1.output.dense.bias").then_some((name, tensor))
    });
    assert_eq!(
        error.expect_err("refused"),
        "model.safetensors: tensor encoder.layer.1.output.dense.bias is missing"
    );
}

#[test]
fn a_wrong_shape_is_named() {
    let error = load_changed(|name, tensor| match name.as_str() {
        "bert.encoder.layer.0.attention.self.key.weight" => {
            Some((name, Tensor::zeros([16, 8], (Kind::Float, Device::Cpu))))
        }
        _ => Some((name, tensor)),
    });
    assert_eq!(
        error.expect_err("refused"),
        "model.safetensors: tensor bert.encoder.layer.0.attention.self.key.weight is of shape \
         [16, 8]; expected shape [16, 16]"
    );
}

/// Writes one safetensors file by hand: names, formats, shapes and bytes.
fn raw(tensors: &[(&str, &str, &[usize], &[u8])]) -> Vec<u8> {
    let mut header = serde_json::Map::new();
    let mut data: Vec<u8> = Vec::new();
    for (name, format, shape, bytes) in tensors {
        let start = data.len();
        data.extend_from_slice(bytes);
        let entry: Value = serde_json::json!({
            "dtype": format, "shape": shape, "data_offsets": [start, data.len()],
        });
        header.insert((*name).to_owned(), entry);
    }
    let header = Value::Object(header).to_string();
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend_from_slice(header.as_bytes());
    file.extend_from_slice(&data);
    file
}

fn check_file(bytes: &[u8], message: &str) {
    let directory = small_model("bert");
    std::fs::write(directory.path().join("model.safetensors"), bytes).expect("a file");
    assert_eq!(load(directory.path()).expect_err("refused"), message);
}

#[test]
fn sixteen_bit_weights_are_read_and_other_formats_are_named() {
    let name = "embeddings.word_embeddings.weight";
    let next = "model.safetensors: tensor embeddings.position_embeddings.weight is missing";
    for format in ["F16", "BF16"] {
        check_file(&raw(&[(name, format, &[40, 16], &[0; 1280])]), next);
    }
    check_file(
        &raw(&[(name, "I64", &[40, 16], &[0; 5120])]),
        "model.safetensors: tensor embeddings.word_embeddings.weight is I64; expected F32, F16 or \
         BF16",
    );
}

#[test]
fn truncated_and_garbled_files_are_told_apart() {
    let name = "embeddings.word_embeddings.weight";
    let whole = raw(&[(name, "F32", &[40, 16], &[0; 2560])]);
    let length = whole.len();
    check_file(
        &whole[..length - 1],
        &format!(
            "model.safetensors: is not a whole safetensors file: it has {} bytes where its header \
             declares {length}",
            length - 1
        ),
    );
    check_file(
        b"PK",
        "model.safetensors: is not a whole safetensors file: it is text that begins with \"PK\"",
    );
    check_file(
        b"version https://git-lfs.github.com/spec/v1",
        "model.safetensors: is not a whole safetensors file: it is a Git LFS pointer, not the file \
         itself; fetch the file with git lfs pull",
    );
    check_file(
        b"PK\x03\x04\0\0\0\0 and so on",
        "model.safetensors: is not a whole safetensors file: it is a ZIP archive; unpack it first \
         (.xlsx sheets and PyTorch's .bin and .pt files are ZIP archives too)",
    );
    check_file(
        b"\x04\x03\x02\x01\0\0\0\0 and so on",
        "model.safetensors: is not a whole safetensors file: its header would have 16909060 bytes, \
         the file has 18",
    );
    check_file(
        b"<!doctype html><html>Entry not found</html>",
        "model.safetensors: is not a whole safetensors file: it is an HTML page; a failed or \
         rejected download leaves one: download the file again",
    );
    // The first bytes of this one would do as the length of a header.
    check_file(
        &[b"\x1f\x8b\x08\0\0\0\0\0".as_slice(), &vec![7; 600_000]].concat(),
        "model.safetensors: is not a whole safetensors file: it is compressed with gzip; \
         decompress it first",
    );
    check_file(
        b"Entry not found",
        "model.safetensors: is not a whole safetensors file: it is text that begins with \
         \"Entry not found\"",
    );
    check_file(
        b"",
        "model.safetensors: is not a whole safetensors file: it is empty",
    );
    check_file(
        &raw(&[(name, "F32", &[40, 16], &[0; 64])]),
        "model.safetensors: is not a whole safetensors file: its header is corrupt: invalid shape, \
         data type, or offset for tensor",
    );
    check_file(
        b"\x04\0\0\0\0\0\0\0{{{{",
        "model.safetensors: is not a whole safetensors file: its header is corrupt: key must be a \
         string at line 1 column 2",
    );
}

#[test]
fn a_missing_file_is_named_with_what_is_there_instead() {
    let directory = small_model("bert");
    let path = |name: &str| directory.path().join(name);
    let check = |expected: &str| {
        let message = load(directory.path()).expect_err("refused");
        let message = message.replace(&directory.path().display().to_string(), "DIR");
        assert_eq!(message, expected);
    };
    std::fs::rename(path("model.safetensors"), path("pytorch_model.bin")).expect("it was there");
    check(
        "model.safetensors is not there; the weights there are in pytorch_model.bin; convert them \
         once with transformers: AutoModel.from_pretrained(\"DIR\").save_pretrained(\"DIR\")",
    );
    std::fs::write(path("model.safetensors.index.json"), "{}").expect("a file");
    check(
        "model.safetensors is not there; the weights there are in several files; save them as one \
         with transformers: AutoModel.from_pretrained(\"DIR\").save_pretrained(\"DIR\", \
         max_shard_size=\"1TB\")",
    );
    std::fs::remove_file(path("config.json")).expect("it was there");
    check(
        "config.json is not there; a model is in Hugging Face layout (config.json, \
         model.safetensors and tokenizer.json in one directory); DIR has \
         \"model.safetensors.index.json\", \"pytorch_model.bin\"",
    );
    let config = small_config("bert");
    write_model(&path("inner"), &config, &small_tensors(&config));
    check("config.json is not there; inner holds a model: name it");
    for place in [Path::new("/no/such/model"), &path("pytorch_model.bin")] {
        let error = load(place).expect_err("refused");
        let expected = format!("{} is not a readable directory;", place.display());
        assert!(error.contains(&expected), "{error}");
    }
}

#[test]
fn files_of_a_model_that_are_something_else_are_recognised() {
    for name in ["config.json", "model.safetensors"] {
        let directory = small_model("bert");
        let path = directory.path().join(name);
        let message = || load(directory.path()).expect_err("refused");
        std::fs::write(&path, "version https://git-lfs.github.com/spec/v1\n").expect("a file");
        assert!(
            message().contains("it is a Git LFS pointer"),
            "{}",
            message()
        );
        std::fs::write(&path, "").expect("a file");
        assert!(message().ends_with("it is empty"), "{}", message());
        std::fs::remove_file(&path).expect("the file");
        std::fs::create_dir(&path).expect("a directory");
        let expected = "it is a directory, and a file is expected";
        assert!(message().contains(expected), "{}", message());
        std::fs::remove_dir(&path).expect("the directory");
        std::os::unix::fs::symlink("../../blobs/abc", &path).expect("a link");
        let expected = format!(
            "{name} is not there; it is a symbolic link to ../../blobs/abc, and nothing is there;"
        );
        assert!(message().starts_with(&expected), "{}", message());
    }
    let directory = small_model("bert");
    let config = format!("\u{feff}{}", small_config("bert"));
    std::fs::write(directory.path().join("config.json"), config).expect("a file");
    load(directory.path()).expect("a byte order mark does no harm");
}

#[test]
fn weights_that_are_not_finite_are_refused_by_file_and_tensor() {
    for wrong in [f64::NAN, f64::INFINITY] {
        let error = load_changed(|name, tensor| {
            if name.ends_with("layer.1.output.dense.bias") {
                let _ = tensor.get(3).fill_(wrong);
            }
            Some((name, tensor))
        });
        assert_eq!(
            error.expect_err("refused"),
            "model.safetensors: tensor bert.encoder.layer.1.output.dense.bias has 1 values of 16 \
             that are NaN or infinite; every weight has to be a finite number"
        );
    }
}

#[test]
fn another_number_of_layers_than_the_configurations_is_refused() {
    for layers in [2, 4] {
        let directory = small_model("bert");
        let mut config = small_config("bert");
        config["num_hidden_layers"] = layers.into();
        let file = directory.path().join("config.json");
        std::fs::write(file, config.to_string()).expect("a file");
        assert_eq!(
            load(directory.path()).expect_err("refused"),
            format!(
                "model.safetensors: holds 3 layers, and field num_hidden_layers of config.json \
                 beside it is {layers}; they are not of the same model"
            )
        );
    }
}

#[test]
fn the_real_weights_have_the_parameters_that_the_configuration_tells() {
    let backbone = Backbone::load(
        &real_model("all-MiniLM-L6-v2"),
        Method::Peft,
        Device::Cpu,
        Kind::Float,
    )
    .expect("the real weights");
    assert_eq!(backbone.config().backbone_parameters(), 22_713_216);
}
