//! What pods say of an attempt.

use autopeft_crds::trial::FailureReason;
use autopeft_operator::controller::outcome::{Ending, Seen, Trouble, gpu_seconds, see};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + second).expect("a time")
}

fn pod(gpus: Option<u32>, state: &Value) -> Pod {
    let limits = match gpus {
        Some(gpus) => json!({"cpu": "1", "nvidia.com/gpu": gpus.to_string()}),
        None => json!({"cpu": "1"}),
    };
    serde_json::from_value(json!({
        "spec": {"containers": [{"name": "trainer", "resources": {"limits": limits}}]},
        "status": {"containerStatuses": [{
            "name": "trainer", "image": "", "imageID": "", "ready": false, "restartCount": 0,
            "state": state,
        }]},
    }))
    .expect("a pod")
}

fn used(pods: &[Pod]) -> Option<f64> {
    let pods: Vec<&Pod> = pods.iter().collect();
    gpu_seconds(&pods, at(100)).map(|used| used.get())
}

#[test]
fn gpu_seconds_are_those_of_containers_that_held_gpus() {
    let running = json!({"running": {"startedAt": at(70).to_string()}});
    let ended = json!({"terminated": {
        "exitCode": 137, "startedAt": at(10).to_string(), "finishedAt": at(25).to_string(),
    }});
    let waiting = json!({"waiting": {"reason": "ImagePullBackOff"}});
    assert_eq!(used(&[pod(Some(1), &running)]), Some(30.0));
    assert_eq!(used(&[pod(Some(2), &ended)]), Some(30.0));
    assert_eq!(
        used(&[pod(Some(1), &ended), pod(Some(1), &running)]),
        Some(45.0)
    );
    assert_eq!(used(&[pod(Some(1), &waiting)]), None);
    assert_eq!(used(&[pod(None, &ended)]), None);
    assert_eq!(used(&[]), None);
    // The node's clock is ahead of ours.
    let ahead = json!({"running": {"startedAt": at(400).to_string()}});
    assert_eq!(used(&[pod(Some(1), &ahead)]), Some(0.0));
}

/// A pod that got its node at second 0, with these statuses of its container, at a later second.
fn trouble(second: i64, statuses: &Value, is_scheduled: bool) -> Option<Trouble> {
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"name": "one-0-1-abcde", "creationTimestamp": at(0).to_string()},
        "spec": {"nodeName": "node-1", "containers": [{"name": "trainer"}]},
        "status": {
            "phase": "Pending",
            "conditions": [{
                "type": "PodScheduled",
                "status": if is_scheduled { "True" } else { "False" },
                "lastTransitionTime": at(0).to_string(),
            }],
            "containerStatuses": statuses,
        },
    }))
    .expect("a pod");
    match see(&Job::default(), &[&pod], at(second)) {
        Seen::Waiting(trouble) => Some(trouble),
        seen => {
            assert_eq!(seen, Seen::Running);
            None
        }
    }
}

#[test]
fn a_pod_that_has_a_node_and_does_not_start_is_told_after_two_minutes() {
    let status = |state: Value| {
        json!([{
            "name": "trainer", "image": "", "imageID": "", "ready": false, "restartCount": 0,
            "state": state,
        }])
    };
    let creating = status(json!({"waiting": {"reason": "ContainerCreating"}}));
    let running = status(json!({"running": {"startedAt": at(5).to_string()}}));
    for stuck in [&creating, &json!([])] {
        assert_eq!(trouble(119, stuck, true), None);
        let told = trouble(120, stuck, true).expect("two minutes are over");
        assert_eq!(told.reason, "PodNotStarted");
        assert!(
            told.message
                .contains("`kubectl describe pod one-0-1-abcde`"),
            "{}",
            told.message
        );
        assert_eq!(trouble(500, stuck, false), None);
    }
    assert_eq!(trouble(500, &running, true), None);
}

fn unstarted(queue: Option<&str>) -> Seen {
    let labels = queue.map_or(
        json!({}),
        |queue| json!({"kueue.x-k8s.io/queue-name": queue}),
    );
    let job = serde_json::from_value(json!({
        "metadata": {
            "name": "one-5d1e4f60-0-1",
            "labels": labels,
            "creationTimestamp": at(0).to_string(),
        },
        "spec": {"suspend": true, "template": {}},
    }))
    .expect("a Job");
    see(&job, &[], at(10))
}

#[test]
fn a_suspended_job_waits_for_kueue_only_where_it_has_a_queue() {
    let told = |seen| match seen {
        Seen::Waiting(trouble) => (trouble.reason, trouble.message),
        other => panic!("{other:?}"),
    };
    assert_eq!(told(unstarted(Some("team"))).0, "Queued");
    let (reason, message) = told(unstarted(None));
    assert_eq!(reason, "JobSuspended");
    assert!(message.contains("one-5d1e4f60-0-1"), "{message}");
    assert!(!message.contains("Kueue"), "{message}");
}

#[test]
fn a_pod_that_is_deleted_and_does_not_end_is_lost_after_a_while() {
    let pod = |going: bool| {
        let mut pod = pod(None, &json!({"running": {"startedAt": at(0).to_string()}}));
        if let Some(spec) = &mut pod.spec {
            spec.node_name = Some("node".into());
        }
        if going {
            pod.metadata.deletion_timestamp = Some(Time(at(10)));
            pod.metadata.deletion_grace_period_seconds = Some(2);
        }
        pod
    };
    let job = Job::default();
    assert_eq!(see(&job, &[&pod(false)], at(5)), Seen::Running);
    let Seen::Unclear { patience, then } = see(&job, &[&pod(true)], at(11)) else {
        panic!("it may end yet");
    };
    assert_eq!(patience.as_secs(), 62);
    assert!(matches!(
        then,
        Some(Ending::Without(FailureReason::Lost, _))
    ));
    // Another pod of the same Job runs.
    assert_eq!(see(&job, &[&pod(true), &pod(false)], at(11)), Seen::Running);
}

/// A Job whose activeDeadlineSeconds ended it, and what is seen of it with this pod.
fn late(state: Option<Value>) -> Seen {
    let job: Job = serde_json::from_value(json!({
        "spec": {"activeDeadlineSeconds": 60, "template": {}},
        "status": {"conditions": [
            {"type": "Failed", "status": "True", "reason": "DeadlineExceeded"},
        ]},
    }))
    .expect("a Job");
    let pod = state.map(|state| {
        let mut pod = pod(None, &state);
        let status = pod.status.get_or_insert_default();
        status.phase = Some("Failed".into());
        pod
    });
    see(&job, &pod.iter().collect::<Vec<_>>(), at(70))
}

#[test]
fn a_deadline_counts_only_where_the_container_had_begun() {
    let begun = json!({"terminated": {"exitCode": 137, "startedAt": at(3).to_string()}});
    let Seen::Ended(Ending::Without(reason, _)) = late(Some(begun)) else {
        panic!("it has ended");
    };
    assert_eq!(reason, FailureReason::DeadlineExceeded);
    let waiting = json!({"waiting": {"reason": "ImagePullBackOff"}});
    assert!(matches!(late(Some(waiting)), Seen::Taken(_)));
    assert!(matches!(late(None), Seen::Taken(_)));
}

#[test]
fn a_pod_that_ends_before_its_container_begins_was_rejected_by_its_node() {
    let pod = |reason: &str| -> Pod {
        serde_json::from_value(json!({
            "spec": {"nodeName": "node-1", "containers": [{"name": "trainer"}]},
            "status": {"phase": "Failed", "reason": reason, "message": "no healthy devices"},
        }))
        .expect("a pod")
    };
    for reason in ["UnexpectedAdmissionError", "OutOfcpu", "Evicted"] {
        let seen = see(&Job::default(), &[&pod(reason)], at(5));
        assert_eq!(
            seen,
            Seen::Rejected("no healthy devices".into()),
            "{reason}"
        );
    }
}
