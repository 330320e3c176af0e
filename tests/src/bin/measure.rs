//! Prints the operator's load on a real API server: a search of 30 trials, one and four at a time, whose trainers are
//! simulated and take 2 s each. `make measure-cluster`; docs/measurements.md.
#![allow(clippy::print_stdout, reason = "its output is its result")]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use autopeft_crds::status::TrialOrigin;
use autopeft_integration_tests::api_load::{Cost, Subject, cost, percentile};
use autopeft_integration_tests::cluster::{cluster, runtime};
use autopeft_integration_tests::kubelet::{Act, Kubelet};
use autopeft_integration_tests::searches::{Searches, manifest};
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

const TRIALS: u32 = 30;
/// Trials of the initial design: half of them.
const INITIAL: u32 = 15;
const TRAINING: Duration = Duration::from_secs(2);

fn main() {
    runtime().block_on(async {
        for parallelism in [1, 4] {
            let found = measure(parallelism).await;
            print(parallelism, &found);
        }
    });
}

async fn measure(parallelism: usize) -> Cost {
    let namespace = format!("parallelism-{parallelism}");
    let client = cluster().namespace(&namespace).await;
    let _kubelet = Kubelet::play(client.clone(), &namespace, TRAINING, |_| Act::Succeed);
    let operator = cluster()
        .launch(&namespace, "a")
        .with("RUST_LOG", "info,autopeft_operator=debug")
        .in_json()
        .start();
    let searches = Searches::of(&client, &namespace);
    let mut wanted = manifest(
        "measured",
        &json!({"maxTrials": TRIALS, "parallelism": parallelism}),
    );
    // The paper's surrogate settings.
    wanted["spec"]["algorithm"] = json!({"seed": 7, "initialTrials": INITIAL});
    searches.create(&wanted).await.expect("a valid search");
    let status = searches.ended("measured").await;
    searches.is_clean().await;
    let chosen = status
        .ledger
        .iter()
        .filter(|entry| entry.origin != TrialOrigin::Initial)
        .map(|entry| entry.trial);
    let known = suggestions(&operator.log());
    let subject = Subject {
        user: "operator",
        namespace: &namespace,
        parallelism,
        suggested: chosen.map(|trial| (trial, known[&trial])).collect(),
    };
    cost(&events(&cluster().audit), &subject)
}

fn events(audit: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(audit).expect("an audit log");
    text.lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

/// When the operator had each trial's configuration, from its log.
fn suggestions(log: &str) -> BTreeMap<u32, Timestamp> {
    log.lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|line| line["message"] == "suggested")
        .filter_map(|line| {
            let trial = u32::try_from(line["trial"].as_u64()?).ok()?;
            Some((trial, line["timestamp"].as_str()?.parse().ok()?))
        })
        .collect()
}

fn print(parallelism: usize, found: &Cost) {
    println!(
        "{TRIALS} trials of {} s, {parallelism} at a time, {INITIAL} of the initial design",
        TRAINING.as_secs()
    );
    let trials = f64::from(TRIALS);
    for (what, counts) in [("writes", &found.writes), ("uncached reads", &found.reads)] {
        let is_counted = |kind: &str| !kind.ends_with("events") && !kind.ends_with("leases");
        let counted = counts.iter().filter(|(kind, _)| is_counted(kind));
        let total: usize = counted.map(|(_, count)| count).sum();
        println!(
            "  {what} without events and the lease: {total}, {:.2} per trial",
            total as f64 / trials
        );
        for (kind, count) in counts {
            let apart = if is_counted(kind) {
                ""
            } else {
                " (not counted)"
            };
            println!("    {count:4} {kind}{apart}");
        }
    }
    for (ready, what) in [(true, "was ready"), (false, "had to be computed")] {
        let waits = found.seconds(ready);
        let at = |percent| percentile(&waits, percent).unwrap_or_default();
        if !waits.is_empty() {
            println!(
                "  from a trial's end to the next Job if the suggestion {what} ({}): median {:.3} s, p90 {:.3} s, p99 {:.3} s, longest {:.3} s",
                waits.len(),
                at(50),
                at(90),
                at(99),
                at(100)
            );
        }
    }
}
