//! The Job of a trial. No I/O.
//!
//! Its name and content are a function of the search and the request, and it carries a hash of its spec, so
//! that an existing Job of that name can be compared with it.

use std::collections::BTreeMap;

use autopeft_crds::PeftSearch;
use autopeft_crds::configuration::hex_prefix;
use autopeft_crds::run::RunRequest;
use autopeft_crds::spec::Source;
use autopeft_crds::trial::TrialRequest;
use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube_core::Resource;

use super::names::{self, FINALIZER, Work};
use super::pod::{Defaults, pod};

/// What a trainer is to do.
#[derive(Clone, Debug)]
pub struct Order {
    /// The document that it reads.
    pub request: String,
    /// The sources of the data that it reads.
    pub data: Vec<Source>,
    /// Its deadline.
    pub seconds: u64,
}

impl Order {
    /// A run.
    pub fn run(request: &RunRequest, seconds: u64) -> serde_json::Result<Self> {
        let mut data: Vec<Source> = Vec::new();
        for trial in request.trials() {
            if !data.contains(&trial.task.source) {
                data.push(trial.task.source.clone());
            }
        }
        Ok(Self {
            request: serde_json::to_string(request)?,
            data,
            seconds,
        })
    }

    /// The inspection of a search.
    pub fn inspection(request: &TrialRequest, seconds: u64) -> serde_json::Result<Self> {
        let others = request.others.iter().map(|other| &other.given.task);
        let tasks = [&request.task].into_iter().chain(others);
        Ok(Self {
            request: serde_json::to_string(request)?,
            data: tasks.map(|task| task.source.clone()).collect(),
            seconds,
        })
    }
}

/// The Job of a run or of the inspection.
pub fn job(
    search: &PeftSearch,
    work: Work,
    attempt: u32,
    order: Order,
    defaults: &Defaults,
) -> Job {
    let (name, uid) = (
        search.metadata.name.clone().unwrap_or_default(),
        search.metadata.uid.clone().unwrap_or_default(),
    );
    let labels = BTreeMap::from([
        (names::MANAGED_BY.into(), names::MANAGER.into()),
        ("app.kubernetes.io/component".into(), "trainer".into()),
        (names::SEARCH.into(), name.clone()),
        (names::SEARCH_UID.into(), uid.clone()),
        (names::TRIAL.into(), names::label_of(work)),
        (names::ATTEMPT.into(), attempt.to_string()),
    ]);
    let spec = job_spec(search, work, order, labels.clone(), defaults);
    let mut job_labels = labels;
    let queue = search.spec.trainer.queue_name.as_ref();
    if let Some(queue) = queue {
        job_labels.insert(names::QUEUE.into(), queue.clone());
    }
    Job {
        metadata: ObjectMeta {
            name: Some(names::job_name(&name, &uid, work, attempt)),
            namespace: search.metadata.namespace.clone(),
            labels: Some(job_labels),
            annotations: Some(BTreeMap::from([(names::SPEC_HASH.into(), hash(&spec))])),
            owner_references: search.controller_owner_ref(&()).map(|owner| vec![owner]),
            ..ObjectMeta::default()
        },
        spec: Some(spec),
        status: None,
    }
}

fn job_spec(
    search: &PeftSearch,
    work: Work,
    order: Order,
    labels: BTreeMap<String, String>,
    defaults: &Defaults,
) -> JobSpec {
    let Order {
        request,
        data,
        seconds,
    } = order;
    JobSpec {
        backoff_limit: Some(0),
        completions: Some(1),
        parallelism: Some(1),
        // A pod is never replaced while it still runs.
        pod_replacement_policy: Some("Failed".into()),
        active_deadline_seconds: i64::try_from(seconds).ok(),
        // Kueue admits a Job by ending its suspension.
        suspend: search.spec.trainer.queue_name.as_ref().map(|_| true),
        template: PodTemplateSpec {
            metadata: Some(ObjectMeta {
                labels: Some(labels),
                annotations: Some(BTreeMap::from([(names::REQUEST.into(), request)])),
                finalizers: Some(vec![FINALIZER.into()]),
                ..ObjectMeta::default()
            }),
            spec: Some(pod(&search.spec, work, &data, defaults)),
        },
        ..JobSpec::default()
    }
}

/// The hash of a Job's spec.
fn hash(spec: &JobSpec) -> String {
    // A JobSpec is plain data: it always has a JSON form.
    hex_prefix(&serde_json::to_vec(spec).unwrap_or_default())
}

/// The hash that a Job carries.
fn spec_hash(job: &Job) -> Option<&String> {
    job.metadata.annotations.as_ref()?.get(names::SPEC_HASH)
}

/// A label of a Job.
pub fn label<'a>(job: &'a Job, name: &str) -> Option<&'a String> {
    job.metadata.labels.as_ref()?.get(name)
}

/// Whether a Job was created from another spec than the wanted one. Changes by admission or Kueue do not
/// count: if the search names no queue, Kueue may have set its default one.
pub fn is_outdated(found: &Job, wanted: &Job) -> bool {
    let queue = label(wanted, names::QUEUE);
    let is_in_another = queue.is_some() && label(found, names::QUEUE) != queue;
    match (spec_hash(found), spec_hash(wanted)) {
        (Some(before), Some(now)) => before != now || is_in_another,
        _ => false,
    }
}

/// Whether an existing Job is the wanted one: of the same search, spec and request. Changes by the API
/// server, admission or Kueue do not count.
pub fn is_the_same(found: &Job, wanted: &Job) -> bool {
    let request = |job: &Job| {
        let template = job.spec.as_ref()?.template.metadata.as_ref()?;
        template.annotations.as_ref()?.get(names::REQUEST).cloned()
    };
    let mut labels = wanted.metadata.labels.iter().flatten();
    spec_hash(found).is_some()
        && spec_hash(found) == spec_hash(wanted)
        && names::controller_uid(&found.metadata) == names::controller_uid(&wanted.metadata)
        && labels.all(|(name, value)| label(found, name) == Some(value))
        && request(found) == request(wanted)
}
