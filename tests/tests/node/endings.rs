//! How trainers' pods end.

use std::time::Duration;

use autopeft_crds::status::{LedgerEntry, TrialState};
use autopeft_crds::trial::FailureReason;
use autopeft_integration_tests::cluster::{eventually, runtime, within};
use autopeft_integration_tests::node::{LONG, is_in_phase, node};
use autopeft_integration_tests::searches::assert_sound;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, EvictParams};
use kube::{Api, ResourceExt};
use serde_json::json;

/// State, reason, attempt and failed attempts of a trial.
fn told(entry: &LedgerEntry) -> (TrialState, Option<FailureReason>, u32, u32) {
    let LedgerEntry {
        state,
        reason,
        attempt,
        failed_attempts,
        ..
    } = entry;
    (*state, *reason, *attempt, *failed_attempts)
}

/// Rows 18, 20, 21, 24 and 29.
#[test]
fn a_pod_that_is_killed_evicted_silent_or_slow_has_the_right_outcome() {
    let Some(node) = node() else { return };
    runtime().block_on(async {
        let searches = node.with_operator("endings").await;
        let pods: Api<Pod> = Api::namespaced(searches.client.clone(), "endings");
        let part = "oom-0.silent-1-1.hang-2.hang-3-1.hang-4-1.hang-5-1";
        let changes = json!({
            "maxTrials": 7,
            "parallelism": 3,
            "trialDeadlineSeconds": 40,
            "algorithm": {"initialTrials": 7},
        });
        searches.begin("one", part, &changes).await;

        let deleted = searches.running("one", 3, 1).await.name_any();
        let now = DeleteParams::default();
        pods.delete(&deleted, &now).await.expect("it is there");
        let evicted = searches.running("one", 4, 1).await.name_any();
        let gently = EvictParams::default();
        pods.evict(&evicted, &gently)
            .await
            .expect("it may be evicted");
        let drained = searches.running("one", 5, 1).await;
        let job = format!("--pod-selector=job-name={}", drained.labels()["job-name"]);
        node.kubectl(&[
            "drain",
            "node-1",
            &job,
            "--delete-emptydir-data",
            "--force",
            "--timeout=60s",
        ]);
        node.kubectl(&["uncordon", "node-1"]);

        let search = searches.over("one").await;
        let status = search.status.clone().unwrap_or_default();
        let good = TrialState::Succeeded;
        let infeasible = TrialState::Infeasible;
        let expected = [
            (infeasible, Some(FailureReason::OutOfMemory), 1, 0),
            (good, None, 2, 1),
            (infeasible, Some(FailureReason::DeadlineExceeded), 1, 0),
            (good, None, 2, 1),
            (good, None, 2, 0),
            (good, None, 2, 0),
            (good, None, 1, 0),
        ];
        assert_eq!(status.ledger.iter().map(told).collect::<Vec<_>>(), expected);
        searches.left_nothing().await;
        assert_sound(&search, &node.audit());
    });
}

/// Row 43.
#[test]
fn a_pod_that_fills_its_disk_is_retried_once_and_fails() {
    let Some(node) = node() else { return };
    runtime().block_on(async {
        let searches = node.with_operator("disk").await;
        let changes = json!({"maxTrials": 2, "maxRetries": 5, "parallelism": 2});
        searches.begin("one", "fill-0", &changes).await;
        let search = searches.over("one").await;
        let status = search.status.clone().unwrap_or_default();
        let full = (TrialState::Failed, Some(FailureReason::DiskFull), 2, 1);
        assert_eq!(told(&status.ledger[0]), full, "{:?}", status.ledger[0]);
        assert_eq!(told(&status.ledger[1]), (TrialState::Succeeded, None, 1, 0));
        searches.left_nothing().await;
        assert_sound(&search, &node.audit());
    });
}

/// Row 3.
#[test]
fn a_result_that_came_while_the_operator_was_down_is_recorded_by_the_next() {
    let Some(node) = node() else { return };
    runtime().block_on(async {
        let searches = node.with_operator("absent").await;
        let pods: Api<Pod> = Api::namespaced(searches.client.clone(), "absent");
        let changes = json!({"maxTrials": 3, "algorithm": {"initialTrials": 3}});
        searches.begin("one", "each-6", &changes).await;
        let trial = searches.running("one", 1, 1).await;
        let scale = |replicas: &str| {
            let replicas = format!("--replicas={replicas}");
            node.kubectl(&["scale", "deployment/autopeft", "-n", "absent", &replicas]);
        };
        scale("0");
        let instance = "app.kubernetes.io/instance=autopeft";
        node.kubectl(&[
            "wait",
            "--for=delete",
            "pod",
            "-l",
            instance,
            "-n",
            "absent",
            "--timeout=60s",
        ]);
        let name = trial.name_any();
        within(LONG, "the trial has ended by itself", async || {
            is_in_phase(&pods.get(&name).await.expect("it is held"), "Succeeded")
        })
        .await;
        // Even whoever deletes its Job does not get rid of it.
        let job = trial.labels()["job-name"].clone();
        node.kubectl(&["delete", "job", &job, "-n", "absent"]);
        eventually("the pod is to be deleted", async || {
            let held = pods.get(&name).await.expect("it is held");
            held.metadata.deletion_timestamp.is_some()
        })
        .await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        let held = pods.get(&name).await.expect("it is held");
        assert_eq!(held.finalizers(), ["autopeft.dev/result"]);
        assert_eq!(searches.status("one").await.trials.succeeded, 1);

        scale("1");
        let search = searches.over("one").await;
        let status = search.status.clone().unwrap_or_default();
        for entry in &status.ledger {
            assert_eq!(told(entry), (TrialState::Succeeded, None, 1, 0));
        }
        assert_eq!(status.ledger.len(), 3);
        searches.left_nothing().await;
        assert_sound(&search, &node.audit());
    });
}
