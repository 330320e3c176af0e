//! Training in full with real weights, scored on a test file: the recommended adapter is the one that was measured, and
//! training it again gives the same score.

use std::path::Path;
use std::process::Command;

use autopeft_crds::status::PeftSearchStatus;
use autopeft_crds::{PeftSearch, TrialState};
use autopeft_integration_tests::programs::{cache, program, run_search};
use serde_json::Value;

use super::finish;

/// The first examples of the movie reviews, and a search of two configurations on some of them.
fn prepare(folder: &Path, promotion: &str) -> std::path::PathBuf {
    std::fs::create_dir_all(folder.join("data")).expect("a folder");
    for (name, from, lines) in [
        ("train.jsonl", "train.jsonl", 0..256),
        ("validation.jsonl", "validation.jsonl", 0..200),
        ("test.jsonl", "train.jsonl", 256..406),
    ] {
        let text = std::fs::read_to_string(cache().join("data/movie-reviews").join(from));
        let text = text.expect("the reviews");
        let lines: Vec<&str> = text.lines().skip(lines.start).take(lines.len()).collect();
        std::fs::write(folder.join("data").join(name), lines.join("\n")).expect("written");
    }
    let path = folder.join("search.yaml");
    let text = format!(
        r#"
apiVersion: autopeft.dev/v1alpha1
kind: PeftSearch
metadata: {{ name: full }}
spec:
  model: {{ source: {{ claim: {{ name: autopeft, path: models/all-MiniLM-L6-v2 }} }} }}
  task:
    name: custom
    source: {{ path: data }}
    custom: {{ type: Classification, textColumns: [text], labels: [negative, positive] }}
  algorithm: {{ initialTrials: 2 }}
  maxTrials: 2
  fidelity: {{ trainExamples: 64, validationExamples: 100 }}
  training: {{ learningRate: "1e-3", maxLength: 32 }}
{promotion}
"#
    );
    std::fs::write(&path, text).expect("the manifest is written");
    path
}

fn status(workdir: &Path) -> PeftSearchStatus {
    let text = std::fs::read_to_string(workdir.join("status.yaml")).expect("status.yaml");
    let search: PeftSearch = serde_saphyr::from_str(&text).expect("status.yaml is a PeftSearch");
    search.status.expect("a status")
}

/// Carries out a command of `peft-trainer` that `peft-operator best` printed, and returns its score.
fn score(text: &str, name: &str, out: &Path) -> f64 {
    let line = text
        .lines()
        .find(|line| line.trim_start().starts_with(name));
    let line = line.unwrap_or_else(|| panic!("no command for {name}:\n{text}"));
    let (_, words) = line.split_once("peft-trainer ").expect("a command");
    let mut command = Command::new(program("peft-trainer"));
    for word in words.split(' ') {
        match word {
            "OUT" => command.arg(out.join(name.replace(' ', "-"))),
            word => command.arg(word),
        };
    }
    if name != "export" {
        command.args(["--device", "cpu"]);
    }
    let printed = finish(command).stdout;
    let document: Value = serde_json::from_slice(&printed).unwrap_or_default();
    document["score"].as_f64().unwrap_or_default()
}

#[test]
fn what_is_recommended_is_evaluated_exported_and_trained_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let workdir = folder.path().join("work");
    finish(run_search(&prepare(folder.path(), ""), &workdir));
    let promotion = |file: &str| {
        format!(
            "  promotion: {{ seeds: 2, epochs: 2, trials: [0, 1], evaluation: {{ testFile: {file} }} }}"
        )
    };
    let absent = prepare(folder.path(), &promotion("absent.jsonl"));
    let refused = run_search(&absent, &workdir).output().expect("it runs");
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success(), "{told}");
    for words in ["spec.promotion.evaluation.testFile: ", "absent.jsonl"] {
        assert!(told.contains(words), "{told}");
    }
    let manifest = prepare(folder.path(), &promotion("test.jsonl"));
    finish(run_search(&manifest, &workdir));
    let status = status(&workdir);
    assert!(
        status
            .ledger
            .iter()
            .all(|entry| entry.state == TrialState::Succeeded)
    );
    assert_eq!((status.ledger.len(), status.promoted.len()), (6, 2));
    let taken = status.recommended.last().expect("a recommendation");
    let measured = status.ledger[taken.best_trial as usize].score;
    let measured = measured.expect("a score").get();
    for entry in &status.ledger[2..] {
        assert_eq!(entry.validation_examples, Some(150), "the test file's");
        assert!(entry.selection_score.is_some());
    }

    let mut best = Command::new(program("peft-operator"));
    best.arg("best").arg(&workdir);
    best.args(["--budget", &format!("{}%", taken.budget)]);
    let text = String::from_utf8(finish(best).stdout).expect("UTF-8");
    assert!((score(&text, "evaluate", folder.path()) - measured).abs() < 1e-6);
    assert!((score(&text, "train again", folder.path()) - measured).abs() < 1e-6);
    score(&text, "export", folder.path());
    assert!(folder.path().join("export").is_dir());
}
