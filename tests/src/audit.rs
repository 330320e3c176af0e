//! The API server's audit log as an oracle: what must be true of every write that was carried out,
//! whatever went wrong meanwhile (reliability.md, I1 to I5 and I8).

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use autopeft_crds::status::LedgerEntry;
use autopeft_crds::{PeftSearch, PeftSearchStatus};
use autopeft_jobs::build::names::{Work, job_name};
use serde_json::Value;

use crate::audit_log::{is_operator, requests, was_carried_out};
use crate::cluster::within;

/// A trial and its attempt.
type Attempt = (u32, u32);

/// A status that was written.
struct Revision {
    /// When the API server got it.
    at: String,
    ledger: Vec<LedgerEntry>,
    parallelism: usize,
    /// Whether it is in force for certain. One whose answer was cut off (its operator was killed) may be.
    is_sure: bool,
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

/// What was written of a status until some moment.
#[derive(Default)]
struct Past(Vec<Revision>);

impl Past {
    /// The last that is in force for certain.
    fn last(&self) -> Option<&Revision> {
        self.0.iter().rev().find(|one| one.is_sure)
    }

    /// All that may be in force now: the last for certain, and what came after it.
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

    /// The widest parallelism that ever held.
    fn widest(&self) -> usize {
        self.0.iter().map(|one| one.parallelism).max().unwrap_or(1)
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
                    "I4: {object} was let go before its outcome was recorded"
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
    if object.is_null() && !was_carried_out(event) {
        // Cut off before it was read.
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

/// What the operator has written in a namespace, in the order in which the API server got it. 504 is what
/// the log has for a request whose other side went away before the answer: it may have been carried out.
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

/// What the operator has written in a namespace, its Lease left out: resource and verb.
pub fn written(audit: &Path, namespace: &str) -> Vec<String> {
    let events = by_operator(audit, namespace);
    let ours = events
        .iter()
        .filter(|event| kind(event) != "leases" && was_carried_out(event));
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
