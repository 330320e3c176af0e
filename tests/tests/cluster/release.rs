//! A release of the chart on a real API server: installed, upgraded, rolled back, taken away.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use autopeft_integration_tests::cluster::cluster_sh;
use autopeft_integration_tests::generated::root;
use autopeft_integration_tests::helm::{helm, run, said};

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

/// What the release's account may do, and where.
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
    cluster.helm(&[
        "install",
        "one",
        chart,
        "-n",
        "lab",
        "--set",
        "crds.keep=false",
    ]);
    assert_eq!(uid(), before);
    cluster.helm(&["uninstall", "one", "-n", "lab", "--wait"]);
    let gone = cluster.kubectl(&["get", "crd", "peftsearches.autopeft.dev"]);
    assert!(said(&gone).contains("NotFound"), "{}", said(&gone));
}
