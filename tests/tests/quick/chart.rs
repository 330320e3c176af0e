//! The rendered chart, and its operator's permissions.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};

use autopeft_integration_tests::cluster::cluster_sh;
use autopeft_integration_tests::generated::root;
use autopeft_integration_tests::helm::{helm, read, run, said, yaml};
use autopeft_integration_tests::sources::sources;
use serde_json::{Value, json};

/// All optional features, in every namespace.
const ALL: &[&str] = &[
    "watch.clusterWide=true",
    "replicas=2",
    "rbac.aggregateToUsers=true",
    "metrics.serviceMonitor.enabled=true",
    "metrics.prometheusRule.enabled=true",
    "metrics.dashboard.enabled=true",
    "networkPolicy.enabled=true",
    "podDisruptionBudget.enabled=true",
];

fn template(values: &[&str]) -> Output {
    let mut command = helm();
    command
        .args(["template", "one", "--namespace", "lab"])
        .arg(root().join("charts/autopeft"));
    for value in values {
        command.args(["--set", value]);
    }
    command.output().expect("helm starts")
}

/// The objects of the rendered chart.
fn rendered(values: &[&str]) -> Vec<Value> {
    let output = template(values);
    assert!(output.status.success(), "{values:?}: {}", said(&output));
    let text = String::from_utf8(output.stdout).expect("text");
    let documents = text
        .split("\n---\n")
        .filter(|document| document.contains("kind:"));
    documents.map(yaml).collect()
}

fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects
        .iter()
        .filter(|object| object["kind"] == kind)
        .collect()
}

fn strings(value: &Value) -> Vec<&str> {
    value
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

/// The permissions of the roles of these kinds, as lines of tests/chart/rights.txt.
fn rights(objects: &[Value], kinds: &[&str]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for role in objects
        .iter()
        .filter(|object| kinds.iter().any(|kind| object["kind"] == *kind))
    {
        for rule in role["rules"].as_array().expect("rules") {
            assert!(rule["nonResourceURLs"].is_null(), "{role}");
            for group in strings(&rule["apiGroups"]) {
                for resource in strings(&rule["resources"]) {
                    for verb in strings(&rule["verbs"]) {
                        let dot = if group.is_empty() { "" } else { "." };
                        let names = strings(&rule["resourceNames"]).join(",");
                        let alone = if names.is_empty() { "" } else { " alone" };
                        let comma = if names.is_empty() { "" } else { ", " };
                        found.insert(format!(
                            "{verb} {resource}{dot}{group}{comma}{names}{alone}"
                        ));
                    }
                }
            }
        }
    }
    found
}

/// The golden list of the operator's permissions.
fn golden_rights() -> BTreeSet<String> {
    let file = read("tests/chart/rights.txt");
    file.lines().map(str::to_owned).collect()
}

#[test]
fn the_operator_may_do_what_it_needs_and_nothing_else() {
    let wanted = golden_rights();
    let namespaced = rendered(&[]);
    assert_eq!(rights(&namespaced, &["Role"]), wanted);
    assert!(
        of_kind(&namespaced, "ClusterRole").is_empty(),
        "one namespace needs no ClusterRole"
    );

    let everywhere = rendered(&["watch.clusterWide=true"]);
    assert_eq!(rights(&everywhere, &["Role", "ClusterRole"]), wanted);
    let own = |right: &String| right.contains(" leases.") || right.contains(" deployments.");
    assert!(
        rights(&everywhere, &["Role"]).iter().all(own),
        "only the Lease and its owner have a Role"
    );
}

#[test]
fn the_tests_operator_has_the_permissions_of_the_chart() {
    let file = read("tests/cluster/operator-rights.yaml");
    let documents: Vec<Value> = file.split("\n---\n").map(yaml).collect();
    // Operators of tests have a Lease in each namespace.
    let wanted = golden_rights()
        .into_iter()
        .map(|right| right.replace(", one-autopeft alone", ""))
        .collect();
    assert_eq!(rights(&documents, &["ClusterRole"]), wanted);
}

#[test]
fn no_role_has_a_wildcard() {
    let mut values = ALL.to_vec();
    for watch in ["watch.clusterWide=true", "watch.clusterWide=false"] {
        values.push(watch);
        let all = rights(&rendered(&values), &["Role", "ClusterRole"]);
        assert!(all.is_superset(&golden_rights()));
        let wild: Vec<&String> = all.iter().filter(|right| right.contains('*')).collect();
        assert_eq!(wild, Vec::<&String>::new());
        for forbidden in ["secrets", "exec", "impersonate", "escalate", "bind "] {
            let found: Vec<&String> = all
                .iter()
                .filter(|right| right.contains(forbidden))
                .collect();
            assert_eq!(found, Vec::<&String>::new(), "{forbidden}");
        }
    }
}

#[test]
fn a_watched_namespace_gets_the_role_and_the_operator_the_flag() {
    let objects = rendered(&["watch.namespace=team"]);
    let roles: Vec<&Value> = of_kind(&objects, "Role");
    let namespaces: BTreeSet<&str> = roles
        .iter()
        .filter_map(|role| role["metadata"]["namespace"].as_str())
        .collect();
    assert_eq!(namespaces, BTreeSet::from(["lab", "team"]));
    let environment = |objects: &[Value]| {
        let deployment = of_kind(objects, "Deployment")[0];
        let container = &deployment["spec"]["template"]["spec"]["containers"][0];
        let variables = container["env"].as_array().expect("variables").clone();
        let found = variables
            .iter()
            .find(|variable| variable["name"] == "AUTOPEFT_NAMESPACE");
        found.map(|variable| variable["value"].clone())
    };
    assert_eq!(environment(&objects), Some(json!("team")));
    assert_eq!(environment(&rendered(&[])), Some(json!("lab")));
    assert_eq!(environment(&rendered(&["watch.clusterWide=true"])), None);
}

#[test]
fn the_operators_pod_is_restricted() {
    let objects = rendered(&[]);
    let pod = &of_kind(&objects, "Deployment")[0]["spec"]["template"]["spec"];
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(
        pod["securityContext"]["seccompProfile"]["type"],
        "RuntimeDefault"
    );
    let container = &pod["containers"][0];
    let context = &container["securityContext"];
    assert_eq!(context["allowPrivilegeEscalation"], false);
    assert_eq!(context["readOnlyRootFilesystem"], true);
    assert_eq!(context["capabilities"]["drop"], json!(["ALL"]));
    for resource in ["cpu", "memory"] {
        assert!(
            container["resources"]["limits"][resource].is_string(),
            "a limit of {resource}"
        );
    }
    for forbidden in ["hostNetwork", "hostPID", "hostIPC", "volumes"] {
        assert!(pod[forbidden].is_null(), "the pod has {forbidden}");
    }
}

/// The same document with every number as a float: Helm writes 1.0 as 1.
fn floats(value: &Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64()),
        Value::Array(items) => items.iter().map(floats).collect(),
        Value::Object(fields) => {
            let pairs = fields
                .iter()
                .map(|(name, value)| (name.clone(), floats(value)));
            Value::Object(pairs.collect())
        }
        other => other.clone(),
    }
}

#[test]
fn the_crd_is_the_generated_one_and_stays_when_the_release_goes() {
    let wanted = yaml(&read("crds/peftsearches.yaml"));
    let objects = rendered(&[]);
    let crd = of_kind(&objects, "CustomResourceDefinition")[0];
    assert!(
        floats(&crd["spec"]) == floats(&wanted["spec"]),
        "the chart's CRD is stale: run `make generate` and commit what it writes"
    );
    assert_eq!(crd["metadata"]["name"], wanted["metadata"]["name"]);
    assert_eq!(
        crd["metadata"]["annotations"]["helm.sh/resource-policy"],
        "keep"
    );
    let objects = rendered(&["crds.keep=false"]);
    let crd = of_kind(&objects, "CustomResourceDefinition")[0];
    assert!(crd["metadata"]["annotations"].is_null());
    let objects = rendered(&["crds.install=false"]);
    assert!(of_kind(&objects, "CustomResourceDefinition").is_empty());
}

#[test]
fn a_digest_takes_the_place_of_the_tag() {
    let digest = format!("sha256:{}", "a".repeat(64));
    let objects = rendered(&[&format!("image.digest={digest}"), "trainer.image.tag=cuda"]);
    let container =
        &of_kind(&objects, "Deployment")[0]["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(
        container["image"],
        format!("localhost/autopeft-operator@{digest}")
    );
    let variables = container["env"].as_array().expect("variables");
    let trainer = variables
        .iter()
        .find(|variable| variable["name"] == "AUTOPEFT_TRAINER_IMAGE");
    assert_eq!(
        trainer.expect("the variable")["value"],
        "localhost/autopeft-trainer:cuda"
    );
}

#[test]
fn the_chart_has_the_operators_version() {
    let chart = yaml(&read("charts/autopeft/Chart.yaml"));
    assert_eq!(chart["appVersion"], env!("CARGO_PKG_VERSION"));
    assert_eq!(chart["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn invalid_values_are_rejected_by_name() {
    for (value, word) in [
        ("replica=2", "replica"),
        ("replicas=-1", "replicas"),
        ("logFormat=xml", "logFormat"),
        ("image.digest=sha256:12", "digest"),
        ("image.repository=name:tag@sha256:1", "repository"),
        ("metrics.serviceMonitor.interval=soon", "interval"),
        ("watch.clusterWide=true,watch.namespace=team", "namespace"),
        ("networkPolicy.apiServer.ports={0}", "ports"),
        ("networkPolicy.apiServer.cidrs={10.0.0.1}", "cidrs"),
        ("podDisruptionBudget.maxUnavailable=-1", "maxUnavailable"),
        ("podDisruptionBudget.maxUnavailable=some", "maxUnavailable"),
        ("podLabels.team=1", "team"),
    ] {
        let output = template(&[value]);
        assert!(!output.status.success(), "{value} is accepted");
        assert!(said(&output).contains(word), "{value}: {}", said(&output));
    }
}

#[test]
fn the_chart_lints() {
    for values in [&[][..], ALL] {
        let mut command = helm();
        command
            .args(["lint", "--strict"])
            .arg(root().join("charts/autopeft"));
        for value in values {
            command.args(["--set", value]);
        }
        run(&mut command);
    }
}

#[test]
fn every_option_makes_its_object() {
    let objects = rendered(ALL);
    for (kind, count) in [
        ("ServiceMonitor", 1),
        ("PrometheusRule", 1),
        ("ConfigMap", 1),
        ("NetworkPolicy", 1),
        ("PodDisruptionBudget", 1),
        ("ValidatingAdmissionPolicy", 2),
        ("ValidatingAdmissionPolicyBinding", 2),
        ("ClusterRole", 3),
    ] {
        assert_eq!(of_kind(&objects, kind).len(), count, "{kind}");
    }
    let alerts = yaml(&read("charts/autopeft/files/alerts.yaml"));
    assert_eq!(of_kind(&objects, "PrometheusRule")[0]["spec"], alerts);
    let dashboard = of_kind(&objects, "ConfigMap")[0]["data"]["autopeft.json"].as_str();
    let dashboard: Value = serde_json::from_str(dashboard.expect("text")).expect("JSON");
    assert_eq!(dashboard["uid"], "autopeft");
    // As `helm upgrade --reuse-values` renders it, coming from a chart without this value.
    let older = rendered(&["admissionPolicy=null"]);
    assert_eq!(of_kind(&older, "ValidatingAdmissionPolicy").len(), 2);
    let without = rendered(&["admissionPolicy.enabled=false"]);
    assert!(of_kind(&without, "ValidatingAdmissionPolicy").is_empty());
    // Trainers of one namespace can be fenced in; those of every namespace cannot.
    assert_eq!(
        of_kind(&rendered(&["networkPolicy.enabled=true"]), "NetworkPolicy").len(),
        2
    );
}

fn promtool(arguments: &[&str]) {
    let folder = cluster_sh(&["build", "prometheus"]);
    run(Command::new(Path::new(&folder).join("promtool"))
        .args(arguments)
        .current_dir(root()));
}

#[test]
fn the_alerts_fire_where_they_should_and_each_is_tested() {
    promtool(&["check", "rules", "charts/autopeft/files/alerts.yaml"]);
    promtool(&["test", "rules", "tests/chart/alerts.yaml"]);
    let alerts = yaml(&read("charts/autopeft/files/alerts.yaml"));
    let tests = yaml(&read("tests/chart/alerts.yaml"));
    let mut fired = BTreeSet::new();
    for test in tests["tests"].as_array().expect("tests") {
        for case in test["alert_rule_test"].as_array().expect("cases") {
            if case["exp_alerts"].is_array() {
                fired.insert(case["alertname"].as_str().expect("a name"));
            }
        }
    }
    let page = read("docs/monitoring.md");
    for group in alerts["groups"].as_array().expect("groups") {
        for rule in group["rules"].as_array().expect("rules") {
            let alert = rule["alert"].as_str().expect("a name");
            assert!(fired.contains(alert), "no test has {alert} fire");
            assert!(
                page.contains(&format!("`{alert}`")),
                "docs/monitoring.md lacks {alert}"
            );
        }
    }
}

/// The names of metrics in a text, without a histogram's suffixes.
fn metrics(text: &str) -> BTreeSet<String> {
    let is_part = |letter: char| letter.is_ascii_lowercase() || letter == '_';
    text.match_indices("autopeft_")
        .map(|(start, _)| {
            text[start..]
                .split(|letter| !is_part(letter))
                .next()
                .unwrap_or_default()
        })
        .map(|name| name.trim_end_matches("_bucket").to_owned())
        .collect()
}

#[test]
fn dashboard_alerts_and_page_name_the_metrics_that_are_served() {
    let text = read("operator/src/controller/metrics.rs") + &read("operator/search/src/gauges.rs");
    let served = metrics(
        &text
            .replace("autopeft_crds", "")
            .replace("autopeft_search::", ""),
    );
    assert!(served.len() > 10, "the metrics were not found");
    let shown = metrics(&read("charts/autopeft/files/dashboard.json"));
    let alerted = metrics(&read("charts/autopeft/files/alerts.yaml"));
    let used: BTreeSet<String> = &shown | &alerted;
    assert_eq!(
        used.difference(&served).collect::<Vec<_>>(),
        Vec::<&String>::new()
    );
    assert_eq!(metrics(&read("docs/monitoring.md")), served);
}

/// The words that follow `before` in a text.
fn words_after<'a>(text: &'a str, before: &str) -> BTreeSet<&'a str> {
    let rest = text
        .match_indices(before)
        .map(|(at, found)| &text[at + found.len()..]);
    rest.filter_map(|rest| {
        rest.split(|letter: char| !letter.is_ascii_alphabetic())
            .next()
    })
    .filter(|word| word.len() > 2)
    .collect()
}

#[test]
fn every_reason_is_in_the_failure_table() {
    let page = read("docs/failures.md");
    let mut reasons: BTreeSet<String> = BTreeSet::new();
    for room in [
        "operator/src/controller",
        "operator/jobs/src",
        "operator/search/src",
    ] {
        for file in sources(room) {
            let source = read(&file);
            let source: String = source.split_whitespace().collect();
            for before in ["Trouble::new(\"", "Notice::warning(\"", "Notice::normal(\""] {
                reasons.extend(words_after(&source, before).into_iter().map(str::to_owned));
            }
        }
    }
    let entry = autopeft_crds::entry_schema();
    let failures = strings(&entry["properties"]["reason"]["enum"]);
    assert!(failures.len() > 5, "the failure reasons were not found");
    reasons.extend(failures.into_iter().map(str::to_owned));
    let events = read("operator/search/src/ledger/event.rs");
    let ends = events
        .split("pub enum ConclusionReason {")
        .nth(1)
        .expect("the enum");
    let ends = ends.split('}').next().expect("its body");
    reasons.extend(ends.split(",\n").filter_map(|part| {
        let name = part.lines().last()?.trim();
        name.chars()
            .all(char::is_alphabetic)
            .then(|| name.to_owned())
            .filter(|name| !name.is_empty())
    }));
    assert!(reasons.contains("Converged") && reasons.contains("Unschedulable"));
    for reason in reasons {
        assert!(
            page.contains(&format!("`{reason}`")),
            "docs/failures.md lacks {reason}"
        );
    }
}
