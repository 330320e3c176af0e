//! Generated edits of running searches (the idea of Acto, SOSP 2023): whatever a user changes, and in
//! whatever order, a search ends as its last spec requires, and no recorded result is lost.
//!
//! `AUTOPEFT_SEQUENCES` says how many sequences are run (20), `AUTOPEFT_FIRST` which comes first (0).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use autopeft_crds::PeftSearch;
use autopeft_crds::status::{LedgerEntry, TrialState};
use autopeft_crds::trial::TrialRequest;
use autopeft_integration_tests::cluster::{Operator, cluster, runtime, within};
use autopeft_integration_tests::kubelet::{Act, Kubelet};
use autopeft_integration_tests::searches::{Searches, assert_whole, condition};
use futures::StreamExt;
use k8s_openapi::api::batch::v1::Job;
use kube::api::{ListParams, Patch, PatchParams};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};

const SHORT: Duration = Duration::from_millis(100);
/// The number of concurrent sequences.
const AT_ONCE: usize = 10;
const INITIAL: usize = 4;
const MOST: u64 = 9;

/// SplitMix64: the same sequence for the same seed, everywhere.
struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn one_of(&mut self, choices: &[Value]) -> Value {
        choices[self.below(choices.len() as u64) as usize].clone()
    }
}

/// One edit of an object.
enum Edit {
    /// The API server accepts it if parallelism stays within maxTrials.
    Spec(Value),
    /// The API server rejects it, with this text in its message.
    Forbidden(Value, &'static str),
    /// Labels and annotations: no change of the search.
    Metadata(Value),
}

/// Draws an edit. A calm search trains one trial at a time and none fails, so that its trials depend only on its seed.
fn draw_edit(draw: &mut Draw, calm: bool) -> Edit {
    let spec = |field: &str, value: Value| Edit::Spec(json!({field: value}));
    let trainer = |field: &str, value: Value| Edit::Spec(json!({"trainer": {field: value}}));
    match draw.below(18) {
        0 if !calm => spec("parallelism", json!(1 + draw.below(4))),
        0..=2 => spec("maxTrials", json!(2 + draw.below(MOST - 1))),
        3 | 4 => spec("suspend", json!(draw.below(2) == 0)),
        5 => spec(
            "maxFailedTrials",
            draw.one_of(&[json!(0), json!(2), json!(500)]),
        ),
        6 if !calm => spec("maxRetries", json!(draw.below(4))),
        6 | 7 => spec("trialDeadlineSeconds", json!(600 + draw.below(9))),
        8 => spec(
            "activeDeadlineSeconds",
            draw.one_of(&[json!(3600), json!(null)]),
        ),
        9 => {
            let early = json!({"trials": 2, "tolerance": "0.02"});
            spec("convergence", draw.one_of(&[early, json!(null)]))
        }
        10 => {
            let some = [
                json!([]),
                json!(["SerialAdapter"]),
                json!(["Prefix", "SerialAdapter"]),
            ];
            spec("baselines", draw.one_of(&some))
        }
        11 => trainer(
            "nodeSelector",
            draw.one_of(&[json!({"pool": "a"}), json!({"pool": "b"})]),
        ),
        12 => trainer(
            "resources",
            json!({"cpu": format!("{}m", 500 + draw.below(9))}),
        ),
        13 => {
            let taint = json!([{"key": "gpu", "effect": "NoSchedule"}]);
            trainer("tolerations", draw.one_of(&[taint, json!(null)]))
        }
        14 => trainer(
            "image",
            json!(format!("localhost/trainer:{}", draw.below(5))),
        ),
        15 => trainer("queueName", draw.one_of(&[json!("team"), json!(null)])),
        16 => {
            let note = json!({"note": draw.below(1000).to_string()});
            match draw.below(3) {
                0 => spec(
                    "ttlSecondsAfterFinished",
                    draw.one_of(&[json!(3600), json!(null)]),
                ),
                1 => Edit::Metadata(json!({"labels": note})),
                _ => Edit::Metadata(json!({"annotations": note})),
            }
        }
        _ => forbidden(draw),
    }
}

fn forbidden(draw: &mut Draw) -> Edit {
    let all = [
        (
            json!({"algorithm": {"seed": 99}}),
            "algorithm cannot change",
        ),
        (json!({"fidelity": {"epochs": 3}}), "fidelity cannot change"),
        (
            json!({"training": {"maxLength": 99}}),
            "training cannot change",
        ),
        (
            json!({"searchSpace": {"excludeEmpty": true}}),
            "searchSpace cannot change",
        ),
        (
            json!({"objectives": [{"name": "score", "bound": "0.1"}]}),
            "objectives cannot change",
        ),
        (
            json!({"task": {"custom": {"labelColumn": "y"}}}),
            "task cannot change",
        ),
        (
            json!({"model": {"source": {"claim": {"path": "b"}}}}),
            "model cannot change",
        ),
        (json!({"maxTrials": 0}), "maxTrials"),
        (json!({"parallelism": 65}), "parallelism"),
        (
            json!({"trainer": {"priorityClassName": "system-node-critical"}}),
            "system priority",
        ),
    ];
    let (change, message) = all[draw.below(all.len() as u64) as usize].clone();
    Edit::Forbidden(change, message)
}

/// A trial's outcome depends on its configuration, so that two runs of one search can be compared.
fn end_of(request: &TrialRequest) -> Act {
    let hash = request.configuration.hash();
    let number = u64::from_str_radix(&hash[8..16], 16).expect("hexadecimal digits");
    match (number % 8, request.identity.attempt) {
        (0, _) => Act::OomKilled,
        (1 | 2, 1) => Act::Unknown,
        (3, 1) => Act::Evicted,
        _ => Act::Succeed,
    }
}

/// The observations of a namespace while its searches run.
#[derive(Clone, Default)]
struct Seen {
    /// Every Job as it was created, by name.
    jobs: Arc<Mutex<BTreeMap<String, Job>>>,
    /// Violations.
    wrong: Arc<Mutex<Vec<String>>>,
}

impl Seen {
    fn keep(&self, job: Job) {
        let mut jobs = self.jobs.lock().expect("no test has failed");
        jobs.entry(job.name_any()).or_insert(job);
    }
}

/// Watches the namespace, and simulates Kueue: admits every queued Job.
fn watch(client: &Client, namespace: &str) -> (Seen, Vec<tokio::task::JoinHandle<()>>) {
    let seen = Seen::default();
    let jobs: Api<Job> = Api::namespaced(client.clone(), namespace);
    let searches: Api<PeftSearch> = Api::namespaced(client.clone(), namespace);
    let (of_jobs, of_searches) = (seen.clone(), seen.clone());
    let admitting = tokio::spawn(async move {
        let changes = watcher(jobs.clone(), watcher::Config::default()).applied_objects();
        let mut changes = std::pin::pin!(changes);
        while let Some(change) = changes.next().await {
            let Ok(job) = change else { continue };
            let name = job.name_any();
            let is_queued = job.labels().contains_key("kueue.x-k8s.io/queue-name")
                && job
                    .spec
                    .as_ref()
                    .is_some_and(|spec| spec.suspend == Some(true));
            of_jobs.keep(job);
            if is_queued {
                let admit = Patch::Merge(json!({"spec": {"suspend": false}}));
                // It may have been replaced in the meantime.
                let _ = jobs.patch(&name, &PatchParams::default(), &admit).await;
            }
        }
    });
    let counting = tokio::spawn(async move {
        let mut before: BTreeMap<String, usize> = BTreeMap::new();
        let changes = watcher(searches, watcher::Config::default()).applied_objects();
        let mut changes = std::pin::pin!(changes);
        while let Some(change) = changes.next().await {
            let Ok(search) = change else { continue };
            let name = search.name_any();
            let open = own(&search).filter(|entry| !entry.state.is_final()).count();
            let allowed = search.spec.parallelism as usize;
            let last = before.insert(name.clone(), open).unwrap_or(0);
            if open > allowed.max(last) {
                let mut wrong = of_searches.wrong.lock().expect("no test has failed");
                wrong.push(format!("{name}: {open} trials run where {allowed} may"));
            }
        }
    });
    (seen, vec![admitting, counting])
}

fn has_trials(search: &PeftSearch) -> bool {
    let status = search.status.as_ref();
    status.is_some_and(|status| !status.ledger.is_empty())
}

/// The search's own trials, baselines left out.
fn own(search: &PeftSearch) -> impl Iterator<Item = &LedgerEntry> {
    let entries = search.status.iter().flat_map(|status| &status.ledger);
    entries.filter(|entry| entry.baseline.is_none())
}

fn configurations(search: &PeftSearch) -> Vec<String> {
    own(search)
        .map(|entry| entry.configuration.to_string())
        .collect()
}

async fn apply(searches: &Searches, name: &str, edit: Edit) -> String {
    let before = searches.get(name).await;
    match edit {
        Edit::Spec(change) => {
            let number = |field: &str, now: u32| change[field].as_u64().unwrap_or(now.into());
            let fits = number("parallelism", before.spec.parallelism)
                <= number("maxTrials", before.spec.max_trials);
            let answer = searches.patch(name, &change).await;
            assert_eq!(answer.is_ok(), fits, "{name}: {change}: {answer:?}");
            change.to_string()
        }
        // What past trials depend on may change while there are none; that is another test's matter.
        Edit::Forbidden(_, part) if part.ends_with("cannot change") && !has_trials(&before) => {
            format!("too early for {part}")
        }
        Edit::Forbidden(change, part) => {
            let answer = searches.patch(name, &change).await;
            let message = answer.expect_err(&change.to_string()).to_string();
            assert!(message.contains(part), "{name}: {change}: {message}");
            let after = searches.get(name).await;
            assert_eq!(after.metadata.generation, before.metadata.generation);
            format!("refused {change}")
        }
        Edit::Metadata(change) => {
            let api: Api<PeftSearch> =
                Api::namespaced(searches.client.clone(), &searches.namespace);
            let patch = Patch::Merge(json!({"metadata": change}));
            let answer = api.patch(name, &PatchParams::default(), &patch).await;
            answer.expect("anybody may be labelled");
            change.to_string()
        }
    }
}

fn has_settled(search: &PeftSearch) -> bool {
    let status = search.status.as_ref();
    status.and_then(|status| status.observed_generation) == search.metadata.generation
}

/// One search, edited at random until its end.
async fn sequence(searches: &Searches, seen: &Seen, seed: u64, expected: &[String]) {
    let calm = seed.is_multiple_of(2);
    let name = format!("s{seed}");
    let mut draw = Draw(seed);
    let begin = json!({"maxTrials": 6, "parallelism": if calm { 1 } else { 2 }, "maxRetries": 2});
    searches.submit(&name, &begin).await;
    let mut edits = Vec::new();
    for _ in 0..4 + draw.below(5) {
        tokio::time::sleep(Duration::from_millis(draw.below(900))).await;
        let edit = draw_edit(&mut draw, calm);
        edits.push(apply(searches, &name, edit).await);
    }
    searches
        .patch(&name, &json!({"suspend": false}))
        .await
        .expect("it may change");
    let told = format!("{name}: {}", edits.join(", "));
    let limit = Duration::from_secs(360);
    within(limit, &format!("{told}: settled"), async || {
        has_settled(&searches.get(&name).await)
    })
    .await;
    let jobs: Api<Job> = Api::namespaced(searches.client.clone(), &searches.namespace);
    let listed = jobs.list(&ListParams::default()).await.expect("Jobs").items;
    let mut earlier: BTreeSet<String> = listed.iter().map(ResourceExt::name_any).collect();
    earlier.extend(
        seen.jobs
            .lock()
            .expect("no test has failed")
            .keys()
            .cloned(),
    );
    within(limit, &format!("{told}: ended"), async || {
        let search = searches.get(&name).await;
        let status = search.status.as_ref();
        has_settled(&search) && status.is_some_and(|status| status.completion_time.is_some())
    })
    .await;
    let search = searches.get(&name).await;
    assert_ends_as_its_spec_says(&search, &told);
    assert_whole(&search, &cluster().audit);
    let found = configurations(&search);
    let same = if calm {
        found.len()
    } else {
        found.len().min(INITIAL)
    };
    assert_eq!(found[..same], expected[..same], "{told}");
    assert_trains_as_its_spec_says(&search, seen, &earlier, &told);
}

fn assert_ends_as_its_spec_says(search: &PeftSearch, told: &str) {
    let (spec, status) = (&search.spec, search.status.clone().unwrap_or_default());
    let count = |state| own(search).filter(|entry| entry.state == state).count();
    let (trials, scored) = (own(search).count(), count(TrialState::Succeeded));
    let mut failed = count(TrialState::Failed);
    if scored == 0 {
        failed += count(TrialState::Infeasible);
    }
    let expected = if failed > spec.max_failed_trials as usize {
        ("False", "TooManyFailedTrials")
    } else if scored == 0 {
        ("False", "NoTrialSucceeded")
    } else if trials >= spec.max_trials as usize {
        ("True", "MaxTrialsReached")
    } else {
        assert!(
            spec.convergence.is_some(),
            "{told}: {trials} trials: {status:?}"
        );
        ("True", "Converged")
    };
    let found = condition(&status, "Succeeded");
    assert_eq!(
        (found.0.as_str(), found.1.as_str()),
        expected,
        "{told}: {:?}",
        status.ledger
    );
    assert_eq!(condition(&status, "Suspended").0, "False", "{told}");
    assert_eq!(condition(&status, "Progressing").0, "False", "{told}");
    if expected.1 == "TooManyFailedTrials" {
        return;
    }
    assert_eq!(count(TrialState::Planned), 0, "{told}");
    for baseline in &spec.baselines {
        let mut entries = status.ledger.iter();
        let entry = entries.find(|entry| entry.baseline == Some(*baseline));
        assert!(
            entry.is_some_and(|entry| entry.state.is_final()),
            "{told}: {baseline:?}"
        );
    }
}

/// Checks that Jobs created after the last edit was observed follow it.
fn assert_trains_as_its_spec_says(
    search: &PeftSearch,
    seen: &Seen,
    earlier: &BTreeSet<String>,
    told: &str,
) {
    let trainer = &search.spec.trainer;
    let known = seen.jobs.lock().expect("no test has failed").clone();
    let uid = search.uid().expect("a UID");
    let of_it = |job: &&Job| job.labels().get("autopeft.dev/search-uid") == Some(&uid);
    for job in known.values().filter(of_it) {
        if earlier.contains(&job.name_any()) {
            continue;
        }
        let spec = job.spec.clone().expect("a spec");
        let pod = spec.template.spec.expect("a pod");
        let image = trainer.image.as_deref().unwrap_or("localhost/trainer:test");
        let container = &pod.containers[0];
        assert_eq!(container.image.as_deref(), Some(image), "{told}");
        let limits = container.resources.clone().and_then(|given| given.limits);
        let cpu = limits.expect("limits")["cpu"].0.clone();
        assert_eq!(cpu, trainer.resources.cpu, "{told}");
        assert_eq!(
            pod.node_selector.unwrap_or_default(),
            trainer.node_selector,
            "{told}"
        );
        let tolerated = pod.tolerations.unwrap_or_default().len();
        assert_eq!(tolerated, trainer.tolerations.len(), "{told}");
        let queue = job.labels().get("kueue.x-k8s.io/queue-name");
        assert_eq!(queue, trainer.queue_name.as_ref(), "{told}");
        let deadline = i64::try_from(search.spec.trial_deadline_seconds).ok();
        assert_eq!(spec.active_deadline_seconds, deadline, "{told}");
    }
}

/// Checks that the log has only what the trials' outcomes and concurrent edits explain.
fn assert_calm_log(operator: &Operator) {
    let expected = [
        "follows",
        "is infeasible",
        "no retry is left",
        "the object has been modified",
    ];
    let log = operator.log();
    assert!(log.contains(" planned ("), "the log was read");
    let strange: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("ERROR") || line.contains("WARN") || line.contains("panic"))
        .filter(|line| !expected.iter().any(|part| line.contains(part)))
        .collect();
    assert!(strange.is_empty(), "{}", strange.join("\n"));
}

fn number_of(variable: &str, otherwise: u64) -> u64 {
    let given = std::env::var(variable);
    given.map_or(otherwise, |text| text.parse().expect("a number"))
}

#[test]
fn after_any_edits_a_search_ends_as_its_last_spec_requires() {
    runtime().block_on(async {
        let namespace = "edited";
        let client = cluster().namespace(namespace).await;
        let _kubelet = Kubelet::play(client.clone(), namespace, SHORT, end_of);
        let (seen, watching) = watch(&client, namespace);
        let operator = cluster().operator(namespace, "a");
        let searches = Searches::of(&client, namespace);
        // The trials without edits.
        let calm = json!({"maxTrials": MOST, "maxRetries": 2, "maxFailedTrials": 500});
        searches.submit("calm", &calm).await;
        searches.ended("calm").await;
        let expected = configurations(&searches.get("calm").await);
        assert_eq!(expected.len() as u64, MOST);

        let first = number_of("AUTOPEFT_FIRST", 0);
        let seeds: Vec<u64> = (first..)
            .take(number_of("AUTOPEFT_SEQUENCES", 20) as usize)
            .collect();
        for seeds in seeds.chunks(AT_ONCE) {
            let running = seeds
                .iter()
                .map(|seed| sequence(&searches, &seen, *seed, &expected));
            futures::future::join_all(running).await;
        }
        searches.is_clean().await;
        let wrong = seen.wrong.lock().expect("no test has failed").clone();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        assert_calm_log(&operator);
        for task in watching {
            task.abort();
        }
    });
}
