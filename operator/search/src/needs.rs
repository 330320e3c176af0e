//! Which Jobs a search still needs. No I/O.

use autopeft_crds::PeftSearch;
use autopeft_crds::status::Attempt;

use crate::backoff::Work;
use crate::inspection;

/// Whether a search of this UID waits for the outcome of an inspection or a run.
pub fn needs(search: &PeftSearch, uid: &str, (work, attempt): (Work, u32)) -> bool {
    let metadata = &search.metadata;
    if metadata.uid.as_deref() != Some(uid) || metadata.deletion_timestamp.is_some() {
        return false;
    }
    let status = search.status.as_ref();
    match work {
        Work::Inspection => {
            let is_over = status.is_some_and(|status| status.completion_time.is_some());
            inspection::known(search).is_none() && !is_over
        }
        Work::Trial(trial) => status.is_some_and(|status| {
            let run = Attempt { trial, attempt };
            let mut entries = status.ledger.iter();
            entries.any(|entry| entry.run_id() == run && !entry.state.is_final())
        }),
    }
}
