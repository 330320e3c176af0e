//! Limits of a search and its runs: deadlines, the size of its object, and its time to live. No clock.

use autopeft_crds::limits::OBJECT_BYTES;
use autopeft_crds::status::LedgerEntry;
use autopeft_crds::{PeftSearch, PeftSearchSpec};
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use crate::promotion;

/// Whether an object is too large for more trials.
pub fn is_full(search: &PeftSearch) -> bool {
    serde_json::to_vec(search).is_ok_and(|object| object.len() as u64 >= OBJECT_BYTES)
}

/// The deadline of a search that began at `start`, if it has one.
pub fn deadline(spec: &PeftSearchSpec, start: Timestamp) -> Option<Timestamp> {
    Some(after(start, spec.active_deadline_seconds?))
}

/// The seconds that a run of these trials may take: the deadline of each, one after another.
pub fn seconds_of_run<'a>(
    spec: &PeftSearchSpec,
    trials: impl IntoIterator<Item = &'a LedgerEntry>,
) -> u64 {
    let seconds = trials
        .into_iter()
        .map(|entry| seconds_of_trial(spec, entry));
    seconds.fold(0, u64::saturating_add)
}

fn seconds_of_trial(spec: &PeftSearchSpec, entry: &LedgerEntry) -> u64 {
    let in_full = spec.promotion.as_ref();
    in_full
        .filter(|_| promotion::is_in_full(entry.purpose()))
        .and_then(|promotion| promotion.trial_deadline_seconds)
        .unwrap_or(spec.trial_deadline_seconds)
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
