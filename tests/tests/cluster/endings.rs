//! How trials and searches end on a real API server with the real Job controller. Rows are those of the
//! fault table in docs/faults.md.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use autopeft_crds::status::{PeftSearchStatus, TrialState};
use autopeft_crds::trial::{FailureReason, RESULT_MAX_BYTES, TrialRequest};
use autopeft_integration_tests::cluster::{
    HURRIED, Operator, cluster, eventually, runtime, within,
};
use autopeft_integration_tests::kubelet::{Act, Kubelet, Signal, success};
use autopeft_integration_tests::searches::{Searches, assert_sound, assert_whole, condition};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};

const SHORT: Duration = Duration::from_millis(100);
/// Extra time for a busy machine.
const SLOW: Duration = Duration::from_secs(60);

fn document(request: &TrialRequest) -> String {
    serde_json::to_string(&success(request)).expect("JSON")
}

/// State, attempt and failed attempts of every trial.
fn told(status: &PeftSearchStatus) -> Vec<(TrialState, u32, u32)> {
    let entries = status.ledger.iter();
    entries
        .map(|entry| (entry.state, entry.attempt, entry.failed_attempts))
        .collect()
}

fn outcome(status: &PeftSearchStatus) -> (String, String) {
    condition(status, "Succeeded")
}

/// A search under way in a namespace of its own.
struct Stage {
    searches: Searches,
    operator: Operator,
    _kubelet: Kubelet,
}

/// Begins a search of so many trials, all of the initial design, with other fields of its spec. The operator runs
/// with scaled timeouts where it is `hurried`.
async fn begin(
    namespace: &str,
    hurried: bool,
    (trials, other): (u32, Value),
    act: impl Fn(&TrialRequest) -> Act + Send + Sync + 'static,
) -> Stage {
    let client = cluster().namespace(namespace).await;
    let kubelet = Kubelet::play(client.clone(), namespace, SHORT, act);
    let launch = cluster().launch(namespace, "a");
    let launch = if hurried { launch.hurried() } else { launch };
    let operator = launch.start();
    let searches = Searches::of(&client, namespace);
    let mut spec = json!({"maxTrials": trials, "algorithm": {"initialTrials": trials}});
    for (name, value) in other.as_object().expect("fields") {
        spec[name] = value.clone();
    }
    searches.submit("one", &spec).await;
    Stage {
        searches,
        operator,
        _kubelet: kubelet,
    }
}

/// Row 24.
#[test]
fn a_trial_that_succeeds_without_a_message_has_a_minute_for_it() {
    runtime().block_on(async {
        let other = json!({"parallelism": 3});
        let stage = begin("silent", true, (3, other), |request| {
            match (request.identity.trial, request.identity.attempt) {
                (1 | 2, 1) => Act::Say(String::new(), 0),
                _ => Act::Succeed,
            }
        })
        .await;
        let searches = &stage.searches;
        let pods: Api<Pod> = Api::namespaced(searches.client.clone(), &searches.namespace);
        let silent = async |trial: u32| {
            let of_trial = format!("autopeft.dev/trial={trial}");
            let listed = pods.list(&ListParams::default().labels(&of_trial)).await;
            let found = listed.expect("pods").items.into_iter().next();
            let phase = |pod: &Pod| pod.status.as_ref().and_then(|status| status.phase.clone());
            found.filter(|pod| phase(pod).as_deref() == Some("Succeeded"))
        };
        eventually("both are silent", async || {
            silent(1).await.is_some() && silent(2).await.is_some()
        })
        .await;
        let begun = Instant::now();
        tokio::time::sleep(SHORT * 20).await;
        // The kubelet catches up with one of them.
        let late = silent(2).await.expect("it is held");
        let request = &late.annotations()["autopeft.dev/request"];
        let request: TrialRequest = serde_json::from_str(request).expect("a request");
        let status = json!({"status": {"containerStatuses": [{
            "name": "trainer", "image": "x", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"terminated": {"exitCode": 0, "message": document(&request)}},
        }]}});
        let patch = Patch::Strategic(&status);
        let parameters = PatchParams::default();
        pods.patch_status(&late.name_any(), &parameters, &patch)
            .await
            .expect("it is there");
        within(
            (SHORT * 1200).mul_f64(HURRIED) + SLOW,
            "the other is tried again",
            async || searches.status("one").await.ledger[1].attempt == 2,
        )
        .await;
        assert!(
            begun.elapsed() >= (SHORT * 500).mul_f64(HURRIED),
            "{:?}",
            begun.elapsed()
        );
        let good = TrialState::Succeeded;
        let status = searches.ended("one").await;
        assert_eq!(told(&status), [(good, 1, 0), (good, 2, 1), (good, 1, 0)]);
        let events = searches.events(&[]).await;
        let mut notes = events.iter().filter_map(|event| event.note.as_deref());
        assert!(notes.any(|note| note.contains("NoResult")));
        assert_sound(&searches.get("one").await, &cluster().audit);
    });
}

/// Row 45: a node that rejects pods costs no retry, and retries back off.
#[test]
fn a_pod_that_its_node_rejects_is_retried_with_back_off() {
    runtime().block_on(async {
        let other = json!({"parallelism": 2});
        let stage = begin("rejected", false, (4, other), |request| {
            match (request.identity.trial, request.identity.attempt) {
                (1, 1..=3) => Act::Rejected,
                _ => Act::Succeed,
            }
        })
        .await;
        let searches = &stage.searches;
        eventually("it is reported", async || {
            searches.condition("one", "Degraded").await == ("True".into(), "PodRejected".into())
        })
        .await;
        let begun = Instant::now();
        // The others go on meanwhile.
        searches.finished("one", 3).await;
        assert!(begun.elapsed() < SHORT * 60, "{:?}", begun.elapsed());
        let status = searches.ended("one").await;
        // 2, 4 and 8 s.
        assert!(begun.elapsed() >= SHORT * 120, "{:?}", begun.elapsed());
        assert_eq!(status.trials.succeeded, 4);
        assert!(status.ledger.iter().all(|entry| entry.failed_attempts == 0));
        assert_eq!(condition(&status, "Degraded").0, "False");
        let told = searches.events(&["PodRejected"]).await;
        assert!(
            matches!(&told[..], [once] if once.series.is_none()),
            "{told:?}"
        );
        assert_sound(&searches.get("one").await, &cluster().audit);
    });
}

/// Row 26.
#[test]
fn a_truncated_invalid_or_infinitely_nested_result_is_rejected() {
    runtime().block_on(async {
        let other = json!({"parallelism": 3});
        let stage = begin("garbled", false, (6, other), |request| {
            let document = document(request);
            let metrics = "\"metrics\":{";
            let long = document.replace(metrics, &format!("{metrics}{}", " ".repeat(4000)));
            let message = match (request.identity.trial, request.identity.attempt) {
                // As a kubelet cuts it, and as one would that does not.
                (0, 1) => long.chars().take(RESULT_MAX_BYTES).collect(),
                (1, 1) => long,
                // What bytes that are no UTF-8 become on their way.
                (2, 1) => {
                    let mut bytes = document.into_bytes();
                    bytes[40] = 0xff;
                    String::from_utf8_lossy(&bytes).into_owned()
                }
                (3, 1) => "[".repeat(RESULT_MAX_BYTES),
                (4, 1) => document.replace(
                    metrics,
                    &format!("{metrics}\"x\":{}", "{\"a\":".repeat(600)),
                ),
                (5, 1) => "\u{0}".repeat(100_000),
                _ => document,
            };
            Act::Say(message, 0)
        })
        .await;
        let searches = &stage.searches;
        let status = searches.ended("one").await;
        assert_eq!(told(&status), [(TrialState::Succeeded, 2, 1); 6]);
        assert!(!stage.operator.log().contains("panic"));
        assert_sound(&searches.get("one").await, &cluster().audit);
    });
}

/// Row 29.
#[test]
fn a_trainer_that_hangs_is_stopped_at_its_deadline_and_is_infeasible() {
    runtime().block_on(async {
        // Long enough for every other trial, on a machine that has much else to do.
        let other = json!({"trialDeadlineSeconds": 15});
        let stage = begin("hanging", false, (3, other), |request| {
            match request.identity.trial {
                1 => Act::Hang,
                _ => Act::Succeed,
            }
        })
        .await;
        let searches = &stage.searches;
        let status = searches.ended("one").await;
        let good = (TrialState::Succeeded, 1, 0);
        assert_eq!(
            told(&status),
            [good, (TrialState::Infeasible, 1, 0), good],
            "{:?}",
            status.ledger[1]
        );
        assert_eq!(
            status.ledger[1].reason,
            Some(FailureReason::DeadlineExceeded)
        );
        searches.is_clean().await;
        assert_sound(&searches.get("one").await, &cluster().audit);
    });
}

/// Creates a node that is not ready.
async fn make_lost_node(client: &Client) {
    let nodes: Api<Node> = Api::all(client.clone());
    let node: Node = serde_json::from_value(json!({
        "metadata": {"name": "lost"},
        "spec": {"taints": [
            {"key": "node.kubernetes.io/unreachable", "effect": "NoSchedule"},
        ]},
    }))
    .expect("a node");
    let created = nodes.create(&PostParams::default(), &node).await;
    created.expect("a node");
}

/// The node is back, and its trainers have ended meanwhile.
async fn come_back(pods: &Api<Pod>, lost: &[String]) {
    let late = json!({"status": {"phase": "Succeeded", "containerStatuses": [{
        "name": "trainer", "image": "x", "imageID": "", "ready": false, "restartCount": 0,
        "state": {"terminated": {"exitCode": 0, "message": "{\"late\": true}"}},
    }]}});
    for name in lost {
        let patch = Patch::Strategic(&late);
        // It may be gone for good.
        let _ = pods
            .patch_status(name, &PatchParams::default(), &patch)
            .await;
    }
}

/// Row 22. The node object stays, as that of a node that may come back.
#[test]
fn a_pod_on_a_lost_node_is_lost_a_minute_after_its_deletion() {
    runtime().block_on(async {
        make_lost_node(&cluster().client().await).await;
        let other = json!({"parallelism": 3});
        let stage = begin("node-lost", true, (3, other), |request| {
            match (request.identity.trial, request.identity.attempt) {
                (1 | 2, 1) => Act::NodeLost,
                _ => Act::Succeed,
            }
        })
        .await;
        let searches = &stage.searches;
        let pods: Api<Pod> = Api::namespaced(searches.client.clone(), &searches.namespace);
        let of_trial = async |trial: u32| {
            let label = format!("autopeft.dev/trial={trial},autopeft.dev/attempt=1");
            let listed = pods.list(&ListParams::default().labels(&label)).await;
            listed.expect("pods").items.into_iter().next()
        };
        let mut lost = Vec::new();
        for trial in [1, 2] {
            eventually("it runs", async || {
                let status = of_trial(trial).await.and_then(|pod| pod.status);
                status.and_then(|status| status.phase).as_deref() == Some("Running")
            })
            .await;
            let pod = of_trial(trial).await.expect("it runs");
            let binding = json!({
                "apiVersion": "v1", "kind": "Binding",
                "metadata": {"name": pod.name_any()},
                "target": {"apiVersion": "v1", "kind": "Node", "name": "lost"},
            });
            let (name, parameters) = (pod.name_any(), PostParams::default());
            let bound = pods
                .create_subresource::<Value, Value>("binding", &name, &parameters, &binding)
                .await;
            bound.expect("it had no node");
            lost.push(name);
        }
        tokio::time::sleep(SHORT * 50).await;
        assert_eq!(
            searches.status("one").await.ledger[1].attempt,
            1,
            "a pod that nobody deletes may still run"
        );
        let begun = Instant::now();
        // As `kubectl delete pod --force` does it, and as the eviction from a tainted node does.
        let force = DeleteParams::default().grace_period(0);
        for (name, parameters) in [(&lost[0], force), (&lost[1], DeleteParams::default())] {
            let deleted = pods.delete(name, &parameters).await;
            deleted.expect("it is there");
        }
        within(
            (SHORT * 1500).mul_f64(HURRIED) + SLOW,
            "both are tried again",
            async || {
                let status = searches.status("one").await;
                (1..3).all(|trial| status.ledger[trial].attempt == 2)
            },
        )
        .await;
        assert!(
            begun.elapsed() >= (SHORT * 550).mul_f64(HURRIED),
            "{:?}",
            begun.elapsed()
        );
        come_back(&pods, &lost).await;
        let status = searches.ended("one").await;
        let good = TrialState::Succeeded;
        assert_eq!(told(&status), [(good, 1, 0), (good, 2, 1), (good, 2, 1)]);
        let force = DeleteParams::default().grace_period(0);
        // The kubelet that is back.
        let _ = pods.delete(&lost[1], &force).await;
        searches.is_clean().await;
        assert_sound(&searches.get("one").await, &cluster().audit);
    });
}

/// Runs a search whose trials, but for the first and those that fail, hang until it has ended early, and
/// lets it go on by `mend`. Nothing that was stopped has failed.
async fn stopped_and_resumed(
    namespace: &str,
    changes: serde_json::Value,
    reason: (&str, &str),
    mend: serde_json::Value,
    failing: u32,
) {
    let is_mended = Arc::new(AtomicBool::new(false));
    let is_well = Arc::clone(&is_mended);
    // Trials fail when the first has its result and another has taken its place.
    let others_run = Signal::default();
    let signal = others_run.clone();
    let act = move |request: &TrialRequest| match request.identity.trial {
        trial if trial > 0 && trial <= failing => {
            let failed = Act::Say("not a document".into(), 1);
            Act::Once(signal.clone(), Box::new(failed))
        }
        trial if trial > 0 && !is_well.load(Ordering::Relaxed) => Act::Hang,
        _ => Act::Succeed,
    };
    let mut other = json!({"parallelism": 3, "maxRetries": 0});
    for (name, value) in changes.as_object().expect("fields") {
        other[name] = value.clone();
    }
    let stage = begin(namespace, true, (6, other), act).await;
    let searches = &stage.searches;
    eventually("another has taken its place", async || {
        let status = searches.status("one").await;
        status.trials.succeeded == 1 && status.ledger.len() == 4
    })
    .await;
    others_run.give();
    let status = searches.ended("one").await;
    assert_eq!(outcome(&status), (reason.0.into(), reason.1.into()));
    assert_eq!(status.trials.succeeded, 1, "{namespace}");
    searches.is_clean().await;
    let status = searches.status("one").await;
    let open = status.ledger.iter().filter(|entry| !entry.state.is_final());
    assert!(open.clone().count() > 0, "{namespace}: trials were running");
    for entry in open {
        assert_eq!(entry.failed_attempts, 0, "{namespace}: {entry:?}");
    }
    assert_eq!(status.trials.failed, failing, "{namespace}");

    is_mended.store(true, Ordering::Relaxed);
    searches.patch("one", &mend).await.expect("it may change");
    within(
        SHORT * 900,
        &format!("{namespace} has continued"),
        async || {
            let status = searches.status("one").await;
            outcome(&status) == ("True".into(), "MaxTrialsReached".into())
        },
    )
    .await;
    let status = searches.status("one").await;
    assert_eq!(status.trials.succeeded, 6 - failing, "{:?}", status.ledger);
    searches.is_clean().await;
    assert_whole(&searches.get("one").await, &cluster().audit);
}

#[test]
fn a_search_past_its_deadline_stops_its_trials_and_can_be_resumed() {
    runtime().block_on(stopped_and_resumed(
        "overtime",
        json!({"activeDeadlineSeconds": 12}),
        ("True", "DeadlineExceeded"),
        json!({"activeDeadlineSeconds": null}),
        0,
    ));
}

#[test]
fn a_search_with_too_many_failures_stops_its_trials_and_can_be_resumed() {
    runtime().block_on(stopped_and_resumed(
        "failing",
        json!({"maxFailedTrials": 1}),
        ("False", "TooManyFailedTrials"),
        json!({"maxFailedTrials": 2}),
        2,
    ));
}

#[test]
fn an_edit_after_the_end_that_gives_nothing_to_do_changes_nothing() {
    runtime().block_on(async {
        let other = json!({});
        let stage = begin("settled", false, (2, other), |_| Act::Succeed).await;
        let searches = &stage.searches;
        let before = searches.ended("one").await;
        tokio::time::sleep(SHORT * 15).await;
        // The search took longer than that.
        let edited = json!({"activeDeadlineSeconds": 1, "trainer": {"queueName": "team"}});
        let edited = searches.patch("one", &edited).await.expect("valid");
        eventually("the edit was taken in", async || {
            searches.status("one").await.observed_generation == edited.metadata.generation
        })
        .await;
        let after = searches.status("one").await;
        assert_eq!(outcome(&after), outcome(&before));
        assert_eq!(after.completion_time, before.completion_time);
        assert_eq!(after.ledger, before.ledger);
    });
}

/// Row 45. The user may have fixed in the spec what a Job waits for.
#[test]
fn a_waiting_job_is_replaced_when_its_spec_is_fixed() {
    runtime().block_on(async {
        let other = json!({"maxRetries": 0, "trainer": {"queueName": "nobody-admits"}});
        let stage = begin("mended", false, (3, other), |request| {
            match (request.identity.trial, request.identity.attempt) {
                (1, 1) => Act::NoImage,
                _ => Act::Succeed,
            }
        })
        .await;
        let searches = &stage.searches;
        let degraded = async |reason: &str| {
            eventually(reason, async || {
                searches.condition("one", "Degraded").await == ("True".into(), reason.into())
            })
            .await;
        };
        degraded("Queued").await;
        let freed = json!({"trainer": {"queueName": null}});
        searches.patch("one", &freed).await.expect("it may change");
        degraded("ImageNotPulled").await;
        let image = json!({"trainer": {"image": "localhost/trainer:mended"}});
        searches.patch("one", &image).await.expect("it may change");
        let status = searches.ended("one").await;
        let good = TrialState::Succeeded;
        assert_eq!(told(&status), [(good, 1, 0), (good, 2, 0), (good, 1, 0)]);
        searches.is_clean().await;
    });
}
