//! How Jobs and pods are recognised, whatever has become of their labels.

use autopeft_jobs::build::names::{Work, attempt_of_job, attempt_of_pod, is_job_name, job_name};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Value, json};

const UID: &str = "5d1e4f60-0000-0000-0000-000000000001";
const OTHER: &str = "5d1e4f60-0000-0000-0000-000000000002";

fn long() -> String {
    "a-search.with-a-name.that-is-cut-off.where-a-name-ends".into()
}

#[test]
fn a_jobs_name_says_what_it_is_for() {
    for search in ["one", "one-2", "one-12345678-3", &long()] {
        for attempt in [
            (Work::Inspection, 1),
            (Work::Trial(0), 1),
            (Work::Trial(499), u32::MAX),
        ] {
            let name = job_name(search, UID, attempt.0, attempt.1);
            assert!(is_job_name(&name), "{name}");
            assert_eq!(attempt_of_job(&name, search, UID), Some(attempt), "{name}");
            assert_eq!(attempt_of_job(&name, search, OTHER), None, "{name}");
            assert_eq!(attempt_of_job(&name, "on", UID), None, "{name}");
            for wrong in [format!("{name}0x"), format!("0{name}"), format!("{name}-1")] {
                assert_eq!(attempt_of_job(&wrong, search, UID), None, "{wrong}");
            }
        }
    }
    let name = job_name("one", UID, Work::Trial(3), 1);
    let zero = name.replace("-3-1", "-03-1");
    assert_eq!(attempt_of_job(&zero, "one", UID), None, "another name");
    for foreign in [
        "",
        "-",
        "thief-job",
        "backup-1-2",
        "nightly-abcdefgh-1-2",
        "one-5d1e4f60-x-1",
        "5d1e4f60-1-1",
    ] {
        assert!(!is_job_name(foreign), "{foreign}");
    }
}

/// A pod's metadata: its owner, what the Job controller says, and its own marks.
fn pod(owner: Option<(&str, &str)>, labelled: Option<&str>, marked: bool) -> ObjectMeta {
    let owner = owner.map(|(kind, name)| {
        json!([{"apiVersion": "v1", "kind": kind, "name": name, "uid": "job", "controller": true}])
    });
    let mut labels = json!({});
    let mut annotations = json!({});
    if marked {
        labels = json!({
            "app.kubernetes.io/managed-by": "autopeft", "autopeft.dev/search": "one",
            "autopeft.dev/search-uid": UID, "autopeft.dev/trial": "3", "autopeft.dev/attempt": "2",
        });
        let identity = json!({
            "searchUid": UID, "trial": 3, "attempt": 2, "configurationHash": "x",
        });
        annotations["autopeft.dev/request"] = json!(json!({"identity": identity}).to_string());
    }
    if let Some(uid) = labelled {
        labels["batch.kubernetes.io/controller-uid"] = json!(uid);
    }
    let metadata: Value = json!({
        "name": "pod", "labels": labels, "annotations": annotations, "ownerReferences": owner,
    });
    serde_json::from_value(metadata).expect("metadata")
}

#[test]
fn a_pod_is_known_by_its_job_or_by_its_own_marks() {
    let job = job_name("one", UID, Work::Trial(3), 2);
    let next = job_name("one", UID, Work::Trial(3), 3);
    let of = |metadata: &ObjectMeta| attempt_of_pod(metadata, "one", UID);
    let third = |attempt| Some((Work::Trial(3), attempt));
    let by = |name: &'_ str| Some(("Job", name.to_owned()));
    let pod = |owner: Option<(&str, String)>, labelled, marked| {
        let owner = owner.as_ref().map(|(kind, name)| (*kind, name.as_str()));
        pod(owner, labelled, marked)
    };
    assert_eq!(of(&pod(by(&job), Some("job"), true)), third(2));
    assert_eq!(
        of(&pod(by(&job), Some("job"), false)),
        third(2),
        "no label left"
    );
    assert_eq!(
        of(&pod(by(&next), Some("job"), true)),
        third(3),
        "other labels"
    );
    assert_eq!(of(&pod(by(&job), None, true)), third(2));
    assert_eq!(of(&pod(None, None, true)), third(2), "its Job is gone");
    assert_eq!(
        of(&pod(by(&job), None, false)),
        None,
        "anybody writes an owner"
    );
    assert_eq!(of(&pod(by(&job), Some("another"), false)), None);
    assert_eq!(of(&pod(by("thief-job"), Some("job"), true)), None);
    assert_eq!(of(&pod(Some(("PeftSearch", job)), Some("job"), true)), None);
    assert_eq!(of(&pod(None, Some("job"), false)), None);
    let marked = pod(None, None, true);
    assert_eq!(attempt_of_pod(&marked, "one", OTHER), None);
}
