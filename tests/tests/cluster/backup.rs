//! A search that is saved, lost and restored, by the commands of docs/backup.md.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use autopeft_crds::status::TrialState;
use autopeft_integration_tests::cluster::{cluster, runtime};
use autopeft_integration_tests::helm::{read, run};
use autopeft_integration_tests::kubelet::{Act, Kubelet};
use autopeft_integration_tests::searches::{Searches, assert_whole, story};
use serde_json::json;

/// The commands of the page, one text a block.
fn commands() -> Vec<String> {
    let page = read("docs/backup.md");
    let blocks = page.split("```sh\n").skip(1);
    blocks
        .map(|block| block.split("```").next().unwrap_or_default().to_owned())
        .collect()
}

/// Runs a block in `folder`, for the search `one` of a namespace.
fn carry_out(block: &str, namespace: &str, folder: &Path) {
    let kubectl = cluster().state("programs");
    let search_path = std::env::var("PATH").expect("a PATH");
    let kubectl_here = format!("kubectl() {{ command kubectl -n {namespace} \"$@\"; }}");
    run(Command::new("bash")
        .args([
            "-euo",
            "pipefail",
            "-c",
            &format!("{kubectl_here}\n{block}"),
        ])
        .env("PATH", format!("{kubectl}:{search_path}"))
        .env("KUBECONFIG", cluster().kubeconfig())
        .env("SEARCH", "one")
        .current_dir(folder));
}

#[test]
fn a_search_that_was_saved_and_deleted_is_restored_and_continues() {
    runtime().block_on(async {
        let namespace = "restored";
        let client = cluster().namespace(namespace).await;
        let time = Duration::from_millis(100);
        let _kubelet = Kubelet::play(client.clone(), namespace, time, |_| Act::Succeed);
        let _operator = cluster().operator(namespace, "a");
        let searches = Searches::of(&client, namespace);
        let trials = json!({"maxTrials": 7, "algorithm": {"initialTrials": 4}});
        searches.submit("calm", &trials).await;
        let calm = story(&searches.ended("calm").await);

        let folder = tempfile::tempdir().expect("a folder");
        let [backup, restore]: [String; 2] = commands().try_into().expect("two blocks");
        searches.submit("one", &trials).await;
        searches.finished("one", 3).await;
        carry_out(&backup, namespace, folder.path());
        searches.delete("one").await;
        searches.is_clean().await;
        carry_out(&restore, namespace, folder.path());

        let status = searches.ended("one").await;
        assert_eq!(story(&status), calm);
        let saved = std::fs::read_to_string(folder.path().join("one.yaml")).expect("the backup");
        let saved: autopeft_crds::PeftSearch = serde_saphyr::from_str(&saved).expect("YAML");
        let saved = saved.status.expect("a status").ledger;
        assert!(saved.len() >= 3);
        let recorded = saved
            .iter()
            .filter(|entry| entry.state != TrialState::Planned);
        for (before, after) in recorded.zip(&status.ledger) {
            assert_eq!(before, after, "a recorded result never changes");
        }
        assert_whole(&searches.get("one").await, &cluster().audit);
        searches.is_clean().await;
    });
}
