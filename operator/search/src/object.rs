//! Between an object and a ledger: the ledger that a status stores, and the status of a ledger. No I/O, no
//! clock.

use autopeft_crds::PeftSearch;
use autopeft_crds::status::{PeftSearchStatus, UNSEEN};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;

use crate::ledger::{BadInput, Conclusion, ConclusionReason, Ledger, RestoreError, Restored};
use crate::trouble::Trouble;

/// The ledger that an object's status holds. A search that had ended is judged again if its spec has changed
/// since.
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

/// Adds to a new status what only the cluster knows: troubles, and the conditions' transition times.
pub fn settle(
    mut status: PeftSearchStatus,
    before: Option<&PeftSearchStatus>,
    troubles: &[Trouble],
    now: Timestamp,
) -> PeftSearchStatus {
    // Waiting in a queue is normal; any other trouble needs attention and comes first.
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
    // An edit of the spec that adds no work keeps the completion time.
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

/// The Degraded condition of a status, if it has become true or has another reason than before.
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

/// The current status, with a Degraded condition to fill in.
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
