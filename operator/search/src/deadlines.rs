//! Limits of a search and its runs: deadlines, the size of its object, and its time to live. No clock.

use autopeft_crds::{PeftSearch, PeftSearchSpec};
use k8s_openapi::jiff::{SignedDuration, Timestamp};

/// The size of an object, bytes of JSON, from which on no trial is added: etcd's request limit is 1.5 MiB.
const FULL: usize = 600_000;

/// Whether an object is too large for more trials.
pub fn is_full(search: &PeftSearch) -> bool {
    serde_json::to_vec(search).is_ok_and(|object| object.len() >= FULL)
}

/// The deadline of a search that began at `start`, if it has one.
pub fn deadline(spec: &PeftSearchSpec, start: Timestamp) -> Option<Timestamp> {
    Some(after(start, spec.active_deadline_seconds?))
}

/// The seconds that a run of so many trials may take.
pub fn seconds_of_run(spec: &PeftSearchSpec, trials: usize) -> u64 {
    spec.trial_deadline_seconds.saturating_mul(trials as u64)
}

/// When the object of a search that ended at `end` is deleted, if at all.
pub fn expiry(spec: &PeftSearchSpec, end: Timestamp) -> Option<Timestamp> {
    Some(after(end, spec.ttl_seconds_after_finished?))
}

/// So many seconds after a time.
pub fn after(time: Timestamp, seconds: u64) -> Timestamp {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    time.checked_add(SignedDuration::from_secs(seconds))
        .unwrap_or(Timestamp::MAX)
}
