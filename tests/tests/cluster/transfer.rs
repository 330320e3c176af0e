//! Training on other tasks (`spec.transfer`) in a cluster: each once, with its own data, whenever the operator is killed,
//! and withdrawn when the object no longer asks for it.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use autopeft_crds::status::{LedgerEntry, PeftSearchStatus, TrialPurpose, TrialState};
use autopeft_crds::trial::{FailureReason, TrialRequest};
use autopeft_integration_tests::cluster::{cluster, runtime, within};
use autopeft_integration_tests::helm::run;
use autopeft_integration_tests::kubelet::{Act, Kubelet};
use autopeft_integration_tests::programs::program;
use autopeft_integration_tests::searches::{Searches, assert_sound};
use serde_json::{Value, json};

fn transfers(status: &PeftSearchStatus) -> Vec<&LedgerEntry> {
    let entries = status.ledger.iter();
    entries
        .filter(|entry| entry.purpose() == TrialPurpose::Transfer)
        .collect()
}

/// What is trained on which task, with which seed.
fn training(entry: &LedgerEntry) -> String {
    let terms = entry.terms.as_ref().expect("terms");
    let task = terms.task.as_ref().expect("a task of its own").name;
    format!(
        "{task:?} {:?} {:?} {:?}",
        entry.of_trial, entry.baseline, terms.seed
    )
}

fn other(name: &str) -> Value {
    let source = json!({"claim": {"name": "others", "path": name}});
    json!({"name": format!("{name}-for-reports"), "task": {"name": name, "source": source}})
}

#[test]
fn each_training_on_another_task_is_carried_out_once_whenever_the_operator_is_killed() {
    runtime().block_on(async {
        let namespace = "transfer";
        let client = cluster().namespace(namespace).await;
        let requests: Arc<Mutex<Vec<TrialRequest>>> = Arc::default();
        let seen = Arc::clone(&requests);
        let time = Duration::from_millis(60);
        let _kubelet = Kubelet::play(client.clone(), namespace, time, move |request| {
            seen.lock()
                .expect("no test has failed")
                .push(request.clone());
            Act::Succeed
        });
        let searches = Searches::of(&client, namespace);
        let mut operator = cluster().operator(namespace, "a");
        let changes = json!({
            "maxTrials": 3, "parallelism": 3,
            "promotion": {"seeds": 2, "epochs": 2, "trials": [0, 1, 2], "baselines": ["LoRA"]},
            "transfer": {"tasks": [other("mrpc"), other("sst2")]},
        });
        searches.submit("one", &changes).await;
        searches.finished("one", 3).await;
        let mut kills = 0;
        for delay in [40, 300, 90, 500, 170, 250, 60, 400, 80, 350, 120] {
            tokio::time::sleep(Duration::from_millis(delay)).await;
            if searches.status("one").await.completion_time.is_some() {
                break;
            }
            operator.kill();
            kills += 1;
            operator = cluster().operator(namespace, "a");
        }
        assert!(kills >= 4, "the search was over after {kills} kills");
        let status = searches.ended("one").await;
        let moved = transfers(&status);
        let distinct: BTreeSet<String> = moved.iter().map(|entry| training(entry)).collect();
        assert_eq!(distinct.len(), moved.len(), "each once: {distinct:?}");
        assert_eq!(moved.len(), 2 * 2 * status.promoted.len());
        assert!(
            moved
                .iter()
                .all(|entry| entry.state == TrialState::Succeeded)
        );
        let names: Vec<&str> = status
            .transfer
            .iter()
            .map(|row| row.task.as_str())
            .collect();
        assert_eq!(names, ["mrpc-for-reports", "sst2-for-reports"]);
        for row in &status.transfer {
            assert_eq!(row.results.len(), status.promoted.len());
            assert!(row.results.iter().all(|result| result.progress == "2/2"));
        }
        searches.is_clean().await;
        assert_sound(&searches.get("one").await, &cluster().audit);
        let begun = searches.events(&["TransferStarted"]).await;
        assert!(!begun.is_empty(), "an event tells of it");

        let requests = requests.lock().expect("no test has failed");
        for request in requests.iter() {
            let entry = &status.ledger[request.identity.trial as usize];
            let task = entry.terms.as_ref().and_then(|terms| terms.task.as_ref());
            let is_own = task.is_none_or(|task| {
                request.data == format!("/mnt/claims/others/{}", task.name.as_str())
            });
            assert!(is_own, "{request:?}");
        }

        let told = run(Command::new(program("peft-operator"))
            .args(["best", "one", "--namespace", namespace])
            .env("KUBECONFIG", cluster().kubeconfig()));
        assert!(told.contains("on mrpc-for-reports"), "{told}");
    });
}

#[test]
fn other_tasks_can_be_asked_for_after_the_end_and_withdrawn_while_they_are_trained() {
    runtime().block_on(async {
        let namespace = "transfer-later";
        let client = cluster().namespace(namespace).await;
        let time = Duration::from_millis(1500);
        let _kubelet = Kubelet::play(client.clone(), namespace, time, |_| Act::Succeed);
        let _operator = cluster().operator(namespace, "a");
        let searches = Searches::of(&client, namespace);
        let changes = json!({"maxTrials": 1, "promotion": {"seeds": 1, "epochs": 2}});
        searches.submit("one", &changes).await;
        let plain = searches.ended("one").await;
        let changed = searches
            .patch("one", &json!({"transfer": {"tasks": [other("mrpc")]}}))
            .await;
        changed.expect("it may change");
        let limit = Duration::from_secs(180);
        within(limit, "a training runs", async || {
            let status = searches.status("one").await;
            let moved = transfers(&status);
            moved.iter().any(|entry| entry.job_uid.is_some())
        })
        .await;
        let changed = searches.patch("one", &json!({"transfer": null})).await;
        let generation = changed.expect("it may change").metadata.generation;
        within(limit, "it has ended again", async || {
            let status = searches.status("one").await;
            status.observed_generation == generation && status.completion_time.is_some()
        })
        .await;
        let status = searches.ended("one").await;
        let moved = transfers(&status);
        assert_eq!(moved.len(), 1);
        assert_eq!(moved[0].reason, Some(FailureReason::Withdrawn));
        assert_eq!(status.transfer, []);
        assert_eq!(
            status.ledger[..2],
            plain.ledger[..],
            "the rest is as it was"
        );
        searches.is_clean().await;
    });
}
