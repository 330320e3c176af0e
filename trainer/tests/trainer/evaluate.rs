//! Adapters on labelled files that their training did not see.

use std::path::Path;

use serde_json::Value;

use crate::common::program::{run, text};
use crate::common::small_trial;

/// Trains an adapter into `folder/adapter`.
fn train(folder: &Path, task: &[&str]) {
    let place = folder.display().to_string();
    let out = folder.join("adapter").display().to_string();
    let common = ["--device", "cpu", "--epochs", "3", "--max-length", "16"];
    let output = run(&[
        ["train", "--model", &place, "--data", &place, "--out", &out].as_slice(),
        &common,
        &["--learning-rate", "0.01", "--lora", "4"],
        task,
    ]
    .concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
}

/// Evaluates it; gives what is printed, and the lines of its predictions.
fn evaluate(folder: &Path, more: &[&str]) -> Result<(Value, Vec<Value>), String> {
    let place = folder.display().to_string();
    let adapter = folder.join("adapter").display().to_string();
    let lines = folder.join("predictions.jsonl");
    let written = lines.display().to_string();
    let output = run(&[
        ["evaluate", "--adapter", &adapter, "--model", &place].as_slice(),
        &["--device", "cpu", "--predictions", &written],
        more,
    ]
    .concat());
    if !output.status.success() {
        return Err(text(&output.stderr));
    }
    let lines = std::fs::read_to_string(lines).expect("predictions");
    let lines = lines
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"));
    let printed = serde_json::from_slice(&output.stdout).expect("JSON");
    Ok((printed, lines.collect()))
}

/// The share of lines whose prediction is their label, and is the largest output.
fn accuracy(lines: &[Value], labels: [&str; 2]) -> f64 {
    let is_right = |line: &&Value| {
        let outputs = line["outputs"].as_array().expect("outputs");
        let [first, second] = [0, 1].map(|class| outputs[class].as_f64().expect("a number"));
        assert_eq!(line["predicted"], labels[usize::from(second > first)]);
        line["predicted"] == line["label"]
    };
    lines.iter().filter(is_right).count() as f64 / lines.len() as f64
}

#[test]
fn a_file_of_its_own_is_scored_example_by_example() {
    let folder = small_trial();
    let task = [
        "--task",
        "custom",
        "--text-column",
        "text",
        "--labels",
        "low,high",
    ];
    train(folder.path(), &task);
    let place = folder.path().display().to_string();
    let (of_data, _) = evaluate(folder.path(), &["--data", &place]).expect("evaluated");
    let file = folder.path().join("validation.jsonl").display().to_string();
    let (of_file, lines) = evaluate(folder.path(), &["--file", &file]).expect("evaluated");
    assert_eq!(of_data, of_file);
    assert_eq!(lines.len(), 64);
    let found = accuracy(&lines, ["low", "high"]);
    assert_eq!(of_file["score"].as_f64(), Some(found));
    assert_eq!(lines[63]["example"], 63);
}

/// MRPC's test set as its authors publish it: labelled, with a byte order mark, and without a training file.
#[test]
fn the_test_set_of_mrpc_is_scored() {
    let folder = small_trial();
    let row = |number: u64| {
        let same = number % 2;
        let words = [5 + number % 16, 6 + number % 16, 25 + number % 12];
        let second = if same == 1 { words[1] } else { words[2] };
        format!(
            "{same}\t{number}\t{number}\tw{} w{}\tw{second}\r\n",
            words[0], words[1]
        )
    };
    let file = |name: &str, numbers: std::ops::Range<u64>| {
        let header = "\u{feff}Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\r\n";
        let rows: String = numbers.map(row).collect();
        std::fs::write(folder.path().join(name), format!("{header}{rows}")).expect("a file");
    };
    file("train.tsv", 0..64);
    file("dev.tsv", 64..80);
    train(folder.path(), &["--task", "mrpc"]);
    let elsewhere = tempfile::tempdir().expect("a folder");
    file("msr_paraphrase_test.txt", 80..120);
    let test = elsewhere.path().join("msr_paraphrase_test.txt");
    std::fs::rename(folder.path().join("msr_paraphrase_test.txt"), &test).expect("moved");
    let test = test.display().to_string();
    let (printed, lines) = evaluate(folder.path(), &["--file", &test]).expect("evaluated");
    assert_eq!(printed["validationExamples"], 40);
    let names = ["not_equivalent", "equivalent"];
    let found = accuracy(&lines, names);
    assert_eq!(printed["metrics"]["Accuracy"].as_f64(), Some(found));
    let missing = evaluate(folder.path(), &["--file", "nowhere.tsv"]).expect_err("refused");
    assert!(missing.contains("nowhere.tsv"), "{missing}");
}
