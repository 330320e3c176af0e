//! Facts about a pod and its Job, read from their statuses. No I/O.

use std::time::Duration;

use autopeft_crds::Decimal;
use k8s_openapi::api::batch::v1::{Job, JobCondition};
use k8s_openapi::api::core::v1::{ContainerState, ContainerStateTerminated, Pod};
use k8s_openapi::jiff::Timestamp;

use crate::build::names::{CONTAINER, GPU};

/// The kubelet's reason for a container whose end it has not seen.
pub(super) const NO_STATUS: &str = "ContainerStatusUnknown";

pub(super) fn is_terminating(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some()
}

pub(super) fn has_node(pod: &Pod) -> bool {
    let spec = pod.spec.as_ref();
    spec.is_some_and(|spec| spec.node_name.is_some())
}

/// GPU seconds that a Job's pods have used until now: the GPUs of a trainer's container times its running
/// time. `None` without GPUs, or if none has started.
pub fn gpu_seconds(pods: &[&Pod], now: Timestamp) -> Option<Decimal> {
    let used: Vec<f64> = pods.iter().filter_map(|pod| used_by(pod, now)).collect();
    (!used.is_empty()).then(|| Decimal::new(used.iter().sum()).ok())?
}

fn used_by(pod: &Pod, now: Timestamp) -> Option<f64> {
    let containers = &pod.spec.as_ref()?.containers;
    let trainer = containers.iter().find(|found| found.name == CONTAINER)?;
    let limits = trainer.resources.as_ref()?.limits.as_ref()?;
    let gpus: f64 = limits.get(GPU)?.0.parse().ok()?;
    let state = state(pod)?;
    let (begun, ended) = match (&state.running, &state.terminated) {
        (Some(running), _) => (running.started_at.as_ref()?.0, now),
        (None, Some(end)) => (
            end.started_at.as_ref()?.0,
            end.finished_at.as_ref().map_or(now, |time| time.0),
        ),
        (None, None) => return None,
    };
    if is_no_time(begun) {
        return None;
    }
    let seconds = ended.duration_since(begun).as_secs_f64();
    (gpus > 0.0).then(|| gpus * seconds.max(0.0))
}

pub(super) fn condition<'a>(job: &'a Job, kind: &str) -> Option<&'a JobCondition> {
    let conditions = job.status.as_ref()?.conditions.as_ref()?;
    conditions
        .iter()
        .find(|condition| condition.type_ == kind && condition.status == "True")
}

pub(super) fn state(pod: &Pod) -> Option<&ContainerState> {
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    let status = statuses.iter().find(|status| status.name == CONTAINER)?;
    status.state.as_ref()
}

pub(super) fn terminated(pod: &Pod) -> Option<&ContainerStateTerminated> {
    state(pod)?.terminated.as_ref()
}

/// Whether the pod's container has started.
pub fn has_started(pod: &Pod) -> bool {
    state(pod).is_some_and(|state| match &state.terminated {
        Some(end) => !never_ran(end),
        None => state.running.is_some(),
    })
}

/// Whether a container ended without having started: the runtime could not start its program.
pub(super) fn never_ran(end: &ContainerStateTerminated) -> bool {
    matches!(
        end.reason.as_deref(),
        Some("StartError" | "ContainerCannotRun")
    ) || (end.reason.as_deref() != Some(NO_STATUS)
        && end.started_at.as_ref().is_some_and(|at| is_no_time(at.0)))
}

/// Whether a time is the epoch, which runtimes report for an unknown time.
fn is_no_time(time: Timestamp) -> bool {
    time.as_second() <= 0
}

pub(super) fn document(pod: &Pod) -> Option<String> {
    let end = terminated(pod)?;
    // For a container that never ran or was lost, the message is the runtime's or the kubelet's.
    if never_ran(end) || end.reason.as_deref() == Some(NO_STATUS) {
        return None;
    }
    let message = end.message.as_ref()?;
    (!message.is_empty()).then(|| message.clone())
}

fn phase(pod: &Pod) -> &str {
    let status = pod.status.as_ref();
    status
        .and_then(|status| status.phase.as_deref())
        .unwrap_or_default()
}

/// Whether no container of the pod runs or ever will.
pub(super) fn has_ended(pod: &Pod) -> bool {
    let deleted_unstarted = is_terminating(pod) && !has_node(pod);
    matches!(phase(pod), "Succeeded" | "Failed") || terminated(pod).is_some() || deleted_unstarted
}

pub(super) fn is_disrupted(pod: &Pod) -> bool {
    let conditions = pod
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_ref());
    conditions
        .into_iter()
        .flatten()
        .any(|condition| condition.type_ == "DisruptionTarget" && condition.status == "True")
}

pub(super) fn later(time: Timestamp, delay: Duration) -> Timestamp {
    time.checked_add(delay).unwrap_or(Timestamp::MAX)
}

pub(super) fn short(message: &str) -> String {
    message.chars().take(300).collect()
}
