//! Training on another task with real weights: its data is inspected before the search, a killed search ends like one
//! left alone, and a training carried out again by hand gives the score of the matrix.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use autopeft_crds::status::{PeftSearchStatus, TrialPurpose};
use autopeft_crds::{LedgerEntry, PeftSearch, TrialState};
use autopeft_integration_tests::programs::{cache, program, run_search};
use serde_json::Value;

use super::finish;

/// Copies the first lines of a data set's files.
fn cut(set: &str, into: &Path, lines: usize) {
    std::fs::create_dir_all(into).expect("a folder");
    for name in ["train.jsonl", "validation.jsonl"] {
        let text = std::fs::read_to_string(cache().join("data").join(set).join(name));
        let text = text.expect("the examples");
        let lines: Vec<&str> = text.lines().take(lines).collect();
        std::fs::write(into.join(name), lines.join("\n")).expect("written");
    }
}

/// A search of one configuration on movie reviews, which is trained on tweets too.
fn prepare(folder: &Path, label: &str) -> PathBuf {
    cut("movie-reviews", &folder.join("data"), 160);
    cut("tweets", &folder.join("tweets"), 120);
    let path = folder.join("search.yaml");
    let text = format!(
        r#"
apiVersion: autopeft.dev/v1alpha1
kind: PeftSearch
metadata: {{ name: moved }}
spec:
  model: {{ source: {{ claim: {{ name: autopeft, path: models/all-MiniLM-L6-v2 }} }} }}
  task:
    name: custom
    source: {{ path: data }}
    custom: {{ type: Classification, textColumns: [text], labels: [negative, positive] }}
  algorithm: {{ initialTrials: 1 }}
  maxTrials: 1
  fidelity: {{ trainExamples: 64, validationExamples: 100 }}
  training: {{ learningRate: "1e-3", maxLength: 32 }}
  promotion: {{ seeds: 2, epochs: 2, baselines: [SerialAdapter] }}
  transfer:
    tasks:
      - name: ratings
        task:
          name: custom
          source: {{ path: tweets }}
          custom: {{ type: Regression, textColumns: [text], labelColumn: {label} }}
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

/// What a trial found, whatever interrupted it.
fn found(entry: &LedgerEntry) -> String {
    let (score, terms) = (entry.score, &entry.terms);
    format!(
        "{:?} {:?} {score:?} {terms:?}",
        entry.of_trial, entry.baseline
    )
}

#[test]
fn another_task_is_inspected_trained_whatever_is_killed_and_trained_again_by_hand() {
    let folder = tempfile::tempdir().expect("a folder");
    let (alone, killed) = (folder.path().join("alone"), folder.path().join("killed"));
    let wrong = prepare(folder.path(), "stars");
    let refused = run_search(&wrong, &alone).output().expect("it runs");
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success(), "{told}");
    for words in ["spec.transfer.tasks[0]", "stars"] {
        assert!(told.contains(words), "{told}");
    }

    let manifest = prepare(folder.path(), "rating");
    finish(run_search(&manifest, &alone));
    for seconds in [4, 9, 6] {
        let mut child = run_search(&manifest, &killed)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        std::thread::sleep(Duration::from_secs(seconds));
        child.kill().expect("kill -9");
        child.wait().expect("it is gone");
    }
    finish(run_search(&manifest, &killed));
    let (alone_status, status) = (status(&alone), status(&killed));
    let all =
        |status: &PeftSearchStatus| -> Vec<String> { status.ledger.iter().map(found).collect() };
    assert_eq!(all(&alone_status), all(&status));
    let is_scored = |entry: &LedgerEntry| entry.state == TrialState::Succeeded;
    assert!(status.ledger.iter().all(is_scored));
    assert_eq!(status.ledger.len(), 1 + 4 + 4);
    let [ratings] = status.transfer.as_slice() else {
        panic!("{:?}", status.transfer);
    };
    assert_eq!(
        (ratings.task.as_str(), ratings.results.len()),
        ("ratings", 2)
    );

    let mut entries = status.ledger.iter();
    let entry = entries.find(|entry| entry.purpose() == TrialPurpose::Transfer);
    let entry = entry.expect("a training on the other task");
    let run = format!("{:04}-{}", entry.trial, entry.attempt);
    let mut again = Command::new(program("peft-trainer"));
    again
        .args(["train", "--device", "cpu", "--request"])
        .arg(killed.join("trials").join(run).join("request.json"))
        .arg("--out")
        .arg(folder.path().join("again"));
    let printed: Value = serde_json::from_slice(&finish(again).stdout).expect("JSON");
    let score = entry.score.expect("a score").get();
    let measured = printed["score"].as_f64().expect("a score");
    assert!((measured - score).abs() < 1e-6, "{measured} and {score}");
}
