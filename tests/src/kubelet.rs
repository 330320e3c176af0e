//! A simulated kubelet: it writes the status of trainer pods, as the test decides, and runs no containers. For the api
//! size of the cluster, which has no node.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use autopeft_crds::inspection::{InspectionOutcome, InspectionResult};
use autopeft_crds::spec::Metric;
use autopeft_crds::trial::{
    EpochMeasurements, Inspection, RESULT_VERSION, TrialMeasurements, TrialOutcome, TrialRequest,
    TrialResult,
};
use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::api::{Patch, PatchParams};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};

/// How a pod ends.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// With a result.
    Succeed,
    /// With this termination message and exit code.
    Say(String, i32),
    /// Killed for its memory.
    OomKilled,
    /// Evicted.
    Evicted,
    /// The node lost track of it.
    Unknown,
    /// Its image does not exist.
    NoImage,
    /// The node rejects it.
    Rejected,
    /// It was scheduled three minutes ago, and its node does not start it.
    NotMade,
    /// It runs until it is deleted.
    Hang,
    /// It runs, and its node is lost.
    NodeLost,
    /// It runs until the test sends this signal, then ends like that.
    Once(Signal, Box<Act>),
}

/// A signal of the test to its simulated pods.
#[derive(Clone, Debug, Default)]
pub struct Signal(Arc<AtomicBool>);

impl Signal {
    /// Releases all waiting pods.
    pub fn give(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_given(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl PartialEq for Signal {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// A column that the simulated trainers do not find in their data.
pub const ABSENT_COLUMN: &str = "absent";

/// The inspection of the simulated trainers.
pub fn inspection() -> Inspection {
    Inspection {
        architecture: "bert".into(),
        layers: 6,
        hidden_size: 384,
        feed_forward_size: None,
        backbone_parameters: 22_713_216,
        train_examples: 1000,
        validation_examples: 500,
        model_fingerprint: None,
        data_fingerprint: None,
        others: Vec::new(),
        constant_score: None,
        spec_hash: None,
        other: Default::default(),
    }
}

/// The score of a configuration: it grows with the parameters, ever more slowly, and differs between layers.
pub fn score(request: &TrialRequest) -> f64 {
    let configuration = &request.configuration;
    let parameters = configuration.parameters(384) as f64;
    let layers: usize = configuration.layers.active_layers().sum();
    let noise = u32::from_str_radix(&configuration.hash()[..4], 16).unwrap_or(0);
    0.5 + 0.3 * (1.0 - (-parameters / 5e5).exp())
        + 0.005 * layers as f64
        + 0.01 * f64::from(noise) / 65536.0
}

/// A document with a score.
pub fn success(request: &TrialRequest) -> TrialResult {
    let score = score(request);
    TrialResult {
        version: RESULT_VERSION,
        identity: request.identity.clone(),
        outcome: TrialOutcome::Succeeded(Box::new(TrialMeasurements {
            score,
            metric: Metric::Accuracy,
            selection_score: None,
            metrics: Default::default(),
            best_epoch: 1,
            selected_layers: None,
            stopped_early: None,
            epochs: vec![EpochMeasurements {
                epoch: 1,
                loss: Some(0.5),
                metrics: [(Metric::Accuracy, score)].into(),
            }],
            trained_parameters: request.configuration.parameters(384) + 770,
            deployed_parameters: request.configuration.parameters(384),
            train_seconds: 1.0,
            total_seconds: 2.0,
            peak_memory_bytes: 1 << 28,
            device: "cpu".into(),
            precision: "float32".into(),
            steps: 38,
            validation_examples: 500,
            seeds: [("init".into(), 1)].into(),
            versions: [("peft-trainer".into(), "0.1.0".into())].into(),
        })),
    }
}

/// Simulates every trainer pod of a namespace until it is dropped. Each runs for `time`, then ends as `decide` returns.
#[derive(Debug)]
pub struct Kubelet {
    task: tokio::task::JoinHandle<()>,
    /// The names of the pods that were started.
    pub started: Arc<Mutex<BTreeSet<String>>>,
    missing: Missing,
}

/// The reason why inspections fail, if they do.
type Missing = Arc<Mutex<Option<String>>>;

impl Drop for Kubelet {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Kubelet {
    /// Makes inspections fail for this reason from now on, or succeed if it is `None`.
    pub fn miss(&self, what: Option<&str>) {
        *self.missing.lock().expect("no test has failed") = what.map(Into::into);
    }

    /// Starts the simulation.
    pub fn play(
        client: Client,
        namespace: &str,
        time: Duration,
        decide: impl Fn(&TrialRequest) -> Act + Send + Sync + 'static,
    ) -> Self {
        let pods: Api<Pod> = Api::namespaced(client, namespace);
        let started: Arc<Mutex<BTreeSet<String>>> = Arc::default();
        let known = Arc::clone(&started);
        let missing = Missing::default();
        let unseen = Arc::clone(&missing);
        let decide = Arc::new(decide);
        let task = tokio::spawn(async move {
            let changes = watcher(pods.clone(), watcher::Config::default()).applied_objects();
            let mut changes = std::pin::pin!(changes);
            while let Some(change) = changes.next().await {
                let Ok(pod) = change else {
                    // The API server may be down on purpose.
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    continue;
                };
                let is_new = known
                    .lock()
                    .expect("no test has failed")
                    .insert(pod.name_any());
                if is_new {
                    let (missing, decide) = (Arc::clone(&unseen), Arc::clone(&decide));
                    tokio::spawn(run(pods.clone(), pod, time, missing, decide));
                }
            }
        });
        Self {
            task,
            started,
            missing,
        }
    }
}

async fn run<D: Fn(&TrialRequest) -> Act>(
    pods: Api<Pod>,
    pod: Pod,
    time: Duration,
    missing: Missing,
    decide: Arc<D>,
) {
    // A pod of another owner.
    let Some(document) = pod.annotations().get("autopeft.dev/request") else {
        return;
    };
    let request: TrialRequest = serde_json::from_str(document).expect("a request");
    let begun = Timestamp::now();
    let is_inspection = pod.labels()["autopeft.dev/trial"] == "inspection";
    let act = if is_inspection {
        Act::Succeed
    } else {
        decide(&request)
    };
    if never_starts(&pods, &pod, &act, begun).await {
        return;
    }
    let running = json!({"running": {"startedAt": begun.to_string()}});
    write(&pods, &pod, "Running", running, None).await;
    if act == Act::NodeLost {
        return;
    }
    tokio::time::sleep(time).await;
    let mut act = act;
    if let Act::Once(signal, then) = act {
        while !signal.is_given() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        act = *then;
    }
    let act = match act {
        Act::Hang if !is_stopped(&pods, &pod).await => return,
        // As after SIGKILL.
        Act::Hang => Act::Say(String::new(), 137),
        act => act,
    };
    let missing = missing.lock().expect("no test has failed").clone();
    let Some((message, code)) = last_words(&act, &request, is_inspection, missing) else {
        return;
    };
    let reason = match act {
        Act::OomKilled => "OOMKilled",
        Act::Evicted | Act::Unknown => "ContainerStatusUnknown",
        _ if code == 0 => "Completed",
        _ => "Error",
    };
    let terminated = json!({"terminated": {
        "exitCode": code,
        "reason": reason,
        "message": message,
        "startedAt": begun.to_string(),
        "finishedAt": Timestamp::now().to_string(),
    }});
    let phase = if code == 0 { "Succeeded" } else { "Failed" };
    let evicted = (act == Act::Evicted).then_some("Evicted");
    write(&pods, &pod, phase, terminated, evicted).await;
}

/// Simulates a pod whose container never runs. False if `act` is something else.
async fn never_starts(pods: &Api<Pod>, pod: &Pod, act: &Act, begun: Timestamp) -> bool {
    match act {
        Act::NoImage => {
            let state =
                json!({"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}});
            write(pods, pod, "Pending", state, None).await;
        }
        Act::NotMade => {
            let since = begun - SignedDuration::from_secs(180);
            let status = json!({"status": {
                "phase": "Pending",
                "conditions": [{
                    "type": "PodScheduled", "status": "True",
                    "lastTransitionTime": since.to_string(),
                }],
            }});
            patch(pods, pod, &status).await;
        }
        Act::Rejected => {
            let status = json!({"status": {
                "phase": "Failed",
                "reason": "UnexpectedAdmissionError",
                "message": "Allocate failed due to no healthy devices present",
            }});
            patch(pods, pod, &status).await;
        }
        _ => return false,
    }
    true
}

/// The termination message and the exit code; `None` for a pod that does not end by itself. `missing` is the reason why
/// inspections fail.
fn last_words(
    act: &Act,
    request: &TrialRequest,
    is_inspection: bool,
    missing: Option<String>,
) -> Option<(String, i32)> {
    Some(match act {
        Act::Hang | Act::NoImage | Act::Rejected | Act::NotMade | Act::NodeLost | Act::Once(..) => {
            return None;
        }
        Act::Succeed if is_inspection => {
            let custom = request.task.custom.as_ref();
            let mut columns = custom.iter().flat_map(|custom| &custom.text_columns);
            let (outcome, code) = match missing {
                None if columns.any(|column| column == ABSENT_COLUMN) => {
                    let message = format!("there is no column {ABSENT_COLUMN:?}");
                    (InspectionOutcome::Refused { message }, 2)
                }
                None => (InspectionOutcome::Found(inspection()), 0),
                Some(message) => (InspectionOutcome::Unavailable { message }, 1),
            };
            let result = InspectionResult {
                version: RESULT_VERSION,
                search_uid: request.identity.search_uid.clone(),
                outcome,
            };
            (serde_json::to_string(&result).expect("JSON"), code)
        }
        Act::Succeed => (serde_json::to_string(&success(request)).expect("JSON"), 0),
        Act::Say(message, code) => (message.clone(), *code),
        Act::OomKilled => (String::new(), 137),
        // The kubelet's message instead of the trainer's.
        Act::Evicted | Act::Unknown => (
            "The container could not be located when the pod was terminated".into(),
            137,
        ),
    })
}

/// Waits until a pod is being deleted. False if it is gone.
async fn is_stopped(pods: &Api<Pod>, pod: &Pod) -> bool {
    loop {
        match pods.get_opt(&pod.name_any()).await {
            Ok(None) => return false,
            Ok(Some(found)) if found.metadata.deletion_timestamp.is_some() => return true,
            // The API server may be down on purpose.
            _ => tokio::time::sleep(Duration::from_millis(300)).await,
        }
    }
}

async fn write(pods: &Api<Pod>, pod: &Pod, phase: &str, state: Value, reason: Option<&str>) {
    let image = &pod.spec.as_ref().expect("a spec").containers[0].image;
    let status = json!({"status": {
        "phase": phase,
        "reason": reason,
        "containerStatuses": [{
            "name": "trainer", "image": image, "imageID": "", "ready": false, "restartCount": 0,
            "state": state,
        }],
    }});
    patch(pods, pod, &status).await;
}

async fn patch(pods: &Api<Pod>, pod: &Pod, status: &Value) {
    // The caller retries if the pod is gone or the API server is down.
    for _ in 0..600 {
        let parameters = PatchParams::default();
        match pods
            .patch_status(&pod.name_any(), &parameters, &Patch::Strategic(status))
            .await
        {
            Ok(_) => return,
            Err(kube::Error::Api(error)) if error.code == 404 => return,
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}
