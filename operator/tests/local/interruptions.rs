//! Killed, stopped, resumed, replayed, finished: nothing is lost and nothing is done twice.

use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use autopeft_crds::TrialState;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use super::bench::{Bench, essence, fail, finish, operator, status, succeed};

fn start(command: &mut Command) -> Child {
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts")
}

fn signal(child: &Child, signal: Signal) {
    let id = Pid::from_raw(child.id().cast_signed()).expect("a process");
    kill_process(id, signal).expect("a signal");
}

/// Waits until as many attempts were started.
fn await_starts(bench: &Bench, count: usize) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while bench.starts().len() < count {
        assert!(Instant::now() < deadline, "nothing is started");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The processes of the trainers that were ever started.
fn trainers_alive(bench: &Bench) -> usize {
    let text = std::fs::read_to_string(bench.path().join("starts")).unwrap_or_default();
    text.lines()
        .filter_map(|line| line.split(' ').nth(1)?.parse().ok())
        .filter_map(Pid::from_raw)
        .filter(|id| test_kill_process(*id).is_ok())
        .count()
}

fn await_no_trainers(bench: &Bench) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while trainers_alive(bench) > 0 {
        assert!(Instant::now() < deadline, "a trainer outlived the operator");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_search_ends_with_a_front_and_is_then_left_alone() {
    let bench = Bench::new("baselines: [SerialAdapter, FullFineTuning]");
    let text = succeed(&mut bench.run());
    assert!(text.contains("all trials have their results"), "{text}");
    let ledger = bench.ledger();
    assert_eq!(ledger.len(), 10);
    assert!(
        ledger
            .iter()
            .all(|entry| entry.state == TrialState::Succeeded)
    );
    assert_eq!(bench.reason(), "MaxTrialsReached");

    // The surrogate and the front speak of the same dimensions: one row for each.
    let page = std::fs::read_to_string(bench.workdir().join("report.html")).expect("a page");
    let status = bench.status();
    let surrogate = status.surrogate.expect("a fit");
    assert_eq!(surrogate.relevance.len(), 7);
    for dimension in surrogate.relevance {
        let row = format!("<td>{}</td>", dimension.dimension);
        assert_eq!(page.matches(&row).count(), 1, "{row}");
    }
    assert_eq!(page.matches("<td>layer").count(), 4);

    let read = |name: &str| std::fs::read(bench.workdir().join(name)).expect("a file");
    let names = [
        "journal.jsonl",
        "status.yaml",
        "trials.csv",
        "front.svg",
        "report.html",
    ];
    let before = names.map(read);
    let again = succeed(&mut bench.run());
    assert!(again.contains("nothing was changed"), "{again}");
    assert_eq!(names.map(read), before);
    assert!(again.contains("raise spec.maxTrials, now 8"), "{again}");

    // What is missing or damaged is made again, and is what it was.
    let path = |name: &str| bench.workdir().join(name);
    std::fs::remove_file(path("status.yaml")).expect("removed");
    std::fs::write(path("front.svg"), "<svg").expect("damaged");
    let again = succeed(&mut bench.run());
    assert!(
        again.contains("only these files were regenerated (status.yaml, front.svg)"),
        "{again}"
    );
    assert_eq!(names.map(read), before);
    assert_eq!(bench.starts().len(), 10);
}

#[test]
fn a_search_that_is_killed_again_and_again_ends_like_one_left_alone() {
    let bench = Bench::new("baselines: [SerialAdapter]");
    let alone = bench.path().join("alone");
    succeed(&mut bench.run_in(&alone));
    std::fs::remove_file(bench.path().join("starts")).expect("a file");
    for round in 1..12_u64 {
        let mut child = start(bench.run().env("FAKE_SECONDS", "0.05"));
        std::thread::sleep(Duration::from_millis(37 * round % 230));
        child.kill().expect("kill -9");
        child.wait().expect("it is gone");
    }
    succeed(&mut bench.run());
    assert_eq!(essence(bench.ledger()), essence(status(&alone).ledger));
    bench.assert_started_once();
    succeed(operator().arg("replay").arg(bench.workdir()));
}

#[test]
fn trainers_go_when_the_operator_is_killed() {
    let bench = Bench::new("parallelism: 2");
    let mut child = start(bench.run().env("FAKE_SECONDS", "100"));
    await_starts(&bench, 2);
    child.kill().expect("kill -9");
    child.wait().expect("it is gone");
    await_no_trainers(&bench);
}

#[test]
fn it_stops_when_it_is_asked_to() {
    for (number, asked) in [(2, Signal::INT), (15, Signal::TERM)] {
        let bench = Bench::new("");
        let child = bench
            .run()
            .env("FAKE", "2:hangs")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        await_starts(&bench, 3);
        signal(&child, asked);
        let output = child.wait_with_output().expect("it ends");
        assert_eq!(output.status.code(), Some(128 + number), "{output:?}");
        assert_eq!(output.status.signal(), None);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            said.contains("2/8 trials have ended and are kept"),
            "{said}"
        );
        await_no_trainers(&bench);
        succeed(&mut bench.run());
        assert_eq!(bench.ledger().len(), 8);
        assert!(!bench.starts().contains(&"0/2".to_owned()));
    }
}

#[test]
fn several_trials_at_a_time_are_replayed_bit_for_bit() {
    let bench = Bench::new("parallelism: 3");
    succeed(bench.run().env("FAKE_SECONDS", "0.02"));
    let text = succeed(operator().arg("replay").arg(bench.workdir()));
    assert!(
        text.contains("all 8 suggestions are bit for bit the same"),
        "{text}"
    );
}

#[test]
fn a_changed_result_does_not_replay() {
    let bench = Bench::new("");
    succeed(&mut bench.run());
    let journal = bench.workdir().join("journal.jsonl");
    let text = std::fs::read_to_string(&journal).expect("the journal");
    let score = bench.ledger()[1].score.expect("a score").to_string();
    let changed = text.replacen(&format!("\"{score}\""), "\"0.123\"", 1);
    assert_ne!(text, changed);
    std::fs::write(&journal, changed).expect("the journal");
    let text = fail(
        operator().arg("replay").arg(bench.workdir()),
        &["DIFFERENT"],
    );
    assert!(text.contains("of 8 suggestions are different"), "{text}");
}

#[test]
fn two_programs_do_not_share_a_work_directory() {
    let bench = Bench::new("");
    let mut child = start(bench.run().env("FAKE_SECONDS", "100"));
    await_starts(&bench, 1);
    fail(
        &mut bench.run(),
        &["another peft-operator uses this directory"],
    );
    child.kill().expect("kill -9");
    child.wait().expect("it is gone");
}

#[test]
fn the_budget_may_be_raised_and_the_recipe_may_not() {
    let bench = Bench::new("maxTrials: 6");
    succeed(&mut bench.run());
    bench.rewrite("maxTrials: 7\nparallelism: 2");
    succeed(&mut bench.run());
    assert_eq!(bench.ledger().len(), 7);
    succeed(operator().arg("replay").arg(bench.workdir()));
    bench.rewrite("maxTrials: 9\ntraining: { batchSize: 8 }");
    fail(
        &mut bench.run(),
        &["spec.training.batchSize was 32 and is now 8", "--workdir"],
    );
    assert_eq!(bench.ledger().len(), 7);
    // The same trials as in a search that had the larger budget from the beginning.
    bench.rewrite("maxTrials: 7\nparallelism: 2");
    let at_once = bench.path().join("at-once");
    bench.rewrite("maxTrials: 7");
    succeed(&mut bench.run_in(&at_once));
    assert_eq!(essence(bench.ledger()), essence(status(&at_once).ledger));
}

#[test]
fn a_suspended_search_waits_for_its_user() {
    let bench = Bench::new("suspend: true");
    let text = succeed(&mut bench.run());
    assert!(text.contains("the search is suspended"), "{text}");
    assert_eq!(bench.reason(), "Suspended");
    assert!(bench.starts().is_empty());
    bench.rewrite("");
    succeed(&mut bench.run());
    assert_eq!(bench.ledger().len(), 8);
}

#[test]
fn a_result_that_was_written_while_nobody_listened_is_used() {
    let bench = Bench::new("maxTrials: 2");
    let mut child = start(bench.run().env("FAKE", "1:hangs"));
    await_starts(&bench, 2);
    child.kill().expect("kill -9");
    child.wait().expect("it is gone");
    // What the trainer would have left, had it been a little faster.
    let result = |trial: &str| {
        bench
            .workdir()
            .join("trials")
            .join(trial)
            .join("result.json")
    };
    let text = std::fs::read_to_string(result("0000-1")).expect("a result");
    let first = bench.ledger()[0].configuration.hash();
    let journal = std::fs::read_to_string(bench.workdir().join("journal.jsonl")).expect("journal");
    assert!(journal.contains("\"trial\":1"), "{journal}");
    let second = bench.ledger()[1].configuration.hash();
    let text = text
        .replace("\"trial\":0", "\"trial\":1")
        .replace(&first, &second);
    std::fs::write(result("0001-1"), text).expect("a result");
    let (code, said) = finish(&mut bench.run());
    assert_eq!(code, 0, "{said}");
    assert_eq!(bench.starts(), ["0/1", "1/1"]);
}

/// Until a trial is planned nothing depends on the manifest, so all of it may be mended.
#[test]
fn before_the_first_trial_everything_may_change() {
    let bench = Bench::new("suspend: true");
    succeed(&mut bench.run());
    bench.rewrite("training: { learningRate: \"2e-4\" }\nmaxTrials: 2");
    let mut run = bench.run();
    run.env("FAKE_EXAMPLES", "60");
    succeed(&mut run);
    assert_eq!(bench.reason(), "MaxTrialsReached");
    bench.rewrite("training: { learningRate: \"3e-4\" }\nmaxTrials: 2");
    fail(
        &mut bench.run(),
        &["spec.training.learningRate was \"0.0002\" and is now \"0.0003\""],
    );
}
