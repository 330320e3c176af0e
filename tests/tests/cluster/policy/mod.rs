//! The chart's admission policy: what it forbids the operator's token, and that the operator works under it.

mod forgeries;

use std::path::{Path, PathBuf};

use autopeft_crds::PeftSearch;
use autopeft_integration_tests::cluster::{Cluster, client_of, cluster, eventually, runtime};
use autopeft_integration_tests::generated::root;
use autopeft_integration_tests::helm::{helm, run};
use autopeft_integration_tests::kubelet::{Act, Kubelet};
use autopeft_integration_tests::searches::{Searches, assert_sound, condition, manifest};
use autopeft_jobs::build::job::{Order, job};
use autopeft_jobs::build::names::{FINALIZER, Work};
use autopeft_jobs::build::pod::Defaults;
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};

use forgeries::FORGERIES;

/// Installs the chart into a namespace of its own, and gives the kubeconfig of its operator's account.
async fn install(namespace: &str, admin: &Client) -> PathBuf {
    install_on(cluster(), namespace, admin, "watch.clusterWide=false").await
}

/// The same on a cluster, with a value.
async fn install_on(cluster: &Cluster, namespace: &str, admin: &Client, value: &str) -> PathBuf {
    run(helm()
        .args(["install", "one", "charts/autopeft", "-n", namespace])
        // This cluster has no node; the test starts the operator itself.
        .args(["--set", "crds.install=false,replicas=0", "--set", value])
        .env("KUBECONFIG", cluster.kubeconfig())
        .current_dir(root()));
    let accounts: Api<ServiceAccount> = Api::namespaced(admin.clone(), namespace);
    let token = accounts
        .create_token_request(
            "one-autopeft",
            &PostParams::default(),
            &TokenRequest::default(),
        )
        .await
        .expect("a token");
    let token = token
        .status
        .and_then(|status| status.token)
        .expect("a token");
    let administrators = std::fs::read_to_string(cluster.kubeconfig()).expect("a kubeconfig");
    let lines = administrators.lines().map(|line| {
        let is_token = line.trim_start().starts_with("token:");
        let at = line.len() - line.trim_start().len();
        if is_token {
            format!("{}token: {token}\n", &line[..at])
        } else {
            format!("{line}\n")
        }
    });
    let file = cluster
        .kubeconfig()
        .with_file_name(format!("kubeconfig-{namespace}"));
    std::fs::write(&file, lines.collect::<String>()).expect("a kubeconfig");
    file
}

fn dry() -> PostParams {
    PostParams {
        dry_run: true,
        ..PostParams::default()
    }
}

/// The message of a rejected request.
fn refusal<T>(what: &str, answer: Result<T, kube::Error>) -> String {
    match answer {
        Ok(_) => panic!("{what}: it is allowed"),
        Err(kube::Error::Api(status)) => status.message,
        Err(error) => panic!("{what}: {error}"),
    }
}

fn assert_policy(what: &str, words: &str, message: &str) {
    assert!(
        message.contains("ValidatingAdmissionPolicy") && message.contains(words),
        "{what}: {message}"
    );
}

/// A search that uses everything that a trainer's pod may have.
fn rich() -> Value {
    let changes = json!({
        "suspend": true,
        "model": {"source": {"claim": null, "image": {"reference": "localhost/model:1"}}},
        "trainer": {
            "resources": {"gpus": 1},
            "nodeSelector": {"pool": "gpu"},
            "tolerations": [
                {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
                {"key": "spot", "effect": "NoExecute", "tolerationSeconds": 60},
            ],
            "priorityClassName": "low",
            "runtimeClassName": "nvidia",
            "imagePullSecrets": ["registry"],
            "queueName": "team",
            "artifactsClaim": {"name": "adapters"},
        },
    });
    let mut rich = manifest("rich", &changes);
    let source = &mut rich["spec"]["model"]["source"];
    source.as_object_mut().expect("a source").remove("claim");
    rich
}

fn genuine(search: &PeftSearch, trial: u32) -> Value {
    let defaults = Defaults {
        image: "localhost/trainer:1".into(),
    };
    let order = Order {
        request: "{}".into(),
        data: vec![search.spec.task.source.clone()],
        seconds: 86_400,
    };
    let job = job(search, Work::Trial(trial), 1, order, &defaults);
    serde_json::to_value(job).expect("JSON")
}

async fn create(jobs: &Api<Job>, job: &Value) -> String {
    let created = jobs.create(&PostParams::default(), &of(job)).await;
    created.expect("a genuine Job is allowed").name_any()
}

/// More permissions than the operator needs, so that the policy rejects and not RBAC.
fn by_mistake(namespace: &str) -> RoleBinding {
    serde_json::from_value(json!({
        "metadata": {"name": "by-mistake"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": "one-autopeft", "namespace": namespace}],
    }))
    .expect("a binding")
}

fn of(value: &Value) -> Job {
    serde_json::from_value(value.clone()).expect("a Job")
}

#[test]
fn the_operators_token_creates_only_jobs_that_a_search_could_request() {
    runtime().block_on(async {
        let admin = cluster().namespace("forged-jobs").await;
        let operator = client_of(&install("forged-jobs", &admin).await).await;
        let searches = Searches::of(&admin, "forged-jobs");
        let hub = json!({"suspend": true, "model": {"source": {"hub": {
            "repository": "a/b", "tokenSecretRef": {"name": "hub", "key": "token"},
        }}}});
        let mut from_hub = manifest("hub", &hub);
        let source = &mut from_hub["spec"]["model"]["source"];
        source.as_object_mut().expect("a source").remove("claim");
        for wanted in [&rich(), &from_hub] {
            searches.create(wanted).await.expect("valid");
        }
        let jobs: Api<Job> = Api::namespaced(operator, "forged-jobs");
        let rich = genuine(&searches.get("rich").await, 0);
        let (_, forge, _) = FORGERIES[0];
        let mut forged = rich.clone();
        forge(&mut forged);
        eventually("the policy is in force", async || {
            jobs.create(&dry(), &of(&forged)).await.is_err()
        })
        .await;

        for (what, forge, words) in FORGERIES {
            let mut forged = rich.clone();
            forge(&mut forged);
            let answer = jobs.create(&dry(), &of(&forged)).await;
            assert_policy(what, words, &refusal(what, answer));
        }
        for search in ["rich", "hub"] {
            let name = create(&jobs, &genuine(&searches.get(search).await, 1)).await;
            let deleted = jobs.delete(&name, &DeleteParams::background()).await;
            deleted.expect("so is its deletion");
        }
        let accounts: Api<RoleBinding> = Api::namespaced(admin.clone(), "forged-jobs");
        accounts
            .create(&PostParams::default(), &by_mistake("forged-jobs"))
            .await
            .expect("a binding");
        let name = create(&jobs, &genuine(&searches.get("rich").await, 2)).await;
        eventually("the mistaken rights are in force", async || {
            let label = Patch::Merge(json!({"metadata": {"labels": {"a": "b"}}}));
            let answer = jobs.patch(&name, &PatchParams::default(), &label).await;
            let message = refusal("changing a Job", answer);
            message.contains("creates and deletes Jobs, nothing else")
        })
        .await;
        // The administrator is not the operator.
        let everybody: Api<Job> = Api::namespaced(admin, "forged-jobs");
        let marks = Patch::Merge(json!({"metadata": {"labels": null, "ownerReferences": null}}));
        let parameters = PatchParams::default();
        let patched = everybody.patch(&name, &parameters, &marks).await;
        patched.expect("it is there");
        let deleted = jobs.delete(&name, &DeleteParams::background()).await;
        deleted.expect("a Job of its own that somebody has changed");
        let template = &mut forged["spec"]["template"]["metadata"];
        template["labels"]["app.kubernetes.io/managed-by"] = json!("somebody");
        let created = everybody.create(&PostParams::default(), &of(&forged)).await;
        let foreign = created.expect("the policy binds the operator alone");
        let answer = jobs
            .delete(&foreign.name_any(), &DeleteParams::background())
            .await;
        let what = "deleting a Job of somebody else";
        assert_policy(what, "labelled as its own", &refusal(what, answer));
    });
}

#[test]
fn the_operators_token_only_removes_its_finalizer_from_pods() {
    runtime().block_on(async {
        let admin = cluster().namespace("forged-pods").await;
        let operator = client_of(&install("forged-pods", &admin).await).await;
        let pods: Api<Pod> = Api::namespaced(admin.clone(), "forged-pods");
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {
                "name": "held",
                "labels": {"team": "a"},
                "finalizers": ["example.com/theirs", FINALIZER],
            },
            "spec": {
                "automountServiceAccountToken": false,
                "containers": [{"name": "c", "image": "localhost/other:1"}],
            },
        }))
        .expect("a pod");
        eventually("pods can be created", async || {
            pods.create(&PostParams::default(), &pod).await.is_ok()
        })
        .await;
        let bindings: Api<RoleBinding> = Api::namespaced(admin, "forged-pods");
        bindings
            .create(&PostParams::default(), &by_mistake("forged-pods"))
            .await
            .expect("a binding");

        let ours: Api<Pod> = Api::namespaced(operator, "forged-pods");
        let parameters = PatchParams::default();
        let patch =
            async |change: &Value| ours.patch("held", &parameters, &Patch::Merge(change)).await;
        let label = json!({"metadata": {"labels": {"team": "b"}}});
        eventually("the policy is in force", async || {
            patch(&label)
                .await
                .is_err_and(|error| error.to_string().contains("Policy"))
        })
        .await;
        let spec = json!({"spec": {"containers": [{"name": "c", "image": "localhost/mine:1"}]}});
        let annotation = json!({"metadata": {"annotations": {"a": "b"}}});
        let theirs = json!({"metadata": {"finalizers": [FINALIZER]}});
        let more = json!({"metadata": {"finalizers": ["example.com/theirs", "example.com/mine"]}});
        for (what, change) in [
            ("a label", &label),
            ("an annotation", &annotation),
            ("an image", &spec),
            ("another's finalizer", &theirs),
            ("a new finalizer", &more),
        ] {
            assert_policy(
                what,
                "nothing of a pod",
                &refusal(what, patch(change).await),
            );
        }
        let nothing_else = "patches pods, nothing else";
        let what = "a pod's status";
        let status = json!({"status": {"phase": "Succeeded"}});
        let answer = ours
            .patch_status("held", &parameters, &Patch::Merge(&status))
            .await;
        assert_policy(what, nothing_else, &refusal(what, answer));
        let what = "a pod of its own";
        let mut own = pod.clone();
        own.metadata.name = Some("own".into());
        let answer = ours.create(&PostParams::default(), &own).await;
        assert_policy(what, nothing_else, &refusal(what, answer));
        let what = "deleting a pod";
        let answer = ours.delete("held", &DeleteParams::default()).await;
        assert_policy(what, nothing_else, &refusal(what, answer));

        let kept = json!({"metadata": {"finalizers": ["example.com/theirs"]}});
        let patched = patch(&kept).await.expect("its own finalizer may go");
        assert_eq!(patched.finalizers(), ["example.com/theirs"]);
        let gone = json!({"metadata": {"finalizers": null}});
        pods.patch("held", &parameters, &Patch::Merge(&gone))
            .await
            .expect("the policy binds the operator alone");
    });
}

#[test]
fn a_search_runs_to_its_end_with_the_charts_permissions_and_policy() {
    runtime().block_on(async {
        let admin = cluster().namespace("policed").await;
        let account: &Path = &install("policed", &admin).await;
        let _kubelet = Kubelet::play(
            admin.clone(),
            "policed",
            std::time::Duration::from_millis(100),
            |request| match (request.identity.trial, request.identity.attempt) {
                (1, 1) => Act::Evicted,
                (2, _) => Act::OomKilled,
                _ => Act::Succeed,
            },
        );
        let _operator = cluster()
            .launch("policed", "a")
            .by(account)
            .with("AUTOPEFT_LEASE", "one-autopeft")
            .start();
        let searches = Searches::of(&admin, "policed");
        let changes = json!({"parallelism": 2, "ttlSecondsAfterFinished": 5});
        searches.submit("one", &changes).await;
        let status = searches.ended("one").await;
        assert_eq!(
            condition(&status, "Succeeded"),
            ("True".into(), "MaxTrialsReached".into())
        );
        assert_sound(&searches.get("one").await, &cluster().audit);
        searches.is_clean().await;
        eventually("its time is over", async || {
            searches.list().await.is_empty()
        })
        .await;
    });
}

#[test]
fn with_the_charts_cluster_role_a_search_of_another_namespace_runs_to_its_end() {
    runtime().block_on(async {
        // Elsewhere it would look after the other tests' searches too.
        let wide = Cluster::up_as("chart-wide");
        let admin = wide.namespace("release").await;
        let account = install_on(&wide, "release", &admin, "watch.clusterWide=true").await;
        wide.namespace("team").await;
        let time = std::time::Duration::from_millis(100);
        let _kubelet = Kubelet::play(admin.clone(), "team", time, |_| Act::Succeed);
        let _operator = wide
            .launch("release", "a")
            .by(&account)
            .with("AUTOPEFT_LEASE", "one-autopeft")
            .everywhere()
            .start();
        let searches = Searches::of(&admin, "team");
        searches.submit("one", &json!({"parallelism": 2})).await;
        let status = searches.ended("one").await;
        assert_eq!(
            condition(&status, "Succeeded"),
            ("True".into(), "MaxTrialsReached".into())
        );
        assert_eq!(condition(&status, "Degraded").0, "False");
        assert_sound(&searches.get("one").await, &wide.audit);
        searches.is_clean().await;
    });
}
