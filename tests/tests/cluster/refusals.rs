//! The operator where the cluster refuses it something: a right, a Job by a dead webhook, a namespace
//! that is going away. Rows are those of the fault table in docs/faults.md.

use std::path::Path;
use std::time::{Duration, Instant};

use autopeft_crds::PeftSearch;
use autopeft_integration_tests::accounts::{Right, account, grant, rights, user};
use autopeft_integration_tests::audit_log;
use autopeft_integration_tests::cluster::{Operator, apply, cluster, eventually, runtime, within};
use autopeft_integration_tests::kubelet::{Act, Kubelet};
use autopeft_integration_tests::searches::{Searches, assert_sound, requests};
use autopeft_jobs::build::names::{Work, job_name};
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{DeleteParams, ListParams, PostParams, PropagationPolicy};
use kube::{Api, Client, ResourceExt};
use serde_json::json;

const SHORT: Duration = Duration::from_millis(100);

/// How a missing permission is reported.
#[derive(Debug, PartialEq)]
enum Told {
    /// By the Degraded condition, with this reason; by the log and the metrics too.
    Condition(&'static str),
    /// By the log and the metrics: no status is written, or nothing of the search is wrong.
    Log,
    /// By the log alone: the operator does not lead.
    NotLeading,
    /// This search does without it: the operator never uses it, or only for an event that is told again.
    Never,
}

fn told(right: &Right) -> Told {
    match (right.resource.as_str(), right.verb.as_str()) {
        ("leases", "update" | "delete") | ("pods", "get") | ("events", "patch" | "list") => {
            Told::Never
        }
        ("deployments", _) => Told::Never,
        ("leases", _) => Told::NotLeading,
        ("peftsearches", "list" | "watch") | ("peftsearches/status", _) | ("events", _) => {
            Told::Log
        }
        (_, "list" | "watch") => Told::Condition("NotWatching"),
        // What is added later is reported by a condition too.
        _ => Told::Condition("Forbidden"),
    }
}

/// An operator that is started again when it ends, as a Deployment does it.
struct Restarted {
    launch: autopeft_integration_tests::cluster::Launch,
    operator: Operator,
}

impl Restarted {
    fn see_to(&mut self) {
        if self.operator.has_ended() {
            self.operator = self.launch.start();
        }
    }
}

/// A search that needs every right: two trials fail once each (an event), the third finds its Job's name
/// taken, and the object goes away by itself where it is asked to.
async fn demanding_search(client: &Client, searches: &Searches, namespace: &str, goes: bool) {
    let mut spec = json!({"suspend": true, "maxTrials": 3, "algorithm": {"initialTrials": 3}});
    if goes {
        spec["ttlSecondsAfterFinished"] = json!(0);
    }
    searches.submit("one", &spec).await;
    let uid = searches.get("one").await.metadata.uid.expect("a UID");
    let jobs: Api<Job> = Api::namespaced(client.clone(), namespace);
    let foreign: Job = serde_json::from_value(json!({
        "metadata": {"name": job_name("one", &uid, Work::Trial(2), 1)},
        "spec": {"suspend": true, "template": {"spec": {
            "restartPolicy": "Never",
            "containers": [{"name": "c", "image": "localhost/other:1"}],
        }}},
    }))
    .expect("a Job");
    jobs.create(&PostParams::default(), &foreign)
        .await
        .expect("the name is free");
    searches
        .patch("one", &json!({"suspend": false}))
        .await
        .expect("it may change");
}

/// Waits until a missing permission is reported as expected.
async fn is_told(expected: &Told, what: &str, searches: &Searches, operator: &Operator) {
    match expected {
        Told::Condition(reason) => {
            within(Duration::from_secs(120), what, async || {
                let degraded = searches.condition("one", "Degraded").await;
                degraded == ("True".into(), (*reason).into())
            })
            .await;
        }
        Told::Log | Told::NotLeading => {
            eventually(what, async || operator.log().contains("forbidden")).await;
        }
        Told::Never => {}
    }
    if matches!(expected, Told::Condition(_) | Told::Log) {
        eventually(
            &format!("{what}: it is counted and in the log"),
            async || {
                let errors = operator.get("/metrics");
                errors.contains("autopeft_api_errors_total{")
                    && operator.log().contains("forbidden")
            },
        )
        .await;
    }
}

async fn without(right: Right) {
    let resource = right.resource.replace('/', "-");
    let namespace = format!("no-{}-{resource}", right.verb);
    let what = format!("without {} of {}", right.verb, right.resource);
    let client = cluster().namespace(&namespace).await;
    let kubeconfig = account(cluster(), &client, &namespace).await;
    grant(&client, &namespace, Some(&right)).await;
    let _kubelet = Kubelet::play(client.clone(), &namespace, SHORT, |request| {
        match request.identity.attempt {
            1 => Act::Say("not a document".into(), 0),
            _ => Act::Succeed,
        }
    });
    let searches = Searches::of(&client, &namespace);
    let goes = right.resource == "peftsearches" && right.verb == "delete";
    let launch = cluster().launch(&namespace, "a").by(&kubeconfig).in_json();
    let mut operator = Restarted {
        operator: launch.start(),
        launch,
    };
    demanding_search(&client, &searches, &namespace, goes).await;

    let expected = told(&right);
    is_told(&expected, &what, &searches, &operator.operator).await;
    if expected != Told::Never {
        let (begun, user) = (Instant::now(), user(&namespace));
        let before = audit_log::count_of_user(&cluster().audit, &user);
        for _ in 0..10 {
            tokio::time::sleep(SHORT * 10).await;
            operator.see_to();
        }
        let asked = audit_log::count_of_user(&cluster().audit, &user) - before;
        // 8 a second; on a busy machine the seconds are longer.
        let seconds = begun.elapsed().as_secs_f64();
        assert!(
            asked as f64 <= 8.0 * seconds,
            "{what}: {asked} requests in {seconds:.1} seconds"
        );
        grant(&client, &namespace, None).await;
    }
    let operator = std::sync::Mutex::new(operator);
    within(
        Duration::from_secs(300),
        &format!("{what}: the search goes on by itself"),
        async || {
            operator.lock().expect("no test has failed").see_to();
            match searches.list().await.first() {
                Some(search) if !goes => {
                    let status = search.status.as_ref();
                    status.is_some_and(|status| status.completion_time.is_some())
                }
                Some(_) => false,
                None => goes,
            }
        },
    )
    .await;
    if !goes {
        let status = searches.status("one").await;
        assert_eq!(status.trials.succeeded, 3, "{what}");
        within(Duration::from_secs(60), &what, async || {
            searches.condition("one", "Degraded").await.0 == "False"
        })
        .await;
    }
}

/// Row 34.
#[test]
fn each_missing_permission_is_reported_and_the_search_continues_when_it_is_granted() {
    runtime().block_on(async {
        let rights = rights();
        assert!(rights.len() > 15, "the file of rights was read");
        futures::future::join_all(rights.into_iter().map(without)).await;
    });
}

/// A webhook of somebody else that nobody answers, and that may not be passed.
async fn dead_webhook(client: &Client, namespace: &str, group: &str, resource: &str) {
    let webhook = json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": namespace},
        "webhooks": [{
            "name": "policy.example.com",
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "failurePolicy": "Fail",
            "timeoutSeconds": 1,
            "clientConfig": {"url": "https://127.0.0.1:1/validate"},
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
            "rules": [{
                "apiGroups": [group], "apiVersions": ["*"], "resources": [resource],
                "operations": ["CREATE", "UPDATE"],
            }],
        }],
    });
    let folder = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";
    apply(client, &webhook.to_string(), folder).await;
}

async fn remove_webhook(client: &Client, namespace: &str) {
    let webhooks: Api<ValidatingWebhookConfiguration> = Api::all(client.clone());
    webhooks
        .delete(namespace, &DeleteParams::default())
        .await
        .expect("it is there");
}

/// Row 36.
#[test]
fn a_dead_webhook_on_jobs_is_reported_and_survived() {
    runtime().block_on(async {
        let namespace = "webhook-jobs";
        let client = cluster().namespace(namespace).await;
        dead_webhook(&client, namespace, "batch", "jobs").await;
        let _kubelet = Kubelet::play(client.clone(), namespace, SHORT, |_| Act::Succeed);
        let _operator = cluster().operator(namespace, "a");
        let searches = Searches::of(&client, namespace);
        let short = json!({"maxTrials": 3, "algorithm": {"initialTrials": 3}});
        // A webhook's configuration takes a moment to hold.
        tokio::time::sleep(SHORT * 20).await;
        searches.submit("one", &short).await;
        eventually("the webhook is reported", async || {
            let status = searches.status("one").await;
            status.conditions.iter().any(|condition| {
                condition.type_ == "Degraded"
                    && condition.reason == "WebhookFailed"
                    && condition.message.contains("policy.example.com")
            })
        })
        .await;
        remove_webhook(&client, namespace).await;
        let status = searches.ended("one").await;
        assert_eq!(status.trials.succeeded, 3);
        assert!(
            status.ledger.iter().all(|entry| entry.attempt == 1),
            "a refusal costs no attempt"
        );
    });
}

/// Row 36.
#[test]
fn a_dead_webhook_on_the_status_is_reported_by_an_event_and_survived() {
    runtime().block_on(async {
        let namespace = "webhook-status";
        let client = cluster().namespace(namespace).await;
        let _kubelet = Kubelet::play(client.clone(), namespace, SHORT * 5, |_| Act::Succeed);
        let operator = cluster().operator(namespace, "a");
        let searches = Searches::of(&client, namespace);
        let calm = json!({"maxTrials": 6, "algorithm": {"initialTrials": 6}});
        searches.submit("one", &calm).await;
        searches.finished("one", 1).await;
        dead_webhook(&client, namespace, "autopeft.dev", "peftsearches/status").await;
        eventually("it is reported by an event", async || {
            !searches.events(&["StatusNotWritten"]).await.is_empty()
        })
        .await;
        eventually("it is in the log", async || {
            operator.log().contains("failed calling webhook")
        })
        .await;
        let counted = "autopeft_api_errors_total{verb=\"update peftsearch status\"}";
        assert!(operator.metric(counted) > 0.0);
        remove_webhook(&client, namespace).await;
        let status = searches.ended("one").await;
        assert_eq!(status.trials.succeeded, 6);
        assert_sound(&searches.get("one").await, &cluster().audit);
    });
}

/// Deletes a namespace in which trials run.
async fn doomed(namespace: &str, lease_namespace: &str, operator_goes: bool) {
    let client = cluster().namespace(namespace).await;
    let _kubelet = Kubelet::play(client.clone(), namespace, SHORT, |request| {
        match request.identity.trial {
            0 => Act::Succeed,
            _ => Act::Hang,
        }
    });
    let launch = cluster().launch(namespace, "a").lease_in(lease_namespace);
    let mut operator = launch.start();
    let searches = Searches::of(&client, namespace);
    let wide = json!({"maxTrials": 6, "parallelism": 3, "algorithm": {"initialTrials": 6}});
    searches.submit("one", &wide).await;
    searches.finished("one", 1).await;
    let jobs: Api<Job> = Api::namespaced(client.clone(), namespace);
    eventually("three trials run", async || {
        let all = ListParams::default();
        let listed = jobs.list(&all).await.expect("Jobs").items;
        let active = |job: &Job| job.status.as_ref().and_then(|status| status.active) == Some(1);
        // The first has a result, and may not have been cleared away yet.
        let running = |job: &Job| active(job) && job.labels()["autopeft.dev/trial"] != "0";
        listed.iter().filter(|job| running(job)).count() == 3
    })
    .await;
    let asked = |audit: &Path| {
        let created = |event: &serde_json::Value| {
            event["verb"] == "create" && event["objectRef"]["resource"] == "jobs"
        };
        requests(audit, namespace)
            .iter()
            .filter(|event| created(event))
            .count()
    };
    let namespaces: Api<Namespace> = Api::all(client.clone());
    namespaces
        .delete(namespace, &DeleteParams::default())
        .await
        .expect("it is there");
    let before = asked(&cluster().audit);
    if operator_goes {
        // Its own pod is deleted together with the trials'.
        let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
        eventually("pods are being deleted", async || {
            let listed = pods.list(&ListParams::default()).await.expect("pods").items;
            let is_going = |pod: &Pod| pod.metadata.deletion_timestamp.is_some();
            listed.is_empty() || listed.iter().any(is_going)
        })
        .await;
        operator.signal("TERM");
        assert!(operator.wait().success());
    }
    within(
        Duration::from_secs(360),
        &format!("{namespace} is gone"),
        async || matches!(namespaces.get_opt(namespace).await, Ok(None)),
    )
    .await;
    // It is refused, and tried again after longer and longer pauses.
    let more = asked(&cluster().audit) - before;
    assert!(more <= 9, "{more} Jobs were asked for after that");
}

/// Row 33.
#[test]
fn a_namespace_goes_away_though_trials_run_in_it() {
    runtime().block_on(async {
        cluster().namespace("landlord").await;
        tokio::join!(
            doomed("doomed", "landlord", false),
            // The operator's own pod goes too, and is not replaced.
            doomed("doomed-with-operator", "doomed-with-operator", true),
        );
    });
}

/// Row 33, where the deletion of the namespace has reached the searches and not yet the pods, which are then
/// deleted when the operator is gone.
#[test]
fn an_operator_that_stops_releases_the_pods_of_deleted_searches() {
    runtime().block_on(async {
        let client = cluster().namespace("left").await;
        let _kubelet = Kubelet::play(client.clone(), "left", SHORT, |_| Act::Hang);
        let mut operator = cluster().operator("left", "a");
        let searches = Searches::of(&client, "left");
        let calm = json!({"maxTrials": 2, "algorithm": {"initialTrials": 2}});
        searches.submit("one", &calm).await;
        let pods: Api<Pod> = Api::namespaced(client.clone(), "left");
        let held = async || {
            let listed = pods.list(&ListParams::default()).await.expect("pods").items;
            let is_held = |pod: &&Pod| pod.metadata.finalizers.is_some();
            listed.iter().filter(is_held).count()
        };
        eventually("a trial runs", async || {
            searches.status("one").await.trials.running == 1 && held().await == 1
        })
        .await;
        operator.signal("STOP");
        let api: Api<PeftSearch> = Api::namespaced(client.clone(), "left");
        let alone = DeleteParams {
            propagation_policy: Some(PropagationPolicy::Orphan),
            ..DeleteParams::default()
        };
        api.delete("one", &alone).await.expect("it is there");
        within(Duration::from_secs(20), "the search is gone", async || {
            matches!(api.get_opt("one").await, Ok(None))
        })
        .await;
        operator.signal("TERM");
        operator.signal("CONT");
        assert!(operator.wait().success());
        assert_eq!(held().await, 0, "{}", operator.log());
    });
}
