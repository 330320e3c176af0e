//! Searches as objects of a cluster, for the tests: creation, waiting, and checks of the invariants.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use autopeft_crds::PeftSearch;
use autopeft_crds::status::{PeftSearchStatus, TrialPurpose, TrialState};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::events::v1::Event;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};

use crate::audit::assert_lawful;
pub use crate::audit_log::{is_operator, requests, was_carried_out, writes};
use crate::cluster::{eventually, within};

/// The timeout of a test's search, on a busy machine.
const LIMIT: Duration = Duration::from_secs(300);

/// A search with fast suggestions. `changes` are merged into its spec.
pub fn manifest(name: &str, changes: &Value) -> Value {
    let mut spec = json!({
        "model": {"source": {"claim": {"name": "autopeft", "path": "model"}}},
        "task": {
            "name": "custom",
            "source": {"claim": {"name": "autopeft", "path": "data"}},
            "custom": {"type": "Classification", "textColumns": ["text"]},
        },
        "algorithm": {
            "seed": 7,
            "initialTrials": 4,
            "nuts": {"warmup": 32, "samples": 16, "thinning": 4, "maxTreeDepth": 4},
            "acquisition": {"monteCarloSamples": 16},
            "localSearch": {"restarts": 2, "evaluations": 20},
        },
        "maxTrials": 8,
    });
    merge(&mut spec, changes);
    json!({
        "apiVersion": "autopeft.dev/v1alpha1",
        "kind": "PeftSearch",
        "metadata": {"name": name},
        "spec": spec,
    })
}

/// Merges changes into a document, as a JSON merge patch does, but keeps nulls.
pub fn merge(into: &mut Value, changes: &Value) {
    match (into, changes) {
        (Value::Object(into), Value::Object(changes)) => {
            for (name, change) in changes {
                merge(into.entry(name).or_insert(Value::Null), change);
            }
        }
        (into, change) => *into = change.clone(),
    }
}

/// The searches of a namespace.
#[derive(Clone)]
pub struct Searches {
    /// The administrator's client.
    pub client: Client,
    /// The namespace.
    pub namespace: String,
    api: Api<PeftSearch>,
}

impl Searches {
    /// The searches of a namespace.
    pub fn of(client: &Client, namespace: &str) -> Self {
        Self {
            api: Api::namespaced(client.clone(), namespace),
            client: client.clone(),
            namespace: namespace.into(),
        }
    }

    /// Creates one, as `kubectl create` would.
    pub async fn create(&self, manifest: &Value) -> Result<Value, kube::Error> {
        let folder = format!(
            "/apis/autopeft.dev/v1alpha1/namespaces/{}/peftsearches",
            self.namespace
        );
        let body = serde_json::to_vec(manifest).expect("JSON");
        let mut request = kube::core::Request::new(folder.as_str())
            .create(&PostParams::default(), body)
            .expect("a request");
        // As kubectl does: unknown fields are an error.
        let strict = format!("{folder}?fieldValidation=Strict");
        *request.uri_mut() = strict.parse().expect("an address");
        self.client.request(request).await
    }

    /// Reads one.
    pub async fn get(&self, name: &str) -> PeftSearch {
        self.api.get(name).await.expect("the search is there")
    }

    /// Creates the search of `manifest`, which must be accepted.
    pub async fn submit(&self, name: &str, changes: &Value) {
        let created = self.create(&manifest(name, changes)).await;
        created.expect("the manifest is valid");
    }

    /// The namespace's events with these reasons; all events if none is given.
    pub async fn events(&self, reasons: &[&str]) -> Vec<Event> {
        let events: Api<Event> = Api::namespaced(self.client.clone(), &self.namespace);
        let listed = events.list(&ListParams::default()).await.expect("events");
        let is_asked = |event: &Event| {
            let reason = event.reason.as_deref().unwrap_or_default();
            reasons.is_empty() || reasons.contains(&reason)
        };
        listed.items.into_iter().filter(is_asked).collect()
    }

    /// Lists all.
    pub async fn list(&self) -> Vec<PeftSearch> {
        let listed = self.api.list(&ListParams::default()).await;
        listed.expect("searches can be listed").items
    }

    /// Reads its status.
    pub async fn status(&self, name: &str) -> PeftSearchStatus {
        self.get(name).await.status.unwrap_or_default()
    }

    /// Changes its spec, as `kubectl patch --type=merge` would.
    pub async fn patch(&self, name: &str, spec: &Value) -> Result<PeftSearch, kube::Error> {
        let patch = Patch::Merge(json!({"spec": spec}));
        self.api.patch(name, &PatchParams::default(), &patch).await
    }

    /// Changes its status, as an operator would.
    pub async fn patch_status(&self, name: &str, status: &Value) {
        let (parameters, patch) = (PatchParams::default(), Patch::Merge(status));
        let patched = self.api.patch_status(name, &parameters, &patch);
        patched.await.expect("the status is valid");
    }

    /// Deletes it.
    pub async fn delete(&self, name: &str) {
        let parameters = DeleteParams::default();
        self.api
            .delete(name, &parameters)
            .await
            .expect("the search is there");
    }

    /// A condition's status and reason.
    pub async fn condition(&self, name: &str, kind: &str) -> (String, String) {
        let status = self.status(name).await;
        condition(&status, kind)
    }

    /// Waits until this many trials have a result.
    pub async fn finished(&self, name: &str, trials: usize) {
        within(
            LIMIT,
            &format!("{trials} trials of {name} have ended"),
            async || {
                let ledger = self.status(name).await.ledger;
                ledger.iter().filter(|entry| entry.state.is_final()).count() >= trials
            },
        )
        .await;
    }

    /// Waits for its end; returns the last status.
    pub async fn ended(&self, name: &str) -> PeftSearchStatus {
        within(LIMIT, &format!("{name} has ended"), async || {
            self.condition(name, "Succeeded").await.0 != "Unknown"
                && self.status(name).await.completion_time.is_some()
        })
        .await;
        self.status(name).await
    }

    /// Waits until no Job or pod of a search is left in the namespace.
    pub async fn is_clean(&self) {
        let jobs: Api<Job> = Api::namespaced(self.client.clone(), &self.namespace);
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &self.namespace);
        let all = ListParams::default();
        eventually("no Job and no pod is left", async || {
            let jobs = jobs.list(&all).await.map(|list| list.items.len());
            let pods = pods.list(&all).await.map(|list| list.items.len());
            matches!((jobs, pods), (Ok(0), Ok(0)))
        })
        .await;
    }
}

/// A condition's status and reason.
pub fn condition(status: &PeftSearchStatus, kind: &str) -> (String, String) {
    status
        .conditions
        .iter()
        .find(|condition| condition.type_ == kind)
        .map_or_else(
            || ("Unknown".into(), String::new()),
            |condition| (condition.status.clone(), condition.reason.clone()),
        )
}

/// A ledger without times and Jobs, for comparing two runs.
pub fn story(status: &PeftSearchStatus) -> Vec<String> {
    let entries = status.ledger.iter().map(|entry| {
        format!(
            "{} {} {:?} {:?} {:?}",
            entry.trial, entry.configuration, entry.origin, entry.state, entry.score
        )
    });
    entries.collect()
}

/// Checks the invariants of a search that has ended (docs/faults.md, I1 to I6).
pub fn assert_sound(search: &PeftSearch, audit: &Path) {
    assert_whole(search, audit);
    assert_lawful(search, audit);
}

/// Those of them that also hold if trials were stopped on purpose (their pods are released without an outcome),
/// parallelism changed, or the operator ran under another account.
pub fn assert_whole(search: &PeftSearch, audit: &Path) {
    let status = search.status.clone().unwrap_or_default();
    let name = search.metadata.name.clone().unwrap_or_default();
    let numbers: Vec<u32> = status.ledger.iter().map(|entry| entry.trial).collect();
    let expected: Vec<u32> = (0..).take(numbers.len()).collect();
    assert_eq!(numbers, expected, "{name}: every trial once, in order");
    for entry in &status.ledger {
        let scored = entry.state == TrialState::Succeeded;
        assert_eq!(
            scored,
            entry.score.is_some(),
            "{name}: trial {}",
            entry.trial
        );
    }
    let created = created_jobs(audit, search);
    // A failed inspection is repeated under the same name.
    for (job, uids) in created.iter().filter(|(job, _)| !job.contains("-i-")) {
        assert_eq!(*uids, 1, "{name}: the Job {job} was created {uids} times");
    }
    assert_front(&status, &name);
}

/// I6: the front is a function of the ledger.
fn assert_front(status: &PeftSearchStatus, name: &str) {
    let scored: Vec<(u32, u64, f64)> = status
        .ledger
        .iter()
        .filter(|entry| entry.purpose() == TrialPurpose::Search)
        .filter_map(|entry| Some((entry.trial, entry.parameters, entry.score?.get())))
        .collect();
    let is_better = |one: &(u32, u64, f64), other: &(u32, u64, f64)| {
        one.1 <= other.1 && one.2 >= other.2 && (one.1 < other.1 || one.2 > other.2)
    };
    let front: BTreeSet<u32> = scored
        .iter()
        .filter(|this| !scored.iter().any(|other| is_better(other, this)))
        .map(|this| this.0)
        .collect();
    let told: BTreeSet<u32> = status
        .pareto_front
        .iter()
        .map(|point| point.trial)
        .collect();
    assert!(
        told.is_subset(&front),
        "I6: {name}: {told:?} is not the front {front:?}"
    );
    let points = |trials: &BTreeSet<u32>| -> BTreeSet<(u64, u64)> {
        let of = scored.iter().filter(|this| trials.contains(&this.0));
        of.map(|this| (this.1, this.2.to_bits())).collect()
    };
    assert_eq!(
        points(&told),
        points(&front),
        "I6: {name}: the front is complete"
    );
}

/// How often each Job of a search was created, from the audit log.
pub fn created_jobs(audit: &Path, search: &PeftSearch) -> BTreeMap<String, usize> {
    let mut created = BTreeMap::new();
    for event in writes(
        audit,
        search.metadata.namespace.as_deref().unwrap_or_default(),
    ) {
        let is_ours = is_operator(&event);
        if is_ours && event["verb"] == "create" && event["objectRef"]["resource"] == "jobs" {
            let name = event["objectRef"]["name"].as_str().unwrap_or_default();
            *created.entry(name.to_owned()).or_insert(0) += 1;
        }
    }
    created
}

/// The operator's writes to a namespace, without events and Lease.
pub fn writes_of_the_operator(audit: &Path, namespace: &str) -> Vec<Value> {
    let mut found = writes(audit, namespace);
    found.retain(|event| {
        let resource = &event["objectRef"]["resource"];
        event["user"]["username"] == "operator" && resource != "events" && resource != "leases"
    });
    found
}
