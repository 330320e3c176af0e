//! The operator at its limits, on a real API server: an engine that panics or never ends, a GPU
//! budget, an object that is nearly too large. Rows are those of the fault table in docs/faults.md.

use std::time::{Duration, Instant};

use autopeft_crds::spec::Metric;
use autopeft_crds::status::TrialState;
use autopeft_engine::Problem;
use autopeft_integration_tests::cluster::{Operator, cluster, eventually, runtime, within};
use autopeft_integration_tests::kubelet::{Act, Kubelet, Signal};
use autopeft_integration_tests::searches::{
    Searches, assert_sound, condition, created_jobs, manifest, writes_of_the_operator,
};
use autopeft_operator::controller::process::{self, Options};
use autopeft_search::ask::{self, AskError, Asked};
use autopeft_search::ledger::Ledger;
use autopeft_search::patience::Patience;
use k8s_openapi::api::batch::v1::Job;
use kube::api::ListParams;
use kube::{Api, Config, ResourceExt};
use serde_json::{Value, json};

const SHORT: Duration = Duration::from_millis(100);
/// The seed of a search whose engine panics.
const PANICS: u64 = 13;
/// The seed of a search whose engine computes for ever.
const NEVER_ENDS: u64 = 14;

fn troubled(
    problem: &Problem,
    metric: Metric,
    ledger: &Ledger,
    unwanted: &dyn Fn() -> bool,
) -> Result<Asked, AskError> {
    assert!(problem.seed != PANICS, "the optimiser divides by zero");
    while problem.seed == NEVER_ENDS && !unwanted() {
        std::thread::sleep(Duration::from_millis(5));
    }
    ask::ask(problem, metric, ledger, unwanted)
}

/// An operator in this process, with an engine that fails for two seeds.
fn operator(config: Config, namespace: &str) -> tokio::task::JoinHandle<()> {
    let options = Options {
        namespace: Some(namespace.into()),
        lease_namespace: namespace.into(),
        lease_name: "autopeft-operator".into(),
        identity: "here".into(),
        address: ([127, 0, 0, 1], 0).into(),
        trainer_image: "localhost/trainer:test".into(),
        engine_threads: 1,
        ask: troubled,
        patience: Patience::default(),
    };
    tokio::spawn(async move {
        let ended = process::run_on(&config, options).await;
        panic!("the operator has ended: {ended:?}");
    })
}

fn seeded(name: &str, seed: u64) -> Value {
    manifest(name, &json!({"algorithm": {"seed": seed}, "maxTrials": 6}))
}

/// Row 38.
#[test]
fn an_engine_that_panics_degrades_its_search_and_no_other() {
    runtime().block_on(async {
        let client = cluster().namespace("panics").await;
        let _kubelet = Kubelet::play(client.clone(), "panics", SHORT, |_| Act::Succeed);
        let operator = operator(cluster().config().await, "panics");
        let searches = Searches::of(&client, "panics");
        for search in [seeded("bad", PANICS), seeded("good", 7)] {
            searches.create(&search).await.expect("valid");
        }
        let good = searches.ended("good").await;
        assert_eq!(good.trials.succeeded, 6);
        eventually("the breakdown is reported", async || {
            let status = searches.status("bad").await;
            condition(&status, "Degraded") == ("True".into(), "EngineFailed".into())
        })
        .await;
        let bad = searches.status("bad").await;
        assert_eq!(condition(&bad, "Succeeded").0, "Unknown");
        let degraded = bad
            .conditions
            .iter()
            .find(|found| found.type_ == "Degraded");
        let message = &degraded.expect("a condition").message;
        assert!(message.contains("divides by zero"), "{message}");
        operator.abort();
    });
}

#[test]
fn a_suggestion_is_cancelled_when_its_search_is_deleted() {
    runtime().block_on(async {
        let client = cluster().namespace("endless").await;
        let _kubelet = Kubelet::play(client.clone(), "endless", SHORT, |_| Act::Succeed);
        let operator = operator(cluster().config().await, "endless");
        let searches = Searches::of(&client, "endless");
        searches
            .create(&seeded("long", NEVER_ENDS))
            .await
            .expect("valid");
        eventually("it is inspected", async || {
            searches.status("long").await.inspection.is_some()
        })
        .await;
        tokio::time::sleep(SHORT * 10).await;
        searches.create(&seeded("next", 7)).await.expect("valid");
        eventually("it is inspected", async || {
            searches.status("next").await.inspection.is_some()
        })
        .await;
        tokio::time::sleep(SHORT * 10).await;
        let waiting = searches.status("next").await;
        assert!(
            waiting.ledger.is_empty(),
            "there is one engine, and it is taken"
        );
        searches.delete("long").await;
        // Sooner than a step has to make room for others.
        within(Duration::from_secs(25), "the engine is free", async || {
            !searches.status("next").await.ledger.is_empty()
        })
        .await;
        assert_eq!(searches.ended("next").await.trials.succeeded, 6);
        operator.abort();
    });
}

#[test]
fn a_space_that_does_not_fit_the_model_is_refused_after_one_inspection() {
    runtime().block_on(async {
        let client = cluster().namespace("unfit").await;
        let _kubelet = Kubelet::play(client.clone(), "unfit", SHORT, |_| Act::Succeed);
        let _operator = cluster().operator("unfit", "a");
        let searches = Searches::of(&client, "unfit");
        // The model has six layers.
        let mask = json!({"searchSpace": {"dimensions": [
            {"name": "layers", "mask": "****"}, {"name": "serialAdapter", "sizes": [0, 8]},
        ]}});
        searches.submit("one", &mask).await;
        eventually("it is refused", async || {
            searches.condition("one", "Succeeded").await == ("False".into(), "InvalidSpec".into())
        })
        .await;
        searches.is_clean().await;
        tokio::time::sleep(SHORT * 40).await;
        let search = searches.get("one").await;
        let made = created_jobs(&cluster().audit, &search);
        assert_eq!(made.values().copied().collect::<Vec<_>>(), [1], "{made:?}");
        let status = search.status.expect("a status");
        assert!(status.inspection.is_some(), "what was found is kept");
        assert_eq!(condition(&status, "Succeeded").1, "InvalidSpec");
    });
}

/// It stays said all the while, by one event; an edit that may mend it is tried at once.
#[test]
fn a_failing_inspection_is_retried_with_back_off() {
    runtime().block_on(async {
        let client = cluster().namespace("nothing").await;
        let kubelet = Kubelet::play(client.clone(), "nothing", SHORT, |_| Act::Succeed);
        kubelet.miss(Some("there is no folder data"));
        let _operator = cluster().operator("nothing", "a");
        let searches = Searches::of(&client, "nothing");
        searches.submit("one", &json!({"maxTrials": 4})).await;
        eventually("it is reported", async || {
            searches.condition("one", "Degraded").await
                == ("True".into(), "InspectionFailed".into())
        })
        .await;
        // The next follow 2, 6, 14 and 30 s after the first.
        let end = Instant::now() + Duration::from_secs(18);
        while Instant::now() < end {
            let degraded = searches.condition("one", "Degraded").await;
            assert_eq!(degraded, ("True".into(), "InspectionFailed".into()));
            tokio::time::sleep(SHORT).await;
        }
        let search = searches.get("one").await;
        let made = created_jobs(&cluster().audit, &search);
        let made: usize = made.values().sum();
        assert!((3..=4).contains(&made), "{made} inspections in 18 s");
        let told = searches.events(&["InspectionFailed"]).await;
        assert!(
            matches!(&told[..], [once] if once.series.is_none()),
            "{told:?}"
        );

        kubelet.miss(None);
        let more = json!({"trainer": {"resources": {"memory": "3Gi"}}});
        searches.patch("one", &more).await.expect("it may change");
        within(Duration::from_secs(15), "it is tried at once", async || {
            searches.status("one").await.inspection.is_some()
        })
        .await;
        assert_eq!(searches.ended("one").await.trials.succeeded, 4);
        assert_eq!(
            searches.condition("one", "Degraded").await,
            ("False".into(), "AsExpected".into())
        );
    });
}

#[test]
fn a_search_whose_inspection_fails_ends_at_its_deadline() {
    runtime().block_on(async {
        let client = cluster().namespace("never").await;
        let kubelet = Kubelet::play(client.clone(), "never", SHORT, |_| Act::Succeed);
        kubelet.miss(Some("there is no folder data"));
        let _operator = cluster().operator("never", "a");
        let searches = Searches::of(&client, "never");
        let brief = json!({"maxTrials": 4, "activeDeadlineSeconds": 20});
        searches.submit("one", &brief).await;
        let held = json!({"suspend": true, "activeDeadlineSeconds": 20});
        searches.submit("held", &held).await;
        for name in ["one", "held"] {
            let status = searches.ended(name).await;
            let late = ("False".into(), "DeadlineExceeded".into());
            assert_eq!(condition(&status, "Succeeded"), late, "{name}");
            assert_eq!(condition(&status, "Degraded").0, "False", "{name}");
        }
        let status = searches.status("one").await;
        let message = status.conditions.iter().map(|condition| &condition.message);
        let told = |message: &String| message.ends_with("inspected: there is no folder data");
        assert!(
            message.clone().any(told),
            "{:?}",
            message.collect::<Vec<_>>()
        );
        searches.is_clean().await;
        let events = searches.events(&["DeadlineExceeded"]).await;
        assert_eq!(events.len(), 2, "{events:?}");

        kubelet.miss(None);
        let more = json!({"activeDeadlineSeconds": 600});
        searches.patch("one", &more).await.expect("it may change");
        eventually("it continues", async || {
            searches.condition("one", "Succeeded").await.0 != "False"
        })
        .await;
        assert_eq!(searches.ended("one").await.trials.succeeded, 4);
    });
}

#[test]
fn a_suggestion_that_takes_very_long_does_not_hold_up_the_other_searches() {
    runtime().block_on(async {
        let client = cluster().namespace("slow").await;
        let _kubelet = Kubelet::play(client.clone(), "slow", SHORT, |_| Act::Succeed);
        let operator = operator(cluster().config().await, "slow");
        let searches = Searches::of(&client, "slow");
        for search in [seeded("long", NEVER_ENDS), seeded("next", 7)] {
            searches.create(&search).await.expect("valid");
        }
        assert_eq!(searches.ended("next").await.trials.succeeded, 6);
        assert!(searches.status("long").await.ledger.is_empty());
        operator.abort();
    });
}

#[test]
fn a_search_ends_when_its_gpu_seconds_are_used() {
    runtime().block_on(async {
        let client = cluster().namespace("budget").await;
        let two_seconds = Duration::from_secs(2);
        let _kubelet = Kubelet::play(client.clone(), "budget", two_seconds, |_| Act::Succeed);
        let operator = cluster().operator("budget", "a");
        let searches = Searches::of(&client, "budget");
        let budget = json!({"maxGpuSeconds": 3, "trainer": {"resources": {"gpus": 1}}});
        searches.submit("one", &budget).await;
        let status = searches.ended("one").await;
        let reason = condition(&status, "Succeeded");
        assert_eq!(reason, ("True".into(), "MaxGpuSecondsReached".into()));
        let used = status.gpu_seconds_used.expect("GPUs were used").get();
        assert!((3.0..30.0).contains(&used), "{used}");
        assert!(
            (1..=3).contains(&status.trials.succeeded),
            "{:?}",
            status.trials
        );
        let shown =
            format!("autopeft_search_gpu_seconds{{name=\"one\",namespace=\"budget\"}} {used}");
        eventually("the metric says so", async || {
            operator.get("/metrics").contains(&shown)
        })
        .await;
        assert_sound(&searches.get("one").await, &cluster().audit);
    });
}

/// Every trial ran out of memory until the search gave up; one edit raises the memory and tries the trials again.
#[test]
fn trials_out_of_memory_are_tried_again_with_more_memory() {
    runtime().block_on(async {
        let client = cluster().namespace("again").await;
        let signal = Signal::default();
        let given = signal.clone();
        let _kubelet = Kubelet::play(client.clone(), "again", SHORT, move |request| match request
            .identity
            .trial
        {
            0 | 1 => Act::OomKilled,
            2 | 3 => Act::Once(given.clone(), Box::new(Act::Succeed)),
            _ => Act::Succeed,
        });
        let _operator = cluster().operator("again", "a");
        let searches = Searches::of(&client, "again");
        let small = json!({
            "maxTrials": 4, "maxFailedTrials": 1, "trainer": {"resources": {"memory": "280Mi"}},
        });
        searches.submit("one", &small).await;
        let status = searches.ended("one").await;
        let reason = condition(&status, "Succeeded");
        assert_eq!(reason, ("False".into(), "TooManyFailedTrials".into()));
        let limited = status.trials.infeasible;
        assert!(limited >= 2, "{:?}", status.trials);

        let numbers = [0, 1, 99];
        let edit = json!({"retryTrials": numbers, "trainer": {"resources": {"memory": "1Gi"}}});
        searches.patch("one", &edit).await.expect("it may change");
        let jobs: Api<Job> = Api::namespaced(client.clone(), "again");
        eventually("the first retry has more memory", async || {
            let all = jobs.list(&ListParams::default()).await.expect("Jobs");
            let of_retry = |job: &&Job| {
                job.labels()
                    .get("autopeft.dev/trial")
                    .is_some_and(|it| it == "2")
            };
            let found = all.items.iter().find(of_retry).map(|job| json!(job));
            found.is_some_and(|job| {
                let container = &job["spec"]["template"]["spec"]["containers"][0];
                container["resources"]["limits"]["memory"] == "1Gi"
            })
        })
        .await;
        signal.give();
        let status = searches.ended("one").await;
        assert_eq!(
            condition(&status, "Succeeded"),
            ("True".into(), "MaxTrialsReached".into())
        );
        assert_eq!(
            (status.trials.progress.as_str(), status.trials.succeeded),
            ("4/4", 4)
        );
        let retried: Vec<_> = status
            .ledger
            .iter()
            .filter_map(|entry| entry.retries())
            .collect();
        assert_eq!(retried, [0, 1]);
        assert_eq!(status.ledger.len(), 6);
        let told = searches.events(&["RetryWithoutEffect"]).await;
        assert_eq!(told.len(), 1, "{told:?}");
        assert_sound(&searches.get("one").await, &cluster().audit);
    });
}

/// A ledger entry that ended, with a message of so many characters of four bytes.
fn entry(trial: u32, message: usize) -> Value {
    let mut entry = json!({
        "trial": trial,
        "configuration": {
            "layers": "101101", "serialAdapter": 48, "parallelAdapter": 192, "prefix": 96,
        },
        "origin": "Bayesian",
        "state": if message == 0 { "Succeeded" } else { "Failed" },
        "attempt": 2,
        "jobUid": "12345678-1234-1234-1234-123456789012",
        "failedAttempts": 1,
        "inputsHash": "0123456789abcdef",
        "acquisition": "-12.345678901234567",
        "predictedMean": "0.7123456789012345",
        "predictedDeviation": "0.01234567890123456",
        "parameters": 1_234_567 + trial,
        "plannedAt": "2026-01-01T00:00:00Z",
        "finishedAt": "2026-01-01T00:01:00Z",
    });
    let more = if message == 0 {
        json!({
            "score": "0.7123456789012345",
            "metrics": {"F1": "0.7124", "Matthews": "0.4235", "MacroF1": "0.7012", "MicroF1": "0.7123"},
            "bestEpoch": 1,
            "trainedParameters": 1_234_567,
            "deployedParameters": 1_234_567,
            "trainSeconds": "123.45678901234567",
            "gpuSeconds": "130",
            "peakMemoryBytes": 1_234_567_890_u64,
            "validationExamples": 1000,
        })
    } else {
        json!({"reason": "NoResult", "message": "\u{1f600}".repeat(message)})
    };
    let more = more.as_object().cloned().unwrap_or_default();
    entry.as_object_mut().expect("an object").extend(more);
    entry
}

/// Writes a ledger to a suspended search, as an earlier operator might have.
async fn with_ledger(searches: &Searches, name: &str, ledger: Vec<Value>) {
    eventually("nothing more is written", async || {
        condition(&searches.status(name).await, "Suspended").0 == "True"
    })
    .await;
    let inspection = serde_json::to_value(autopeft_integration_tests::kubelet::inspection());
    let status = json!({"status": {"inspection": inspection.expect("JSON"), "ledger": ledger}});
    searches.patch_status(name, &status).await;
}

/// Row 39.
#[test]
fn a_search_whose_object_is_nearly_too_large_starts_no_more_trials() {
    runtime().block_on(async {
        let client = cluster().namespace("large").await;
        let _kubelet = Kubelet::play(client.clone(), "large", SHORT, |_| Act::Succeed);
        let searches = Searches::of(&client, "large");
        let suspended = json!({"suspend": true, "maxTrials": 500, "maxFailedTrials": 500});
        for name in ["usual", "padded"] {
            searches.submit(name, &suspended).await;
        }
        let _operator: Operator = cluster().operator("large", "a");
        // What 500 trials are likely to need fits.
        let usual: Vec<Value> = (0..500).map(|trial| entry(trial, 0)).collect();
        with_ledger(&searches, "usual", usual).await;
        searches
            .patch("usual", &json!({"suspend": false}))
            .await
            .expect("it may change");
        let status = searches.ended("usual").await;
        assert_eq!(condition(&status, "Succeeded").1, "MaxTrialsReached");
        let size = serde_json::to_vec(&searches.get("usual").await)
            .expect("JSON")
            .len();
        assert!(size < 600_000, "500 trials take {size} bytes");

        let padded = (0..420).map(|trial| entry(trial, if trial == 0 { 0 } else { 500 }));
        with_ledger(&searches, "padded", padded.collect()).await;
        searches
            .patch("padded", &json!({"suspend": false}))
            .await
            .expect("it may change");
        let status = searches.ended("padded").await;
        let reason = condition(&status, "Succeeded");
        assert_eq!(reason, ("True".into(), "StatusFull".into()));
        assert!(
            status
                .ledger
                .iter()
                .all(|entry| entry.state != TrialState::Planned)
        );
        // It has come to rest.
        tokio::time::sleep(SHORT * 30).await;
        let before = writes_of_the_operator(&cluster().audit, "large").len();
        tokio::time::sleep(SHORT * 30).await;
        assert_eq!(
            writes_of_the_operator(&cluster().audit, "large").len(),
            before
        );
    });
}
