//! The state of an attempt from its Job and pods. No I/O.
//!
//! A result is accepted only as the termination message of the trainer's container in a pod that the Job
//! controls, and if it names the search, the trial, the attempt and the configuration. For a pod that ended
//! without one, its status says whether the cause was the configuration (out of memory, out of time), the
//! node (evicted, preempted, lost), or is unknown. A trainer that was terminated (SIGTERM) leaves what it knows, but
//! not why: of the trial that it was training, the status says it, too.

use std::time::Duration;

use autopeft_crds::limits::MESSAGE;
use autopeft_crds::run::{Expected, TERMINATED, parse_run_result, was_terminated};
use autopeft_crds::trial::{FailureReason, ResultError, TrialOutcome};
use autopeft_search::patience::Patience;
use autopeft_search::planner::{End, RunState};
use autopeft_search::trouble::Trouble;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::pod::{
    NO_STATUS, condition, document, has_ended, has_node, has_started, is_disrupted, is_terminating,
    later, never_ran, short, terminated,
};
use super::waiting::{unstarted, waiting};
use crate::build::names::CONTAINER;

/// The state of an attempt.
#[derive(Clone, Debug, PartialEq)]
pub enum Seen {
    /// It runs, or is about to.
    Running,
    /// It waits for something that is missing; its time budget does not run.
    Waiting(Trouble),
    /// It has ended, but how is not known yet.
    Unclear {
        /// How long to wait for more, from when this was first seen. Clocks are never compared.
        patience: Duration,
        /// How it is judged if the API server then knows no more; `None`: it still runs.
        then: Option<Ending>,
    },
    /// It ended.
    Ended(Ending),
    /// It was evicted, preempted or suspended.
    Evicted(String),
    /// Its pod ended before its container began: the node rejected it.
    Rejected(String),
}

/// The exit code of a container that SIGKILL has ended: 128 and the signal's number.
const KILLED: i32 = 137;

/// What to do about an unclear end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnclearEnd {
    /// Wait for more until then.
    Wait(Timestamp),
    /// Read the pods from the API server: a cache may lag behind.
    Confirm,
    /// Decide: no more will be known.
    Settled,
}

/// What to do about an end that has been unclear since a time.
pub fn unclear_end(
    since: Timestamp,
    patience: Duration,
    is_confirmed: bool,
    now: Timestamp,
) -> UnclearEnd {
    let until = later(since, patience);
    if now < until {
        UnclearEnd::Wait(until)
    } else if is_confirmed {
        UnclearEnd::Settled
    } else {
        UnclearEnd::Confirm
    }
}

/// How an attempt ended: what the trainer wrote, or what is known without it.
#[derive(Clone, Debug, PartialEq)]
pub enum Ending {
    /// The trainer's document, unparsed.
    Document(String),
    /// No document: why.
    Without(FailureReason, String),
}

/// The outcome of each trial of a run that ended, in the order of `expected`. `left` is what a terminated trainer left.
pub fn outcomes(ending: Ending, left: Option<&str>, expected: &[Expected]) -> RunState {
    let failed = |reason, message: String| {
        End::Outcome(TrialOutcome::Failed {
            reason,
            message: message.chars().take(MESSAGE).collect(),
        })
    };
    match ending {
        Ending::Document(text) => RunState::ended(read(Some(&text), expected), |error| {
            failed(FailureReason::NoResult, error.to_string())
        }),
        Ending::Without(reason, message) => {
            RunState::ended(read(left, expected), |error| match error {
                ResultError::Terminated(known) => failed(reason, format!("{message}; {known}")),
                _ => failed(reason, message),
            })
        }
    }
}

/// The same of a run that was interrupted: a trial without an outcome has none.
pub fn interrupted(left: Option<&str>, expected: &[Expected]) -> RunState {
    RunState::ended(read(left, expected), |_| End::Interrupted)
}

/// The outcomes in a document, or in none.
fn read(document: Option<&str>, expected: &[Expected]) -> Vec<Result<TrialOutcome, ResultError>> {
    parse_run_result(document.unwrap_or_default().as_bytes(), expected)
}

/// The document of a trainer that was terminated.
pub fn left_by_terminated(pods: &[&Pod]) -> Option<String> {
    let mut documents = pods.iter().filter_map(|pod| document(pod));
    documents.find(|text| was_terminated(text.as_bytes()))
}

/// Judges a Job by itself and the pods that it controls.
pub fn see(job: &Job, pods: &[&Pod], patience: &Patience, now: Timestamp) -> Seen {
    // One pod may have succeeded and another be lost: the one with a document counts.
    let mut documents = pods.iter().filter_map(|pod| document(pod));
    if let Some(text) = documents.find(|text| !was_terminated(text.as_bytes())) {
        return Seen::Ended(Ending::Document(text));
    }
    let over = condition(job, "Complete").or_else(|| condition(job, "Failed"));
    let alive = || pods.iter().filter(|pod| !has_ended(pod));
    if let Some(pod) = alive().find(|pod| !is_terminating(pod)).or(alive().next()) {
        if is_terminating(pod) {
            return terminating(pod, patience);
        }
        if over.is_some() {
            return Seen::Unclear {
                patience: patience.pods,
                then: None,
            };
        }
        return match waiting(pod, patience, now) {
            Some(trouble) => Seen::Waiting(trouble),
            None => Seen::Running,
        };
    }
    // Suspending a running Job (Kueue does, to preempt it) deletes its pod.
    if !pods.is_empty()
        && job
            .spec
            .as_ref()
            .is_some_and(|spec| spec.suspend == Some(true))
    {
        return Seen::Evicted("its Job was suspended".into());
    }
    if exceeded_deadline(job, pods) {
        // Time that passed before the container started is not the configuration's fault.
        return if pods
            .iter()
            .any(|pod| used_deadline(pod, job, patience.slack))
        {
            without(
                FailureReason::DeadlineExceeded,
                "it took longer than spec.trialDeadlineSeconds",
            )
        } else {
            Seen::Evicted("trialDeadlineSeconds passed, mostly before the container started".into())
        };
    }
    let last = pods.iter().max_by_key(|pod| {
        let created = pod.metadata.creation_timestamp.as_ref();
        created.map(|time| time.0)
    });
    if let Some(pod) = last {
        return ended(pod, patience);
    }
    if over.is_none() {
        return unstarted(job, patience, now).map_or(Seen::Running, Seen::Waiting);
    }
    let message = "the trial's pod is gone and has left no result";
    Seen::Unclear {
        patience: patience.pods,
        then: Some(Ending::Without(FailureReason::Lost, message.into())),
    }
}

/// A pod that is being deleted and has not ended. After the timeout its node is gone or the deletion was
/// forced: its result is no longer read.
fn terminating(pod: &Pod, patience: &Patience) -> Seen {
    let grace = pod
        .metadata
        .deletion_grace_period_seconds
        .unwrap_or(0)
        .max(0);
    let message = "the pod was deleted and has not ended; its node may be gone";
    Seen::Unclear {
        patience: patience.deletion + Duration::from_secs(grace.unsigned_abs()),
        then: Some(Ending::Without(FailureReason::Lost, message.into())),
    }
}

/// Whether the Job's activeDeadlineSeconds ended it. The Job controller first sets `FailureTarget`, then
/// stops the pods, then sets `Failed`; the condition may arrive after the pod's end.
fn exceeded_deadline(job: &Job, pods: &[&Pod]) -> bool {
    let said = condition(job, "Failed").or_else(|| condition(job, "FailureTarget"));
    if let Some(end) = said {
        return end.reason.as_deref() == Some("DeadlineExceeded");
    }
    let started = job
        .status
        .as_ref()
        .and_then(|status| status.start_time.as_ref());
    let seconds = job
        .spec
        .as_ref()
        .and_then(|spec| spec.active_deadline_seconds);
    let (Some(started), Some(seconds)) = (started, seconds) else {
        return false;
    };
    let due = later(started.0, Duration::from_secs(seconds.unsigned_abs()));
    pods.iter().any(|pod| {
        let metadata = &pod.metadata;
        let Some(deletion) = metadata.deletion_timestamp.as_ref() else {
            return false;
        };
        // The deletion timestamp includes the grace period.
        let grace = metadata.deletion_grace_period_seconds.unwrap_or(0).max(0);
        deletion.0 >= later(due, Duration::from_secs(grace.unsigned_abs()))
    })
}

/// Whether a pod's container has used its Job's deadline, up to `slack`, by the node's clock alone.
fn used_deadline(pod: &Pod, job: &Job, slack: Duration) -> bool {
    if !has_started(pod) {
        return false;
    }
    let Some(end) = terminated(pod) else {
        return true;
    };
    let spec = job.spec.as_ref();
    let allowed = spec.and_then(|spec| spec.active_deadline_seconds);
    match (&end.started_at, &end.finished_at, allowed) {
        (Some(begun), Some(over), Some(allowed)) => {
            let ran = over.0.duration_since(begun.0).max(SignedDuration::ZERO);
            ran.unsigned_abs() + slack >= Duration::from_secs(allowed.unsigned_abs())
        }
        _ => true,
    }
}

/// A pod of ours whose Job is gone.
pub fn see_orphan(pods: &[&Pod], patience: &Patience, now: Timestamp) -> Seen {
    see(&Job::default(), pods, patience, now)
}

/// The state of an attempt whose pod ended without a document.
fn ended(pod: &Pod, patience: &Patience) -> Seen {
    let status = pod.status.as_ref();
    let message = status.and_then(|status| status.message.as_deref());
    let reason = status.and_then(|status| status.reason.as_deref());
    if reason == Some("Evicted") || is_disrupted(pod) {
        let message = message.unwrap_or("the pod was evicted");
        // The node evicts a pod that exceeds its disk limit, but also others when the node itself is short of
        // disk.
        let is_about_disk = ["ephemeral", "emptyDir", "EmptyDir"]
            .iter()
            .any(|word| message.contains(word));
        if is_about_disk && !message.starts_with("The node ") {
            return without(FailureReason::DiskFull, short(message));
        }
        return if has_started(pod) {
            Seen::Evicted(short(message))
        } else {
            Seen::Rejected(short(message))
        };
    }
    let end = match terminated(pod) {
        Some(end) if never_ran(end) => {
            let why = end.message.as_deref().or(end.reason.as_deref());
            let why = why.unwrap_or("no reason is given");
            return Seen::Rejected(format!(
                "its container could not be started: {}",
                short(why)
            ));
        }
        Some(end) => end,
        None => {
            let why = message.or(reason).map(short);
            let why = why.or_else(|| another_failed(pod)).unwrap_or_else(|| {
                if is_terminating(pod) && !has_node(pod) {
                    "it was deleted before it was scheduled".into()
                } else {
                    "no reason is given".into()
                }
            });
            return Seen::Rejected(why);
        }
    };
    let code = end.exit_code;
    match end.reason.as_deref() {
        Some("OOMKilled") => without(
            FailureReason::OutOfMemory,
            "the container used more memory than spec.trainer.resources.memory and was killed",
        ),
        Some(NO_STATUS) => without(FailureReason::Lost, "the node lost track of the container"),
        Some("DeadlineExceeded") => without(
            FailureReason::DeadlineExceeded,
            "it took longer than spec.trialDeadlineSeconds",
        ),
        _ if code == KILLED || code == TERMINATED => without(
            FailureReason::Lost,
            format!("the container was killed (exit code {code})"),
        ),
        _ => {
            let ending = Ending::Without(
                FailureReason::NoResult,
                format!("the container ended with exit code {code} and without a result"),
            );
            if code != 0 {
                return Seen::Ended(ending);
            }
            Seen::Unclear {
                patience: patience.message,
                then: Some(ending),
            }
        }
    }
}

/// A failed container that is not ours (injected by a webhook), because of which ours never began.
fn another_failed(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    let before = status.init_container_statuses.iter().flatten();
    let beside = status.container_statuses.iter().flatten();
    before.chain(beside).find_map(|container| {
        let end = container.state.as_ref()?.terminated.as_ref()?;
        (container.name != CONTAINER && end.exit_code != 0).then(|| {
            let message = end.message.as_deref().unwrap_or("no message");
            format!(
                "the container {}, which is not the search's own, ended with exit code {}: {}",
                container.name,
                end.exit_code,
                short(message)
            )
        })
    })
}

fn without(reason: FailureReason, message: impl Into<String>) -> Seen {
    Seen::Ended(Ending::Without(reason, message.into()))
}
