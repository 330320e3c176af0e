//! Searches, namespaces and clusters that are deleted while pods run.

use std::process::{Command, Stdio};
use std::time::Duration;

use autopeft_integration_tests::cluster::{cluster_sh, eventually, runtime, within};
use autopeft_integration_tests::node::node;
use autopeft_integration_tests::searches::Searches;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::{Api, ResourceExt};
use serde_json::json;

/// Row 32.
#[test]
fn a_search_that_is_deleted_in_the_middle_leaves_nothing_to_the_next_of_its_name() {
    let Some(node) = node() else { return };
    runtime().block_on(async {
        let searches = node.with_operator("middle").await;
        let two = json!({"maxTrials": 2, "parallelism": 2});
        searches.begin("one", "hang-0.hang-1", &two).await;
        let pods = [
            searches.running("one", 0, 1).await,
            searches.running("one", 1, 1).await,
        ];
        node.kubectl(&["delete", "psearch", "one", "-n", "middle"]);
        searches.begin("one", "each-1", &two).await;
        let search = searches.over("one").await;
        let status = search.status.unwrap_or_default();
        assert_eq!((status.trials.succeeded, status.ledger.len()), (2, 2));
        assert!(status.ledger.iter().all(|entry| entry.attempt == 1));
        searches.left_nothing().await;
        for pod in &pods {
            assert!(node.processes(pod).is_empty(), "{} runs on", pod.name_any());
        }
    });
}

/// Runs two trials that never end in a namespace, which is then deleted.
async fn doom(namespace: &str, searches: &Searches) {
    let Some(node) = node() else { return };
    let two = json!({"maxTrials": 4, "parallelism": 2});
    searches.begin("one", "hang-0.hang-1", &two).await;
    let pods: [Pod; 2] = [
        searches.running("one", 0, 1).await,
        searches.running("one", 1, 1).await,
    ];
    node.kubectl(&["delete", "namespace", namespace, "--wait=false"]);
    let namespaces: Api<Namespace> = Api::all(searches.client.clone());
    eventually("the namespace is gone", async || {
        matches!(namespaces.get_opt(namespace).await, Ok(None))
    })
    .await;
    for pod in &pods {
        assert!(node.processes(pod).is_empty(), "{} runs on", pod.name_any());
    }
}

/// Row 33, with the operator in another namespace.
#[test]
fn a_namespace_that_is_deleted_in_the_middle_goes_away() {
    let Some(node) = node() else { return };
    runtime().block_on(async {
        node.namespace("doomed");
        node.namespace("elsewhere");
        node.install("elsewhere", &["watch.namespace=doomed"]);
        doom("doomed", &Searches::of(&node.client().await, "doomed")).await;
        // The operator survives it.
        let restarts = "jsonpath={.items[*].status.containerStatuses[*].restartCount}";
        let counted = node.kubectl(&["get", "pods", "-n", "elsewhere", "-o", restarts]);
        assert_eq!(counted, "0");
    });
}

/// Row 33, with the operator in the same namespace.
#[test]
fn a_namespace_that_is_deleted_with_its_operator_goes_away() {
    let Some(node) = node() else { return };
    runtime().block_on(async {
        let searches = node.with_operator("doomed-too").await;
        doom("doomed-too", &searches).await;
    });
}

/// The cluster of these tests ends with the process, as this one does.
#[test]
fn a_node_whose_owner_is_killed_leaves_no_process_mount_cgroup_or_interface() {
    if node().is_none() {
        return;
    }
    runtime().block_on(async {
        let mut owner = Command::new("sleep")
            .arg("600")
            .stdin(Stdio::null())
            .spawn()
            .expect("sleep starts");
        let name = format!("owned-{}", std::process::id());
        let number = owner.id().to_string();
        let up = ["up", "--size", "node", "--name", &name, "--owner", &number];
        let kubeconfig = std::path::PathBuf::from(cluster_sh(&up));
        let state = kubeconfig.parent().expect("a state folder").to_path_buf();
        let slot = std::fs::read_to_string(state.join("slot")).expect("a slot");
        let link = format!("autopeft{}", slot.trim());
        let mark = state.to_string_lossy().into_owned();
        assert_ne!(left(&mark, &link), Vec::<String>::new());
        owner.kill().expect("it runs");
        owner.wait().expect("it ends");
        within(Duration::from_secs(60), "nothing is left", async || {
            left(&mark, &link).is_empty()
        })
        .await;
    });
}

/// What is left of a cluster, by its state folder and its link's name.
fn left(state: &str, link: &str) -> Vec<String> {
    let mut found = Vec::new();
    let member = format!("AUTOPEFT_CLUSTER_MEMBER={state}");
    for entry in std::fs::read_dir("/proc").expect("/proc").flatten() {
        let environment = std::fs::read(entry.path().join("environ")).unwrap_or_default();
        let mut variables = environment.split(|byte| *byte == 0);
        if variables.any(|variable| variable == member.as_bytes()) {
            found.push(format!(
                "the process {}",
                entry.file_name().to_string_lossy()
            ));
        }
    }
    let mounts = std::fs::read_to_string("/proc/mounts").expect("the mounts");
    let mounts = mounts.lines().filter(|line| line.contains(state));
    found.extend(mounts.map(|line| format!("the mount {line}")));
    let cgroups = std::fs::read_dir("/sys/fs/cgroup")
        .expect("cgroups")
        .flatten();
    let folders = cgroups.map(|entry| entry.path().join(link));
    let more =
        ["/sys/fs/cgroup", "/sys/class/net"].map(|folder| std::path::Path::new(folder).join(link));
    let files = folders.chain(more).chain([state.into()]);
    let there = files.filter(|file| file.exists());
    found.extend(there.map(|file| file.to_string_lossy().into_owned()));
    found
}
