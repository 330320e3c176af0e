//! Pods that cannot be created or started: the search reports why it waits, no attempt is spent, and it continues when
//! the cause is fixed.

use std::time::Duration;

use autopeft_crds::status::TrialState;
use autopeft_integration_tests::cluster::{eventually, runtime};
use autopeft_integration_tests::node::{ACTOR, is_in_phase, node};
use autopeft_integration_tests::searches::{Searches, condition};
use kube::ResourceExt;
use serde_json::{Value, json};

/// Waits for its end, and checks that no attempt was spent.
async fn was_spared(searches: &Searches, name: &str) {
    let status = searches.over(name).await.status.unwrap_or_default();
    assert_eq!(condition(&status, "Degraded").0, "False", "{name}");
    for entry in &status.ledger {
        assert_eq!(entry.state, TrialState::Succeeded, "{name}: {entry:?}");
        assert_eq!(
            (entry.attempt, entry.failed_attempts),
            (1, 0),
            "{name}: {entry:?}"
        );
    }
    assert!(!status.ledger.is_empty(), "{name} has no trial");
}

/// Waits for its end, and checks that this many trials have a score and no retry was spent.
async fn spent_no_retry(searches: &Searches, name: &str, trials: u32) {
    let status = searches.over(name).await.status.unwrap_or_default();
    assert_eq!(status.trials.succeeded, trials, "{name}");
    let spent = status.ledger.iter().map(|entry| entry.failed_attempts);
    assert_eq!(spent.sum::<u32>(), 0, "{name}");
}

/// Row 45.
#[test]
fn a_missing_image_secret_or_node_is_reported_and_costs_no_attempt() {
    let Some(node) = node() else { return };
    runtime().block_on(async {
        let searches = node.with_operator("missing").await;
        let secret = json!({"name": "hub", "key": "token"});
        let causes = [
            (
                "image",
                json!({"maxTrials": 1, "trainer": {"image": "localhost/later:1"}}),
            ),
            (
                "secret",
                json!({"maxTrials": 1, "model": {"source": {"hub": {"tokenSecretRef": secret}}}}),
            ),
            (
                "node",
                json!({"maxTrials": 1, "trainer": {"nodeSelector": {"tests/disk": "fast"}}}),
            ),
        ];
        for (name, cause) in causes {
            searches.begin(name, "each-1", &cause).await;
        }
        let message = searches.degraded("image", "ImageNotPulled").await;
        assert!(message.contains("localhost/later:1"), "{message}");
        let message = searches.degraded("secret", "ContainerNotCreated").await;
        assert!(message.contains("secret \"hub\" not found"), "{message}");
        let message = searches.degraded("node", "Unschedulable").await;
        assert!(message.contains("node affinity/selector"), "{message}");
        assert_eq!(searches.jobs().await.len(), 3, "one Job each, and no more");

        node.load_actor_as("localhost/later:1");
        let literal = "--from-literal=token=nothing";
        node.kubectl(&[
            "create", "secret", "generic", "hub", literal, "-n", "missing",
        ]);
        node.kubectl(&["label", "node", "node-1", "tests/disk=fast"]);
        for name in ["image", "secret", "node"] {
            was_spared(&searches, name).await;
        }
        searches.left_nothing().await;
    });
}

/// Row 45: the cause is in the search's spec and is fixed there.
#[test]
fn a_fixed_trainer_replaces_one_that_cannot_start() {
    let Some(node) = node() else { return };
    runtime().block_on(async {
        let searches = node.with_operator("mended").await;
        let wrong = json!({"maxTrials": 2, "trainer": {"image": "localhost/mistyped:1"}});
        searches.begin("early", "each-1", &wrong).await;
        let right = json!({"maxTrials": 2, "parallelism": 2});
        searches.begin("late", "each-8", &right).await;

        // One cannot even be inspected; the other's trainer breaks between two trials.
        searches.degraded("early", "ImageNotPulled").await;
        searches.running("late", 0, 1).await;
        let hungry = json!({"maxTrials": 3, "trainer": {"resources": {"memory": "900Gi"}}});
        searches
            .patch("late", &hungry)
            .await
            .expect("it may change");
        let message = searches.degraded("late", "Unschedulable").await;
        assert!(message.contains("Insufficient memory"), "{message}");

        let image = json!({"trainer": {"image": ACTOR}});
        searches
            .patch("early", &image)
            .await
            .expect("it may change");
        let enough = json!({"trainer": {"resources": {"memory": "32Mi"}}});
        searches
            .patch("late", &enough)
            .await
            .expect("it may change");
        for (name, trials) in [("early", 2), ("late", 3)] {
            spent_no_retry(&searches, name, trials).await;
        }
        searches.left_nothing().await;
    });
}

/// Row 45: the runtime's message about a program that it cannot start is in the place of a result.
#[test]
fn a_program_that_cannot_be_started_is_reported_and_costs_no_attempt() {
    let Some(node) = node() else { return };
    runtime().block_on(async {
        let searches = node.with_operator("broken").await;
        node.load_broken_as("localhost/broken:1");
        let trainer = |image: &str| json!({"maxTrials": 2, "trainer": {"image": image}});
        let (broken, actor) = (trainer("localhost/broken:1"), trainer(ACTOR));
        searches.begin("early", "each-1", &broken).await;
        searches
            .begin("late", "each-8", &json!({"maxTrials": 2}))
            .await;
        let message = searches.degraded("early", "InspectionFailed").await;
        assert!(message.contains("could not be started: "), "{message}");
        searches.running("late", 0, 1).await;
        searches
            .patch("late", &broken)
            .await
            .expect("it may change");
        let message = searches.degraded("late", "PodRejected").await;
        assert!(message.contains("could not be started: "), "{message}");
        for name in ["early", "late"] {
            searches.patch(name, &actor).await.expect("it may change");
            spent_no_retry(&searches, name, 2).await;
        }
        searches.left_nothing().await;
    });
}

fn refused(namespace: &str, name: &str, kind: &str, api: &str, spec: &Value) -> Value {
    json!({"apiVersion": api, "kind": kind, "metadata": {"name": name, "namespace": namespace}, "spec": spec})
}

/// Row 35.
#[test]
fn pods_rejected_by_admission_are_reported_and_cost_no_attempt() {
    let Some(node) = node() else { return };
    runtime().block_on(async {
        let searches = node.with_operator("limited").await;
        let range = json!({"limits": [{"type": "Container", "max": {"memory": "64Mi"}}]});
        let range = refused("limited", "small", "LimitRange", "v1", &range);
        node.apply("limited", &range);
        // The operator's own pod is there already.
        let quota = json!({"hard": {"requests.ephemeral-storage": "32Mi"}});
        let quota = refused("limited", "little", "ResourceQuota", "v1", &quota);
        node.apply("limited", &quota);
        let resources = |changes: Value| json!({"maxTrials": 1, "trainer": {"resources": changes}});
        let causes = [
            ("range", resources(json!({"memory": "100Mi"}))),
            ("quota", resources(json!({"ephemeralStorage": "48Mi"}))),
            (
                "class",
                json!({"maxTrials": 1, "trainer": {"priorityClassName": "tests-urgent"}}),
            ),
        ];
        for (name, cause) in causes {
            searches.begin(name, "each-1", &cause).await;
        }
        let whys = [
            ("range", "maximum memory usage per Container is 64Mi"),
            ("quota", "exceeded quota: little"),
            ("class", "no PriorityClass with name tests-urgent"),
        ];
        for (name, why) in whys {
            eventually(&format!("{name} says {why}"), async || {
                searches.degraded(name, "PodNotCreated").await.contains(why)
            })
            .await;
        }
        node.kubectl(&[
            "delete",
            "limitrange/small",
            "resourcequota/little",
            "-n",
            "limited",
        ]);
        let class = json!({
            "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass",
            "metadata": {"name": "tests-urgent"}, "value": 10,
        });
        node.apply("limited", &class);
        for (name, _) in whys {
            was_spared(&searches, name).await;
        }
        searches.left_nothing().await;
    });
}

/// The node advertises two GPUs.
#[test]
fn of_three_trials_two_run_on_the_gpus_and_one_waits_and_says_so() {
    let Some(node) = node() else { return };
    runtime().block_on(async {
        let searches = node.with_operator("gpus").await;
        let changes = json!({
            "maxTrials": 3,
            "parallelism": 3,
            "algorithm": {"initialTrials": 3},
            "trainer": {"resources": {"gpus": 1}},
        });
        searches.begin("one", "each-20", &changes).await;
        let watching = async {
            let mut most = 0;
            while searches.status("one").await.completion_time.is_none() {
                let pods = searches.pods().await;
                for pod in &pods {
                    let container = &pod.spec.as_ref().expect("a spec").containers[0];
                    let resources = container.resources.as_ref().expect("resources");
                    let limits = resources.limits.as_ref().expect("limits");
                    assert_eq!(limits["nvidia.com/gpu"].0, "1", "{}", pod.name_any());
                }
                let running = pods.iter().filter(|pod| is_in_phase(pod, "Running"));
                most = most.max(running.count());
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            most
        };
        let telling = async {
            let message = searches.degraded("one", "Unschedulable").await;
            assert!(message.contains("Insufficient nvidia.com/gpu"), "{message}");
            was_spared(&searches, "one").await;
        };
        let (most, ()) = tokio::join!(watching, telling);
        assert_eq!(most, 2, "trials at once");
        searches.left_nothing().await;
    });
}
