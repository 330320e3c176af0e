//! Isolation of namespaces and tokens, and forged objects. Rows are those of the fault table in docs/faults.md.

use std::time::Duration;

use autopeft_crds::PeftSearch;
use autopeft_crds::trial::TrialRequest;
use autopeft_integration_tests::accounts::{account, grant, user};
use autopeft_integration_tests::audit_log;
use autopeft_integration_tests::cluster::{Cluster, cluster, eventually, runtime};
use autopeft_integration_tests::etcd::Etcd;
use autopeft_integration_tests::kubelet::{Act, Kubelet, score, success};
use autopeft_integration_tests::searches::{Searches, assert_sound, assert_whole, manifest, story};
use autopeft_jobs::build::names::{Work, job_name};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};

const SHORT: Duration = Duration::from_millis(100);

/// Every request of a user in the audit log.
fn requests_of(cluster: &Cluster, user: &str) -> Vec<Value> {
    audit_log::of_user(&cluster.audit, user)
}

fn seeded(seed: u32) -> Value {
    json!({"maxTrials": 6, "algorithm": {"seed": seed, "initialTrials": 4}})
}

/// Two operators with Roles, each for its own namespace.
#[test]
fn operators_of_two_namespaces_see_nothing_of_each_other() {
    runtime().block_on(async {
        let tenants = ["tenant-a", "tenant-b"];
        let mut running = Vec::new();
        for (seed, namespace) in (1..).zip(tenants) {
            let client = cluster().namespace(namespace).await;
            let kubeconfig = account(cluster(), &client, namespace).await;
            grant(&client, namespace, None).await;
            let kubelet = Kubelet::play(client.clone(), namespace, SHORT, |_| Act::Succeed);
            let operator = cluster().launch(namespace, "a").by(&kubeconfig).start();
            let searches = Searches::of(&client, namespace);
            searches
                .create(&manifest("same", &seeded(seed)))
                .await
                .expect("the name is free here");
            running.push((namespace, searches, operator, kubelet));
        }
        let mut stories = Vec::new();
        for (_, searches, ..) in &running {
            stories.push(story(&searches.ended("same").await));
        }
        assert_ne!(stories[0], stories[1], "each has its own seed");
        for (namespace, searches, operator, _) in &running {
            searches.is_clean().await;
            assert_whole(&searches.get("same").await, &cluster().audit);
            let shown = operator.get("/metrics");
            assert!(shown.contains(&format!("namespace=\"{namespace}\"")));
            let asked = requests_of(cluster(), &user(namespace));
            assert!(asked.len() > 20, "{namespace}: the audit log was read");
            for request in &asked {
                let reference = &request["objectRef"];
                assert_eq!(reference["namespace"], *namespace, "{request}");
                assert!(request["responseStatus"]["code"] != 403, "{request}");
            }
            for other in tenants.iter().filter(|other| *other != namespace) {
                assert!(!shown.contains(other), "{namespace} shows {other}");
                assert!(!operator.log().contains(other), "{namespace} knows {other}");
            }
        }
    });
}

/// One operator with a ClusterRole, for every namespace.
#[test]
fn one_operator_keeps_searches_of_the_same_name_in_two_namespaces_apart() {
    runtime().block_on(async {
        // Elsewhere it would look after the other tests' searches too.
        let wide = Cluster::up_as("wide");
        let mut running = Vec::new();
        for (seed, namespace) in [(1, "tenant-c"), (2, "tenant-d")] {
            let client = wide.namespace(namespace).await;
            let kubelet = Kubelet::play(client.clone(), namespace, SHORT, |_| Act::Succeed);
            let searches = Searches::of(&client, namespace);
            searches
                .create(&manifest("same", &seeded(seed)))
                .await
                .expect("the name is free here");
            running.push((namespace, searches, kubelet));
        }
        let operator = wide.launch("tenant-c", "a").everywhere().start();
        let mut stories = Vec::new();
        for (namespace, searches, _) in &running {
            stories.push(story(&searches.ended("same").await));
            searches.is_clean().await;
            assert_sound(&searches.get("same").await, &wide.audit);
            let labels = format!("name=\"same\",namespace=\"{namespace}\",state=\"succeeded\"");
            let succeeded = operator.metric(&format!("autopeft_search_trials{{{labels}}}"));
            assert_eq!(succeeded, 6.0, "{namespace}");
        }
        assert_ne!(stories[0], stories[1], "each has its own seed");
        let (_, searches, _) = &running[0];
        searches.delete("same").await;
        eventually("its metrics are gone", async || {
            let shown = operator.get("/metrics");
            !shown.contains("namespace=\"tenant-c\"") && shown.contains("namespace=\"tenant-d\"")
        })
        .await;
        assert_eq!(running[1].1.list().await.len(), 1, "the other one stays");
    });
}

fn properties(schema: &Value, found: &mut Vec<String>) {
    if let Some(own) = schema["properties"].as_object() {
        for (name, property) in own {
            found.push(name.clone());
            properties(property, found);
        }
    }
    if schema["items"].is_object() {
        properties(&schema["items"], found);
    }
}

/// The HF token is known to the trainer's pod alone, and a search can name no other namespace's.
#[test]
fn a_token_is_nowhere_but_in_its_secret() {
    runtime().block_on(async {
        let canary = "hf_canary4f0c2b7d91e6";
        let namespace = "token";
        let client = cluster().namespace(namespace).await;
        let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
        let secret: Secret = serde_json::from_value(json!({
            "metadata": {"name": "hub"}, "stringData": {"token": canary},
        }))
        .expect("a Secret");
        secrets
            .create(&PostParams::default(), &secret)
            .await
            .expect("a Secret");
        let asked = |request: &TrialRequest| match request.identity.attempt {
            1 => Act::Say("not a document".into(), 1),
            _ => Act::Succeed,
        };
        let _kubelet = Kubelet::play(client.clone(), namespace, SHORT * 3, asked);
        let operator = cluster().operator(namespace, "a");
        let searches = Searches::of(&client, namespace);
        let hub = |reference: Value| {
            json!({
                "maxTrials": 2,
                "algorithm": {"initialTrials": 2},
                "model": {"source": {"claim": null, "hub": {
                    "repository": "sentence-transformers/all-MiniLM-L6-v2",
                    "tokenSecretRef": reference,
                }}},
            })
        };
        let elsewhere = json!({"name": "hub", "key": "token", "namespace": "kube-system"});
        let refused = searches.create(&manifest("one", &hub(elsewhere))).await;
        let message = refused.expect_err("there is no such field").to_string();
        assert!(message.contains("namespace"), "{message}");
        let here = hub(json!({"name": "hub", "key": "token"}));
        searches.submit("one", &here).await;
        let jobs: Api<Job> = Api::namespaced(client.clone(), namespace);
        eventually("the Job names the Secret and no token", async || {
            let listed = jobs.list(&ListParams::default()).await.expect("Jobs");
            let text = serde_json::to_string(&listed.items).expect("JSON");
            text.contains("\"secretKeyRef\":{\"key\":\"token\",\"name\":\"hub\"")
        })
        .await;
        searches.ended("one").await;
        for (place, text) in [
            ("the log", operator.log()),
            ("the metrics", operator.get("/metrics")),
            (
                "the search",
                format!("{:?}", searches.get("one").await.status),
            ),
        ] {
            assert!(text.len() > 100, "{place} was read");
            assert!(!text.contains(canary), "the token is in {place}");
        }
        // Everything else that there is: Jobs, pods, events, the search with its managed fields.
        let holding = Etcd::of(cluster()).keys_holding(canary);
        assert_eq!(holding, ["/registry/secrets/token/hub"]);
        let asked = requests_of(cluster(), "operator");
        let of_secrets = |request: &&Value| request["objectRef"]["resource"] == "secrets";
        assert_eq!(asked.iter().filter(of_secrets).count(), 0);

        let crd = serde_json::to_value(autopeft_crds::crd()).expect("JSON");
        let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        let mut names = Vec::new();
        properties(&schema["properties"]["spec"], &mut names);
        assert!(
            names.contains(&"tokenSecretRef".into()),
            "the spec was read"
        );
        assert!(!names.iter().any(|name| name == "namespace"));
    });
}

/// Creates forged objects in the namespace of a search.
struct Thief {
    pods: Api<Pod>,
    jobs: Api<Job>,
    search: PeftSearch,
    /// The request of trial 1, once it is known.
    request: Option<TrialRequest>,
}

impl Thief {
    fn request(&self) -> &TrialRequest {
        self.request.as_ref().expect("trial 1 was asked for")
    }

    fn labels(&self, trial: u32) -> Value {
        json!({
            "app.kubernetes.io/managed-by": "autopeft",
            "app.kubernetes.io/component": "trainer",
            "autopeft.dev/search": self.search.name_any(),
            "autopeft.dev/search-uid": self.search.uid(),
            "autopeft.dev/trial": trial.to_string(),
            "autopeft.dev/attempt": "1",
        })
    }

    fn owner(&self) -> Value {
        json!([{
            "apiVersion": "autopeft.dev/v1alpha1", "kind": "PeftSearch", "controller": true,
            "name": self.search.name_any(), "uid": self.search.uid(),
        }])
    }

    /// A pod with our labels and our finalizer, whose trainer says that trial 1 was better than it is.
    async fn pod(&self, name: &str, owners: Value, annotations: Value) {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {
                "name": name,
                "labels": self.labels(1),
                "annotations": annotations,
                "ownerReferences": owners,
                "finalizers": ["autopeft.dev/result"],
            },
            "spec": {"restartPolicy": "Never", "containers": [{"name": "trainer", "image": "x:1"}]},
        }))
        .expect("a pod");
        self.pods
            .create(&PostParams::default(), &pod)
            .await
            .expect("a pod");
        let document = serde_json::to_value(success(self.request())).expect("JSON");
        let mut forged = document;
        forged["outcome"]["succeeded"]["score"] = json!(0.999);
        self.end(name, &forged.to_string()).await;
    }

    async fn end(&self, name: &str, message: &str) {
        let status = json!({"status": {"phase": "Succeeded", "containerStatuses": [{
            "name": "trainer", "image": "x:1", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"terminated": {"exitCode": 0, "reason": "Completed", "message": message}},
        }]}});
        let parameters = PatchParams::default();
        self.pods
            .patch_status(name, &parameters, &Patch::Strategic(&status))
            .await
            .expect("the pod is there");
    }

    async fn job(&self, name: &str, trial: u32) {
        let job: Job = serde_json::from_value(json!({
            "metadata": {
                "name": name, "labels": self.labels(trial), "ownerReferences": self.owner(),
            },
            "spec": {"suspend": true, "template": {
                "metadata": {"labels": self.labels(trial)},
                "spec": {"restartPolicy": "Never", "containers": [{"name": "trainer", "image": "x:1"}]},
            }},
        }))
        .expect("a Job");
        self.jobs
            .create(&PostParams::default(), &job)
            .await
            .expect("a Job");
    }
}

/// Makes everything that looks like trial 1's and is not. Gives the names of what must stay as it is.
async fn steal(thief: &Thief, ours: &Job) -> Vec<String> {
    let of_job = |job: &Job| {
        json!([{
            "apiVersion": "batch/v1", "kind": "Job", "controller": true,
            "name": job.name_any(), "uid": job.uid(),
        }])
    };
    let copied =
        serde_json::to_value(&ours.spec).expect("JSON")["template"]["metadata"]["annotations"]
            .clone();
    let foreign = thief.jobs.get("thief-job").await.expect("it was made");
    thief.pod("thief-of-search", thief.owner(), json!({})).await;
    thief.pod("thief-of-job", of_job(ours), json!({})).await;
    thief
        .pod("thief-of-other", of_job(&foreign), json!({}))
        .await;
    thief.pod("thief-alone", json!([]), json!({})).await;
    // What has even our request, and no owner, is taken for a pod that its Job has left behind: it is
    // let go, and never read.
    thief.pod("thief-with-request", json!([]), copied).await;
    [
        "thief-of-search",
        "thief-of-job",
        "thief-of-other",
        "thief-alone",
    ]
    .map(String::from)
    .into()
}

/// The real pod of trial 1 ends.
async fn end_well(thief: &Thief, client: &Client, namespace: &str, job: &Job) {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let of_job = format!("batch.kubernetes.io/job-name={}", job.name_any());
    let listed = pods.list(&ListParams::default().labels(&of_job)).await;
    let listed = listed.expect("pods").items;
    assert_eq!(listed.len(), 1, "the Job has one pod");
    let document = serde_json::to_string(&success(thief.request())).expect("JSON");
    thief.end(&listed[0].name_any(), &document).await;
}

/// The operator sweeps twice, and nothing of the thief's is written to or let go.
async fn assert_untouched(thief: &Thief, stolen: &[String], namespace: &str) {
    // Two sweeps of the operator.
    tokio::time::sleep(SHORT * 50).await;
    for request in requests_of(cluster(), "operator") {
        let reference = &request["objectRef"];
        let touched = stolen.iter().any(|name| reference["name"] == **name);
        let is_ours = reference["namespace"] == namespace && request["verb"] != "get";
        // The name of the third Job was asked for, and refused.
        let is_denied = request["responseStatus"]["code"] == 409;
        assert!(!(touched && is_ours) || is_denied, "{request}");
    }
    for name in stolen.iter().filter(|name| name.starts_with("thief-")) {
        let Some(pod) = thief.pods.get_opt(name).await.expect("pods can be read") else {
            continue;
        };
        let held = pod
            .finalizers()
            .iter()
            .any(|name| name == "autopeft.dev/result");
        assert!(held, "{name} has lost its finalizer");
    }
}

/// Row 28.
#[test]
fn forged_pods_and_jobs_are_neither_read_nor_touched() {
    runtime().block_on(async {
        let namespace = "stolen";
        let client = cluster().namespace(namespace).await;
        let _kubelet = Kubelet::play(client.clone(), namespace, SHORT, |request| {
            match request.identity.trial {
                1 => Act::Hang,
                _ => Act::Succeed,
            }
        });
        let _operator = cluster().operator(namespace, "a");
        let searches = Searches::of(&client, namespace);
        let suspended = json!({
            "suspend": true, "maxTrials": 5, "parallelism": 2, "algorithm": {"initialTrials": 5},
        });
        searches.submit("one", &suspended).await;
        let search = searches.get("one").await;
        let uid = search.uid().expect("a UID");
        let name = |trial| job_name("one", &uid, Work::Trial(trial), 1);
        let jobs: Api<Job> = Api::namespaced(client.clone(), namespace);
        let mut thief = Thief {
            pods: Api::namespaced(client.clone(), namespace),
            jobs: jobs.clone(),
            search,
            request: None,
        };
        thief.job("thief-job", 1).await;
        thief.job(&name(3), 3).await;
        searches
            .patch("one", &json!({"suspend": false}))
            .await
            .expect("it may change");
        eventually("trial 1 has its pod", async || {
            let job = jobs.get_opt(&name(1)).await.expect("Jobs can be read");
            let noted = searches.status("one").await;
            let noted = noted.ledger.get(1).and_then(|entry| entry.job_uid.clone());
            let active = job
                .and_then(|job| job.status)
                .and_then(|status| status.active);
            active == Some(1) && noted.is_some()
        })
        .await;
        let ours = jobs.get(&name(1)).await.expect("it is there");
        let template = &ours.spec.as_ref().expect("a spec").template;
        let asked = template.metadata.as_ref().expect("metadata");
        let asked = &asked.annotations.as_ref().expect("a request")["autopeft.dev/request"];
        thief.request = Some(serde_json::from_str(asked).expect("a request"));
        let mut stolen = steal(&thief, &ours).await;
        stolen.extend(["thief-job".into(), name(3)]);

        searches.finished("one", 4).await;
        tokio::time::sleep(SHORT * 30).await;
        let entry = searches.status("one").await.ledger[1].clone();
        assert!(
            !entry.state.is_final(),
            "a forged result was read: {entry:?}"
        );
        assert_eq!(entry.attempt, 1);
        end_well(&thief, &client, namespace, &ours).await;
        let status = searches.ended("one").await;
        let told = status.ledger[1].score.expect("a score").get();
        assert!((told - score(thief.request())).abs() < 1e-9, "{told}");
        assert_eq!(status.ledger[3].attempt, 2, "its Job's name was taken");
        assert_eq!(status.trials.succeeded, 5);
        for name in ["thief-job".to_owned(), name(3)] {
            assert!(jobs.get_opt(&name).await.expect("Jobs").is_some(), "{name}");
        }

        searches.delete("one").await;
        eventually("our own Jobs are gone", async || {
            jobs.get_opt(&name(1)).await.is_ok_and(|job| job.is_none())
        })
        .await;
        assert_untouched(&thief, &stolen, namespace).await;
    });
}
