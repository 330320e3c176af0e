//! Adapters to and from Python's `peft` and `adapters`: predictions are the same, and what cannot be expressed is
//! refused. `cargo test --test trainer interchange -- --nocapture` prints the largest differences.

mod folders;
mod refusals;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use autopeft_crds::PeftConfiguration;
use autopeft_crds::trial::Method;
use autopeft_trainer::adapter::{self, Adapter, AdapterDescription};
use autopeft_trainer::encoder::ModelConfig;
use autopeft_trainer::interchange::{Base, Content, Inserted, Library, export, import};
use autopeft_trainer::model::{Backbone, Model};
use autopeft_trainer::nn::NamedTensors;
use serde_json::{Value, json};
use tch::{Device, Kind};

use crate::common::program::text;
use crate::common::*;

/// Of logits.
const TOLERANCE: f64 = 1e-5;

/// The logits without modules differ by at least this: otherwise a case would show nothing.
const EFFECT: f64 = 1e-3;
const ARCHITECTURES: [&str; 2] = ["bert", "roberta"];

/// An adapter: sizes by the fields of a configuration, options as in a manifest.
struct Case {
    name: String,
    layers: String,
    sizes: Value,
    options: Value,
    task: Value,
    labels: Value,
    outputs: i64,
    /// Whether the real model has it, too.
    is_real: bool,
}

impl Case {
    fn new(row: &Value) -> Self {
        let or = |field: &str, usual: Value| match &row[field] {
            Value::Null => usual,
            value => value.clone(),
        };
        let text = |field: &str| row[field].as_str().unwrap_or_default().to_owned();
        let mut task = or("task", json!({"type": "Classification"}));
        task["textColumns"] = json!(["text"]);
        Self {
            name: text("name"),
            layers: text("layers"),
            sizes: or("sizes", json!({})),
            options: or("options", json!({})),
            task: json!({"name": "custom", "source": {}, "custom": task}),
            labels: or("labels", json!(["a", "b", "c"])),
            outputs: row["outputs"].as_i64().unwrap_or(3),
            is_real: row["real"] == true,
        }
    }

    /// Those of a library.
    fn all(library: Library) -> Vec<Self> {
        let rows: Vec<Value> = serde_json::from_str(include_str!("cases.json")).expect("JSON");
        let rows = rows.iter();
        let of_library = rows.filter(|row| row["in"] == library.name() || row["in"] == "both");
        of_library.map(Self::new).collect()
    }

    fn has_choices(&self) -> bool {
        self.task["custom"]["type"] == "MultipleChoice"
    }
}

/// A base model as `save_pretrained` writes one, its pooler too, with a tokenizer.
fn base_model(folder: &Path, architecture: &str) {
    let config = small_config(architecture);
    let parsed = ModelConfig::parse(&config.to_string(), Path::new("c")).expect("a configuration");
    let mut tensors = parsed.architecture.tensors();
    let hidden = parsed.hidden_size;
    tensors.push(("pooler.dense.weight".into(), vec![hidden, hidden]));
    tensors.push(("pooler.dense.bias".into(), vec![hidden]));
    let named = tensors.into_iter().map(|(name, shape)| {
        let tensor = weight(&name, &shape);
        (format!("{architecture}.{name}"), tensor)
    });
    write_model(folder, &config, &named.collect::<Vec<_>>());
    std::fs::write(folder.join("tokenizer.json"), small_tokenizer().to_string()).expect("a file");
}

fn backbone(folder: &Path) -> Backbone {
    Backbone::load(folder, Method::Peft, Device::Cpu, Kind::Float).expect("a model")
}

fn description(case: &Case, layers: &str, config: &ModelConfig) -> AdapterDescription {
    let mut configuration =
        json!({"layers": layers, "serialAdapter": 0, "parallelAdapter": 0, "prefix": 0});
    for (field, size) in case.sizes.as_object().expect("sizes") {
        configuration[field] = size.clone();
    }
    serde_json::from_value(json!({
        "version": 1, "configuration": configuration, "options": case.options, "method": "Peft",
        "model": adapter::ModelShape::from(config), "task": case.task, "labels": case.labels, "fidelity": {},
        "training": {"maxLength": 8}, "metric": "Accuracy", "score": 0.5, "versions": {},
    }))
    .expect("a description")
}

/// A checkpoint with values by their names; gives what it predicts for a batch.
fn checkpoint(
    case: &Case,
    layers: &str,
    base: &Backbone,
    folder: &Path,
    batch: &Value,
) -> Vec<f64> {
    let description = description(case, layers, base.config());
    let mut model = Model::new(base, description.inserted(), case.outputs, 3).expect("a model");
    model.deploy();
    // In a wide model, values of this size would drown its own.
    let is_wide = base.config().hidden_size > 100;
    for (name, mut tensor) in model.trainable() {
        let value = weight(&name, &tensor.size()) * if is_wide { 0.2 } else { 1.0 };
        let value = value + f64::from(name.contains(".ia3."));
        tch::no_grad(|| tensor.copy_(&value));
    }
    adapter::save(&model, &description, folder, true).expect("it is saved");
    values(&model.evaluator().predict(&crate::common::batch(batch)))
}

/// What a head predicts without modules.
fn without_modules(
    tensors: &NamedTensors,
    base: &Backbone,
    outputs: i64,
    batch: &Value,
) -> Vec<f64> {
    let empty = PeftConfiguration::empty(base.config().layers).expect("layers");
    let inserted = Inserted {
        configuration: empty,
        options: Default::default(),
        first_position: 0,
    };
    let heads = tensors.iter().filter(|(name, _)| name.starts_with("head."));
    let heads = heads.map(|(name, tensor)| (name.clone(), tensor.shallow_clone()));
    predictions(&heads.collect(), &inserted, base, outputs, batch)
}

/// What an adapter predicts after it has been saved.
fn predictions(
    tensors: &NamedTensors,
    inserted: &Inserted,
    base: &Backbone,
    outputs: i64,
    batch: &Value,
) -> Vec<f64> {
    let place = tempfile::tempdir().expect("a folder");
    let folder = place.path().join("imported");
    let layers = "1".repeat(base.config().layers);
    let description = AdapterDescription {
        configuration: inserted.configuration.clone(),
        options: inserted.options.clone(),
        first_position: inserted.first_position,
        ..description(&Case::new(&json!({})), &layers, base.config())
    };
    adapter::save_tensors(tensors, &description, &folder, false).expect("it is saved");
    let adapter = Adapter::open(&folder).expect("an adapter");
    let model = adapter.attach(base, outputs).expect("it fits");
    values(&model.evaluator().predict(&crate::common::batch(batch)))
}

fn largest(expected: &[f64], found: &[f64]) -> f64 {
    assert_eq!(expected.len(), found.len());
    let pairs = std::iter::zip(expected, found);
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

/// The Python of a library; says why it is skipped.
fn python(library: Library) -> Option<PathBuf> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let setup = Command::new(tests.join("python/setup.sh"))
        .arg(library.name())
        .output()
        .expect("setup.sh starts");
    if setup.status.code() == Some(75) {
        // Past the test harness, which shows nothing of a test that passes.
        let said = text(&setup.stderr);
        let line = format!("skipped: {}\n", said.lines().last().unwrap_or_default());
        std::io::stderr()
            .write_all(line.as_bytes())
            .expect("standard error");
        return None;
    }
    assert!(setup.status.success(), "{}", text(&setup.stderr));
    Some(text(&setup.stdout).trim().into())
}

/// A base model with a batch.
struct Place {
    name: String,
    folder: PathBuf,
    batch: Value,
}

impl Place {
    fn small(work: &Path, architecture: &str) -> Self {
        let folder = work.join(architecture);
        base_model(&folder, architecture);
        Self {
            name: architecture.into(),
            folder,
            batch: golden("encoders.json")[architecture]["batch"].clone(),
        }
    }

    fn real() -> Self {
        let name = "all-MiniLM-L6-v2";
        let batch = json!({
            "input_ids": [[101, 2023, 2003, 1037, 3185, 102], [101, 2204, 102, 0, 0, 0], [101, 3185, 102, 2204, 102, 0]],
            "attention_mask": [[1, 1, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0], [1, 1, 1, 1, 1, 0]],
            "token_type_ids": [[0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0], [0, 0, 0, 1, 1, 0]],
        });
        Self {
            name: name.into(),
            folder: real_model(name),
            batch,
        }
    }

    /// Exports a case, and imports it again without Python; gives what Python is asked to find.
    fn export(&self, case: &Case, library: Library, out: &Path) -> Value {
        let base = backbone(&self.folder);
        let layers = match (base.config().layers, case.layers.as_str()) {
            (6, "111") => "111111",
            (6, _) => "011010",
            (_, layers) => layers,
        };
        let (own, folder) = (out.join("own"), out.join("exported"));
        let logits = checkpoint(case, layers, &base, &own, &self.batch);
        let content = Content::read(&own).expect("an adapter");
        let named = |what: &str| format!("{}, {}: {what}", case.name, self.name);
        let plain = without_modules(&content.tensors, &base, case.outputs, &self.batch);
        assert!(largest(&logits, &plain) > EFFECT, "{}", named("no effect"));
        let at = Base {
            folder: &self.folder,
            config: base.config(),
        };
        export(&content, library, Some(at), &folder)
            .unwrap_or_else(|error| panic!("{}", named(&error.to_string())));
        let back =
            import(&folder, at).unwrap_or_else(|error| panic!("{}", named(&error.to_string())));
        assert_eq!(back.description.as_ref(), Some(&content.description));
        let back = predictions(
            &back.tensors,
            &back.inserted,
            &base,
            case.outputs,
            &self.batch,
        );
        assert!(
            largest(&logits, &back) <= TOLERANCE,
            "{}",
            named("other predictions after its return")
        );
        json!({
            "name": case.name, "architecture": self.name, "base": self.folder, "folder": folder, "batch": self.batch,
            "logits": logits, "outputs": case.outputs, "choices": case.has_choices(),
        })
    }

    /// Imports what Python made, and compares predictions.
    fn import(&self, made: &Value, library: Library) {
        let base = backbone(&self.folder);
        let at = Base {
            folder: &self.folder,
            config: base.config(),
        };
        let name = made["name"].as_str().expect("a name");
        let folder = made["folder"].as_str().expect("a folder");
        let imported = import(Path::new(folder), at)
            .unwrap_or_else(|error| panic!("{name}, {}: {error}", self.name));
        assert_eq!((imported.library, imported.outputs), (library, 3));
        let found = predictions(&imported.tensors, &imported.inserted, &base, 3, &self.batch);
        let plain = without_modules(&imported.tensors, &base, 3, &self.batch);
        assert!(largest(&found, &plain) > EFFECT, "{name}: no effect");
        let difference = largest(&numbers(&made["logits"]), &found);
        eprintln!(
            "| {name} | {} | {} | from Python | {difference:.1e} |",
            self.name,
            library.name()
        );
        assert!(difference <= TOLERANCE, "{name}, {}", self.name);
        let content = Content {
            description: AdapterDescription {
                configuration: imported.inserted.configuration.clone(),
                options: imported.inserted.options.clone(),
                first_position: imported.inserted.first_position,
                ..description(&Case::new(&json!({})), "111", base.config())
            },
            tensors: imported.tensors,
        };
        let again = Path::new(folder).with_extension("again");
        export(&content, library, Some(at), &again)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let again = import(&again, at).unwrap_or_else(|error| panic!("{name}: {error}"));
        let again = predictions(&again.tensors, &again.inserted, &base, 3, &self.batch);
        assert!(
            largest(&found, &again) <= TOLERANCE,
            "{name}, {}: exported again",
            self.name
        );
    }
}

fn check(library: Library) {
    let _guard = among_others();
    let Some(python) = python(library) else {
        return;
    };
    let work = tempfile::tempdir().expect("a folder");
    let work = work.path();
    let small = ARCHITECTURES.map(|architecture| Place::small(work, architecture));
    let real = Place::real();
    let mut exported = Vec::new();
    for (number, case) in Case::all(library).iter().enumerate() {
        let places = small.iter().chain(case.is_real.then_some(&real));
        for place in places {
            let out = work.join(format!("{}-{number}", place.name));
            exported.push(place.export(case, library, &out));
        }
    }
    let bases = small.iter().map(|place| {
        (
            place.name.clone(),
            json!({"folder": place.folder, "batch": place.batch}),
        )
    });
    let bases = Value::Object(bases.collect());
    let asked = json!({"exported": exported, "bases": bases});
    std::fs::write(work.join("cases.json"), asked.to_string()).expect("a file");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/interchange.py");
    let output = Command::new(python)
        .arg(script)
        .arg(library.name())
        .arg(work)
        .output()
        .expect("Python starts");
    let printed = text(&output.stdout);
    assert!(output.status.success(), "{printed}{}", text(&output.stderr));
    eprint!("{printed}");

    let made = std::fs::read(work.join("made.json")).expect("what Python made");
    let made: Vec<Value> = serde_json::from_slice(&made).expect("JSON");
    assert!(!made.is_empty());
    for one in made {
        let place = small
            .iter()
            .find(|place| one["architecture"] == *place.name);
        place.expect("a base model").import(&one, library);
    }
}

#[test]
fn interchange_with_peft() {
    check(Library::Peft);
}

#[test]
fn interchange_with_adapters() {
    check(Library::Adapters);
}
