//! Training in full (`spec.promotion`) in a cluster: asked for from the start and after the end, and each training planned
//! once, whenever the operator is killed.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use autopeft_crds::status::{LedgerEntry, PeftSearchStatus, TrialPurpose, TrialState};
use autopeft_crds::trial::{TrialOutcome, TrialRequest};
use autopeft_integration_tests::cluster::{cluster, runtime, within};
use autopeft_integration_tests::helm::run;
use autopeft_integration_tests::kubelet::{Act, Kubelet, success};
use autopeft_integration_tests::programs::program;
use autopeft_integration_tests::searches::{Searches, assert_sound, condition};
use serde_json::{Value, json};

const SHORT: Duration = Duration::from_millis(60);
const EPOCHS: u32 = 3;

/// A trainer whose scores in full differ by seed and are those of the test file.
fn trained(request: &TrialRequest) -> Act {
    let mut result = success(request);
    let is_in_full = request.fidelity.epochs == EPOCHS;
    if let TrialOutcome::Succeeded(measured) = &mut result.outcome
        && is_in_full
    {
        let found = measured.score - 0.1 + 0.001 * (request.training.seed % 7) as f64;
        if request.evaluation.is_some() {
            measured.selection_score = Some(measured.score);
            measured.metrics = [(measured.metric, found)].into();
        }
        measured.score = found;
    }
    Act::Say(serde_json::to_string(&result).expect("JSON"), 0)
}

/// What is trained in full, with which seed.
fn training(entry: &LedgerEntry) -> String {
    let seed = entry.terms.as_ref().and_then(|terms| terms.seed);
    let seed = seed.expect("a seed of its own");
    format!("{:?} {:?} {seed}", entry.of_trial, entry.baseline)
}

fn in_full(status: &PeftSearchStatus) -> Vec<&LedgerEntry> {
    let entries = status.ledger.iter();
    entries
        .filter(|entry| entry.purpose() == TrialPurpose::Promotion)
        .collect()
}

/// What `peft-operator best` prints of a search in the cluster.
fn best(namespace: &str, name: &str, more: &[&str]) -> String {
    run(Command::new(program("peft-operator"))
        .args(["best", name, "--namespace", namespace])
        .args(more)
        .env("KUBECONFIG", cluster().kubeconfig()))
}

/// Each configuration has a score from each seed, and each training exists once.
fn assert_complete(status: &PeftSearchStatus, seeds: usize) {
    let all = in_full(status);
    let distinct: BTreeSet<String> = all.iter().map(|entry| training(entry)).collect();
    assert_eq!(
        distinct.len(),
        all.len(),
        "each training once: {distinct:?}"
    );
    assert_eq!(all.len(), status.promoted.len() * seeds);
    assert!(all.iter().all(|entry| entry.state == TrialState::Succeeded));
    for result in &status.promoted {
        assert_eq!(result.progress, format!("{seeds}/{seeds}"));
        assert_eq!(result.seeds.len(), seeds);
        assert!(result.mean.is_some() && result.standard_deviation.is_some());
    }
    assert!(!status.recommended.is_empty());
}

#[test]
fn each_training_in_full_is_carried_out_once_whenever_the_operator_is_killed() {
    runtime().block_on(async {
        let namespace = "in-full";
        let client = cluster().namespace(namespace).await;
        let requests: Arc<Mutex<Vec<TrialRequest>>> = Arc::default();
        let seen = Arc::clone(&requests);
        let _kubelet = Kubelet::play(client.clone(), namespace, SHORT, move |request| {
            seen.lock()
                .expect("no test has failed")
                .push(request.clone());
            trained(request)
        });
        let searches = Searches::of(&client, namespace);
        let mut operator = cluster().operator(namespace, "a");
        let evaluation = json!({"testFile": "test.jsonl"});
        let changes = json!({
            "maxTrials": 4, "parallelism": 2,
            "trainer": {"artifactsClaim": {"name": "adapters"}},
            "promotion": {
                "seeds": 3, "epochs": EPOCHS, "trials": [0, 1, 2, 3], "baselines": ["LoRA"],
                "evaluation": evaluation,
            },
        });
        searches.submit("one", &changes).await;
        searches.finished("one", 4).await;
        let mut kills = 0;
        for delay in [40, 300, 90, 500, 170, 250, 60, 400] {
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
        assert_eq!(status.promoted.len(), 5);
        assert_complete(&status, 3);
        for result in &status.promoted {
            for seed in &result.seeds {
                let selection = seed.selection_score.expect("of the validation examples");
                assert!(selection.get() > seed.score.get() + 0.05);
            }
        }
        let (_, reason) = condition(&status, "ProxyReliable");
        assert_eq!(reason, "TooFew", "four configurations");
        searches.is_clean().await;
        assert_sound(&searches.get("one").await, &cluster().audit);
        let requests = requests.lock().expect("no test has failed");
        for request in requests.iter() {
            let is_in_full = request.fidelity.epochs == EPOCHS;
            let is_told = json!(request.evaluation) == evaluation;
            assert_eq!(is_told, is_in_full, "{request:?}");
        }

        let taken = status.recommended.last().expect("a recommendation");
        let told = best(
            namespace,
            "one",
            &["--budget", &format!("{}%", taken.budget)],
        );
        let folder = format!("trial-{}", taken.best_trial);
        for words in [
            "why",
            "over 3 seeds",
            "scored on      the test file test.jsonl",
            &folder,
        ] {
            assert!(told.contains(words), "{words}: {told}");
        }
        assert!(
            told.contains("peft-trainer evaluate --adapter CLAIM/"),
            "{told}"
        );
    });
}

#[test]
fn trainings_in_full_can_be_asked_for_after_the_end() {
    runtime().block_on(async {
        let namespace = "in-full-later";
        let client = cluster().namespace(namespace).await;
        let _kubelet = Kubelet::play(client.clone(), namespace, SHORT, trained);
        let _operator = cluster().operator(namespace, "a");
        let searches = Searches::of(&client, namespace);
        searches
            .submit("one", &json!({"maxTrials": 3, "parallelism": 3}))
            .await;
        let plain = searches.ended("one").await;
        assert!(plain.promoted.is_empty());
        let refused = Command::new(program("peft-operator"))
            .args(["best", "one", "--namespace", namespace])
            .env("KUBECONFIG", cluster().kubeconfig())
            .output()
            .expect("it runs");
        let told = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(
            !refused.status.success() && told.contains("apply it again"),
            "{told}"
        );

        let ask = async |promotion: Value, trainings: usize| {
            let changed = searches
                .patch("one", &json!({"promotion": promotion}))
                .await;
            let generation = changed.expect("it may change").metadata.generation;
            let limit = Duration::from_secs(180);
            within(limit, "it has ended again", async || {
                let status = searches.status("one").await;
                status.observed_generation == generation
                    && status.completion_time.is_some()
                    && in_full(&status).len() == trainings
            })
            .await;
            searches.ended("one").await
        };
        let two = json!({
            "candidates": "NamedTrials", "trials": [0, 2], "seeds": 2, "epochs": EPOCHS,
        });
        let status = ask(two, 4).await;
        assert_eq!(status.promoted.len(), 2);
        assert_complete(&status, 2);
        // A further seed joins those that are there.
        let status = ask(json!({"seeds": 3}), 6).await;
        assert_complete(&status, 3);
        assert_eq!(
            status.ledger[..3],
            plain.ledger[..],
            "the search is as it was"
        );
        searches.is_clean().await;
        assert_sound(&searches.get("one").await, &cluster().audit);
        let told = best(namespace, "one", &[]);
        assert!(
            told.contains("over 3 seeds") && told.contains("not stored"),
            "{told}"
        );
    });
}
