//! The pods that train: what an allow-list leaves out.

use serde_json::{Value, json};

use super::{BadInput, refused, refused_below};

const NO_FIELD: &str = "there is no such field";

pub(super) fn rows() -> Vec<BadInput> {
    let mut rows = resources();
    rows.extend(allow_list());
    rows
}

fn resources() -> Vec<BadInput> {
    let case = |field: &str, value: Value, admission, words: &str| {
        let name = format!("{field} {value}");
        refused(
            &name,
            &format!("/trainer/resources/{field}"),
            value,
            admission,
            words,
        )
    };
    let mut rows = vec![
        case("gpus", json!(2), "gpus", "from 0 to 1"),
        case("gpus", json!(0.5), "gpus", "write a whole number"),
        // Told once, by the schema.
        case("memory", json!("much"), "memory", "invalid form"),
        case(
            "memory",
            json!("2"),
            "write 2Gi, not 2",
            "did you mean 2Gi?",
        ),
        case(
            "memory",
            json!("512k"),
            "at least 16Mi is needed",
            "give at least 16Mi",
        ),
        case(
            "memory",
            json!("15Mi"),
            "at least 16Mi is needed",
            "give at least 16Mi",
        ),
        case(
            "memory",
            json!("16M"),
            "at least 16Mi is needed",
            "give at least 16Mi",
        ),
        // Not "did you mean 0.5Gi?", which is rejected too.
        case(
            "memory",
            json!("0.5"),
            "at least 16Mi is needed",
            "give at least 16Mi",
        )
        .errors(2),
        case(
            "memory",
            json!("010"),
            "at least 16Mi is needed",
            "give at least 16Mi",
        )
        .errors(2),
        case(
            "ephemeralStorage",
            json!("2"),
            "write 2Gi, not 2",
            "did you mean 2Gi?",
        ),
        case(
            "ephemeralStorage",
            json!("900"),
            "write 2Gi, not 2",
            "did you mean 900Gi?",
        ),
        case(
            "ephemeralStorage",
            json!("1M"),
            "at least 1Mi is needed",
            "give at least 1Mi",
        ),
        case(
            "ephemeralStorage",
            json!("1023Ki"),
            "at least 1Mi is needed",
            "give at least 1Mi",
        ),
        case("limits", json!({"cpu": "1"}), "limits", NO_FIELD),
    ];
    for none in ["0", "0m", "0.00"] {
        rows.push(case(
            "cpu",
            json!(none),
            "must be above 0",
            "is not above 0",
        ));
    }
    rows
}

fn allow_list() -> Vec<BadInput> {
    let case = |field: &str, value: Value, admission, words: &str| {
        let name = format!("{field} {value}");
        refused(&name, &format!("/trainer/{field}"), value, admission, words)
    };
    let volumes = json!([{"hostPath": {"path": "/"}}]);
    let artifacts = json!({"name": "c", "path": "../x"});
    vec![
        case("image", json!(""), "image", "the text is empty"),
        case("image", json!("a;rm -rf /"), "image", "matches"),
        case("volumes", volumes, "volumes", NO_FIELD),
        case(
            "securityContext",
            json!({"privileged": true}),
            "securityContext",
            NO_FIELD,
        ),
        case("nodeName", json!("node-1"), "nodeName", NO_FIELD),
        case(
            "serviceAccountName",
            json!("admin"),
            "serviceAccountName",
            NO_FIELD,
        ),
        case("env", json!([{"name": "LD_PRELOAD"}]), "env", NO_FIELD),
        case(
            "priorityClassName",
            json!("system-node-critical"),
            "system priority class",
            "system priority class",
        ),
        refused_below(
            "a node's label that is a number",
            "/trainer/nodeSelector",
            json!({"pool": 5}),
            ".pool",
            "pool",
            "in quotes",
        ),
        refused_below(
            "artifacts beside their claim",
            "/trainer/artifactsClaim",
            artifacts,
            ".path",
            "has no ..",
            "relative path that has no ..",
        ),
        refused_below(
            "every taint",
            "/trainer/tolerations",
            json!([{}]),
            "[0].key",
            "every taint at once",
            "it names no taint",
        ),
        refused_below(
            "every taint by an operator",
            "/trainer/tolerations",
            json!([{"operator": "Exists"}]),
            "[0].key",
            "every taint at once",
            "every taint at once",
        ),
        refused_below(
            "a value of any",
            "/trainer/tolerations",
            json!([{"key": "a", "operator": "Exists", "value": "b"}]),
            "[0].value",
            "leave value out",
            "Exists matches any value",
        ),
        refused_below(
            "an operator that is not known",
            "/trainer/tolerations",
            json!([{"key": "a", "operator": "In"}]),
            "[0].operator",
            "Unsupported value",
            "write one of Exists, Equal",
        ),
        refused_below(
            "seconds without an eviction",
            "/trainer/tolerations",
            json!([{"key": "a", "tolerationSeconds": 60, "effect": "NoSchedule"}]),
            "[0].tolerationSeconds",
            "with effect NoExecute",
            "with effect NoExecute",
        ),
        refused_below(
            "seconds below 0",
            "/trainer/tolerations",
            json!([{"key": "a", "tolerationSeconds": -1, "effect": "NoExecute"}]),
            "[0].tolerationSeconds",
            "tolerationSeconds",
            "write a whole number",
        ),
    ]
}
