//! What `kubectl` shows of a search.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use autopeft_integration_tests::cluster::{apply, cluster, eventually, runtime};
use autopeft_integration_tests::helm::{read, run};
use autopeft_integration_tests::kubelet::{Act, Kubelet};
use autopeft_integration_tests::programs::program;
use autopeft_integration_tests::searches::{Searches, manifest};
use k8s_openapi::api::core::v1::ResourceQuota;
use kube::Api;
use serde_json::json;

/// What kubectl prints.
fn kubectl(namespace: &str, arguments: &[&str]) -> String {
    let program = Path::new(&cluster().state("programs")).join("kubectl");
    run(Command::new(program)
        .args(["-n", namespace])
        .args(arguments)
        .env("KUBECONFIG", cluster().kubeconfig()))
}

/// The lines of a section of `kubectl describe`: its head and what is indented below it.
fn section<'a>(described: &'a str, head: &str) -> Vec<&'a str> {
    let is_head = |line: &&str| line.trim_start().starts_with(head);
    let mut lines = described.lines().skip_while(|line| !is_head(line));
    let first = lines.next().expect("the section");
    let indent = |line: &str| line.len() - line.trim_start().len();
    let below = lines.take_while(|line| indent(line) > indent(first));
    std::iter::once(first).chain(below).collect()
}

#[test]
fn describe_shows_a_line_a_trial_and_conditions_and_events_at_once() {
    runtime().block_on(async {
        let namespace = "described";
        let client = cluster().namespace(namespace).await;
        let time = Duration::from_millis(20);
        let _kubelet = Kubelet::play(client.clone(), namespace, time, |_| Act::Succeed);
        let _operator = cluster().operator(namespace, "a");
        let searches = Searches::of(&client, namespace);
        let trials = json!({
            "maxTrials": 24, "parallelism": 8, "algorithm": {"initialTrials": 24},
        });
        searches.submit("one", &trials).await;
        searches.ended("one").await;
        let described = kubectl(namespace, &["describe", "psearch", "one"]);
        let ledger = section(&described, "Ledger:");
        assert_eq!(ledger.len(), 1 + 24, "{described}");
        assert!(ledger[1].contains(r#"{"trial":0,"#), "{}", ledger[1]);
        let conditions = section(&described, "Conditions:").len();
        assert!(conditions <= 6 * 7, "{described}");
        let line = |head: &str| described.lines().position(|line| line.trim_start() == head);
        let (status, events) = (line("Status:"), described.find("\nEvents:"));
        let status = status.expect("a status");
        let before_events = &described[..events.expect("events")];
        let lines = before_events.lines().count() - status;
        // The front is the only part that is as long as the search is good.
        let front = section(&described, "Pareto Front:").len();
        assert!(
            lines - front <= 24 + 90,
            "{lines} lines, {front} of them the front\n{described}"
        );

        // The commands of docs/cluster.md and docs/failures.md.
        let path = "jsonpath={range .status.ledger[*]}{@}{\"\\n\"}{end}";
        let printed = kubectl(namespace, &["get", "psearch", "one", "-o", path]);
        assert_eq!(printed.lines().count(), 24, "{printed}");
        for line in printed.lines() {
            let entry: serde_json::Value = serde_json::from_str(line).expect("JSON");
            assert_eq!(entry["state"], "Succeeded");
        }
        searches_of_a_cluster_are_compared(namespace);
    });
}

/// `peft-operator compare --kube`, with the search `one` in the namespace.
fn searches_of_a_cluster_are_compared(namespace: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let page = folder.path().join("page.html");
    let compare = |name: &str| {
        let mut command = Command::new(program("peft-operator"));
        command
            .args(["compare", "--namespace", namespace, "--kube", name, "--out"])
            .arg(&page)
            .env("KUBECONFIG", cluster().kubeconfig());
        command
    };
    let refused = compare("two").output().expect("the program starts");
    let message = String::from_utf8_lossy(&refused.stderr);
    let missing = "two: it was not found in the cluster: the namespace described has no PeftSearch of this name";
    assert!(message.contains(missing), "{message}");
    assert!(!page.exists());
    let text = run(&mut compare("one"));
    assert!(text.contains("random"), "{text}");
    assert!(page.exists());
}

#[test]
fn a_search_that_no_operator_has_seen_says_so_until_one_has() {
    runtime().block_on(async {
        let namespace = "unwatched";
        let client = cluster().namespace(namespace).await;
        let searches = Searches::of(&client, namespace);
        searches.submit("one", &json!({"maxTrials": 4})).await;
        let shown = kubectl(namespace, &["get", "psearch", "one"]);
        let cells: Vec<&str> = shown
            .lines()
            .nth(1)
            .unwrap_or_default()
            .split_whitespace()
            .collect();
        assert_eq!(
            cells[..3],
            ["one", "Unknown", "WaitingForOperator"],
            "{shown}"
        );
        let described = kubectl(namespace, &["describe", "psearch", "one"]);
        assert!(
            described.contains("no operator has seen this search"),
            "{described}"
        );
        // Until a trial is planned, everything may change.
        let typo = json!({"task": {"custom": {"textColumns": ["words"]}}});
        searches.patch("one", &typo).await.expect("it may change");

        let begun = searches
            .get("one")
            .await
            .metadata
            .creation_timestamp
            .expect("a time")
            .0;
        let _kubelet = Kubelet::play(
            client.clone(),
            namespace,
            Duration::from_millis(100),
            |_| Act::Succeed,
        );
        let _operator = cluster().operator(namespace, "a");
        let status = searches.ended("one").await;
        assert_eq!(status.trials.succeeded, 4);
        for condition in &status.conditions {
            let at = condition.last_transition_time.0;
            assert!(at >= begun, "{condition:?}");
        }
        assert!(status.start_time.expect("a time").0 >= begun);
    });
}

/// What the API server says of a decimal without quotes is in docs/failures.md; `kubectl explain` says it before.
#[test]
fn a_decimal_without_quotes_is_refused_and_the_docs_and_kubectl_explain_say_what_to_do() {
    runtime().block_on(async {
        let client = cluster().namespace("unquoted").await;
        let searches = Searches::of(&client, "unquoted");
        let unquoted = manifest("one", &json!({"training": {"learningRate": 5e-4}}));
        let refused = searches
            .create(&unquoted)
            .await
            .expect_err("a number")
            .to_string();
        let page = read("docs/failures.md");
        let section = page
            .split("## `kubectl apply` is rejected")
            .nth(1)
            .expect("the section");
        let quoted = section.split('`').nth(1).expect("the message");
        let message = quoted.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(refused.contains(&message), "{refused}");
        for field in [
            "training.learningRate",
            "training.weightDecay",
            "objectives.bound",
        ] {
            let told = kubectl("unquoted", &["explain", &format!("psearch.spec.{field}")]);
            let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(told.contains("A decimal in quotes"), "{field}: {told}");
        }
    });
}

#[test]
fn a_job_without_a_pod_is_told_in_the_api_servers_words() {
    runtime().block_on(async {
        let namespace = "podless";
        let client = cluster().namespace(namespace).await;
        let quota = json!({
            "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"},
            "spec": {"hard": {"pods": "0"}},
        });
        let quotas = format!("/api/v1/namespaces/{namespace}/resourcequotas");
        let _kubelet = Kubelet::play(
            client.clone(),
            namespace,
            Duration::from_millis(100),
            |_| Act::Succeed,
        );
        let _operator = cluster().operator(namespace, "a");
        let searches = Searches::of(&client, namespace);
        let class = |field: &str| json!({"maxTrials": 1, "trainer": {field: "missing"}});
        let told = [
            (
                "priority",
                class("priorityClassName"),
                "no PriorityClass with name missing was found",
            ),
            (
                "runtime",
                class("runtimeClassName"),
                "RuntimeClass \"missing\" not found",
            ),
            ("quota", json!({"maxTrials": 1}), "exceeded quota: none"),
        ];
        for (name, changes, why) in told {
            if name == "quota" {
                apply(&client, &quota.to_string(), &quotas).await;
                eventually("the quota is in force", async || {
                    let api: Api<ResourceQuota> = Api::namespaced(client.clone(), namespace);
                    let quota = api.get("none").await.expect("it is there");
                    quota.status.is_some_and(|status| status.hard.is_some())
                })
                .await;
            }
            searches.submit(name, &changes).await;
            eventually(&format!("{name}: it is reported"), async || {
                let status = searches.status(name).await;
                let degraded = status
                    .conditions
                    .iter()
                    .find(|known| known.type_ == "Degraded");
                degraded.is_some_and(|known| {
                    known.reason == "PodNotCreated" && known.message.contains(why)
                })
            })
            .await;
        }
    });
}

#[test]
fn memory_that_cannot_hold_the_backbone_is_told_before_a_trial_is_lost_to_it() {
    runtime().block_on(async {
        let namespace = "starving";
        let client = cluster().namespace(namespace).await;
        let time = Duration::from_millis(100);
        let _kubelet = Kubelet::play(client.clone(), namespace, time, |_| Act::Succeed);
        let _operator = cluster().operator(namespace, "a");
        let searches = Searches::of(&client, namespace);
        let memory =
            |memory: &str| json!({"maxTrials": 1, "trainer": {"resources": {"memory": memory}}});
        searches.submit("little", &memory("280Mi")).await;
        searches.submit("enough", &memory("1Gi")).await;
        for name in ["little", "enough"] {
            searches.ended(name).await;
        }
        let told = searches.events(&["MemoryTooSmall"]).await;
        let about: Vec<_> = told
            .iter()
            .filter_map(|event| event.regarding.clone()?.name)
            .collect();
        assert_eq!(about, ["little"], "{told:?}");
    });
}
