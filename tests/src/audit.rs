//! The API server's audit log as an oracle: what must be true of every write that was carried out,
//! whatever went wrong meanwhile (reliability.md, I1 to I5 and I8).

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use autopeft_crds::PeftSearch;
use autopeft_crds::status::LedgerEntry;
use autopeft_operator::controller::names::{Purpose, job_name};
use serde_json::Value;

use crate::cluster::within;
use crate::searches::{is_operator, writes};

/// A trial and its attempt.
type Attempt = (u32, u32);

/// A status that was written.
struct Revision {
    /// When the API server got it.
    at: String,
    ledger: Vec<LedgerEntry>,
    parallelism: usize,
}

impl Revision {
    /// Whether the ledger knows how an attempt ended, or that it is not the last.
    fn has_ended(&self, (trial, attempt): Attempt) -> bool {
        let entry = self.ledger.iter().find(|entry| entry.trial == trial);
        entry.is_some_and(|entry| entry.attempt > attempt || entry.state.is_final())
    }

    /// Whether the ledger has planned an attempt.
    fn has_planned(&self, (trial, attempt): Attempt) -> bool {
        let entry = self.ledger.iter().find(|entry| entry.trial == trial);
        entry.is_some_and(|entry| entry.attempt >= attempt)
    }
}

/// Holds all that the operator has written of a search against what must be true of it.
pub fn assert_lawful(search: &PeftSearch, audit: &Path) {
    let name = search.metadata.name.as_deref().unwrap_or_default();
    let uid = search.metadata.uid.as_deref().unwrap_or_default();
    let namespace = search.metadata.namespace.as_deref().unwrap_or_default();
    let ledger = search.status.iter().flat_map(|status| &status.ledger);
    let mut attempts: BTreeMap<String, Attempt> = BTreeMap::new();
    for entry in ledger {
        for attempt in 1..=entry.attempt {
            let purpose = Purpose::Trial(entry.trial);
            attempts.insert(
                job_name(name, uid, purpose, attempt),
                (entry.trial, attempt),
            );
        }
    }
    let mut past: Vec<Revision> = Vec::new();
    let mut created: BTreeMap<Attempt, usize> = BTreeMap::new();
    let widest = |past: &[Revision]| past.iter().map(|one| one.parallelism).max();
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
                if let Some(before) = past.last() {
                    assert_written_once(name, before, &now);
                }
                past.push(now);
            }
            ("jobs", "create") => {
                let Some(attempt) = attempts.get(object).copied() else {
                    continue;
                };
                *created.entry(attempt).or_default() += 1;
                let planned = past.last().is_some_and(|last| last.has_planned(attempt));
                assert!(
                    planned,
                    "I3: {object} was created before the ledger planned it"
                );
                let last = past.last().expect("a plan");
                let running = created
                    .keys()
                    .filter(|other| !last.has_ended(**other))
                    .count();
                let most = widest(&past).unwrap_or(1);
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
                let ended = past.last().is_some_and(|last| last.has_ended(attempt));
                assert!(
                    ended,
                    "I4: {object} was let go before its outcome was recorded"
                );
            }
            _ => {}
        }
    }
    for (attempt, times) in &created {
        assert_eq!(
            *times, 1,
            "I1: {name}: Jobs of trial and attempt {attempt:?}"
        );
    }
    let last = past.last().map(|last| last.ledger.len());
    let known = search.status.as_ref().map(|status| status.ledger.len());
    assert_eq!(
        last, known,
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

/// The resource of an event, with its part.
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
    assert!(
        object.is_object(),
        "the audit policy keeps the statuses that are written"
    );
    if object["metadata"]["uid"] != uid {
        return None;
    }
    let ledger = object["status"]["ledger"].clone();
    let ledger = if ledger.is_null() {
        Value::Array(Vec::new())
    } else {
        ledger
    };
    let parallelism = object["spec"]["parallelism"].as_u64().unwrap_or(1);
    Some(Revision {
        at: event["requestReceivedTimestamp"]
            .as_str()
            .unwrap_or_default()
            .into(),
        ledger: serde_json::from_value(ledger).expect("a ledger"),
        parallelism: usize::try_from(parallelism).expect("a small number"),
    })
}

/// What the operator has written in a namespace, in the order in which the API server got it.
fn by_operator(audit: &Path, namespace: &str) -> Vec<Value> {
    let mut events = writes(audit, namespace);
    events.retain(is_operator);
    events.sort_by_key(|event| {
        event["requestReceivedTimestamp"]
            .as_str()
            .map(str::to_owned)
    });
    events
}

/// What the operator has written in a namespace, its Lease left out: resource and verb.
pub fn written(audit: &Path, namespace: &str) -> Vec<String> {
    let events = by_operator(audit, namespace);
    let ours = events.iter().filter(|event| kind(event) != "leases");
    ours.map(|event| {
        let verb = event["verb"].as_str().unwrap_or_default();
        let name = event["objectRef"]["name"].as_str().unwrap_or_default();
        format!("{verb} {} {name}", kind(event))
    })
    .collect()
}

/// I8: an operator that has nothing left to do writes nothing but its Lease.
pub async fn assert_quiet(audit: &Path, namespace: &str) {
    let count = || written(audit, namespace).len();
    within(
        Duration::from_secs(60),
        "the operator has come to rest",
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
        "I8: writes at rest"
    );
}
