//! Training in full, and the answer.

use std::process::Stdio;
use std::time::Duration;

use autopeft_crds::TrialState;
use autopeft_crds::status::{LedgerEntry, TrialPurpose};

use super::bench::{Bench, essence, fail, operator, status, succeed};

const PROMOTION: &str =
    "promotion: { seeds: 2, epochs: 3, maxConfigurations: 2, baselines: [SerialAdapter] }";

fn promotions(ledger: &[LedgerEntry]) -> Vec<&LedgerEntry> {
    let entries = ledger.iter();
    entries
        .filter(|entry| entry.purpose() == TrialPurpose::Promotion)
        .collect()
}

#[test]
fn the_search_goes_on_with_training_in_full_and_recommends_a_configuration() {
    let bench = Bench::new("");
    succeed(&mut bench.run());
    fail(
        operator().arg("best").arg(bench.workdir()),
        &["nothing has been trained in full: add spec.promotion"],
    );

    // Asked for after the end: the same ledger as that of a search that was asked from the beginning.
    bench.rewrite(PROMOTION);
    let text = succeed(&mut bench.run());
    assert!(
        text.contains("6 of 6 trainings in full have ended"),
        "{text}"
    );
    assert_eq!(bench.reason(), "MaxTrialsReached");
    let at_once = bench.path().join("at-once");
    succeed(&mut bench.run_in(&at_once));
    assert_eq!(essence(bench.ledger()), essence(status(&at_once).ledger));

    let ledger = bench.ledger();
    let promoted = promotions(&ledger);
    assert_eq!((ledger.len(), promoted.len()), (14, 6));
    let status = bench.status();
    assert_eq!(status.promoted.len(), 3);
    assert!(
        status
            .promoted
            .iter()
            .all(|result| result.progress == "2/2")
    );
    assert_eq!(status.trials.progress, "8/8");
    let read = |name: &str| std::fs::read_to_string(bench.workdir().join(name)).expect("a file");
    assert!(read("report.html").contains("Which one to take"));
    let rows = read("trials.csv");
    assert_eq!(
        rows.lines()
            .filter(|row| row.contains(",Promotion,"))
            .count(),
        6
    );

    // A training in full is told by its own request.
    let first = promoted[0].trial;
    let request = read(&format!("trials/{first:04}-1/request.json"));
    let request: serde_json::Value = serde_json::from_str(&request).expect("JSON");
    assert_eq!(request["fidelity"]["epochs"], 3);
    assert_eq!(request["training"]["seed"], 43);
    let folder = request["artifacts"].as_str().expect("a directory");
    assert!(
        folder.ends_with(&format!("work/adapters/trial-{first}")),
        "{folder}"
    );
    succeed(operator().arg("replay").arg(bench.workdir()));
}

#[test]
fn the_answer_is_printed_with_its_commands() {
    let bench = Bench::new(PROMOTION);
    succeed(&mut bench.run());
    let best = |arguments: &[&str]| {
        let mut command = operator();
        command.arg("best").arg(bench.workdir()).args(arguments);
        command
    };
    let text = succeed(&mut best(&[]));
    let recommended = bench.status().recommended;
    assert!(!recommended.is_empty());
    for taken in &recommended {
        let budget = format!("within {} % of the backbone's parameters", taken.budget);
        assert!(text.contains(&budget), "{text}");
        let adapter = format!("adapters/trial-{}", taken.best_trial);
        assert!(text.contains(&adapter), "{text}");
    }
    let (model, data) = (bench.path().join("model"), bench.path().join("data"));
    let inputs = format!("--model {} --data {}", model.display(), data.display());
    assert!(text.contains(&inputs), "{text}");
    let of_request = "/request.json --out OUT";
    let request = text.split(' ').find(|word| word.ends_with("/request.json"));
    assert!(text.contains(of_request), "{text}");
    assert!(std::path::Path::new(request.expect("a path")).is_file());

    let most = recommended.last().expect("one").budget;
    let all = succeed(&mut best(&["--budget", &format!("{most}%")]));
    assert_eq!(all.matches("within ").count(), 2, "{all}");
    fail(&mut best(&["--budget", "much"]), &["such as 1%"]);
    fail(
        operator().args(["best", "./nowhere"]),
        &["no such directory"],
    );
}

#[test]
fn training_in_full_that_is_killed_again_and_again_ends_like_one_left_alone() {
    let bench = Bench::new(&format!("maxTrials: 3\nparallelism: 2\n{PROMOTION}"));
    let alone = bench.path().join("alone");
    succeed(&mut bench.run_in(&alone));
    std::fs::remove_file(bench.path().join("starts")).expect("a file");
    for round in 1..12_u64 {
        let mut run = bench.run();
        run.env("FAKE_SECONDS", "0.05");
        let mut child = run
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        std::thread::sleep(Duration::from_millis(60 + 37 * round % 230));
        child.kill().expect("kill -9");
        child.wait().expect("it is gone");
    }
    succeed(&mut bench.run());
    assert_eq!(essence(bench.ledger()), essence(status(&alone).ledger));
    bench.assert_started_once();
}

#[test]
fn an_edited_promotion_withdraws_what_it_no_longer_asks_for() {
    let bench = Bench::new(&format!("maxTrials: 2\n{PROMOTION}"));
    let text = fail(
        bench.run().env("FAKE", "2:input"),
        &["as the test wants it", "the search has failed"],
    );
    assert!(text.contains("trial 2"), "{text}");
    assert_eq!(bench.reason(), "BadInput");
    bench.rewrite(&format!(
        "maxTrials: 2\n{}",
        PROMOTION.replace("epochs: 3", "epochs: 4")
    ));
    succeed(&mut bench.run());
    let ledger = bench.ledger();
    let reason = ledger[2].reason.map(|reason| reason.as_str());
    assert_eq!(
        (ledger[2].state, reason),
        (TrialState::Failed, Some("Withdrawn"))
    );
    let done = promotions(&ledger).into_iter().skip(1);
    assert!(
        done.into_iter()
            .all(|entry| entry.state == TrialState::Succeeded)
    );
    assert!(
        bench
            .status()
            .promoted
            .iter()
            .all(|result| result.progress == "2/2")
    );
}
