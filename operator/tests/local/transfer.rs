//! Training on other tasks.

use std::process::Stdio;
use std::time::Duration;

use autopeft_crds::status::{LedgerEntry, TrialPurpose};

use super::bench::{Bench, essence, fail, operator, status, succeed};

const PROMOTION: &str =
    "promotion: { seeds: 2, epochs: 3, maxConfigurations: 2, baselines: [SerialAdapter] }";
const TASKS: &str = "transfer: { tasks: [\
    { name: sentences, task: { name: mrpc, source: { path: mrpc } } }, \
    { name: feelings, task: { name: sst2, source: { claim: { name: store, path: sst2 } } } }] }";

/// A search with the data of other tasks, and what is put into its spec.
fn bench(more: &str) -> Bench {
    let bench = Bench::new(more);
    for name in ["mrpc", "store/sst2"] {
        std::fs::create_dir_all(bench.path().join(name)).expect("a folder");
    }
    bench
}

/// `peft-operator run` with the claim's directory.
fn run(bench: &Bench, workdir: &std::path::Path) -> std::process::Command {
    let mut command = bench.run_in(workdir);
    let store = bench.path().join("store");
    command.arg(format!("--claim=store={}", store.display()));
    command
}

fn transfers(ledger: &[LedgerEntry]) -> Vec<&LedgerEntry> {
    let entries = ledger.iter();
    entries
        .filter(|entry| entry.purpose() == TrialPurpose::Transfer)
        .collect()
}

#[test]
fn what_is_promoted_is_trained_on_other_tasks_whenever_they_are_asked_for() {
    let bench = bench(PROMOTION);
    succeed(&mut run(&bench, &bench.workdir()));
    bench.rewrite(&format!("{PROMOTION}\n{TASKS}"));
    let text = succeed(&mut run(&bench, &bench.workdir()));
    for words in [
        "Transfer to mrpc of trial",
        "12 of 12 trainings on other tasks have ended",
        "on sentences: best ",
        "on feelings: best ",
    ] {
        assert!(text.contains(words), "{words:?} is not in {text}");
    }
    let at_once = bench.path().join("at-once");
    succeed(&mut run(&bench, &at_once));
    assert_eq!(essence(bench.ledger()), essence(status(&at_once).ledger));

    let (ledger, status) = (bench.ledger(), bench.status());
    let moved = transfers(&ledger);
    assert_eq!((ledger.len(), moved.len()), (26, 12));
    let names: Vec<&str> = status
        .transfer
        .iter()
        .map(|row| row.task.as_str())
        .collect();
    assert_eq!(names, ["sentences", "feelings"]);
    for row in &status.transfer {
        assert_eq!(row.results.len(), 3);
        assert!(row.results.iter().all(|result| result.progress == "2/2"));
    }
    let read = |name: &str| std::fs::read_to_string(bench.workdir().join(name)).expect("a file");
    assert!(read("report.html").contains("On other tasks"));
    let csv = read("trials.csv");
    let rows = csv.lines().filter(|row| row.contains(",Transfer,"));
    assert_eq!(rows.filter(|row| row.ends_with(",feelings")).count(), 6);
    let best = succeed(operator().arg("best").arg(bench.workdir()));
    assert!(best.contains("on sentences"), "{best}");

    // Each has its own data, and keeps no adapter.
    let asked = |trial: u32| -> serde_json::Value {
        let request = read(&format!("trials/{trial:04}-1/request.json"));
        serde_json::from_str(&request).expect("JSON")
    };
    for (entry, folder) in [(moved[0], "mrpc"), (moved[11], "store/sst2")] {
        let request = asked(entry.trial);
        let data = bench.path().join(folder).display().to_string();
        assert_eq!(request["data"], data);
        assert_eq!(request["fidelity"]["epochs"], 3);
        assert_eq!(request["artifacts"], serde_json::Value::Null);
    }
    succeed(operator().arg("replay").arg(bench.workdir()));
}

#[test]
fn a_source_that_is_not_there_is_told_before_anything_is_trained() {
    let bench = bench(&format!("{PROMOTION}\n{TASKS}"));
    fail(
        &mut bench.run(),
        &[
            "spec.transfer.tasks[1].task.source.claim.name",
            "--claim store=DIR",
        ],
    );
    std::fs::remove_dir(bench.path().join("mrpc")).expect("it is there");
    fail(
        &mut run(&bench, &bench.workdir()),
        &[
            "spec.transfer.tasks[0].task.source.path",
            "mrpc is not a directory",
        ],
    );
    assert_eq!(bench.starts(), Vec::<String>::new());
}

#[test]
fn trainings_on_other_tasks_that_are_killed_again_and_again_end_like_those_left_alone() {
    let bench = bench(&format!(
        "maxTrials: 2\nparallelism: 2\n{PROMOTION}\n{TASKS}"
    ));
    let alone = bench.path().join("alone");
    succeed(&mut run(&bench, &alone));
    std::fs::remove_file(bench.path().join("starts")).expect("a file");
    for round in 1..14_u64 {
        let mut killed = run(&bench, &bench.workdir());
        killed.env("FAKE_SECONDS", "0.05");
        let mut child = killed
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        std::thread::sleep(Duration::from_millis(90 + 37 * round % 260));
        child.kill().expect("kill -9");
        child.wait().expect("it is gone");
    }
    succeed(&mut run(&bench, &bench.workdir()));
    assert_eq!(essence(bench.ledger()), essence(status(&alone).ledger));
    bench.assert_started_once();
}

#[test]
fn data_that_a_training_cannot_use_fails_that_training_alone() {
    let bench = bench(&format!(
        "maxTrials: 1\npromotion: {{ seeds: 1, trials: [0] }}\n{TASKS}"
    ));
    succeed(run(&bench, &bench.workdir()).env("FAKE", "2:input"));
    assert_eq!(bench.reason(), "MaxTrialsReached");
    let status = bench.status();
    let [sentences, feelings] = status.transfer.as_slice() else {
        panic!("{:?}", status.transfer);
    };
    assert_eq!(
        (sentences.results[0].mean, feelings.results[0].seeds.len()),
        (None, 1)
    );
    assert_eq!(sentences.results[0].progress, "1/1");
}
