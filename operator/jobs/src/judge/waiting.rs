//! Why a Job has no pod, or a pod does not start. No I/O.

use autopeft_search::patience::Patience;
use autopeft_search::trouble::Trouble;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::jiff::Timestamp;

use super::pod::{has_node, later, state};
use crate::build::job::label;
use crate::build::names::QUEUE;

/// Why a Job has no pod.
pub(super) fn unstarted(job: &Job, patience: &Patience, now: Timestamp) -> Option<Trouble> {
    // It has one that has lost our label.
    if job.status.as_ref().and_then(|status| status.active) > Some(0) {
        return None;
    }
    let created = job.metadata.creation_timestamp.as_ref()?.0;
    let name = job.metadata.name.as_deref().unwrap_or_default();
    let is_suspended = job.spec.as_ref()?.suspend == Some(true);
    (now >= later(created, patience.waiting)).then(|| {
        if is_suspended && label(job, QUEUE).is_some() {
            return Trouble::new("Queued", "its Job waits for Kueue to admit it; `kubectl get workloads` shows why");
        }
        if is_suspended {
            return Trouble::new(
                "JobSuspended",
                format!(
                    "the Job {name} is suspended, and the search names no queue; it continues once the Job's spec.suspend is false"
                ),
            );
        }
        Trouble::new(
            "PodNotCreated",
            format!("the Job {name} has no pod; `kubectl describe job {name}` says why"),
        )
        .told_of(job.metadata.uid.as_deref().unwrap_or_default())
    })
}

/// Why the API server refused the pods of a Job, from the Job's events.
pub fn refusal(events: &[Event]) -> Option<String> {
    let failed = events
        .iter()
        .filter(|event| event.reason.as_deref() == Some("FailedCreate"));
    let last = failed.max_by_key(|event| {
        let series = event
            .series
            .as_ref()
            .map(|series| series.last_observed_time.0);
        let at = event.deprecated_last_timestamp.as_ref().map(|time| time.0);
        series
            .max(at)
            .max(event.event_time.as_ref().map(|time| time.0))
    })?;
    // Each try has a pod of another name, which says nothing.
    let note = last.note.as_deref()?;
    let said = note.split_once(" is forbidden: ").map(|(_, said)| said);
    Some(
        said.unwrap_or(note.trim_start_matches("Error creating: "))
            .to_owned(),
    )
}

/// Why a pod does not start.
pub(super) fn waiting(pod: &Pod, patience: &Patience, now: Timestamp) -> Option<Trouble> {
    let status = pod.status.as_ref()?;
    let old_enough = pod
        .metadata
        .creation_timestamp
        .as_ref()
        .is_some_and(|created| now >= later(created.0, patience.waiting));
    let unscheduled = status
        .conditions
        .iter()
        .flatten()
        .find(|condition| condition.type_ == "PodScheduled" && condition.status == "False");
    if let Some(condition) = unscheduled.filter(|_| old_enough) {
        let message = condition.message.as_deref().unwrap_or("no node fits");
        let message = match condition.reason.as_deref() {
            // Such as SchedulingGated and SchedulerError.
            Some(reason) if reason != "Unschedulable" => format!("{reason}: {message}"),
            _ => message.into(),
        };
        return Some(Trouble::new("Unschedulable", message));
    }
    let Some(state) = state(pod) else {
        return not_started(pod, patience, now);
    };
    let stuck = state.waiting.as_ref()?;
    let message = stuck.message.as_deref().unwrap_or("no message");
    match stuck.reason.as_deref().unwrap_or_default() {
        "ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull" => {
            Some(Trouble::new("ImageNotPulled", message))
        }
        "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => {
            Some(Trouble::new("ContainerNotCreated", message))
        }
        _ => not_started(pod, patience, now),
    }
}

/// A pod that was scheduled long ago and whose container has not started. The reason is only in the pod's
/// events, which this operator may not read.
fn not_started(pod: &Pod, patience: &Patience, now: Timestamp) -> Option<Trouble> {
    let mut conditions = pod.status.as_ref()?.conditions.iter().flatten();
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let Some(scheduled) = conditions.find(|condition| condition.type_ == "PodScheduled") else {
        let created = pod.metadata.creation_timestamp.as_ref()?.0;
        return (!has_node(pod) && now >= later(created, patience.start)).then(|| {
            let message = format!(
                "no scheduler has handled the pod {name} for {}; is the one named by its schedulerName running?",
                patience.start_in_words()
            );
            Trouble::new("Unschedulable", message)
        });
    };
    let since = scheduled.last_transition_time.as_ref()?.0;
    (now >= later(since, patience.start)).then(|| {
        Trouble::new(
            "PodNotStarted",
            format!(
                "the pod {name} was assigned to a node more than {} ago and has not started; `kubectl describe pod {name}` says why",
                patience.start_in_words()
            ),
        )
    })
}
