//! What pods say of an attempt.

use autopeft_crds::run::Expected;
use autopeft_crds::spec::Metric;
use autopeft_crds::trial::{FailureReason, TrialIdentity, TrialOutcome};
use autopeft_jobs::judge::outcome::{self, Ending, Seen};
use autopeft_jobs::judge::pod::gpu_seconds;
use autopeft_search::patience::Patience;
use autopeft_search::planner::{End, RunState};
use autopeft_search::trouble::Trouble;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

fn see(job: &Job, pods: &[&Pod], now: Timestamp) -> Seen {
    outcome::see(job, pods, &Patience::default(), now)
}

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
    // The runtime had no time to tell.
    let not_begun = json!({"terminated": {
        "exitCode": 128, "reason": "StartError", "startedAt": "1970-01-01T00:00:00Z",
        "finishedAt": at(25).to_string(),
    }});
    assert_eq!(used(&[pod(Some(1), &not_begun)]), None);
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
        let told = trouble(500, stuck, false).expect("no node was found");
        assert_eq!(told.reason, "Unschedulable");
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
fn late(state: Option<Value>, deadline: i64) -> Seen {
    let job: Job = serde_json::from_value(json!({
        "spec": {"activeDeadlineSeconds": deadline, "template": {}},
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
    let Seen::Ended(Ending::Without(reason, _)) = late(Some(begun), 60) else {
        panic!("it has ended");
    };
    assert_eq!(reason, FailureReason::DeadlineExceeded);
    let waiting = json!({"waiting": {"reason": "ImagePullBackOff"}});
    assert!(matches!(late(Some(waiting), 60), Seen::Evicted(_)));
    assert!(matches!(late(None, 60), Seen::Evicted(_)));
}

/// Of an hour, the pod waited for a node and its image until there were ten minutes left.
#[test]
fn a_deadline_that_passed_while_the_pod_waited_says_nothing_of_the_configuration() {
    let ran = |from: i64| {
        json!({"terminated": {
            "exitCode": 137,
            "startedAt": at(from).to_string(),
            "finishedAt": at(3605).to_string(),
        }})
    };
    assert!(matches!(late(Some(ran(3000)), 3600), Seen::Evicted(_)));
    let Seen::Ended(Ending::Without(reason, _)) = late(Some(ran(20)), 3600) else {
        panic!("it has had its time");
    };
    assert_eq!(reason, FailureReason::DeadlineExceeded);
}

/// A pod in this phase, with these fields of its status.
fn failed(fields: &[(&str, Value)]) -> Seen {
    let mut status = json!({"phase": "Failed"});
    for (field, value) in fields {
        status[field] = value.clone();
    }
    let pod: Pod = serde_json::from_value(json!({
        "spec": {"nodeName": "node-1", "containers": [{"name": "trainer"}]},
        "status": status,
    }))
    .expect("a pod");
    see(&Job::default(), &[&pod], at(5))
}

fn container(name: &str, end: &Value) -> Value {
    json!([{
        "name": name, "image": "", "imageID": "", "ready": false, "restartCount": 0,
        "state": {"terminated": end},
    }])
}

#[test]
fn what_a_runtime_or_a_kubelet_says_is_not_read_as_a_result() {
    let runtime = json!({
        "exitCode": 128, "reason": "StartError", "startedAt": "1970-01-01T00:00:00Z",
        "message": "exec: \"inspect\": executable file not found in $PATH",
    });
    let Seen::Rejected(message) = failed(&[("containerStatuses", container("trainer", &runtime))])
    else {
        panic!("it never began");
    };
    assert!(
        message.contains("could not be started: exec: "),
        "{message}"
    );

    let unseen = json!({
        "exitCode": 137, "reason": "ContainerStatusUnknown", "startedAt": null,
        "message": "The container could not be located when the pod was terminated",
    });
    let statuses = ("containerStatuses", container("trainer", &unseen));
    let Seen::Ended(Ending::Without(reason, _)) = failed(std::slice::from_ref(&statuses)) else {
        panic!("it is lost");
    };
    assert_eq!(reason, FailureReason::Lost);
    let evicted = [
        statuses,
        ("reason", json!("Evicted")),
        (
            "message",
            json!("The node was low on resource: ephemeral-storage."),
        ),
    ];
    assert!(matches!(failed(&evicted), Seen::Evicted(_)));
    let own = [
        ("reason", json!("Evicted")),
        (
            "message",
            json!("Pod ephemeral local storage usage exceeds the total limit of containers 1Gi."),
        ),
    ];
    let Seen::Ended(Ending::Without(reason, _)) = failed(&own) else {
        panic!("it has used too much");
    };
    assert_eq!(reason, FailureReason::DiskFull);
}

#[test]
fn a_container_of_somebody_else_that_fails_is_named() {
    let end = json!({"exitCode": 126, "message": "no iptables"});
    let Seen::Rejected(message) =
        failed(&[("initContainerStatuses", container("istio-validation", &end))])
    else {
        panic!("the trainer never began");
    };
    let expected = "the container istio-validation, which is not the search's own, ended with exit code 126: no iptables";
    assert_eq!(message, expected);
}

#[test]
fn a_pod_that_no_scheduler_looks_at_is_told() {
    let seen = |second: i64, conditions: Value| {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "p", "creationTimestamp": at(0).to_string()},
            "spec": {"containers": [{"name": "trainer"}]},
            "status": {"phase": "Pending", "conditions": conditions},
        }))
        .expect("a pod");
        see(&Job::default(), &[&pod], at(second))
    };
    assert_eq!(seen(119, json!([])), Seen::Running);
    let Seen::Waiting(trouble) = seen(120, json!([])) else {
        panic!("two minutes are over");
    };
    assert!(
        trouble.message.contains("no scheduler"),
        "{}",
        trouble.message
    );
    let gated = json!([{
        "type": "PodScheduled", "status": "False", "reason": "SchedulingGated", "message": "Waiting",
    }]);
    let Seen::Waiting(trouble) = seen(10, gated) else {
        panic!("it waits");
    };
    assert_eq!(trouble.message, "SchedulingGated: Waiting");
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

fn expected(trial: u32) -> Expected {
    Expected {
        identity: TrialIdentity {
            search_uid: "uid".into(),
            trial,
            attempt: 1,
            configuration_hash: "abc".into(),
        },
        metric: Metric::Accuracy,
    }
}

/// The document of a run of trials 3, 4 and 5 of which the first ran out of memory and the second was terminated.
fn terminated_document() -> String {
    let member = |trial: u32, reason: &str, message: &str| {
        json!({
            "identity": expected(trial).identity,
            "outcome": {"failed": {"reason": reason, "message": message}},
        })
    };
    let trials = [
        member(3, "OutOfMemory", "too large"),
        member(4, "Lost", "terminated by SIGTERM after 2 epochs"),
    ];
    json!({"version": 2, "trials": trials}).to_string()
}

/// A pod whose container ended with this message.
fn with_message(message: &str, status: &[(&str, Value)]) -> Pod {
    let state = json!({"terminated": {
        "exitCode": 143, "reason": "Error", "message": message,
        "startedAt": at(3).to_string(), "finishedAt": at(65).to_string(),
    }});
    let mut pod = serde_json::to_value(pod(None, &state)).expect("JSON");
    pod["status"]["phase"] = json!("Failed");
    for (field, value) in status {
        pod["status"][field] = value.clone();
    }
    serde_json::from_value(pod).expect("a pod")
}

/// The reason of each of the three trials, or none where it was interrupted.
fn reasons(state: RunState) -> [Option<(FailureReason, String)>; 3] {
    let RunState::Ended(ends) = state else {
        panic!("it has ended");
    };
    let reason = |end| match end {
        End::Outcome(TrialOutcome::Failed { reason, message }) => Some((reason, message)),
        End::Interrupted => None,
        End::Outcome(TrialOutcome::Succeeded(_)) => panic!("none has a score"),
    };
    let reasons: Vec<_> = ends.into_iter().map(reason).collect();
    reasons.try_into().expect("three trials")
}

/// Why a trainer was terminated is not in its document: only the pod and the Job say that.
#[test]
fn a_terminated_trainer_keeps_what_had_ended_and_its_pod_says_what_happened_to_the_rest() {
    let out_of_memory = Some((FailureReason::OutOfMemory, "too large".to_owned()));
    let text = terminated_document();
    let three = [expected(3), expected(4), expected(5)];

    let disrupted = json!([{"type": "DisruptionTarget", "status": "True"}]);
    let evictions = [("conditions", disrupted), ("reason", json!("Evicted"))];
    for eviction in evictions {
        let pod = with_message(&text, std::slice::from_ref(&eviction));
        assert!(matches!(
            see(&Job::default(), &[&pod], at(70)),
            Seen::Evicted(_)
        ));
        let left = outcome::left_by_terminated(&[&pod]);
        let found = reasons(outcome::interrupted(left.as_deref(), &three));
        assert_eq!(found, [out_of_memory.clone(), None, None]);
    }

    let pod = with_message(&text, &[]);
    let late: Job = serde_json::from_value(json!({
        "spec": {"activeDeadlineSeconds": 60, "template": {}},
        "status": {"conditions": [
            {"type": "Failed", "status": "True", "reason": "DeadlineExceeded"},
        ]},
    }))
    .expect("a Job");
    for (job, expected, words) in [
        (
            &late,
            FailureReason::DeadlineExceeded,
            "it took longer than spec.trialDeadlineSeconds; terminated by SIGTERM after 2 epochs",
        ),
        (
            &Job::default(),
            FailureReason::Lost,
            "the container was killed (exit code 143); terminated by SIGTERM after 2 epochs",
        ),
    ] {
        let Seen::Ended(ending) = see(job, &[&pod], at(70)) else {
            panic!("it has ended");
        };
        let left = outcome::left_by_terminated(&[&pod]);
        let found = reasons(outcome::outcomes(ending, left.as_deref(), &three));
        let second = Some((expected, words.to_owned()));
        assert_eq!(found, [out_of_memory.clone(), second, None]);
    }

    // What a trainer wrote that was not terminated counts, whatever happened to its pod.
    let done = text.replace("Lost", "NotFinite");
    let pod = with_message(&done, &[("reason", json!("Evicted"))]);
    assert_eq!(outcome::left_by_terminated(&[&pod]), None);
    let seen = see(&Job::default(), &[&pod], at(70));
    assert_eq!(seen, Seen::Ended(Ending::Document(done)));
}
