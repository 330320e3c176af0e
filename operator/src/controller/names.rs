//! What our Jobs and pods are called and how they are marked. No I/O.

use autopeft_crds::configuration::hex_prefix;
use autopeft_crds::trial::TrialIdentity;
use autopeft_crds::{NAME_MAX, PeftSearch};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;

/// The label of everything that we create.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// The value of that label.
pub const MANAGER: &str = "autopeft";
/// The search's name.
pub const SEARCH: &str = "autopeft.dev/search";
/// The search's UID.
pub const SEARCH_UID: &str = "autopeft.dev/search-uid";
/// The trial's number, or `inspection`.
pub const TRIAL: &str = "autopeft.dev/trial";
/// The attempt, from 1.
pub const ATTEMPT: &str = "autopeft.dev/attempt";
/// The annotation with the request that the trainer reads.
pub const REQUEST: &str = "autopeft.dev/request";
/// Held on a trial's pod until its result is recorded.
pub const FINALIZER: &str = "autopeft.dev/result";
/// Kueue's label for the queue that admits a Job.
pub const QUEUE: &str = "kueue.x-k8s.io/queue-name";
/// The resource that GPUs are asked for by.
pub const GPU: &str = "nvidia.com/gpu";
/// The annotation with the hash of the Job as we made it: admission may change the Job, never this.
pub const MADE: &str = "autopeft.dev/made";
/// The label by which the Job controller marks a Job's pods.
const JOB_UID: &str = "batch.kubernetes.io/controller-uid";
/// The container of a trial's pod.
pub const CONTAINER: &str = "trainer";

/// What a Job is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// It looks at model and data before the search begins.
    Inspection,
    /// It trains a trial.
    Trial(u32),
}

impl Purpose {
    /// As a label's value and a part of the Job's name.
    pub fn label(self) -> String {
        match self {
            Self::Inspection => "inspection".into(),
            Self::Trial(trial) => trial.to_string(),
        }
    }
}

/// The Job of an attempt: the same name for the same search, trial and attempt, whoever asks. At
/// most 62 characters for a search's name of at most 46.
pub fn job_name(search: &str, uid: &str, purpose: Purpose, attempt: u32) -> String {
    let part = match purpose {
        Purpose::Inspection => "i".into(),
        Purpose::Trial(trial) => trial.to_string(),
    };
    format!("{}-{part}-{attempt}", mark(search, uid))
}

/// What tells a search from all others, in one word: its name and a mark of its UID.
pub fn search_mark(search: &PeftSearch) -> String {
    let metadata = &search.metadata;
    mark(
        metadata.name.as_deref().unwrap_or_default(),
        metadata.uid.as_deref().unwrap_or_default(),
    )
}

fn mark(search: &str, uid: &str) -> String {
    let name: String = search.chars().take(NAME_MAX).collect();
    let name = name.trim_end_matches(['-', '.']).replace('.', "-");
    let mut mark = hex_prefix(uid.as_bytes());
    mark.truncate(8);
    format!("{name}-{mark}")
}

/// Which attempt an object says it is of; `None` where it is not marked as ours.
pub fn attempt_of(metadata: &ObjectMeta) -> Option<(Purpose, u32)> {
    let labels = metadata.labels.as_ref()?;
    let purpose = match labels.get(TRIAL)?.as_str() {
        "inspection" => Purpose::Inspection,
        number => Purpose::Trial(number.parse().ok()?),
    };
    Some((purpose, labels.get(ATTEMPT)?.parse().ok()?))
}

/// The UID of the object that controls this one.
pub fn controller_uid(metadata: &ObjectMeta) -> Option<&str> {
    let owners = metadata.owner_references.as_ref()?;
    owners
        .iter()
        .find(|owner| owner.controller == Some(true))
        .map(|owner| owner.uid.as_str())
}

/// Whether our finalizer is on an object.
pub fn is_held(metadata: &ObjectMeta) -> bool {
    let finalizers = metadata.finalizers.iter().flatten();
    finalizers.into_iter().any(|name| name == FINALIZER)
}

/// Whether a Job bears every mark of one of a search's: labels, owner, name, and a request to its
/// trainer. Labels alone, or an owner alone, anybody can write.
pub fn is_our_job(job: &Job, search: &str, uid: &str) -> bool {
    let metadata = &job.metadata;
    let template = job.spec.as_ref().map(|spec| &spec.template);
    let asked = template.and_then(|template| template.metadata.as_ref());
    marked(metadata, uid).is_some_and(|(purpose, attempt)| {
        metadata.name == Some(job_name(search, uid, purpose, attempt))
            && controller_uid(metadata) == Some(uid)
            && asked.is_some_and(|metadata| asks(metadata, uid, purpose, attempt))
    })
}

/// Whether a pod bears every mark of a pod of one of a search's Jobs. Where a Job was deleted without
/// its pods, they have no owner any more.
pub fn is_our_pod(pod: &Pod, search: &str, uid: &str) -> bool {
    let metadata = &pod.metadata;
    marked(metadata, uid).is_some_and(|(purpose, attempt)| {
        let job = job_name(search, uid, purpose, attempt);
        let mut owners = metadata.owner_references.iter().flatten();
        let owner = owners.find(|owner| owner.controller == Some(true));
        owner.is_none_or(|owner| owner.kind == "Job" && owner.name == job)
            && asks(metadata, uid, purpose, attempt)
    })
}

/// Whether a pod is one of the Job with this UID: its owner says so, and the Job controller.
pub fn is_pod_of(metadata: &ObjectMeta, job_uid: &str) -> bool {
    let labels = metadata.labels.as_ref();
    let label = labels.and_then(|labels| labels.get(JOB_UID));
    controller_uid(metadata) == Some(job_uid) && label.is_some_and(|label| label == job_uid)
}

/// The attempt of an object that is labelled as a search's.
fn marked(metadata: &ObjectMeta, uid: &str) -> Option<(Purpose, u32)> {
    let labels = metadata.labels.as_ref()?;
    let is = |key: &str, value: &str| labels.get(key).is_some_and(|found| found == value);
    attempt_of(metadata).filter(|_| is(MANAGED_BY, MANAGER) && is(SEARCH_UID, uid))
}

/// Whether the request on an object is that of this attempt.
fn asks(metadata: &ObjectMeta, uid: &str, purpose: Purpose, attempt: u32) -> bool {
    #[derive(Deserialize)]
    struct Request {
        identity: TrialIdentity,
    }
    let text = metadata
        .annotations
        .as_ref()
        .and_then(|all| all.get(REQUEST));
    let request = text.and_then(|text| serde_json::from_str::<Request>(text).ok());
    request.is_some_and(|Request { identity }| {
        identity.search_uid == uid
            && match purpose {
                Purpose::Inspection => true,
                Purpose::Trial(trial) => identity.trial == trial && identity.attempt == attempt,
            }
    })
}
