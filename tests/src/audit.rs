//! The API server's audit log as an oracle: invariants of the operator's writes, whatever faults occurred
//! (docs/faults.md, I1 to I5 and I8).

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use autopeft_crds::status::LedgerEntry;
use autopeft_crds::{PeftSearch, PeftSearchStatus};
use autopeft_jobs::build::names::{Work, job_name};
use autopeft_search::patience::Patience;
use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

use crate::audit_log::{is_operator, requests, was_carried_out};
use crate::cluster::within;

/// A trial and its attempt.
type Attempt = (u32, u32);

/// A written status.
struct Revision {
    /// When the API server received it.
    at: String,
    ledger: Vec<LedgerEntry>,
    parallelism: usize,
    /// Whether it was certainly carried out. If the response was lost (the operator was killed), it may have been.
    is_sure: bool,
}

impl Revision {
    /// Whether the ledger has the outcome of an attempt, or a later attempt.
    fn has_ended(&self, (trial, attempt): Attempt) -> bool {
        let entry = self.ledger.iter().find(|entry| entry.trial == trial);
        entry.is_some_and(|entry| entry.attempt > attempt || entry.state.is_final())
    }

    /// Whether the ledger has an attempt.
    fn has_planned(&self, (trial, attempt): Attempt) -> bool {
        let entry = self.ledger.iter().find(|entry| entry.trial == trial);
        entry.is_some_and(|entry| entry.attempt >= attempt)
    }
}

/// The statuses written up to some moment.
#[derive(Default)]
struct Past(Vec<Revision>);

impl Past {
    /// The last that was certainly carried out.
    fn last(&self) -> Option<&Revision> {
        self.0.iter().rev().find(|one| one.is_sure)
    }

    /// All that may be current: the last certain one, and those after it.
    fn possible(&self) -> impl Iterator<Item = &Revision> {
        let sure = self.0.iter().rposition(|one| one.is_sure).unwrap_or(0);
        self.0.iter().skip(sure)
    }

    fn may_have_planned(&self, attempt: Attempt) -> bool {
        self.possible().any(|one| one.has_planned(attempt))
    }

    fn may_have_ended(&self, attempt: Attempt) -> bool {
        self.possible().any(|one| one.has_ended(attempt))
    }

    /// The largest parallelism so far.
    fn widest(&self) -> usize {
        self.0.iter().map(|one| one.parallelism).max().unwrap_or(1)
    }
}

/// Checks everything that the operator wrote of a search against the invariants.
pub fn assert_lawful(search: &PeftSearch, audit: &Path) {
    let name = search.metadata.name.as_deref().unwrap_or_default();
    let uid = search.metadata.uid.as_deref().unwrap_or_default();
    let namespace = search.metadata.namespace.as_deref().unwrap_or_default();
    let ledger = search.status.iter().flat_map(|status| &status.ledger);
    let mut attempts: BTreeMap<String, Attempt> = BTreeMap::new();
    for entry in ledger {
        for attempt in 1..=entry.attempt {
            let purpose = Work::Trial(entry.trial);
            attempts.insert(
                job_name(name, uid, purpose, attempt),
                (entry.trial, attempt),
            );
        }
    }
    let mut past = Past::default();
    let mut created: BTreeMap<Attempt, usize> = BTreeMap::new();
    for event in by_operator(audit, namespace) {
        let object = event["objectRef"]["name"].as_str().unwrap_or_default();
        match (
            kind(&event).as_str(),
            event["verb"].as_str().unwrap_or_default(),
        ) {
            ("peftsearches/status", "update") if object == name => {
                let Some(now) = revision(&event, uid) else {
                    continue;
                };
                if let Some(before) = past.last().filter(|_| now.is_sure) {
                    assert_written_once(name, before, &now);
                }
                past.0.push(now);
            }
            ("jobs", "create") => {
                let Some(attempt) = attempts.get(object).copied() else {
                    continue;
                };
                *created.entry(attempt).or_default() += usize::from(was_carried_out(&event));
                assert!(
                    past.may_have_planned(attempt),
                    "I3: {object} was created before the ledger planned it"
                );
                let running = created
                    .keys()
                    .filter(|other| !past.may_have_ended(**other))
                    .count();
                let most = past.widest();
                assert!(
                    running <= most,
                    "I5: {running} Jobs of {name} ran at once, not {most}"
                );
            }
            ("pods", "patch") => {
                let job = object.rsplit_once('-').map_or(object, |(job, _)| job);
                let Some(attempt) = attempts.get(job).copied() else {
                    continue;
                };
                assert!(
                    past.may_have_ended(attempt),
                    "I4: {object} was released before its outcome was recorded"
                );
            }
            _ => {}
        }
    }
    for (attempt, times) in &created {
        assert!(
            *times <= 1,
            "I1: {name}: {times} Jobs of trial and attempt {attempt:?}"
        );
    }
    let known = search.status.as_ref().map(|status| status.ledger.len());
    assert!(
        past.possible().any(|one| Some(one.ledger.len()) == known),
        "{name}: the audit log has the search's last status"
    );
}

fn assert_written_once(name: &str, before: &Revision, now: &Revision) {
    for entry in before.ledger.iter().filter(|entry| entry.state.is_final()) {
        let trial = entry.trial;
        let same = now.ledger.iter().find(|entry| entry.trial == trial);
        assert_eq!(
            same,
            Some(entry),
            "I2: {name}: trial {trial} was recorded twice"
        );
    }
    let open = now
        .ledger
        .iter()
        .filter(|entry| !entry.state.is_final())
        .count();
    let most = before.parallelism.max(now.parallelism);
    assert!(
        open <= most,
        "I5: {open} trials of {name} were open at once, not {most} ({})",
        now.at
    );
}

/// The resource and subresource of an event.
fn kind(event: &Value) -> String {
    let reference = &event["objectRef"];
    let resource = reference["resource"].as_str().unwrap_or_default();
    match reference["subresource"].as_str() {
        Some(part) => format!("{resource}/{part}"),
        None => resource.into(),
    }
}

fn revision(event: &Value, uid: &str) -> Option<Revision> {
    let object = &event["requestObject"];
    if object.is_null() && !was_carried_out(event) {
        // The connection was lost before the body was read.
        return None;
    }
    assert!(
        object.is_object(),
        "the audit policy keeps the statuses that are written"
    );
    if object["metadata"]["uid"] != uid {
        return None;
    }
    let status: Option<PeftSearchStatus> =
        serde_json::from_value(object["status"].clone()).expect("a status");
    let parallelism = object["spec"]["parallelism"].as_u64().unwrap_or(1);
    Some(Revision {
        at: event["requestReceivedTimestamp"]
            .as_str()
            .unwrap_or_default()
            .into(),
        ledger: status.map_or_else(Vec::new, |status| status.ledger),
        parallelism: usize::try_from(parallelism).expect("a small number"),
        is_sure: was_carried_out(event),
    })
}

/// The operator's writes in a namespace, in the order in which the API server received them. The log has 504 for a
/// request whose client was gone before the response: it may have been carried out.
fn by_operator(audit: &Path, namespace: &str) -> Vec<Value> {
    let mut events = requests(audit, namespace);
    events.retain(|event| {
        let is_unsure = event["responseStatus"]["code"] == 504;
        is_operator(event) && (was_carried_out(event) || is_unsure)
    });
    events.sort_by_key(|event| {
        event["requestReceivedTimestamp"]
            .as_str()
            .map(str::to_owned)
    });
    events
}

/// The operator's writes in a namespace, without its Lease: verb, resource and name.
pub fn written(audit: &Path, namespace: &str) -> Vec<String> {
    writes(audit, namespace)
        .into_iter()
        .map(|(written, _)| written)
        .collect()
}

/// The same without removals that are asked for again because no watch has shown them in time.
pub fn written_once(audit: &Path, namespace: &str) -> Vec<String> {
    // Requests may be received late, the first one by more than the next.
    let pause = Patience::default().removal / 2;
    let mut asked: BTreeMap<String, Timestamp> = BTreeMap::new();
    let mut writes = writes(audit, namespace);
    writes.retain(|(written, at)| {
        let is_removal = ["patch pods ", "delete jobs "]
            .iter()
            .any(|removal| written.starts_with(removal));
        let before = is_removal.then(|| asked.insert(written.clone(), *at));
        before
            .flatten()
            .is_none_or(|before| at.duration_since(before).unsigned_abs() < pause)
    });
    writes.into_iter().map(|(written, _)| written).collect()
}

/// The operator's writes, and when the API server received them.
fn writes(audit: &Path, namespace: &str) -> Vec<(String, Timestamp)> {
    let events = by_operator(audit, namespace);
    let ours = events
        .iter()
        .filter(|event| kind(event) != "leases" && was_carried_out(event));
    ours.map(|event| {
        let verb = event["verb"].as_str().unwrap_or_default();
        let name = event["objectRef"]["name"].as_str().unwrap_or_default();
        let at = event["requestReceivedTimestamp"].as_str();
        let at = at.and_then(|at| at.parse().ok()).expect("a time");
        (format!("{verb} {} {name}", kind(event)), at)
    })
    .collect()
}

/// I8: an idle operator writes only its Lease.
pub async fn assert_quiet(audit: &Path, namespace: &str) {
    let count = || written(audit, namespace).len();
    within(
        Duration::from_secs(60),
        "the operator is idle",
        async || {
            let before = count();
            tokio::time::sleep(Duration::from_secs(3)).await;
            count() == before
        },
    )
    .await;
    let before = written(audit, namespace);
    tokio::time::sleep(Duration::from_secs(6)).await;
    let after = written(audit, namespace);
    assert_eq!(
        after.get(before.len()..),
        Some(&[][..]),
        "I8: writes while idle"
    );
}
