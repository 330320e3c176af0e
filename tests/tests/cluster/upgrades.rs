//! Objects that another version has written, and objects that nobody can read. Rows are those of the
//! fault table in docs/faults.md.

use std::path::PathBuf;
use std::time::Duration;

use autopeft_crds::PeftSearch;
use autopeft_crds::trial::TrialRequest;
use autopeft_integration_tests::cluster::{Cluster, apply, cluster, eventually, runtime};
use autopeft_integration_tests::etcd::{Etcd, key_of_search};
use autopeft_integration_tests::generated::root;
use autopeft_integration_tests::kubelet::{Act, Kubelet};
use autopeft_integration_tests::searches::{Searches, assert_whole, condition};
use kube::Client;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

const SHORT: Duration = Duration::from_millis(100);

/// Spec and status of a search in its middle, as version 0.1.0 left them.
fn golden_file() -> PathBuf {
    root().join("tests/golden/search-0.1.0.json")
}

fn golden() -> Value {
    let text = std::fs::read_to_string(golden_file()).expect("the golden file");
    serde_json::from_str(&text).expect("JSON")
}

fn ends_of_the_golden_search(request: &TrialRequest) -> Act {
    match (request.identity.trial, request.identity.attempt) {
        (1, _) => Act::OomKilled,
        (2, _) => Act::Say("not a document".into(), 1),
        (3, 1) => Act::Evicted,
        (6.., _) => Act::Hang,
        _ => Act::Succeed,
    }
}

/// How the golden file was made; a new version gets one of its own.
#[test]
#[ignore = "writes tests/golden; run once a version"]
fn write_the_golden_file() {
    runtime().block_on(async {
        let client = cluster().namespace("golden").await;
        let end = ends_of_the_golden_search;
        let _kubelet = Kubelet::play(client.clone(), "golden", SHORT, end);
        let _operator = cluster().operator("golden", "a");
        let searches = Searches::of(&client, "golden");
        let spec = json!({
            "maxTrials": 8, "maxRetries": 1, "baselines": ["SerialAdapter"],
            "trainer": {"nodeSelector": {"pool": "gpu"}},
        });
        searches.submit("one", &spec).await;
        searches.finished("one", 6).await;
        eventually("trial 6 has its Job", async || {
            let ledger = searches.status("one").await.ledger;
            ledger.get(6).is_some_and(|entry| entry.job_uid.is_some())
        })
        .await;
        let stored = Etcd::of(cluster()).get(&key_of_search("golden", "one"));
        let kept = json!({"spec": stored["spec"], "status": stored["status"]});
        let text = serde_json::to_string_pretty(&kept).expect("JSON");
        std::fs::write(golden_file(), text + "\n").expect("the golden file");
    });
}

/// A search that has this status before any operator sees it.
async fn restored(searches: &Searches, name: &str, golden: &Value, status: &Value) {
    let mut spec = golden["spec"].clone();
    spec["suspend"] = json!(true);
    let object = json!({
        "apiVersion": "autopeft.dev/v1alpha1", "kind": "PeftSearch",
        "metadata": {"name": name}, "spec": spec,
    });
    let mut object = searches.create(&object).await.expect("valid");
    object["status"] = status.clone();
    let folder = folder(searches);
    let body = serde_json::to_vec(&object).expect("JSON");
    let request = kube::core::Request::new(folder)
        .replace_subresource("status", name, &PostParams::default(), body)
        .expect("a request");
    searches
        .client
        .request::<Value>(request)
        .await
        .expect("the status is accepted");
}

fn folder(searches: &Searches) -> String {
    format!(
        "/apis/autopeft.dev/v1alpha1/namespaces/{}/peftsearches",
        searches.namespace
    )
}

/// A search as the API server serves it, whatever this version knows of it.
async fn raw(searches: &Searches, name: &str) -> Value {
    let request = kube::core::Request::new(folder(searches))
        .get(name, &kube::api::GetParams::default())
        .expect("a request");
    let answer = searches.client.request::<Value>(request).await;
    answer.expect("the search is there")
}

/// Entries as they are in a ledger, of 0.1.0 or of this version.
fn entries(status: &Value) -> Vec<Value> {
    let stored = status["ledger"].as_array().expect("a ledger").iter();
    let entries = stored.map(|entry| match entry.as_str() {
        Some(line) => serde_json::from_str(line).expect("JSON"),
        None => entry.clone(),
    });
    entries.collect()
}

/// Lets a restored search go on to its end; what was recorded before is still there.
async fn go_on(server: &Cluster, searches: &Searches, name: &str, before: &Value) {
    searches
        .patch(name, &json!({"suspend": false}))
        .await
        .expect("it may change");
    let status = searches.ended(name).await;
    assert_eq!(
        condition(&status, "Succeeded"),
        ("True".into(), "MaxTrialsReached".into())
    );
    assert_eq!(status.ledger.len(), 9, "eight trials and a baseline");
    let after = entries(&raw(searches, name).await["status"]);
    for (old, new) in entries(before).iter().zip(&after) {
        if old["state"] != "Planned" {
            assert_eq!(old, new, "a recorded result never changes");
        } else {
            assert_eq!(old["configuration"], new["configuration"]);
            assert_eq!(new["attempt"], 2, "its Job was in another cluster");
        }
    }
    searches.is_clean().await;
    assert_whole(&searches.get(name).await, &server.audit);
}

/// Row 46.
#[test]
fn a_search_of_version_0_1_0_is_continued() {
    runtime().block_on(async {
        let client = cluster().namespace("older").await;
        let searches = Searches::of(&client, "older");
        let golden = golden();
        restored(&searches, "one", &golden, &golden["status"]).await;
        let _kubelet = Kubelet::play(client.clone(), "older", SHORT, |_| Act::Succeed);
        let _operator = cluster().operator("older", "a");
        go_on(cluster(), &searches, "one", &golden["status"]).await;
        let status = raw(&searches, "one").await["status"].clone();
        let mut stored = status["ledger"].as_array().expect("a ledger").iter();
        assert!(stored.all(Value::is_string), "rewritten as texts");
        assert_eq!(status["ledgerEntries"], 9);
    });
}

/// The CRD of a later version: it knows more of the status.
async fn later_crd(client: &Client) {
    let mut crd = serde_json::to_value(autopeft_crds::crd()).expect("JSON");
    let status = "/spec/versions/0/schema/openAPIV3Schema/properties/status/properties";
    let mut add = |place: &str, name: &str, schema: Value| {
        let place = format!("{status}{place}");
        crd.pointer_mut(&place).expect("a schema")[name] = schema;
    };
    let free = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    add("", "energy", free);
    add(
        "/inspection/properties",
        "vocabulary",
        json!({"type": "integer"}),
    );
    let folder = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    apply(client, &crd.to_string(), folder).await;
}

/// Row 46. The operator is rolled back, the CRD and the objects are a later version's.
#[test]
fn a_search_of_a_later_version_is_continued_and_nothing_is_lost() {
    runtime().block_on(async {
        // An API server that is given another CRD answers nobody for a moment.
        let server = Cluster::up_as("later");
        let client = server.namespace("later").await;
        later_crd(&client).await;
        let searches = Searches::of(&client, "later");
        let golden = golden();
        let mut later = golden["status"].clone();
        later["energy"] = json!({"joules": "1.5e6"});
        later["inspection"]["vocabulary"] = json!(30522);
        for entry in later["ledger"].as_array_mut().expect("a ledger") {
            entry["gpuModel"] = json!("H100");
        }
        let mut tries = 0;
        // The API server serves a changed CRD a moment later.
        loop {
            tries += 1;
            let name = format!("one-{tries}");
            restored(&searches, &name, &golden, &later).await;
            if raw(&searches, &name).await["status"]["energy"].is_object() {
                break;
            }
            searches.delete(&name).await;
            assert!(tries < 100, "the later CRD is not served");
            tokio::time::sleep(SHORT).await;
        }
        let name = format!("one-{tries}");
        let _kubelet = Kubelet::play(client.clone(), "later", SHORT, |_| Act::Succeed);
        let _operator = server.operator("later", "a");
        go_on(&server, &searches, &name, &later).await;
        let status = raw(&searches, &name).await["status"].clone();
        assert_eq!(status["energy"], later["energy"]);
        assert_eq!(status["inspection"], later["inspection"]);
        let open = entries(&later)
            .iter()
            .position(|entry| entry["state"] == "Planned")
            .expect("a trial that ran");
        assert_eq!(entries(&status)[open]["gpuModel"], "H100");
    });
}

/// The CRD with the ledger that 0.1.0's has: a list of objects with these fields and no others.
fn crd_of_0_1_0() -> Value {
    let mut crd = serde_json::to_value(autopeft_crds::crd()).expect("JSON");
    let ledger = crd
        .pointer_mut("/spec/versions/0/schema/openAPIV3Schema/properties/status/properties/ledger");
    *ledger.expect("a schema") = json!({
        "type": "array", "maxItems": 504, "items": autopeft_crds::entry_schema(),
        "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["trial"],
    });
    crd
}

/// The release is rolled back to 0.1.0, and installed again: its CRD takes nothing away from entries that are texts,
/// and the search cannot be edited meanwhile.
#[test]
fn a_rollback_to_0_1_0_and_back_loses_no_trial() {
    let cluster = Cluster::up_as("rollback");
    runtime().block_on(async {
        let client = cluster.namespace("rollback").await;
        let searches = Searches::of(&client, "rollback");
        let _kubelet = Kubelet::play(client.clone(), "rollback", SHORT, |_| Act::Succeed);
        let operator = cluster.operator("rollback", "a");
        let trials = json!({"maxTrials": 6, "algorithm": {"initialTrials": 4}});
        searches.submit("one", &trials).await;
        searches.finished("one", 3).await;
        drop(operator);
        let before = raw(&searches, "one").await["status"]["ledger"].clone();
        let folder = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
        apply(&client, &crd_of_0_1_0().to_string(), folder).await;
        // Once the older CRD is served, a text is no object.
        eventually("an edit is rejected", async || {
            let edit = json!({"spec": {"maxTrials": 7}});
            let parameters = PatchParams {
                dry_run: true,
                ..PatchParams::default()
            };
            let api: Api<PeftSearch> = Api::namespaced(client.clone(), "rollback");
            let edited = api.patch("one", &parameters, &Patch::Merge(&edit)).await;
            edited.is_err_and(|error| error.to_string().contains("status.ledger[0]"))
        })
        .await;
        assert_eq!(raw(&searches, "one").await["status"]["ledger"], before);
        let crd = serde_json::to_string(&autopeft_crds::crd()).expect("JSON");
        apply(&client, &crd, folder).await;
        let _operator = cluster.operator("rollback", "b");
        let status = searches.ended("one").await;
        assert_eq!(status.trials.succeeded, 6);
        assert_whole(&searches.get("one").await, &cluster.audit);
    });
}

async fn is_told_unreadable(searches: &Searches, name: &str) {
    eventually(&format!("{name} is reported"), async || {
        let events = searches.events(&["Unreadable"]).await;
        let mut about = events.iter().filter_map(|event| event.regarding.as_ref());
        about.any(|object| object.name.as_deref() == Some(name))
    })
    .await;
}

/// Row 37.
#[test]
fn an_unreadable_object_is_not_touched_until_it_is_fixed() {
    runtime().block_on(async {
        let namespace = "unreadable";
        let client = cluster().namespace(namespace).await;
        let searches = Searches::of(&client, namespace);
        let etcd = Etcd::of(cluster());
        let suspended = json!({"suspend": true, "maxTrials": 4, "algorithm": {"initialTrials": 4}});
        for name in ["good", "type", "ledger"] {
            searches.submit(name, &suspended).await;
        }
        // One is there before the operator starts, in the first list that it reads.
        let key = key_of_search(namespace, "type");
        let mut object = etcd.get(&key);
        object["spec"]["maxTrials"] = json!("four");
        etcd.put(&key, &object);
        let _kubelet = Kubelet::play(client.clone(), namespace, SHORT, |_| Act::Succeed);
        let operator = cluster().operator(namespace, "a");
        is_told_unreadable(&searches, "type").await;
        let go = json!({"suspend": false});
        searches.patch("ledger", &go).await.expect("it may change");
        searches.finished("ledger", 1).await;
        let stop = json!({"suspend": true});
        searches
            .patch("ledger", &stop)
            .await
            .expect("it may change");
        eventually("nothing of it runs", async || {
            let status = searches.status("ledger").await;
            condition(&status, "Suspended").0 == "True" && status.trials.running == 0
        })
        .await;
        // The other becomes unreadable while the operator watches.
        let key = key_of_search(namespace, "ledger");
        let well = etcd.get(&key);
        let mut object = well.clone();
        let line = object["status"]["ledger"][0].as_str().expect("a text");
        object["status"]["ledger"][0] = json!(line.replace("Succeeded", "Sleeping"));
        etcd.put(&key, &object);
        is_told_unreadable(&searches, "ledger").await;

        searches.patch("good", &go).await.expect("it may change");
        assert_eq!(searches.ended("good").await.trials.succeeded, 4);
        let unreadable = || operator.metric("autopeft_unreadable_searches");
        eventually("both are counted", async || unreadable() == 2.0).await;
        assert_eq!(operator.get("/healthz"), "ok\n");

        etcd.put(&key, &well);
        let mended = json!({"maxTrials": 4, "suspend": false});
        searches.patch("type", &mended).await.expect("it is mended");
        searches.patch("ledger", &go).await.expect("it may change");
        eventually("none is counted", async || unreadable() == 0.0).await;
        for name in ["type", "ledger"] {
            assert_eq!(searches.ended(name).await.trials.succeeded, 4, "{name}");
            assert_whole(&searches.get(name).await, &cluster().audit);
        }
        searches.is_clean().await;
    });
}
