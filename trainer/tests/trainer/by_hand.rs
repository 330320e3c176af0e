//! The commands that are run by hand: `train` and `evaluate`.

use std::path::Path;

use autopeft_crds::PeftConfiguration;
use autopeft_crds::trial::TrialMeasurements;
use serde_json::json;

use crate::common::program::{evaluated, program, run, text};
use crate::common::{configuration, small_request, small_trial};

/// All modules at once.
fn modules() -> PeftConfiguration {
    configuration("011", 4, 4, 2)
}

/// What `train` says of these flags, on a small model and its data, and that it ends with code 2.
fn train_refused(folder: &Path, flags: &[&str]) -> String {
    let (place, out) = (folder.to_string_lossy(), folder.join("adapter"));
    let out = out.to_string_lossy();
    let mut arguments = vec!["train", "--model", &place, "--data", &place, "--out", &out];
    arguments.extend(flags);
    let output = run(&arguments);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(!Path::new(&*out).exists());
    said
}

#[test]
fn numbers_out_of_range_are_refused_before_libtorch_sees_them() {
    let folder = small_trial();
    let sizes = "0 to 8192";
    for (flag, value, field, range) in [
        (
            "--serial-adapter",
            "100000000",
            "configuration.serialAdapter",
            sizes,
        ),
        (
            "--parallel-adapter",
            "100000000",
            "configuration.parallelAdapter",
            sizes,
        ),
        ("--prefix", "100000000", "configuration.prefix", sizes),
        (
            "--learning-rate",
            "2",
            "spec.training.learningRate",
            "a number above 0 and at most 1",
        ),
        (
            "--weight-decay",
            "1.5",
            "spec.training.weightDecay",
            "a number from 0 to 1",
        ),
        (
            "--batch-size",
            "4097",
            "spec.training.batchSize",
            "1 to 4096",
        ),
        ("--max-length", "3", "spec.training.maxLength", "4 to 4096"),
        (
            "--warmup-percent",
            "101",
            "spec.training.warmupPercent",
            "0 to 100",
        ),
        ("--patience", "0", "spec.training.patience", "1 to 1000"),
        ("--epochs", "1001", "spec.fidelity.epochs", "1 to 1000"),
        (
            "--train-examples",
            "0",
            "spec.fidelity.trainExamples",
            "1 to 4294967295",
        ),
    ] {
        let custom = ["--task", "custom", "--text-column", "text", flag, value];
        let said = train_refused(folder.path(), &custom);
        let expected = format!("{field}: {value}; expected {range}");
        assert!(said.contains(&expected), "{said}");
    }
    let flags = [
        "--task",
        "custom",
        "--text-column",
        "text",
        "--threads",
        "60000",
    ];
    let said = train_refused(folder.path(), &flags);
    assert!(said.contains("60000 is not in 1..=512"), "{said}");
}

#[test]
fn flags_of_custom_tasks_do_not_go_with_a_known_task() {
    let folder = small_trial();
    for flags in [
        &["--regression"][..],
        &["--labels", "a,b"],
        &["--label-column", "label"],
        &["--train-file", "a.csv"],
    ] {
        let flags = [&["--task", "rte"], flags].concat();
        let said = train_refused(folder.path(), &flags);
        assert!(
            said.contains(&format!("{} goes with --task custom; rte has", flags[2])),
            "{said}"
        );
    }
}

#[test]
fn an_adapter_read_back_gives_the_same_score() {
    let folder = small_trial();
    let (place, out) = (
        folder.path().to_string_lossy(),
        folder.path().join("adapter"),
    );
    let out = out.to_string_lossy();
    for (rate, regression) in [("0.03", false), ("0.01", true)] {
        let mut train = vec![
            "train",
            "--model",
            &place,
            "--data",
            &place,
            "--task",
            "custom",
            "--text-column",
            "text",
            "--max-length",
            "16",
            "--batch-size",
            "8",
            "--epochs",
            "3",
            "--validation-examples",
            "60",
            "--learning-rate",
            rate,
            "--serial-adapter",
            "4",
            "--parallel-adapter",
            "4",
            "--prefix",
            "3",
            "--out",
            &out,
        ];
        if regression {
            let said = text(&run(&train).stderr);
            assert!(said.contains("give --overwrite"), "{said}");
            train.push("--overwrite");
            train.extend(["--regression", "--label-column", "rating"]);
        }
        let output = run(&train);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let measured: TrialMeasurements =
            serde_json::from_slice(&output.stdout).expect("measurements");
        let evaluated = evaluated(Path::new(&*out), folder.path(), folder.path(), &[]);
        assert_eq!(evaluated["score"].as_f64(), Some(measured.score));
        assert_eq!(evaluated["validationExamples"], 60);
    }
}

#[test]
fn a_place_that_is_taken_is_refused_before_the_training() {
    let folder = small_trial();
    let place = folder.path().to_string_lossy();
    let output = run(&[
        "train",
        "--model",
        &place,
        "--data",
        &place,
        "--task",
        "custom",
        "--text-column",
        "text",
        "--out",
        &place,
    ]);
    assert_eq!(output.status.code(), Some(2));
    let said = text(&output.stderr);
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("name a new directory"), "{said}");
}

#[test]
fn a_hub_that_cannot_be_reached_is_named_and_the_token_is_not() {
    let folder = small_trial();
    let source = ("/model", json!("hf://some/model@v1"));
    let request = small_request(folder.path(), &modules(), &[source]);
    let file = folder.path().join("request.json");
    std::fs::write(&file, request.to_string()).expect("a request");
    let output = program()
        .args(["inspect", "--request", &file.to_string_lossy()])
        .env("HF_TOKEN", "hf_secret")
        .env("HF_ENDPOINT", "http://127.0.0.1:9")
        .env("XDG_CACHE_HOME", folder.path())
        .output()
        .expect("the program starts");
    assert_eq!(output.status.code(), Some(2));
    let said = text(&output.stderr);
    assert!(
        said.contains("config.json of hf://some/model@v1 cannot be fetched"),
        "{said}"
    );
    assert!(!said.contains("hf_secret"), "{said}");
}
