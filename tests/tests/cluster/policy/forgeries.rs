//! Jobs that the operator's token must not be able to create.

use serde_json::{Value, json};

/// A change of a Job that the policy must reject, and a part of its message.
pub type Forgery = (&'static str, fn(&mut Value), &'static str);

fn add(list: &mut Value, item: Value) {
    if list.is_null() {
        *list = json!([]);
    }
    list.as_array_mut().expect("a list").push(item);
}

fn pod(job: &mut Value) -> &mut Value {
    &mut job["spec"]["template"]["spec"]
}

fn trainer(job: &mut Value) -> &mut Value {
    &mut pod(job)["containers"][0]
}

fn mount(job: &mut Value, kind: &str, source: Value) {
    let mut volume = json!({"name": "more"});
    volume[kind] = source;
    add(&mut pod(job)["volumes"], volume);
}

/// All of them.
pub const FORGERIES: &[Forgery] = &[
    (
        "another manager",
        |job| job["metadata"]["labels"]["app.kubernetes.io/managed-by"] = json!("somebody"),
        "labelled as its own",
    ),
    (
        "no owner",
        |job| job["metadata"]["ownerReferences"] = json!([]),
        "controlled by a PeftSearch",
    ),
    (
        "another owner",
        |job| job["metadata"]["ownerReferences"][0]["uid"] = json!("somebody"),
        "controlled by a PeftSearch",
    ),
    (
        "an owner of another kind",
        |job| job["metadata"]["ownerReferences"][0]["kind"] = json!("Deployment"),
        "controlled by a PeftSearch",
    ),
    (
        "no finalizer",
        |job| job["spec"]["template"]["metadata"]["finalizers"] = json!([]),
        "hold its finalizer",
    ),
    (
        "many pods",
        |job| job["spec"]["parallelism"] = json!(100),
        "run one pod, once",
    ),
    (
        "another account",
        |job| pod(job)["serviceAccountName"] = json!("one-autopeft"),
        "hold no token",
    ),
    (
        "a token",
        |job| pod(job)["automountServiceAccountToken"] = json!(true),
        "hold no token",
    ),
    (
        "the node's network",
        |job| pod(job)["hostNetwork"] = json!(true),
        "share nothing",
    ),
    (
        "the node's processes",
        |job| pod(job)["hostPID"] = json!(true),
        "share nothing",
    ),
    (
        "a node of its choice",
        |job| pod(job)["nodeName"] = json!("control-plane"),
        "share nothing",
    ),
    (
        "a system priority",
        |job| pod(job)["priorityClassName"] = json!("system-node-critical"),
        "no system priority",
    ),
    (
        "every taint",
        |job| add(&mut pod(job)["tolerations"], json!({"operator": "Exists"})),
        "taints that are named",
    ),
    (
        "a path of the node",
        |job| mount(job, "hostPath", json!({"path": "/"})),
        "mount claims",
    ),
    (
        "a secret as a volume",
        |job| mount(job, "secret", json!({"secretName": "key"})),
        "mount claims",
    ),
    (
        "a token as a volume",
        |job| {
            let token = json!({"serviceAccountToken": {"path": "token"}});
            mount(job, "projected", json!({"sources": [token]}));
        },
        "mount claims",
    ),
    (
        "a second container",
        |job| {
            let second = trainer(job).clone();
            add(&mut pod(job)["containers"], second);
            pod(job)["containers"][1]["name"] = json!("second");
        },
        "as it is",
    ),
    (
        "a container before",
        |job| {
            let mut first = trainer(job).clone();
            first["name"] = json!("first");
            add(&mut pod(job)["initContainers"], first);
        },
        "as it is",
    ),
    (
        "another command",
        |job| trainer(job)["command"] = json!(["/bin/sh"]),
        "as it is",
    ),
    (
        "a port of the node",
        |job| {
            trainer(job)["ports"] = json!([{"containerPort": 80, "hostPort": 80}]);
        },
        "as it is",
    ),
    (
        "another secret",
        |job| {
            let secret = json!({"secretKeyRef": {"name": "key", "key": "key"}});
            add(
                &mut trainer(job)["env"],
                json!({"name": "KEY", "valueFrom": secret}),
            );
        },
        "HF_TOKEN",
    ),
    (
        "all of a secret",
        |job| trainer(job)["envFrom"] = json!([{"secretRef": {"name": "key"}}]),
        "HF_TOKEN",
    ),
    (
        "root",
        |job| pod(job)["securityContext"]["runAsUser"] = json!(0),
        "are restricted",
    ),
    (
        "a privileged container",
        |job| {
            let context = &mut trainer(job)["securityContext"];
            context["privileged"] = json!(true);
            context["allowPrivilegeEscalation"] = json!(true);
        },
        "are restricted",
    ),
    (
        "a capability",
        |job| {
            trainer(job)["securityContext"]["capabilities"]["add"] = json!(["SYS_ADMIN"]);
        },
        "are restricted",
    ),
    (
        "every system call",
        |job| pod(job)["securityContext"]["seccompProfile"]["type"] = json!("Unconfined"),
        "are restricted",
    ),
    (
        "no security context",
        |job| trainer(job)["securityContext"] = Value::Null,
        "are restricted",
    ),
];
