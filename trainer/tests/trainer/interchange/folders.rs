//! The folders: complete by themselves, and used by the commands.

use std::path::Path;

use autopeft_trainer::adapter::{Adapter, card};
use serde_json::{Value, json};

use super::{ARCHITECTURES, base_model};
use crate::common::program::{run, text};
use crate::common::*;

/// Runs the program, and gives what it printed.
fn done(arguments: &[&str]) -> Value {
    let output = run(arguments);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap_or_default()
}

fn refused(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    text(&output.stderr)
}

/// A small task with a model that has a pooler, and an adapter that was trained on it.
fn trained(architecture: &str, configuration: &[&str]) -> tempfile::TempDir {
    let folder = small_trial_of(architecture);
    base_model(folder.path(), architecture);
    let at = folder.path().to_string_lossy();
    let out = format!("{at}/own");
    let mut arguments = vec![
        "train",
        "--model",
        &at,
        "--data",
        &at,
        "--task",
        "custom",
        "--text-column",
        "text",
        "--max-length",
        "16",
        "--epochs",
        "3",
        "--learning-rate",
        "0.01",
        "--out",
        &out,
        "--license",
        "apache-2.0",
        "--device",
        "cpu",
    ];
    arguments.extend(configuration);
    done(&arguments);
    folder
}

fn read(folder: &Path, file: &str) -> String {
    std::fs::read_to_string(folder.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

#[test]
fn an_adapter_goes_to_python_and_back_and_keeps_its_score() {
    for (architecture, format, modules) in [
        ("bert", "peft", ["--lora", "4"]),
        ("roberta", "adapters", ["--prefix", "2"]),
    ] {
        let folder = trained(architecture, &modules);
        let at = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
        let (model, own, out, back) = (at(""), at("own"), at("exported"), at("back"));
        let evaluate = |adapter: &str| {
            done(&[
                "evaluate",
                "--adapter",
                adapter,
                "--model",
                &model,
                "--data",
                &model,
                "--device",
                "cpu",
            ])
        };
        done(&["export", &own, "--format", format, "--out", &out]);
        done(&["import", &out, "--model", &model, "--out", &back]);
        let (first, again) = (evaluate(&own), evaluate(&back));
        assert_eq!(first["metrics"], again["metrics"]);
        assert_eq!(first["scoreWhenTrained"], again["scoreWhenTrained"]);
        let said = refused(&["export", &own, "--format", format, "--out", &out]);
        assert!(said.contains("exists; name a new directory"), "{said}");

        // As Python would have made it: without this program's own description.
        std::fs::remove_file(folder.path().join("exported/autopeft.json")).expect("it was there");
        let bare = at("bare");
        let import = ["import", &out, "--model", &model, "--out", &bare];
        let said = refused(&import);
        assert!(said.contains("give --task"), "{said}");
        assert!(!Path::new(&bare).exists());
        let task = [
            "--task",
            "custom",
            "--text-column",
            "text",
            "--labels",
            "high,low",
            "--max-length",
            "16",
        ];
        let arguments = [&import[..], &task].concat();
        done(&arguments);
        let found = evaluate(&bare);
        assert_eq!(found["metrics"], first["metrics"]);
        assert_eq!(found["scoreWhenTrained"], Value::Null);
        let few = [
            &import[..],
            &[
                "--overwrite",
                "--task",
                "custom",
                "--text-column",
                "text",
                "--labels",
                "a,b,c",
            ],
        ];
        let said = refused(&few.concat());
        assert!(
            said.contains("the head has 2 outputs, and the task has 3"),
            "{said}"
        );
    }
}

#[test]
fn a_folder_says_what_it_is() {
    let folder = trained("bert", &["--serial-adapter", "4", "--layers", "011"]);
    let own = folder.path().join("own");
    let description: Value = serde_json::from_str(&read(&own, "adapter.json")).expect("JSON");
    let name = folder.path().file_name().expect("a name").to_string_lossy();
    let base = &description["base"];
    assert_eq!(base["name"], *name);
    assert_eq!(base["fingerprint"].as_str().map(str::len), Some(64));
    assert_eq!(description["tokenizer"]["maxLength"], 16);
    assert_eq!(description["license"], "apache-2.0");
    let measured = &description["measured"];
    assert_eq!(description["cost"]["parameters"], 2 * 2 * 4 * 16);
    assert!(measured["metrics"]["Accuracy"].is_number());
    let card = read(&own, "README.md");
    let (metadata, rest) = card.split_at(card.find("\n---\n").expect("metadata"));
    for line in [
        "license: \"apache-2.0\"",
        &format!("base_model: \"{name}\""),
        "library_name: autopeft",
        "- \"serialadapter\"",
        "- accuracy",
    ] {
        assert!(metadata.contains(line), "{line}: {metadata}");
    }
    let score = description["score"].as_f64().expect("a score");
    let percent = description["cost"]["percent"].as_f64().expect("a number");
    let configuration = Adapter::open(&own)
        .expect("an adapter")
        .description()
        .configuration
        .clone();
    let row = format!("| {score:.4} | 256 | {percent:.4} | `{configuration}` |");
    assert!(rest.contains(&row), "{row}: {rest}");

    let out = folder.path().join("exported");
    let (own, out_text) = (own.to_string_lossy(), out.to_string_lossy());
    done(&[
        "export",
        &own,
        "--format",
        "adapters",
        "--out",
        &out_text,
        "--license",
        "mit",
    ]);
    let card = read(&out, "README.md");
    assert!(
        card.contains("license: \"mit\"") && card.contains(&row),
        "{card}"
    );
    assert!(
        card.contains("load_adapter(\"DIR\", set_active=True)"),
        "{card}"
    );
}

/// What 0.1.0 wrote: a description without the fields that are new, and no card.
#[test]
fn folders_of_0_1_0_are_evaluated_and_exported() {
    for architecture in ARCHITECTURES {
        let folder = trained(architecture, &["--prefix", "2"]);
        let own = folder.path().join("own");
        let file = own.join("adapter.json");
        let mut description: Value =
            serde_json::from_str(&read(&own, "adapter.json")).expect("JSON");
        for field in ["base", "tokenizer", "cost", "measured", "license"] {
            description
                .as_object_mut()
                .expect("an object")
                .remove(field);
        }
        std::fs::write(&file, description.to_string()).expect("a file");
        std::fs::remove_file(own.join("README.md")).expect("it was there");
        let at = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
        let (model, own) = (at(""), at("own"));
        let found = done(&[
            "evaluate",
            "--adapter",
            &own,
            "--model",
            &model,
            "--data",
            &model,
        ]);
        assert_eq!(found["score"], description["score"]);
        done(&[
            "export",
            &own,
            "--format",
            "peft",
            "--out",
            &at("a"),
            "--model",
            &model,
        ]);
        done(&["export", &own, "--format", "adapters", "--out", &at("b")]);
        let written = Adapter::open(Path::new(&own))
            .expect("an adapter")
            .description()
            .clone();
        assert!(card(&written, None).contains("license: \"unknown\""));
        assert_eq!(json!(written), description);
    }
}
