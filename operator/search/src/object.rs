//! Between an object and a ledger: what a status says has happened, and the status that says so. No
//! I/O, no clock.

use autopeft_crds::PeftSearch;
use autopeft_crds::status::{PeftSearchStatus, UNSEEN};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;

use crate::ledger::{BadInput, Conclusion, ConclusionReason, Ledger, RestoreError, Restored};
use crate::trouble::Trouble;

/// The ledger that an object's status holds. A search that had ended is judged anew where its spec
/// has changed since.
pub fn ledger(
    search: &PeftSearch,
    bad_input: Option<BadInput>,
    now: Timestamp,
) -> Result<Ledger, RestoreError> {
    let generation = search.metadata.generation.unwrap_or(1);
    let status = search.status.clone().unwrap_or_default();
    let changed = status
        .observed_generation
        .is_some_and(|seen| seen != generation);
    let conclusion = conclusion(&status).filter(|_| !changed);
    let (found, counted) = (status.ledger.len(), status.ledger_entries.unwrap_or(0));
    if found < counted as usize {
        return Err(RestoreError::Missing { found, counted });
    }
    Ledger::restore(Restored {
        entries: status.ledger,
        surrogate: status.surrogate,
        start_time: status.start_time.map_or(now, |time| time.0),
        conclusion,
        generation,
        suspend: search.spec.suspend,
        bad_input,
    })
}

/// The object without the status that the API server gives to a new one: no operator has seen it.
#[must_use]
pub fn as_seen(mut search: PeftSearch) -> PeftSearch {
    search.status = search.status.filter(|status| {
        find(&status.conditions, "Succeeded").is_none_or(|known| known.reason != UNSEEN)
    });
    search
}

fn conclusion(status: &PeftSearchStatus) -> Option<(Conclusion, Timestamp)> {
    let condition = find(&status.conditions, "Succeeded")?;
    let succeeded = match condition.status.as_str() {
        "True" => true,
        "False" => false,
        _ => return None,
    };
    let reason = serde_json::Value::String(condition.reason.clone());
    let reason: ConclusionReason = serde_json::from_value(reason).ok()?;
    let at = status.completion_time.as_ref()?.0;
    let message = condition.message.clone();
    let conclusion = Conclusion {
        reason,
        succeeded,
        message,
    };
    Some((conclusion, at))
}

/// A condition by its type.
pub fn find<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == kind)
}

/// Adds to a fresh status what only the cluster knows: troubles, and since when each condition has
/// been what it is.
pub fn settle(
    mut status: PeftSearchStatus,
    before: Option<&PeftSearchStatus>,
    troubles: &[Trouble],
    now: Timestamp,
) -> PeftSearchStatus {
    // A queue is waited for; what stands beside it has to be seen to.
    let pressing = troubles.iter().find(|trouble| trouble.reason != "Queued");
    if let Some(trouble) = pressing.or(troubles.first()) {
        let degraded = status
            .conditions
            .iter_mut()
            .find(|condition| condition.type_ == "Degraded");
        if let Some(condition) = degraded {
            condition.status = "True".into();
            condition.reason = trouble.reason.into();
            condition.message.clone_from(&trouble.message);
            condition.last_transition_time = Time(now);
        }
    }
    status.other = before.map_or_else(Default::default, |before| before.other.clone());
    // An edit that gives nothing more to do is no new end.
    if let Some(before) = before
        && let (Some(at), Some(_)) = (&before.completion_time, &status.completion_time)
        && before.ledger == status.ledger
    {
        status.completion_time = Some(at.clone());
    }
    let known = before.map_or(&[][..], |before| &before.conditions);
    for condition in &mut status.conditions {
        let same = find(known, &condition.type_).filter(|old| old.status == condition.status);
        if let Some(old) = same {
            condition.last_transition_time = old.last_transition_time.clone();
        }
    }
    status
}

/// The Degraded condition of a status, where the one before did not say it: it has turned true, or is so
/// for another reason.
pub fn newly_degraded<'a>(
    before: Option<&PeftSearchStatus>,
    status: &'a PeftSearchStatus,
) -> Option<&'a Condition> {
    let known = before.and_then(|before| find(&before.conditions, "Degraded"));
    find(&status.conditions, "Degraded").filter(|condition| {
        condition.status == "True"
            && known.is_none_or(|known| {
                known.status != condition.status || known.reason != condition.reason
            })
    })
}

/// The status as it is, with a place for what is wrong.
pub fn with_degraded(search: &PeftSearch, now: Timestamp) -> PeftSearchStatus {
    let mut status = search.status.clone().unwrap_or_default();
    if find(&status.conditions, "Degraded").is_none() {
        status.conditions.push(Condition {
            type_: "Degraded".into(),
            status: "False".into(),
            reason: "AsExpected".into(),
            message: String::new(),
            last_transition_time: Time(now),
            observed_generation: search.metadata.generation,
        });
    }
    status
}
