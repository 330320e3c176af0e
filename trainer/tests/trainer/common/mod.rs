//! Small models whose weights follow from their names, as `golden/make.py` fills them.

pub mod program;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use autopeft_crds::PeftConfiguration;
use autopeft_crds::trial::{EpochMeasurements, Method};
use autopeft_trainer::encoder::ModelConfig;
use autopeft_trainer::model::{Backbone, Batch, Model};
use autopeft_trainer::train::Observer;
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};

/// libtorch's one random generator of this process.
static GENERATOR: RwLock<()> = RwLock::new(());

/// Held by a test whose outcome depends on what it draws.
pub fn alone() -> RwLockWriteGuard<'static, ()> {
    GENERATOR.write().unwrap_or_else(PoisonError::into_inner)
}

/// Held by a test that draws, and whose outcome does not depend on the values.
pub fn among_others() -> RwLockReadGuard<'static, ()> {
    GENERATOR.read().unwrap_or_else(PoisonError::into_inner)
}

/// Hears nothing of a training.
pub struct Silent;

impl Observer for Silent {
    fn steps(&mut self, _: u32, _: u64, _: u64, _: f64) {}
    fn epoch(&mut self, _: &EpochMeasurements, _: bool, _: f64) {}
}

/// A golden file.
pub fn golden(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path:?}: {error}"))
}

/// The numbers of a JSON array.
pub fn numbers(value: &Value) -> Vec<f64> {
    let array = value
        .as_array()
        .unwrap_or_else(|| panic!("no array: {value}"));
    array.iter().filter_map(Value::as_f64).collect()
}

/// A tensor's values.
pub fn values(tensor: &Tensor) -> Vec<f64> {
    Vec::<f64>::try_from(tensor.detach().flatten(0, -1).to_kind(Kind::Double)).expect("a tensor")
}

/// Values in [−1, 1) from a tensor's name: SplitMix64 counted from the name's FNV-1a hash.
pub fn fill(name: &str, shape: &[i64]) -> Tensor {
    let seed = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let values: Vec<f64> = (1..=shape.iter().product::<i64>() as u64)
        .map(|index| {
            let z = seed.wrapping_add(index.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((z ^ (z >> 31)) >> 40) as f64 / f64::from(1 << 23) - 1.0
        })
        .collect();
    Tensor::from_slice(&values).view(shape)
}

/// The value of a small model's or a module's tensor, float32.
pub fn weight(name: &str, shape: &[i64]) -> Tensor {
    let unit = fill(name, shape);
    let tensor: Tensor = match name {
        "prefix.output.weight" => unit / 16.0,
        "prefix.embedding" => unit,
        _ if name.ends_with("LayerNorm.weight") => unit / 8.0 + 1.0,
        _ => unit / 4.0,
    };
    tensor.to_kind(Kind::Float)
}

/// The `config.json` of a small model, `bert` or `roberta`.
pub fn small_config(architecture: &str) -> Value {
    golden("encoders.json")[architecture]["config"].clone()
}

/// A small model's tensors by their names in a checkpoint: with the architecture's prefix, BERT's
/// norms by their old names, and tensors that a checkpoint has but an encoder has no use for.
pub fn small_tensors(config: &Value) -> Vec<(String, Tensor)> {
    let parsed = ModelConfig::parse(&config.to_string(), Path::new("config.json"))
        .expect("a valid configuration");
    let architecture = parsed.name;
    let stored_name = |name: &str| {
        let name = format!("{architecture}.{name}");
        match architecture {
            "bert" => name
                .replace("LayerNorm.weight", "LayerNorm.gamma")
                .replace("LayerNorm.bias", "LayerNorm.beta"),
            _ => name,
        }
    };
    let mut tensors: Vec<(String, Tensor)> = parsed
        .architecture
        .tensors()
        .into_iter()
        .map(|(name, shape)| (stored_name(&name), weight(&name, &shape)))
        .collect();
    for unused in ["cls.predictions.bias", "lm_head.bias", "classifier.bias"] {
        tensors.push((unused.into(), weight(unused, &[3])));
    }
    tensors
}

/// Writes a model's directory.
pub fn write_model(directory: &Path, config: &Value, tensors: &[(String, Tensor)]) {
    std::fs::create_dir_all(directory).expect("a directory");
    std::fs::write(directory.join("config.json"), config.to_string()).expect("config.json");
    autopeft_trainer::tensor_file::write(&directory.join("model.safetensors"), tensors)
        .expect("model.safetensors");
}

/// A small model on disk; removed when dropped.
pub fn small_model(architecture: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let config = small_config(architecture);
    write_model(directory.path(), &config, &small_tensors(&config));
    directory
}

/// A small model's frozen weights, float32 on the CPU.
pub fn small_backbone(architecture: &str, method: Method) -> Backbone {
    small_backbone_on(Device::Cpu, architecture, method)
}

/// A small model's frozen weights on a device, float32.
pub fn small_backbone_on(device: Device, architecture: &str, method: Method) -> Backbone {
    let directory = small_model(architecture);
    Backbone::load(directory.path(), method, device, Kind::Float).expect("a small model")
}

/// The GPU, for tests that need one.
pub fn gpu() -> Device {
    autopeft_trainer::device::gpu().unwrap_or_else(|error| panic!("{error}"))
}

/// A batch on a device.
pub fn on(device: Device, batch: Batch) -> Batch {
    Batch {
        input_ids: batch.input_ids.to_device(device),
        attention_mask: batch.attention_mask.to_device(device),
        token_type_ids: batch.token_type_ids.to_device(device),
    }
}

/// A configuration for the small models.
pub fn configuration(layers: &str, sa: u32, pa: u32, prefix: u32) -> PeftConfiguration {
    serde_json::from_value(json!({
        "layers": layers, "serialAdapter": sa, "parallelAdapter": pa, "prefix": prefix,
    }))
    .expect("a valid configuration")
}

/// Gives every trainable module and head tensor the value of `weight`.
pub fn fill_modules(model: &Model) {
    for (name, mut tensor) in model.trainable() {
        if !name.starts_with("backbone.") {
            let value = weight(&name, &tensor.size());
            tch::no_grad(|| tensor.copy_(&value));
        }
    }
}

/// The batch of a golden file.
pub fn batch(value: &Value) -> Batch {
    let matrix = |field: &str| {
        let rows: Vec<Tensor> = value[field]
            .as_array()
            .unwrap_or_else(|| panic!("no rows in {field}"))
            .iter()
            .map(|row| Tensor::from_slice(&numbers(row)).to_kind(Kind::Int64))
            .collect();
        Tensor::stack(&rows, 0)
    };
    Batch {
        input_ids: matrix("input_ids"),
        attention_mask: matrix("attention_mask"),
        token_type_ids: matrix("token_type_ids"),
    }
}

/// The batch of a small model: three texts of 7, 4 and 2 tokens.
pub fn small_batch(architecture: &str) -> Batch {
    batch(&golden("encoders.json")[architecture]["batch"])
}

/// The gradients of a loss for a model's trainable tensors, by name; nothing where there is none.
pub fn gradients(model: &Model, loss: &Tensor) -> HashMap<String, Tensor> {
    loss.backward();
    model
        .trainable()
        .into_iter()
        .filter(|(_, tensor)| tensor.grad().defined())
        .map(|(name, tensor)| (name, tensor.grad().copy()))
        .collect()
}

/// The directory of a real model in the user's cache, where it may be missing.
fn cached_model(name: &str) -> PathBuf {
    let cache = std::env::var_os("AUTOPEFT_CACHE").map(PathBuf::from);
    let cache = cache.or_else(|| {
        let home = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
        Some(home?.join("autopeft"))
    });
    cache.unwrap_or_default().join("models").join(name)
}

/// The directory of a real model that `docs/examples/fetch.sh` fetches.
pub fn real_model(name: &str) -> PathBuf {
    let directory = cached_model(name);
    assert!(
        directory.join("model.safetensors").is_file(),
        "{} has no weights: fetch them by docs/examples/fetch.sh (make setup does it)",
        directory.display()
    );
    directory
}

/// The directory of a real model that only `docs/examples/fetch.sh ARGUMENT` fetches. Says that the
/// test is skipped if it is missing.
pub fn optional_model(name: &str, argument: &str) -> Option<PathBuf> {
    let directory = cached_model(name);
    let is_there = directory.join("model.safetensors").is_file();
    if !is_there {
        eprintln!("skipped: {name} is not in the cache (docs/examples/fetch.sh {argument})");
    }
    is_there.then_some(directory)
}

/// The movie-review sentences beside a real model.
pub fn movie_reviews(model: &Path) -> PathBuf {
    let cache = model.ancestors().nth(2).expect("the cache");
    cache.join("data/movie-reviews")
}

/// A tokenizer for the small models: `w5` to `w39` are the words 5 to 39, anything else is 1.
pub fn small_tokenizer() -> Value {
    let mut vocabulary = json!({"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "[MASK]": 4});
    for word in 5..40 {
        vocabulary[format!("w{word}")] = json!(word);
    }
    let special =
        |name: &str, type_id: u32| json!({"SpecialToken": {"id": name, "type_id": type_id}});
    let text = |name: &str, type_id: u32| json!({"Sequence": {"id": name, "type_id": type_id}});
    let token = |name: &str, id: u32| json!({"id": name, "ids": [id], "tokens": [name]});
    json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": [],
        "normalizer": null,
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [special("[CLS]", 0), text("A", 0), special("[SEP]", 0)],
            "pair": [special("[CLS]", 0), text("A", 0), special("[SEP]", 0), text("B", 1), special("[SEP]", 1)],
            "special_tokens": {"[CLS]": token("[CLS]", 2), "[SEP]": token("[SEP]", 3)},
        },
        "decoder": null,
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "[UNK]"},
    })
}

/// A small BERT with its tokenizer, and a task that it can learn: whether a text has more of the
/// words up to 20 or of those above. Labels are `low` and `high`, `rating` is the difference.
pub fn small_trial() -> tempfile::TempDir {
    small_trial_of("bert")
}

/// The same with a small model of another architecture.
pub fn small_trial_of(architecture: &str) -> tempfile::TempDir {
    let folder = small_model(architecture);
    let file = |name: &str, content: String| {
        std::fs::write(folder.path().join(name), content).expect("a file");
    };
    file("tokenizer.json", small_tokenizer().to_string());
    for (name, first, count) in [("train.jsonl", 0, 192), ("validation.jsonl", 1000, 64)] {
        let lines: Vec<String> = (first..first + count).map(small_example).collect();
        file(name, lines.join("\n"));
    }
    folder
}

fn small_example(number: u64) -> String {
    let words: Vec<u64> = (0..3 + number % 5)
        .map(|place| {
            let mixed = (number * 31 + place * 17 + 7).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            5 + (mixed >> 33) % 35
        })
        .collect();
    let high = words.iter().filter(|word| **word > 20).count() as i64;
    let rating = 2 * high - words.len() as i64;
    let text: Vec<String> = words.iter().map(|word| format!("w{word}")).collect();
    json!({
        "text": text.join(" "),
        "label": if rating > 0 { "high" } else { "low" },
        "rating": rating,
    })
    .to_string()
}

/// A request to train `configuration` on a folder's model and data; `changes` replaces fields by
/// their JSON pointers.
pub fn small_request(
    folder: &Path,
    configuration: &PeftConfiguration,
    changes: &[(&str, Value)],
) -> Value {
    let mut request = json!({
        "identity": {
            "searchUid": "small", "trial": 3, "attempt": 1,
            "configurationHash": configuration.hash(),
        },
        "configuration": configuration,
        "method": "Peft",
        "model": folder, "data": folder,
        "task": {"name": "custom", "source": {}, "custom": {
            "type": "Classification", "textColumns": ["text"], "labelColumn": "label",
        }},
        "fidelity": {"epochs": 6},
        "training": {"learningRate": "0.01", "maxLength": 16, "batchSize": 16},
    });
    for (pointer, value) in changes {
        let (parent, field) = pointer.rsplit_once('/').expect("a pointer");
        request.pointer_mut(parent).expect("a field of the request")[field] = value.clone();
    }
    request
}
