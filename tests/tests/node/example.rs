//! The whole way, as a user goes it: images, chart, claim, `kubectl apply`, the front.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use autopeft_crds::PeftSearch;
use autopeft_crds::status::{LedgerEntry, PeftSearchStatus, TrialState};
use autopeft_crds::trial::FailureReason;
use autopeft_integration_tests::cluster::{runtime, within};
use autopeft_integration_tests::node::{LONG, Node, archive, node, tell};
use autopeft_integration_tests::programs::{cache, run_search};
use autopeft_integration_tests::searches::{Searches, assert_sound};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

const NAMESPACE: &str = "example";

/// The largest that the operator's image may be, bytes, made of the tests' program, which is less optimised: that of a
/// release is held to 30 MB by charts/images/images.sh, which makes it.
const IMAGE_LIMIT: u64 = 40_000_000;

/// Seven short trials, four of them drawn and three chosen by the surrogate, and three baselines: those that train
/// otherwise than a trial does.
fn manifest() -> Value {
    json!({
        "apiVersion": "autopeft.dev/v1alpha1",
        "kind": "PeftSearch",
        "metadata": {"name": "short"},
        "spec": {
            "model": {"source": {"claim": {"name": "autopeft", "path": "models/all-MiniLM-L6-v2"}}},
            "task": {
                "name": "custom",
                "source": {"claim": {"name": "autopeft", "path": "data/movie-reviews"}},
                "custom": {
                    "type": "Classification",
                    "textColumns": ["text"],
                    "labels": ["negative", "positive"],
                },
            },
            "algorithm": {
                "seed": 7,
                "initialTrials": 4,
                "nuts": {"warmup": 64, "samples": 32, "thinning": 8},
            },
            "maxTrials": 7,
            "fidelity": {"trainExamples": 96, "validationExamples": 100},
            "training": {"learningRate": "1e-3", "maxLength": 32},
            "baselines": ["AdaMix", "RobustAdapterDrop", "AdaptableAdapters"],
            "trainer": {"resources": {"cpu": "1200m", "memory": "2Gi", "ephemeralStorage": "1Gi"}},
        },
    })
}

/// What does not depend on where and when a search runs.
fn essence(status: &PeftSearchStatus) -> Value {
    let plain = |entry: &LedgerEntry| LedgerEntry {
        planned_at: None,
        finished_at: None,
        train_seconds: None,
        peak_memory_bytes: None,
        job_uid: None,
        ..entry.clone()
    };
    let mut inspection = status.inspection.clone();
    if let Some(found) = &mut inspection {
        // Which spec was inspected: a local search is inspected by the spec that it begins with.
        found.spec_hash = None;
    }
    json!({
        "inspection": inspection,
        "ledger": status.ledger.iter().map(plain).collect::<Vec<_>>(),
        "front": status.pareto_front,
        "baselines": status.baselines,
        "hypervolume": status.hypervolume,
        "referencePoint": status.reference_point,
        "best": status.best_score,
        "surrogate": status.surrogate,
    })
}

/// Makes the claim with weights and text from this machine's cache, and the one that adapters go to.
fn claims(node: &Node) {
    let folder = claim(node, "autopeft");
    let copy = |from: &str| {
        let mut cp = Command::new("cp");
        cp.arg("-R").arg(cache().join(from)).arg(&folder);
        assert!(cp.status().expect("cp starts").success());
    };
    copy("models");
    copy("data");
    let kept = claim(node, "kept");
    // A folder of the node is not given to the pods' group, as other volumes are.
    let anyone = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(kept, anyone).expect("its mode can be set");
}

/// Makes a claim whose volume is a folder of the node.
fn claim(node: &Node, name: &str) -> PathBuf {
    let folder = node.state().join("claims").join(name);
    std::fs::create_dir_all(&folder).expect("a folder for the claim");
    node.apply(
        NAMESPACE,
        &json!({
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": name},
            "spec": {
                "capacity": {"storage": "1Gi"},
                "accessModes": ["ReadWriteOnce"],
                "claimRef": {"namespace": NAMESPACE, "name": name},
                "hostPath": {"path": folder, "type": "Directory"},
            },
        }),
    );
    node.apply(
        NAMESPACE,
        &json!({
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": name},
            "spec": {
                "storageClassName": "",
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "1Gi"}},
            },
        }),
    );
    folder
}

/// Every trial with a score, baselines too, has left its adapter where the status says.
fn assert_adapters_are_kept(node: &Node, status: &PeftSearchStatus) {
    let told = status.artifacts.as_deref().expect("where adapters are");
    let folder = told.strip_prefix("kept: ").expect("the claim's name first");
    assert!(folder.starts_with("adapters/short-"), "{told}");
    for entry in &status.ledger {
        let trial = format!("claims/kept/{folder}/trial-{}", entry.trial);
        let trial = node.state().join(trial);
        let about = std::fs::read_to_string(trial.join("adapter.json")).expect("adapter.json");
        let about: Value = serde_json::from_str(&about).expect("JSON");
        let configuration = serde_json::to_value(entry.trained_configuration()).expect("JSON");
        assert_eq!(about["configuration"], configuration, "{}", trial.display());
        let weights = std::fs::read(trial.join("adapter.safetensors")).expect("weights");
        assert!(!weights.is_empty());
    }
}

fn proc(number: u32, file: &str) -> String {
    let path = format!("/proc/{number}/{file}");
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A field of /proc/N/status.
fn field(number: u32, name: &str) -> String {
    let status = proc(number, "status");
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("no {name} in {status}"))
        .trim_start_matches(':')
        .trim()
        .to_owned()
}

/// Looks at a program from outside, where nothing is hidden: what it could do if it wanted to.
fn assert_restricted(number: u32, may_have_token: bool) {
    let nobody = ["65532"; 4].join("\t");
    assert_eq!(field(number, "Uid"), nobody);
    assert_eq!(field(number, "Gid"), nobody);
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(field(number, set), "0".repeat(16), "{set}");
    }
    assert_eq!(field(number, "NoNewPrivs"), "1");
    assert_eq!(field(number, "Seccomp"), "2", "system calls are filtered");
    let mounts = proc(number, "mountinfo");
    let options = |folder: &str| {
        let of = |line: &str| {
            let words: Vec<&str> = line.split(' ').collect();
            (words[4] == folder).then(|| words[5].to_owned())
        };
        mounts.lines().find_map(of)
    };
    let root = options("/").expect("a root");
    assert!(root.split(',').any(|option| option == "ro"), "{root}");
    if !may_have_token {
        assert!(!mounts.contains("serviceaccount"), "{mounts}");
        for claim in mounts.lines().filter(|line| line.contains(" /mnt/claims/")) {
            assert!(claim.contains(" ro,"), "{claim}");
        }
        assert!(options("/mnt/claims/autopeft").is_some(), "{mounts}");
    }
}

/// The trainer of the first trial, looked at while it runs.
async fn look_at_a_trainer(node: &Node, searches: &Searches) {
    let found = async || {
        let pods = searches.pods().await;
        let programs = pods.iter().flat_map(|pod| node.processes(pod));
        let trial = |number: &u32| {
            let words = std::fs::read_to_string(format!("/proc/{number}/cmdline"));
            // Before it is a trainer, it is the runtime that makes the container.
            words.is_ok_and(|words| words.starts_with("/opt/autopeft/peft-trainer\0trial\0"))
        };
        programs.collect::<Vec<_>>().into_iter().find(trial)
    };
    within(LONG, "a trainer runs", async || found().await.is_some()).await;
    let number = found().await.expect("it ran a moment ago");
    assert_restricted(number, false);
}

fn operator_pod(node: &Node) -> Pod {
    let instance = "app.kubernetes.io/instance=autopeft";
    let listed = node.kubectl(&["get", "pods", "-n", NAMESPACE, "-l", instance, "-o", "json"]);
    let mut listed: Value = serde_json::from_str(&listed).expect("JSON");
    serde_json::from_value(listed["items"][0].take()).expect("a pod")
}

/// The path of every field that has fields.
fn objects(path: &str, schema: &Value) -> Vec<String> {
    let inner = if schema["items"].is_object() {
        &schema["items"]
    } else {
        schema
    };
    let Some(fields) = inner["properties"].as_object() else {
        return Vec::new();
    };
    let own = fields.iter().filter(|(name, _)| *name != "metadata");
    let deeper = own.flat_map(|(name, field)| objects(&format!("{path}.{name}"), field));
    std::iter::once(path.to_owned()).chain(deeper).collect()
}

/// What a user sees of a search that has ended, and of its operator.
fn look_as_a_user(node: &Node) {
    let one = ["psearch/short", "-n", NAMESPACE];
    node.kubectl(
        &[
            &["wait", "--for=condition=Succeeded", "--timeout=10s"],
            &one[..],
        ]
        .concat(),
    );
    let table = node.kubectl(&[&["get"], &one[..]].concat());
    let lines: Vec<Vec<&str>> = table
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    let columns = [
        "NAME",
        "SUCCEEDED",
        "REASON",
        "DEGRADED",
        "TRIALS",
        "RUNNING",
        "BEST",
        "FRONT",
        "HYPERVOLUME",
        "AGE",
    ];
    assert_eq!(lines[0], columns, "{table}");
    assert_eq!(
        lines[1][..6],
        ["short", "True", "MaxTrialsReached", "False", "7/7", "0"],
        "{table}"
    );
    assert_eq!(
        lines[1].len(),
        columns.len(),
        "every column has a value: {table}"
    );

    let crd = node.kubectl(&["get", "crd", "peftsearches.autopeft.dev", "-o", "json"]);
    let crd: Value = serde_json::from_str(&crd).expect("JSON");
    let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    for path in objects("psearch", schema) {
        let text = node.kubectl(&["explain", &path]);
        assert!(
            text.contains("FIELDS:") && !text.contains("<no description>"),
            "{path}: {text}"
        );
    }

    let log = node.kubectl(&["logs", "deployment/autopeft", "-n", NAMESPACE]);
    let lines = log.lines().map(|line| {
        serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"))
    });
    let of_trials = lines.filter(|line| line["search"] == "short" && line["trial"].is_u64());
    assert!(
        of_trials.count() >= 12,
        "planned and scored, each trial after the upgrade: {log}"
    );

    let pod = operator_pod(node);
    let programs = node.processes(&pod);
    assert_eq!(programs.len(), 1, "the operator is one process");
    assert_restricted(programs[0], true);
    let (now, most) = (field(programs[0], "VmRSS"), field(programs[0], "VmHWM"));
    tell(&format!(
        "the operator in its pod: {now} of memory, {most} at most"
    ));
    let kibibytes: u64 = most
        .split(' ')
        .next()
        .expect("a number")
        .parse()
        .expect("a number");
    assert!(kibibytes < 256 * 1024, "{most}");
}

#[test]
fn the_example_finds_in_a_cluster_exactly_what_it_finds_on_one_machine() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(node) = node() else { return };
    let (file, workdir) = (
        folder.path().join("search.yaml"),
        folder.path().join("work"),
    );
    std::fs::write(&file, manifest().to_string()).expect("the manifest is written");
    let alone = run_search(&file, &workdir)
        // As many threads as the cluster's trainer has: its cores, rounded up.
        .env("OMP_NUM_THREADS", "2")
        .stdin(Stdio::null())
        .output()
        .expect("the search starts");
    assert!(
        alone.status.success(),
        "{}",
        String::from_utf8_lossy(&alone.stderr)
    );
    let expected = std::fs::read_to_string(workdir.join("status.yaml")).expect("status.yaml");
    let expected: PeftSearch = serde_saphyr::from_str(&expected).expect("a PeftSearch");
    let expected = expected.status.expect("a status");
    assert_eq!(expected.ledger.len(), 10, "seven trials, three baselines");

    let size = std::fs::metadata(archive("operator"))
        .expect("an image")
        .len();
    tell(&format!(
        "the operator's image: {:.1} MB",
        size as f64 / 1e6
    ));
    assert!(size <= IMAGE_LIMIT, "{size} bytes");
    node.load(&archive("trainer"));
    runtime().block_on(async {
        let searches = node.with_operator(NAMESPACE).await;
        claims(node);
        let mut kept = manifest();
        kept["spec"]["trainer"]["artifactsClaim"] = json!({"name": "kept", "path": "adapters"});
        node.apply(NAMESPACE, &kept);
        look_at_a_trainer(node, &searches).await;
        // What runs goes on under the next operator, no attempt is made twice, and nothing changes by that.
        node.upgrade(NAMESPACE, &["engineThreads=2"]);
        let search = searches.over("short").await;
        let status = search.status.clone().unwrap_or_default();
        assert_eq!(essence(&status), essence(&expected));
        assert_adapters_are_kept(node, &status);
        look_as_a_user(node);
        searches.left_nothing().await;
        assert_sound(&search, &node.audit());
        a_real_trainer_runs_out_of_memory(node, &searches).await;
        a_trainer_without_cuda_is_no_use_on_a_gpu(node, &searches).await;
    });
}

/// The node pretends to have GPUs; the trainer's image is the one for the CPU. No trial of it holds one.
async fn a_trainer_without_cuda_is_no_use_on_a_gpu(node: &Node, searches: &Searches) {
    let mut wrong = manifest();
    wrong["metadata"]["name"] = json!("wrong");
    wrong["spec"]["trainer"]["resources"]["gpus"] = json!(1);
    node.apply(NAMESPACE, &wrong);
    let status = searches.over("wrong").await.status.unwrap_or_default();
    let mut conditions = status.conditions.iter();
    let ended = conditions.find(|condition| condition.type_ == "Succeeded");
    let ended = ended.expect("it tells how it ended");
    assert_eq!((&*ended.status, &*ended.reason), ("False", "BadInput"));
    for part in ["was built without CUDA", "spec.trainer.image"] {
        assert!(ended.message.contains(part), "{}", ended.message);
    }
    assert!(status.ledger.is_empty(), "{:?}", status.ledger);
}

/// Row 20, with a real trainer: what it is given shrinks once its model was looked at.
async fn a_real_trainer_runs_out_of_memory(node: &Node, searches: &Searches) {
    let mut starved = manifest();
    starved["metadata"]["name"] = json!("starved");
    starved["spec"]["maxTrials"] = json!(2);
    starved["spec"]["baselines"] = json!([]);
    node.apply(NAMESPACE, &starved);
    within(LONG, "the model was looked at", async || {
        searches.status("starved").await.inspection.is_some()
    })
    .await;
    let little = json!({"trainer": {"resources": {"memory": "100Mi"}}});
    searches
        .patch("starved", &little)
        .await
        .expect("it may change");
    let status = searches.over("starved").await.status.unwrap_or_default();
    // The first may have started before.
    let last = &status.ledger[1];
    assert_eq!(last.state, TrialState::Infeasible, "{last:?}");
    assert_eq!(last.reason, Some(FailureReason::OutOfMemory), "{last:?}");
    assert_eq!((last.attempt, last.failed_attempts), (1, 0));
}
