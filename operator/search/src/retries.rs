//! Trials that are tried again because the limit that ended them was raised (`spec.retryTrials`). No I/O, no clock.
//!
//! A retry is a trial of its own, whose entry names the trial that it tries again. Whether one exists is read from the
//! ledger, so that each is planned once. It stands for that trial in everything that counts trials
//! (`Ledger::search_trials`): their number does not change.

use autopeft_crds::PeftSearchSpec;
use autopeft_crds::limits::RETRIED_TRIALS;
use autopeft_crds::status::{LedgerEntry, TrialPurpose};

use crate::ledger::{Ledger, Planned};

/// The trials to try again that have no retry, in the order of planning, as far as a ledger may hold them.
pub fn due<'a>(spec: &PeftSearchSpec, ledger: &'a Ledger) -> impl Iterator<Item = &'a LedgerEntry> {
    let planned = ledger.entries().iter().filter_map(LedgerEntry::retries);
    let most = usize::try_from(RETRIED_TRIALS.most).unwrap_or(usize::MAX);
    let left = most.saturating_sub(planned.count());
    ledger
        .search_trials()
        .filter(|entry| entry.may_be_retried() && spec.retry_trials.contains(&entry.trial))
        .take(left)
}

/// The plan that tries a trial again.
pub fn plan(entry: &LedgerEntry, ledger: &Ledger) -> Planned {
    Planned {
        of_trial: Some(entry.trial),
        ..ledger.next_plan(entry.origin, entry.configuration.clone(), entry.parameters)
    }
}

/// What `spec.retryTrials` names to no effect, in one sentence. A trial that succeeded or has not ended needs no
/// retry and is not mentioned.
pub fn without_effect(spec: &PeftSearchSpec, ledger: &[LedgerEntry]) -> Option<String> {
    let mut parts = Vec::new();
    for number in &spec.retry_trials {
        let found = ledger.iter().find(|entry| entry.trial == *number);
        let why = match found {
            None => "does not exist",
            Some(entry) if !is_retriable(entry.purpose()) => {
                "is neither of the search nor a training in full"
            }
            Some(entry) if entry.may_be_named_again() || entry.reason.is_none() => continue,
            Some(_) => "was ended by no limit",
        };
        parts.push(format!("trial {number} {why}"));
    }
    let told = listed(parts)?;
    Some(format!(
        "spec.retryTrials tries trials again that ran out of memory or exceeded trialDeadlineSeconds, but {told}"
    ))
}

/// Whether trials of this purpose may be tried again: trainings in full are by `promotion::missing`.
fn is_retriable(purpose: TrialPurpose) -> bool {
    purpose != TrialPurpose::Baseline
}

/// Parts of a sentence, the first eight of them; none where there are none.
pub(crate) fn listed(mut parts: Vec<String>) -> Option<String> {
    let rest = parts.len().saturating_sub(SHOWN);
    parts.truncate(SHOWN);
    if rest > 0 {
        parts.push(format!("{rest} more"));
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// The most trials that a sentence names.
const SHOWN: usize = 8;
