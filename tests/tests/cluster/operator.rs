//! The operator against a real API server, with pods simulated by `kubelet`. Rows are those of the fault
//! table in docs/faults.md.

use std::time::Duration;

use autopeft_crds::status::TrialState;
use autopeft_crds::trial::{FailureReason, TrialRequest};
use autopeft_integration_tests::cluster::{cluster, eventually, runtime, within};
use autopeft_integration_tests::kubelet::{Act, Kubelet, success};
use autopeft_integration_tests::searches::{
    Searches, assert_sound, condition, manifest, story, writes_of_the_operator,
};
use autopeft_jobs::build::names::{Work, job_name};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::ResourceQuota;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use serde_json::json;

const SHORT: Duration = Duration::from_millis(100);

#[test]
fn a_search_runs_to_its_front_with_few_writes_and_leaves_nothing_behind() {
    runtime().block_on(async {
        let client = cluster().namespace("front").await;
        let _kubelet = Kubelet::play(client.clone(), "front", SHORT, |_| Act::Succeed);
        let operator = cluster().operator("front", "a");
        let searches = Searches::of(&client, "front");
        let trials = 8;
        searches.submit("one", &json!({"maxTrials": trials})).await;
        let status = searches.ended("one").await;
        assert_eq!(
            condition(&status, "Succeeded"),
            ("True".into(), "MaxTrialsReached".into())
        );
        assert_eq!(status.trials.succeeded, trials);
        assert!(status.front_size > 0 && status.hypervolume.is_some());
        searches.is_clean().await;
        eventually("it is ready", async || operator.get("/readyz") == "ok\n").await;
        assert_sound(&searches.get("one").await, &cluster().audit);
        let ours = writes_of_the_operator(&cluster().audit, "front").len();
        let most = 6 * (trials as usize + 1);
        assert!(
            ours <= most,
            "{ours} writes for {trials} trials and an inspection"
        );
    });
}

/// Rows 1 to 5.
#[test]
fn an_operator_that_is_killed_at_any_moment_loses_and_repeats_nothing() {
    runtime().block_on(async {
        let client = cluster().namespace("killed").await;
        let _kubelet = Kubelet::play(client.clone(), "killed", SHORT, |_| Act::Succeed);
        let searches = Searches::of(&client, "killed");
        let mut operator = cluster().operator("killed", "a");
        let long = json!({"maxTrials": 24, "algorithm": {"initialTrials": 8}});
        searches.submit("calm", &long).await;
        let calm = searches.ended("calm").await;

        searches.submit("stormy", &long).await;
        // Beside it one of which several trials run at a time.
        let mut wide = long;
        wide["parallelism"] = json!(3);
        searches.submit("wide", &wide).await;
        let mut kills = 0;
        for delay in [40, 300, 90, 700, 170, 450, 60, 1100, 230, 520, 130, 800] {
            tokio::time::sleep(Duration::from_millis(delay)).await;
            if searches.status("stormy").await.completion_time.is_some() {
                break;
            }
            operator.kill();
            kills += 1;
            operator = cluster().operator("killed", "a");
        }
        assert!(kills >= 10, "the search was over after {kills} kills");
        let stormy = searches.ended("stormy").await;
        assert_eq!(story(&calm), story(&stormy));
        assert_eq!(searches.ended("wide").await.trials.succeeded, 24);
        searches.is_clean().await;
        for name in ["stormy", "wide"] {
            assert_sound(&searches.get(name).await, &cluster().audit);
        }
    });
}

/// Rows 20, 21, 23 and 25 to 27.
#[test]
fn each_way_for_a_pod_to_end_has_the_right_outcome() {
    runtime().block_on(async {
        let client = cluster().namespace("ends").await;
        let _kubelet = Kubelet::play(client.clone(), "ends", SHORT, |request| {
            let identity = &request.identity;
            let document = || serde_json::to_string(&success(request)).expect("JSON");
            match (identity.trial, identity.attempt) {
                (0, _) => Act::OomKilled,
                (1, 1) => Act::Evicted,
                (2, 1) => Act::Say("not a document".into(), 0),
                (3, 1) => Act::Say(document().replace("\"trial\":3", "\"trial\":2"), 0),
                (4, 1) => Act::Unknown,
                (5, 1) => Act::Say(
                    document().replace("\"score\":0.", "\"score\":1e400,\"x\":0."),
                    0,
                ),
                (6, _) => Act::Say(failed(request, "NotFinite"), 3),
                _ => Act::Succeed,
            }
        });
        let _operator = cluster().operator("ends", "a");
        let searches = Searches::of(&client, "ends");
        searches.submit("one", &json!({"parallelism": 2})).await;
        let status = searches.ended("one").await;
        let told: Vec<(TrialState, u32, u32)> = status
            .ledger
            .iter()
            .map(|entry| (entry.state, entry.attempt, entry.failed_attempts))
            .collect();
        let good = TrialState::Succeeded;
        let expected = [
            (TrialState::Infeasible, 1, 0),
            (good, 2, 0),
            (good, 2, 1),
            (good, 2, 1),
            (good, 2, 1),
            (good, 2, 1),
            (TrialState::Infeasible, 1, 0),
            (good, 1, 0),
        ];
        assert_eq!(told, expected);
        assert_eq!(status.ledger[0].reason, Some(FailureReason::OutOfMemory));
        searches.is_clean().await;
        assert_sound(&searches.get("one").await, &cluster().audit);
    });
}

fn failed(request: &TrialRequest, reason: &str) -> String {
    json!({
        "version": 1,
        "identity": request.identity,
        "outcome": {"failed": {"reason": reason, "message": "the loss is not finite"}},
    })
    .to_string()
}

/// Rows 18, 19 and 45.
#[test]
fn jobs_that_users_delete_create_or_block_cost_at_most_one_attempt() {
    runtime().block_on(async {
        let client = cluster().namespace("meddled").await;
        let _kubelet = Kubelet::play(client.clone(), "meddled", SHORT * 5, |request| {
            match (request.identity.trial, request.identity.attempt) {
                (1, 1) => Act::Hang,
                (2, 1) => Act::NoImage,
                _ => Act::Succeed,
            }
        });
        let _operator = cluster().operator("meddled", "a");
        let searches = Searches::of(&client, "meddled");
        let suspended = json!({"suspend": true, "maxTrials": 4, "algorithm": {"initialTrials": 4}});
        searches.submit("one", &suspended).await;
        let uid = searches.get("one").await.metadata.uid.expect("a UID");
        let name = |trial, attempt| job_name("one", &uid, Work::Trial(trial), attempt);
        let jobs: Api<Job> = Api::namespaced(client.clone(), "meddled");
        let foreign: Job = serde_json::from_value(json!({
            "metadata": {"name": name(0, 1)},
            "spec": {"suspend": true, "template": {"spec": {
                "restartPolicy": "Never",
                "containers": [{"name": "c", "image": "localhost/other:1"}],
            }}},
        }))
        .expect("a Job");
        let foreign = jobs
            .create(&PostParams::default(), &foreign)
            .await
            .expect("a Job");
        searches
            .patch("one", &json!({"suspend": false}))
            .await
            .expect("it may change");
        let delete = async |trial| {
            eventually("the Job is there", async || {
                jobs.get(&name(trial, 1)).await.is_ok()
            })
            .await;
            let background = DeleteParams::background();
            jobs.delete(&name(trial, 1), &background)
                .await
                .expect("it is there");
        };
        searches.finished("one", 1).await;
        delete(1).await;
        searches.finished("one", 2).await;
        eventually("the missing image is reported", async || {
            let degraded = searches.condition("one", "Degraded").await;
            degraded == ("True".into(), "ImageNotPulled".into())
        })
        .await;
        assert_eq!(
            searches.status("one").await.ledger[2].attempt,
            1,
            "waiting costs nothing"
        );
        delete(2).await;
        let status = searches.ended("one").await;
        let attempts: Vec<u32> = status.ledger.iter().map(|entry| entry.attempt).collect();
        assert_eq!(attempts, [2, 2, 2, 1]);
        assert_eq!(status.trials.succeeded, 4);
        let left = jobs
            .get(&name(0, 1))
            .await
            .expect("a Job of somebody else stays");
        assert_eq!(left.metadata.uid, foreign.metadata.uid);
        assert_sound(&searches.get("one").await, &cluster().audit);
    });
}

/// Row 32.
#[test]
fn a_search_that_is_deleted_leaves_nothing_and_its_name_can_be_used_again() {
    runtime().block_on(async {
        let client = cluster().namespace("deleted").await;
        let _kubelet = Kubelet::play(client.clone(), "deleted", SHORT * 3, |_| Act::Succeed);
        let operator = cluster().operator("deleted", "a");
        let searches = Searches::of(&client, "deleted");
        let wide = json!({"parallelism": 3, "maxTrials": 5});
        searches.submit("one", &wide).await;
        searches.finished("one", 2).await;
        let shown = operator.get("/metrics");
        let series = shown
            .lines()
            .filter(|line| line.contains("name=\"one\""))
            .count();
        assert!((1..=20).contains(&series), "{series} series");
        searches.delete("one").await;
        searches.is_clean().await;
        eventually("the metrics are gone", async || {
            !operator.get("/metrics").contains("name=\"one\"")
        })
        .await;
        searches
            .create(&manifest("one", &wide))
            .await
            .expect("the name is free");
        let status = searches.ended("one").await;
        assert_eq!(status.trials.succeeded, 5);
        searches.is_clean().await;
    });
}

/// Rows 30 and 31, `suspend`, `ttlSecondsAfterFinished`.
#[test]
fn a_running_search_can_be_suspended_narrowed_and_given_more_trials() {
    runtime().block_on(async {
        let client = cluster().namespace("changed").await;
        let _kubelet = Kubelet::play(client.clone(), "changed", SHORT * 3, |_| Act::Succeed);
        let _operator = cluster().operator("changed", "a");
        let searches = Searches::of(&client, "changed");
        let wide = json!({"parallelism": 4, "maxTrials": 12, "algorithm": {"initialTrials": 10}});
        searches.submit("one", &wide).await;
        searches.finished("one", 2).await;
        searches
            .patch("one", &json!({"suspend": true}))
            .await
            .expect("it may change");
        eventually("nothing runs", async || {
            let status = searches.status("one").await;
            status.trials.running == 0 && condition(&status, "Suspended").0 == "True"
        })
        .await;
        let before = searches.status("one").await.ledger.len();
        tokio::time::sleep(SHORT * 15).await;
        assert_eq!(searches.status("one").await.ledger.len(), before);
        let narrow = json!({"suspend": false, "parallelism": 1, "maxTrials": 8});
        searches
            .patch("one", &narrow)
            .await
            .expect("they may change");
        assert_eq!(searches.ended("one").await.ledger.len(), 8);
        searches
            .patch("one", &json!({"maxTrials": 9}))
            .await
            .expect("it may change");
        eventually("the search has continued", async || {
            let status = searches.status("one").await;
            status.trials.succeeded == 9 && status.completion_time.is_some()
        })
        .await;
        let refused = searches
            .patch("one", &json!({"algorithm": {"seed": 8}}))
            .await;
        let message = refused
            .expect_err("the seed is in every past decision")
            .to_string();
        assert!(message.contains("algorithm"), "{message}");
        let ttl = json!({"ttlSecondsAfterFinished": 1});
        searches.patch("one", &ttl).await.expect("it may change");
        eventually("the object is gone", async || {
            searches.list().await.is_empty()
        })
        .await;
    });
}

/// Creates a quota `none` that allows no more Jobs.
async fn no_jobs(client: &Client, namespace: &str) -> Api<ResourceQuota> {
    let quotas: Api<ResourceQuota> = Api::namespaced(client.clone(), namespace);
    let quota = json!({"metadata": {"name": "none"}, "spec": {"hard": {"count/jobs.batch": "0"}}});
    let quota = serde_json::from_value(quota).expect("a quota");
    let made = quotas.create(&PostParams::default(), &quota).await;
    made.expect("a quota");
    quotas
}

/// Row 35, and an invalid search beside a valid one.
#[test]
fn what_a_quota_rejects_is_reported_and_retried() {
    runtime().block_on(async {
        let client = cluster().namespace("refused").await;
        let _kubelet = Kubelet::play(client.clone(), "refused", SHORT, |_| Act::Succeed);
        let quotas = no_jobs(&client, "refused").await;
        let _operator = cluster().operator("refused", "a");
        let searches = Searches::of(&client, "refused");
        let on_a_machine = json!({"model": {"source": {"claim": null, "path": "/models/x"}}});
        searches
            .create(&manifest("bad", &on_a_machine))
            .await
            .expect("valid for run");
        searches.submit("good", &json!({})).await;
        eventually("the quota is reported", async || {
            let degraded = searches.condition("good", "Degraded").await;
            degraded == ("True".into(), "QuotaExceeded".into())
        })
        .await;
        let bad = searches.ended("bad").await;
        assert_eq!(
            condition(&bad, "Succeeded"),
            ("False".into(), "InvalidSpec".into())
        );
        // It is refused a few times more.
        tokio::time::sleep(SHORT * 70).await;
        quotas
            .delete("none", &DeleteParams::default())
            .await
            .expect("it is there");
        let status = searches.ended("good").await;
        assert_eq!(status.trials.succeeded, 8);
        assert_eq!(condition(&status, "Degraded").0, "False");
        let told = searches.events(&["QuotaExceeded"]).await;
        assert!(
            matches!(&told[..], [once] if once.series.is_none()),
            "once, however often it is refused: {told:?}"
        );
    });
}

#[test]
fn a_rejected_job_does_not_degrade_a_search_that_has_ended() {
    runtime().block_on(async {
        let client = cluster().namespace("late").await;
        let _kubelet = Kubelet::play(client.clone(), "late", SHORT * 20, |_| Act::Succeed);
        let _operator = cluster().operator("late", "a");
        let searches = Searches::of(&client, "late");
        let brief = json!({"maxTrials": 8, "activeDeadlineSeconds": 15});
        searches.submit("one", &brief).await;
        searches.finished("one", 1).await;
        no_jobs(&client, "late").await;
        eventually("the quota is reported", async || {
            searches.condition("one", "Degraded").await.1 == "QuotaExceeded"
        })
        .await;
        let status = searches.ended("one").await;
        assert_eq!(condition(&status, "Succeeded").1, "DeadlineExceeded");
        assert_eq!(condition(&status, "Degraded").0, "False");
        searches.is_clean().await;
        assert_eq!(searches.condition("one", "Degraded").await.0, "False");
    });
}

/// Simulates Kueue: it admits a Job by unsuspending it, and preempts it by suspending it again.
#[test]
fn a_queued_search_waits_until_its_jobs_are_admitted_and_survives_preemption() {
    runtime().block_on(async {
        let client = cluster().namespace("queued").await;
        let _kubelet = Kubelet::play(client.clone(), "queued", SHORT * 30, |_| Act::Succeed);
        let _operator = cluster().operator("queued", "a");
        let searches = Searches::of(&client, "queued");
        let queued = json!({"maxTrials": 2, "trainer": {"queueName": "team"}});
        searches.submit("one", &queued).await;
        let jobs: Api<Job> = Api::namespaced(client.clone(), "queued");
        eventually("the wait is reported", async || {
            searches.condition("one", "Degraded").await.1 == "Queued"
        })
        .await;
        let uid = searches.get("one").await.metadata.uid.expect("a UID");
        let preempted = job_name("one", &uid, Work::Trial(0), 1);
        let suspend = async |name: &str, suspend: bool| {
            let patch = Patch::Merge(json!({"spec": {"suspend": suspend}}));
            // It may have ended in the meantime.
            let _ = jobs.patch(name, &PatchParams::default(), &patch).await;
        };
        let playing = async {
            let mut done = false;
            loop {
                let listed = jobs.list(&ListParams::default()).await.expect("Jobs");
                for job in listed.items {
                    assert_eq!(job.labels()["kueue.x-k8s.io/queue-name"], "team");
                    let name = job.name_any();
                    let active = job.status.and_then(|status| status.active) == Some(1);
                    if name == preempted && (done || active) {
                        done = true;
                        suspend(&name, true).await;
                    } else {
                        suspend(&name, false).await;
                    }
                }
                tokio::time::sleep(SHORT).await;
            }
        };
        let status = tokio::select! {
            status = searches.ended("one") => status,
            () = playing => unreachable!("it never ends"),
        };
        assert_eq!(status.trials.succeeded, 2);
        let attempts: Vec<(u32, u32)> = status
            .ledger
            .iter()
            .map(|entry| (entry.attempt, entry.failed_attempts))
            .collect();
        assert_eq!(attempts, [(2, 0), (1, 0)], "preemption costs no retry");
    });
}

/// Row 16.
#[test]
fn of_two_replicas_one_leads_and_the_other_takes_over() {
    runtime().block_on(async {
        let client = cluster().namespace("replicas").await;
        let _kubelet = Kubelet::play(client.clone(), "replicas", SHORT * 3, |_| Act::Succeed);
        let searches = Searches::of(&client, "replicas");
        let mut first = cluster().operator("replicas", "a");
        eventually("the first leads", async || first.leads()).await;
        let second = cluster().operator("replicas", "b");
        let long = json!({"maxTrials": 30, "algorithm": {"initialTrials": 30}});
        searches.submit("one", &long).await;
        searches.finished("one", 3).await;
        first.signal("STOP");
        let most = Duration::from_secs(20);
        within(most, "the second leads", async || second.leads()).await;
        let before = searches.status("one").await.trials.succeeded;
        searches.finished("one", before as usize + 2).await;
        first.signal("CONT");
        assert!(!first.wait().success(), "a process that stood still ends");
        assert_eq!(searches.ended("one").await.trials.succeeded, 30);
        assert_sound(&searches.get("one").await, &cluster().audit);
        // Asked to stop, it hands over at once.
        let mut second = second;
        let third = cluster().operator("replicas", "c");
        tokio::time::sleep(SHORT * 5).await;
        let asked = std::time::Instant::now();
        second.signal("TERM");
        assert!(second.wait().success());
        eventually("the third leads", async || third.leads()).await;
        assert!(
            // A lease that is not given back holds 10 s or longer.
            asked.elapsed() < Duration::from_secs(5),
            "{:?}",
            asked.elapsed()
        );
    });
}
