//! A release of the chart on a real API server: installed, upgraded, rolled back, uninstalled.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use autopeft_integration_tests::cluster::{apply, cluster, cluster_sh, eventually, runtime};
use autopeft_integration_tests::generated::root;
use autopeft_integration_tests::helm::{helm, run, said};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::api::DeleteParams;
use serde_json::{Value, json};

/// A control plane that ends with this process, and Helm and kubectl for it.
struct Cluster {
    kubeconfig: String,
    kubectl: PathBuf,
}

impl Cluster {
    fn up() -> Self {
        let own = std::process::id().to_string();
        let name = format!("chart-{own}");
        let up = ["up", "--size", "api", "--name", &name, "--owner", &own];
        Self {
            kubeconfig: cluster_sh(&up),
            kubectl: Path::new(&cluster_sh(&["build", "kubernetes"])).join("kubectl"),
        }
    }

    fn kubectl(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(&self.kubectl);
        command
            .args(arguments)
            .env("KUBECONFIG", &self.kubeconfig)
            .current_dir(root());
        command.output().expect("kubectl starts")
    }

    fn get(&self, arguments: &[&str]) -> String {
        let output = self.kubectl(arguments);
        assert!(
            output.status.success(),
            "kubectl {arguments:?}: {}",
            said(&output)
        );
        String::from_utf8(output.stdout).expect("text")
    }

    fn helm(&self, arguments: &[&str]) -> String {
        run(helm()
            .args(arguments)
            .env("KUBECONFIG", &self.kubeconfig)
            .current_dir(root()))
    }

    fn may(&self, words: &[&str]) -> bool {
        let account = "--as=system:serviceaccount:lab:one-autopeft";
        let answer = self.kubectl(&[&["auth", "can-i", account], words].concat());
        String::from_utf8_lossy(&answer.stdout).trim() == "yes"
    }
}

/// The chart with a CRD that has one more printed column, as a later version may have.
fn later_chart(folder: &Path) {
    let source = root().join("charts/autopeft");
    run(Command::new("cp").arg("-R").arg(source).arg(folder));
    let file = folder.join("autopeft/files/peftsearches.yaml");
    let crd = std::fs::read_to_string(&file).expect("the CRD");
    let columns = "additionalPrinterColumns:\n";
    let more = format!(
        "{columns}    - jsonPath: .spec.maxTrials\n      name: Later\n      type: integer\n"
    );
    assert!(crd.contains(columns));
    std::fs::write(&file, crd.replacen(columns, &more, 1)).expect("the later CRD");
}

/// Checks the permissions of the release's account.
fn assert_rights(cluster: &Cluster) {
    for allowed in [
        &["create", "jobs"][..],
        &["patch", "pods"],
        &["delete", "peftsearches"],
    ] {
        assert!(
            cluster.may(&[allowed, &["-n", "lab"]].concat()),
            "may not {allowed:?}"
        );
        assert!(
            !cluster.may(&[allowed, &["-n", "default"]].concat()),
            "may {allowed:?} elsewhere"
        );
    }
    for denied in [
        &["get", "secrets"][..],
        &["create", "pods/exec"],
        &["create", "pods"],
        &["delete", "pods"],
        &["update", "peftsearches"],
        &["patch", "leases/other"],
        &["impersonate", "users"],
    ] {
        assert!(
            !cluster.may(&[denied, &["-n", "lab"]].concat()),
            "may {denied:?}"
        );
    }
}

#[test]
fn a_release_is_installed_upgraded_and_taken_away_without_losing_a_search() {
    let cluster = Cluster::up();
    let chart = "charts/autopeft";
    cluster.helm(&["install", "one", chart, "-n", "lab", "--create-namespace"]);
    cluster.get(&[
        "wait",
        "--for=condition=Established",
        "crd/peftsearches.autopeft.dev",
        "--timeout=20s",
    ]);

    assert_rights(&cluster);
    cluster.get(&[
        "apply",
        "-n",
        "lab",
        "-f",
        "docs/examples/cluster/movie-reviews.yaml",
    ]);
    let uid = || {
        let path = "jsonpath={.metadata.uid}";
        cluster.get(&["get", "psearch", "movie-reviews", "-n", "lab", "-o", path])
    };
    let before = uid();
    let columns = || {
        let path = "jsonpath={.spec.versions[0].additionalPrinterColumns[*].name}";
        cluster.get(&["get", "crd", "peftsearches.autopeft.dev", "-o", path])
    };
    assert!(!columns().contains("Later"));
    let folder = tempfile::tempdir().expect("a folder");
    later_chart(folder.path());
    let later = folder.path().join("autopeft");
    let later = later.to_str().expect("UTF-8");
    cluster.helm(&["upgrade", "one", later, "-n", "lab"]);
    assert!(
        columns().contains("Later"),
        "helm upgrade left the CRD as it was"
    );
    cluster.helm(&["rollback", "one", "1", "-n", "lab"]);
    assert!(
        !columns().contains("Later"),
        "helm rollback left the CRD as it was"
    );

    cluster.helm(&["uninstall", "one", "-n", "lab"]);
    assert_eq!(uid(), before, "the search went with the release");
    let notes = cluster.helm(&[
        "install",
        "one",
        chart,
        "-n",
        "lab",
        "--set",
        "crds.keep=false",
    ]);
    assert!(
        notes.contains("kubectl delete psearch --all -n lab"),
        "{notes}"
    );
    assert_eq!(uid(), before);
    cluster.helm(&["uninstall", "one", "-n", "lab", "--wait"]);
    let gone = cluster.kubectl(&["get", "crd", "peftsearches.autopeft.dev"]);
    assert!(said(&gone).contains("NotFound"), "{}", said(&gone));
}

/// What 0.1.0 left: a Lease that belongs to nothing, beside the Deployment of the same name.
async fn lease_of_0_1_0(client: &kube::Client, namespace: &str, annotations: &Value) {
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": "autopeft-operator", "annotations": annotations},
        "spec": {
            "holderIdentity": "one-autopeft-0", "leaseDurationSeconds": 30, "leaseTransitions": 3,
            "acquireTime": "2026-01-01T00:00:00.000000Z",
            "renewTime": "2026-01-01T00:00:00.000000Z",
        },
    });
    let labels = json!({"app": "autopeft"});
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "autopeft-operator"},
        "spec": {
            "replicas": 0, "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "operator", "image": "none"}]},
            },
        },
    });
    let leases = format!("/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases");
    apply(client, &lease.to_string(), &leases).await;
    let deployments = format!("/apis/apps/v1/namespaces/{namespace}/deployments");
    apply(client, &deployment.to_string(), &deployments).await;
}

#[test]
fn a_lease_of_0_1_0_goes_with_the_operators_deployment() {
    runtime().block_on(async {
        let client = cluster().namespace("lease").await;
        lease_of_0_1_0(&client, "lease", &json!({})).await;
        let leases: Api<Lease> = Api::namespaced(client.clone(), "lease");
        let deployments: Api<Deployment> = Api::namespaced(client.clone(), "lease");
        let deployment = deployments
            .get("autopeft-operator")
            .await
            .expect("it is there");
        let operator = cluster().operator("lease", "a");
        eventually("it has an owner", async || {
            let lease = leases.get("autopeft-operator").await.expect("it is there");
            let owners = lease.metadata.owner_references.unwrap_or_default();
            owners
                .iter()
                .any(|owner| Some(&owner.uid) == deployment.metadata.uid.as_ref())
        })
        .await;
        drop(operator);
        let parameters = DeleteParams::background();
        let deleted = deployments.delete("autopeft-operator", &parameters).await;
        deleted.expect("it is there");
        eventually("the Lease is gone", async || {
            let lease = leases.get_opt("autopeft-operator").await;
            lease.expect("an answer").is_none()
        })
        .await;
    });
}

#[test]
fn a_lease_of_a_release_is_helms_alone() {
    runtime().block_on(async {
        let client = cluster().namespace("released").await;
        let release = json!({"meta.helm.sh/release-name": "one"});
        lease_of_0_1_0(&client, "released", &release).await;
        let leases: Api<Lease> = Api::namespaced(client, "released");
        let _operator = cluster().operator("released", "a");
        let held = async || leases.get("autopeft-operator").await.expect("it is there");
        // Not by the number of transitions, which is written after the holder and may be cut off.
        eventually("it has changed hands", async || {
            let holder = held().await.spec.and_then(|spec| spec.holder_identity);
            holder.is_some_and(|holder| holder != "one-autopeft-0")
        })
        .await;
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
        assert_eq!(held().await.metadata.owner_references, None);
    });
}
