//! Whole searches with the real programs, real weights and real text: killed, resumed, replayed.

mod promotion;
mod transfer;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use autopeft_crds::{LedgerEntry, PeftSearch, TrialState};
use autopeft_integration_tests::programs::{program, run_search};

/// Seven short trials, four of them drawn and three chosen by the surrogate.
fn manifest(folder: &Path, parallelism: u32) -> PathBuf {
    let path = folder.join("search.yaml");
    let text = format!(
        r#"
apiVersion: autopeft.dev/v1alpha1
kind: PeftSearch
metadata: {{ name: short }}
spec:
  model: {{ source: {{ claim: {{ name: autopeft, path: models/all-MiniLM-L6-v2 }} }} }}
  task:
    name: custom
    source: {{ claim: {{ name: autopeft, path: data/movie-reviews }} }}
    custom: {{ type: Classification, textColumns: [text], labels: [negative, positive] }}
  algorithm:
    seed: 7
    initialTrials: 4
    nuts: {{ warmup: 64, samples: 32, thinning: 8 }}
  maxTrials: 7
  parallelism: {parallelism}
  fidelity: {{ trainExamples: 96, validationExamples: 100 }}
  training: {{ learningRate: "1e-3", maxLength: 32 }}
  baselines: [SerialAdapter]
"#
    );
    std::fs::write(&path, text).expect("the manifest is written");
    path
}

fn finish(mut command: Command) -> Output {
    let output = command
        .stdin(Stdio::null())
        .output()
        .expect("the program starts");
    assert!(
        output.status.success(),
        "{command:?} failed:\n{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

fn ledger(workdir: &Path) -> Vec<LedgerEntry> {
    let text = std::fs::read_to_string(workdir.join("status.yaml")).expect("status.yaml");
    let search: PeftSearch = serde_saphyr::from_str(&text).expect("status.yaml is a PeftSearch");
    search.status.expect("a status").ledger
}

/// What interruptions must not change: everything except times and attempts.
fn essence(ledger: &[LedgerEntry]) -> Vec<LedgerEntry> {
    let mut entries = ledger.to_vec();
    for entry in &mut entries {
        entry.attempt = 1;
        entry.planned_at = None;
        entry.finished_at = None;
        entry.train_seconds = None;
        entry.peak_memory_bytes = None;
    }
    entries
}

fn journal_lines(workdir: &Path) -> usize {
    std::fs::read_to_string(workdir.join("journal.jsonl")).map_or(0, |text| text.lines().count())
}

/// Lets the search run until its journal has grown by `lines` and a little longer, then kills it.
/// Returns false if the search ended before that.
fn kill_after(mut search: Child, workdir: &Path, lines: usize, longer: Duration) -> bool {
    let until = journal_lines(workdir) + lines;
    let deadline = Instant::now() + Duration::from_secs(300);
    while journal_lines(workdir) < until {
        if search
            .try_wait()
            .expect("the child can be waited for")
            .is_some()
        {
            return false;
        }
        assert!(Instant::now() < deadline, "the search stands still");
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(longer);
    search.kill().expect("kill -9");
    search.wait().expect("the killed search is gone");
    true
}

fn replay(workdir: &Path) -> String {
    let mut command = Command::new(program("peft-operator"));
    command.arg("replay").arg(workdir);
    String::from_utf8_lossy(&finish(command).stdout).into_owned()
}

#[test]
fn a_killed_search_ends_like_one_that_was_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let manifest = manifest(folder.path(), 1);
    let (alone, killed) = (folder.path().join("alone"), folder.path().join("killed"));

    let output = finish(run_search(&manifest, &alone));
    let expected = ledger(&alone);
    assert_eq!(expected.len(), 8, "seven trials and a baseline");
    assert!(
        expected
            .iter()
            .all(|entry| entry.state == TrialState::Succeeded)
    );
    let table = String::from_utf8_lossy(&output.stdout);
    assert!(
        table.contains("parameters"),
        "no front was printed:\n{table}"
    );

    let mut kills = 0;
    for (lines, milliseconds) in [(1, 0), (1, 700), (2, 100), (1, 1500), (3, 20), (2, 300)] {
        let search = run_search(&manifest, &killed)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the search starts");
        kills += u32::from(kill_after(
            search,
            &killed,
            lines,
            Duration::from_millis(milliseconds),
        ));
    }
    assert!(
        kills >= 4,
        "the search ended before it could be killed often enough"
    );
    finish(run_search(&manifest, &killed));
    assert_eq!(essence(&ledger(&killed)), essence(&expected));

    for workdir in [&alone, &killed] {
        replay(workdir);
        for file in [
            "front.svg",
            "report.html",
            "status.yaml",
            "trials.csv",
            "journal.jsonl",
        ] {
            assert!(workdir.join(file).exists(), "{file} is missing");
        }
    }

    let before = std::fs::read(killed.join("journal.jsonl")).expect("the journal");
    let status = std::fs::read(killed.join("status.yaml")).expect("the status");
    finish(run_search(&manifest, &killed));
    assert_eq!(
        std::fs::read(killed.join("journal.jsonl")).expect("the journal"),
        before
    );
    assert_eq!(
        std::fs::read(killed.join("status.yaml")).expect("the status"),
        status
    );
}

#[test]
fn two_trials_at_a_time_are_replayed_bit_for_bit() {
    let folder = tempfile::tempdir().expect("a folder");
    let manifest = manifest(folder.path(), 2);
    let workdir = folder.path().join("work");
    finish(run_search(&manifest, &workdir));
    let entries = ledger(&workdir);
    assert!(
        entries
            .iter()
            .all(|entry| entry.state == TrialState::Succeeded)
    );
    replay(&workdir);
}

#[test]
fn a_tampered_suggestion_does_not_replay() {
    let folder = tempfile::tempdir().expect("a folder");
    let manifest = manifest(folder.path(), 1);
    let workdir = folder.path().join("work");
    finish(run_search(&manifest, &workdir));
    let journal = workdir.join("journal.jsonl");
    let text = std::fs::read_to_string(&journal).expect("the journal");
    let score = ledger(&workdir)[1].score.expect("a score").to_string();
    let tampered = text.replacen(&format!("\"{score}\""), "\"0.123\"", 1);
    assert_ne!(text, tampered, "the journal holds the score {score}");
    std::fs::write(&journal, tampered).expect("the journal is written");
    let output = Command::new(program("peft-operator"))
        .arg("replay")
        .arg(&workdir)
        .output()
        .expect("replay starts");
    assert!(!output.status.success(), "a changed score went unnoticed");
}
