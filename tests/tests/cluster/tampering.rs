//! Users who change the operator's objects: labels and owners removed, a ledger edited, a search that cannot start. Rows are those of the fault table in docs/faults.md.

use std::time::Duration;

use autopeft_crds::inspection::{InspectionOutcome, InspectionResult};
use autopeft_crds::status::{PeftSearchStatus, TrialState};
use autopeft_crds::trial::RESULT_VERSION;
use autopeft_integration_tests::cluster::{cluster, eventually, runtime};
use autopeft_integration_tests::etcd::{Etcd, key_of_search};
use autopeft_integration_tests::kubelet::{Act, Kubelet};
use autopeft_integration_tests::searches::{Searches, assert_sound, condition, manifest, requests};
use autopeft_jobs::build::names::{Work, job_name};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PropagationPolicy};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};

const SHORT: Duration = Duration::from_millis(100);

/// The Jobs and pods of one search.
struct Ours {
    jobs: Api<Job>,
    pods: Api<Pod>,
    uid: String,
}

impl Ours {
    async fn of(client: &Client, searches: &Searches) -> Self {
        Self {
            jobs: Api::namespaced(client.clone(), &searches.namespace),
            pods: Api::namespaced(client.clone(), &searches.namespace),
            uid: searches.get("one").await.metadata.uid.expect("a UID"),
        }
    }

    fn job(&self, purpose: Work) -> String {
        job_name("one", &self.uid, purpose, 1)
    }

    /// The first pod of a trial's first Job, once its container runs.
    async fn pod(&self, trial: u32) -> String {
        let job = self.job(Work::Trial(trial));
        let of_job = ListParams::default().labels(&format!("batch.kubernetes.io/job-name={job}"));
        let find = async || {
            let listed = self.pods.list(&of_job).await.expect("pods").items;
            let runs = |pod: &Pod| {
                let status = pod.status.as_ref();
                status.and_then(|status| status.phase.as_deref()) == Some("Running")
            };
            listed.into_iter().find(runs).map(|pod| pod.name_any())
        };
        eventually(&format!("trial {trial} runs"), async || {
            find().await.is_some()
        })
        .await;
        find().await.expect("it runs")
    }

    async fn change_pod(&self, name: &str, metadata: Value) {
        let patch = Patch::Merge(json!({"metadata": metadata}));
        let parameters = PatchParams::default();
        let patched = self.pods.patch(name, &parameters, &patch);
        patched.await.expect("the pod is there");
    }

    async fn change_job(&self, name: &str, metadata: Value) {
        let patch = Patch::Merge(json!({"metadata": metadata}));
        let parameters = PatchParams::default();
        let patched = self.jobs.patch(name, &parameters, &patch);
        patched.await.expect("the Job is there");
    }
}

/// Removes the operator's labels.
fn no_labels() -> Value {
    json!({
        "app.kubernetes.io/managed-by": null,
        "app.kubernetes.io/component": null,
        "autopeft.dev/search": null,
        "autopeft.dev/search-uid": null,
        "autopeft.dev/trial": null,
        "autopeft.dev/attempt": null,
    })
}

fn wide(trials: u32) -> Value {
    json!({
        "maxTrials": trials, "parallelism": trials, "algorithm": {"initialTrials": trials},
    })
}

fn attempts(status: &PeftSearchStatus) -> Vec<u32> {
    status.ledger.iter().map(|entry| entry.attempt).collect()
}

fn all_good(status: &PeftSearchStatus) -> bool {
    let mut entries = status.ledger.iter();
    entries.all(|entry| entry.state == TrialState::Succeeded)
}

/// Row 28.
#[test]
fn a_pod_whose_labels_are_removed_is_still_read_and_released() {
    runtime().block_on(async {
        let namespace = "unlabelled-pods";
        let client = cluster().namespace(namespace).await;
        let _kubelet = Kubelet::play(client.clone(), namespace, SHORT * 60, |_| Act::Succeed);
        let _operator = cluster().operator(namespace, "a");
        let searches = Searches::of(&client, namespace);
        searches.submit("one", &wide(6)).await;
        let ours = Ours::of(&client, &searches).await;
        let without = |label: &str| json!({"labels": {label: null}});
        let meddled = [
            without("app.kubernetes.io/managed-by"),
            without("autopeft.dev/search"),
            without("autopeft.dev/search-uid"),
            json!({"labels": {"autopeft.dev/trial": "99"}}),
            json!({"annotations": {"autopeft.dev/request": null}}),
            json!({"labels": no_labels(), "annotations": {"autopeft.dev/request": null}}),
        ];
        for (trial, change) in (0..).zip(meddled) {
            let pod = ours.pod(trial).await;
            ours.change_pod(&pod, change).await;
        }
        let status = searches.ended("one").await;
        assert!(all_good(&status), "{:?}", status.ledger);
        assert_eq!(attempts(&status), [1; 6]);
        searches.is_clean().await;
        assert_sound(&searches.get("one").await, &cluster().audit);
    });
}

/// Row 28, if the search is deleted before it can release its pods.
#[test]
fn a_pod_whose_labels_are_removed_is_released_with_its_search() {
    runtime().block_on(async {
        let namespace = "unlabelled-orphans";
        let client = cluster().namespace(namespace).await;
        let _kubelet = Kubelet::play(client.clone(), namespace, SHORT, |_| Act::Hang);
        let _operator = cluster().operator(namespace, "a");
        let searches = Searches::of(&client, namespace);
        searches.submit("one", &wide(2)).await;
        let ours = Ours::of(&client, &searches).await;
        // An unreadable object blocks nothing.
        searches
            .submit("unreadable", &json!({"suspend": true}))
            .await;
        let (etcd, key) = (Etcd::of(cluster()), key_of_search(namespace, "unreadable"));
        let mut object = etcd.get(&key);
        object["spec"]["maxTrials"] = json!("four");
        etcd.put(&key, &object);
        let all = json!({"labels": no_labels(), "annotations": {"autopeft.dev/request": null}});
        for (trial, change) in [
            (0, all),
            (1, json!({"labels": {"autopeft.dev/search": null}})),
        ] {
            let pod = ours.pod(trial).await;
            ours.change_pod(&pod, change).await;
        }
        searches.delete("one").await;
        searches.is_clean().await;
    });
}

/// Row 28.
#[test]
fn a_job_whose_labels_are_removed_is_found_by_its_name() {
    runtime().block_on(async {
        let namespace = "unlabelled-jobs";
        let client = cluster().namespace(namespace).await;
        let _kubelet = Kubelet::play(client.clone(), namespace, SHORT * 60, |_| Act::Succeed);
        let operator = cluster().operator(namespace, "a");
        let searches = Searches::of(&client, namespace);
        searches.submit("one", &wide(4)).await;
        let ours = Ours::of(&client, &searches).await;
        let inspection = ours.job(Work::Inspection);
        eventually("the inspection runs", async || {
            ours.jobs
                .get_opt(&inspection)
                .await
                .is_ok_and(|job| job.is_some())
        })
        .await;
        let unmanaged = || json!({"labels": {"app.kubernetes.io/managed-by": null}});
        ours.change_job(&inspection, unmanaged()).await;
        for trial in 0..4 {
            let (job, pod) = (ours.job(Work::Trial(trial)), ours.pod(trial).await);
            match trial {
                0 => ours.change_job(&job, unmanaged()).await,
                1 => {
                    ours.change_job(&job, unmanaged()).await;
                    ours.change_pod(&pod, unmanaged()).await;
                }
                2 => ours.change_job(&job, json!({"labels": no_labels()})).await,
                _ => {}
            }
        }
        let status = searches.ended("one").await;
        assert!(all_good(&status), "{:?}", status.ledger);
        assert_eq!(attempts(&status), [1; 4]);
        searches.is_clean().await;
        assert_sound(&searches.get("one").await, &cluster().audit);
        assert!(!operator.log().contains("Conflict"));
        let is_refused = |event: &&Value| {
            event["verb"] == "create"
                && event["objectRef"]["resource"] == "jobs"
                && event["responseStatus"]["code"] == 409
        };
        let refused = requests(&cluster().audit, namespace);
        let refused = refused.iter().filter(is_refused).count();
        assert!(refused <= 3, "{refused} tries to create what was there");
    });
}

/// Row 28.
#[test]
fn a_job_without_its_owner_is_deleted_like_any_other() {
    runtime().block_on(async {
        let namespace = "disowned";
        let client = cluster().namespace(namespace).await;
        let _kubelet = Kubelet::play(
            client.clone(),
            namespace,
            SHORT * 20,
            |request| match request.identity.trial {
                0 => Act::Succeed,
                _ => Act::Hang,
            },
        );
        let _operator = cluster().operator(namespace, "a");
        let searches = Searches::of(&client, namespace);
        searches.submit("one", &wide(3)).await;
        let ours = Ours::of(&client, &searches).await;
        ours.pod(0).await;
        let alone = || json!({"ownerReferences": null});
        ours.change_job(&ours.job(Work::Trial(0)), alone()).await;
        searches.finished("one", 1).await;
        assert_eq!(attempts(&searches.status("one").await)[0], 1);
        eventually("its Job is gone", async || {
            let found = ours.jobs.get_opt(&ours.job(Work::Trial(0))).await;
            found.is_ok_and(|job| job.is_none())
        })
        .await;
        ours.pod(1).await;
        ours.pod(2).await;
        ours.change_job(&ours.job(Work::Trial(1)), alone()).await;
        let orphaning = DeleteParams {
            propagation_policy: Some(PropagationPolicy::Orphan),
            ..DeleteParams::default()
        };
        let api: Api<autopeft_crds::PeftSearch> = Api::namespaced(client.clone(), namespace);
        api.delete("one", &orphaning).await.expect("it is there");
        searches.is_clean().await;
    });
}

#[test]
fn a_search_that_cannot_start_ends_and_expires() {
    runtime().block_on(async {
        let namespace = "short-lived";
        let client = cluster().namespace(namespace).await;
        let _operator = cluster().operator(namespace, "a");
        let searches = Searches::of(&client, namespace);
        let on_a_machine = json!({
            "ttlSecondsAfterFinished": 3,
            "model": {"source": {"claim": null, "path": "/models/x"}},
        });
        searches
            .create(&manifest("invalid", &on_a_machine))
            .await
            .expect("valid for run");
        searches
            .submit("one", &json!({"ttlSecondsAfterFinished": 3}))
            .await;
        let there = async |name: &str| {
            let listed = searches.list().await;
            listed.into_iter().find(|search| search.name_any() == name)
        };
        let reason = |search: &autopeft_crds::PeftSearch| {
            let status = search.status.clone().unwrap_or_default();
            (
                condition(&status, "Succeeded").1,
                status.completion_time.is_some(),
            )
        };
        eventually("the invalid one has ended, or is gone", async || {
            let found = there("invalid").await;
            found.is_none_or(|search| reason(&search) == ("InvalidSpec".into(), true))
        })
        .await;
        // The trainer refuses the data.
        let ours = Ours::of(&client, &searches).await;
        let find = async || {
            let listed = ours.pods.list(&ListParams::default()).await.expect("pods");
            listed.items.into_iter().next()
        };
        eventually("the inspection has a pod", async || find().await.is_some()).await;
        let result = InspectionResult {
            version: RESULT_VERSION,
            search_uid: ours.uid.clone(),
            outcome: InspectionOutcome::Refused {
                message: "data.csv has no column text".into(),
            },
        };
        let status = json!({"status": {"phase": "Failed", "containerStatuses": [{
            "name": "trainer", "image": "x", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"terminated": {
                "exitCode": 2, "message": serde_json::to_string(&result).expect("JSON"),
            }},
        }]}});
        let pod = find().await.expect("a pod");
        ours.pods
            .patch_status(
                &pod.name_any(),
                &PatchParams::default(),
                &Patch::Strategic(&status),
            )
            .await
            .expect("the pod is there");
        eventually("both are gone", async || searches.list().await.is_empty()).await;
        searches.is_clean().await;
    });
}

#[test]
fn an_inconsistent_ledger_is_reported_and_not_touched() {
    runtime().block_on(async {
        let namespace = "garbled-ledgers";
        let client = cluster().namespace(namespace).await;
        let _kubelet = Kubelet::play(client.clone(), namespace, SHORT, |_| Act::Succeed);
        let operator = cluster().operator(namespace, "a");
        let searches = Searches::of(&client, namespace);
        let suspended = json!({"maxTrials": 4, "algorithm": {"initialTrials": 4}});
        for name in ["reordered", "overflowing"] {
            searches.submit(name, &suspended).await;
            searches.finished(name, 2).await;
            searches
                .patch(name, &json!({"suspend": true}))
                .await
                .expect("it may change");
            eventually("nothing runs", async || {
                searches.status(name).await.trials.running == 0
            })
            .await;
        }
        let ledger = async |name: &str| {
            let status = searches.status(name).await;
            serde_json::to_value(status.ledger).expect("JSON")
        };
        let mut reordered = ledger("reordered").await;
        reordered.as_array_mut().expect("entries").swap(0, 1);
        let mut overflowing = ledger("overflowing").await;
        let entries = overflowing.as_array_mut().expect("entries");
        let mut open = entries[0].clone();
        for result in ["score", "finishedAt", "bestEpoch", "trainSeconds", "jobUid"] {
            open.as_object_mut().expect("an entry").remove(result);
        }
        open["trial"] = json!(entries.len());
        open["state"] = json!("Planned");
        open["attempt"] = json!(u32::MAX);
        entries.push(open);
        for (name, ledger) in [("reordered", reordered), ("overflowing", overflowing)] {
            searches
                .patch_status(name, &json!({"status": {"ledger": ledger}}))
                .await;
            searches
                .patch(name, &json!({"suspend": false, "maxTrials": 5}))
                .await
                .expect("it may change");
            eventually(&format!("{name}: it is reported"), async || {
                let status = searches.status(name).await;
                condition(&status, "Degraded") == ("True".into(), "Unreadable".into())
            })
            .await;
        }
        searches.submit("one", &suspended).await;
        assert_eq!(searches.ended("one").await.trials.succeeded, 4);
        assert_eq!(ledger("reordered").await[0]["trial"], 1, "it is left alone");
        let log = operator.log();
        assert!(!log.contains("panic"), "{log}");
        let trials: Vec<u32> = (0..4).collect();
        let status = searches.status("reordered").await;
        let mut mended = status.ledger;
        mended.sort_by_key(|entry| entry.trial);
        let mended = serde_json::to_value(mended).expect("JSON");
        searches
            .patch_status("reordered", &json!({"status": {"ledger": mended}}))
            .await;
        let status = searches.ended("reordered").await;
        let told: Vec<u32> = status.ledger.iter().map(|entry| entry.trial).collect();
        assert_eq!(told[..4], trials[..]);
        assert_eq!(condition(&status, "Degraded").0, "False");
    });
}

#[test]
fn recorded_results_cannot_be_removed() {
    runtime().block_on(async {
        let namespace = "recorded";
        let client = cluster().namespace(namespace).await;
        let _kubelet = Kubelet::play(client.clone(), namespace, SHORT, |_| Act::Succeed);
        let _operator = cluster().operator(namespace, "a");
        let searches = Searches::of(&client, namespace);
        let calm = json!({"maxTrials": 4, "algorithm": {"initialTrials": 4}});
        searches.submit("one", &calm).await;
        let before = searches.ended("one").await;
        let api: Api<autopeft_crds::PeftSearch> = Api::namespaced(client.clone(), namespace);
        for (status, told) in [
            (Value::Null, "a status is never removed"),
            (json!({"ledgerEntries": null}), "the ledger never shrinks"),
            (
                json!({"ledger": [], "ledgerEntries": 0}),
                "the ledger never shrinks",
            ),
        ] {
            let change = Patch::Merge(json!({"status": status}));
            let parameters = PatchParams::default();
            let patched = api.patch_status("one", &parameters, &change);
            let refused = patched.await.expect_err(told).to_string();
            assert!(refused.contains(told), "{refused}");
        }
        assert_eq!(searches.status("one").await, before);
        // What the schema cannot count is told, and the search goes on once it is restored.
        searches
            .patch_status("one", &json!({"status": {"ledger": []}}))
            .await;
        let more = json!({"maxTrials": 5});
        searches.patch("one", &more).await.expect("it may change");
        eventually("it is reported", async || {
            searches.condition("one", "Degraded").await == ("True".into(), "Unreadable".into())
        })
        .await;
        let ledger = serde_json::to_value(&before.ledger).expect("JSON");
        searches
            .patch_status("one", &json!({"status": {"ledger": ledger}}))
            .await;
        eventually("it continues", async || {
            searches.status("one").await.trials.succeeded == 5
        })
        .await;
        let after = searches.status("one").await;
        assert_eq!(after.ledger[..4], before.ledger);
    });
}
