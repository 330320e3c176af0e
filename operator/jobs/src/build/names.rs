//! Names, labels and annotations of our Jobs and pods. No I/O.

use autopeft_crds::configuration::hex_prefix;
use autopeft_crds::trial::TrialIdentity;
use autopeft_crds::{NAME_MAX, PeftSearch};
pub use autopeft_search::backoff::Work;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use serde::Deserialize;

/// The label of every object that we create.
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
/// The finalizer that keeps a trial's pod until its result is recorded.
pub const FINALIZER: &str = "autopeft.dev/result";
/// Kueue's label for the queue that admits a Job.
pub const QUEUE: &str = "kueue.x-k8s.io/queue-name";
/// The resource name of GPUs.
pub const GPU: &str = "nvidia.com/gpu";
/// The annotation with the hash of the Job's spec as we created it: admission may change the spec, but not
/// this.
pub const SPEC_HASH: &str = "autopeft.dev/made";
/// The label by which the Job controller marks a Job's pods.
pub const JOB_UID: &str = "batch.kubernetes.io/controller-uid";
/// The container of a trial's pod.
pub const CONTAINER: &str = "trainer";

/// The work of a Job, as a label's value.
pub fn label_of(work: Work) -> String {
    match work {
        Work::Inspection => "inspection".into(),
        Work::Trial(trial) => trial.to_string(),
    }
}

/// The name of an attempt's Job, a function of search, trial and attempt. At most 62 characters for a
/// search's name of at most 46.
pub fn job_name(search: &str, uid: &str, work: Work, attempt: u32) -> String {
    let part = match work {
        Work::Inspection => "i".into(),
        Work::Trial(trial) => trial.to_string(),
    };
    format!("{}-{part}-{attempt}", mark(search, uid))
}

/// A unique name of a search: its name and a hash of its UID.
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

/// The attempt of the Job with this name; `None` if it is not a name of the search's Jobs. Unlike labels, a
/// name cannot change.
pub fn attempt_of_job(name: &str, search: &str, uid: &str) -> Option<(Work, u32)> {
    let rest = name.strip_prefix(&mark(search, uid))?.strip_prefix('-')?;
    let (work, attempt) = numbers(rest)?;
    (job_name(search, uid, work, attempt) == name).then_some((work, attempt))
}

/// Whether `job_name` makes such a name for any search.
pub fn is_job_name(name: &str) -> bool {
    let mut parts = name.rsplitn(3, '-');
    let (attempt, part, rest) = (parts.next(), parts.next(), parts.next());
    let is_marked = rest
        .and_then(|rest| rest.rsplit_once('-'))
        .is_some_and(|(_, mark)| mark.len() == 8 && mark.bytes().all(|c| c.is_ascii_hexdigit()));
    let (Some(part), Some(attempt)) = (part, attempt) else {
        return false;
    };
    is_marked && numbers(&format!("{part}-{attempt}")).is_some()
}

/// The end of a Job's name.
fn numbers(end: &str) -> Option<(Work, u32)> {
    let (part, attempt) = end.split_once('-')?;
    let work = match part {
        "i" => Work::Inspection,
        number => Work::Trial(number.parse().ok()?),
    };
    Some((work, attempt.parse().ok()?))
}

/// The attempt in an object's labels; `None` without our labels.
pub fn attempt_of(metadata: &ObjectMeta) -> Option<(Work, u32)> {
    let labels = metadata.labels.as_ref()?;
    let work = match labels.get(TRIAL)?.as_str() {
        "inspection" => Work::Inspection,
        number => Work::Trial(number.parse().ok()?),
    };
    Some((work, labels.get(ATTEMPT)?.parse().ok()?))
}

/// The UID of the object that controls this one.
pub fn controller_uid(metadata: &ObjectMeta) -> Option<&str> {
    controller(metadata).map(|owner| owner.uid.as_str())
}

/// The name of the Job that controls a pod.
pub fn controlling_job(metadata: &ObjectMeta) -> Option<&str> {
    let owner = controller(metadata).filter(|owner| owner.kind == "Job");
    owner.map(|owner| owner.name.as_str())
}

fn controller(metadata: &ObjectMeta) -> Option<&OwnerReference> {
    let mut owners = metadata.owner_references.iter().flatten();
    owners.find(|owner| owner.controller == Some(true))
}

/// Whether our finalizer is on an object.
pub fn is_held(metadata: &ObjectMeta) -> bool {
    let finalizers = metadata.finalizers.iter().flatten();
    finalizers.into_iter().any(|name| name == FINALIZER)
}

/// Whether a Job belongs to a search: by its name, its owner, and the labels and the request of its template,
/// which is immutable. Its own labels are mutable, and deleting a search without its Jobs removes their
/// owner.
pub fn is_our_job(job: &Job, search: &str, uid: &str) -> bool {
    let name = job.metadata.name.as_deref().unwrap_or_default();
    let owner = controller_uid(&job.metadata);
    let Some(attempt) = attempt_of_job(name, search, uid) else {
        return false;
    };
    owner.is_none_or(|owner| owner == uid)
        && template_of(job).is_some_and(|template| is_marked(template, uid, attempt))
}

/// Name and UID of the search that a Job was made for.
pub fn search_of_job(job: &Job) -> Option<(&str, &str)> {
    search_of(template_of(job)?)
}

/// Name and UID of the search that an object is labelled with.
pub fn search_of(metadata: &ObjectMeta) -> Option<(&str, &str)> {
    let labels = metadata.labels.as_ref()?;
    Some((labels.get(SEARCH)?, labels.get(SEARCH_UID)?))
}

fn template_of(job: &Job) -> Option<&ObjectMeta> {
    job.spec.as_ref()?.template.metadata.as_ref()
}

/// Which attempt of a search a pod belongs to: by the Job that controls it, if the Job controller's label
/// agrees or the pod has all our labels and the request; by these alone if its Job was deleted without its
/// pods.
pub fn attempt_of_pod(metadata: &ObjectMeta, search: &str, uid: &str) -> Option<(Work, u32)> {
    let Some(owner) = controller(metadata) else {
        return attempt_of(metadata).filter(|attempt| is_marked(metadata, uid, *attempt));
    };
    let job = controlling_job(metadata)?;
    let attempt = attempt_of_job(job, search, uid)?;
    (is_pod_of(metadata, &owner.uid) || is_marked(metadata, uid, attempt)).then_some(attempt)
}

/// Whether a pod belongs to the Job with this UID, by its owner and the Job controller's label.
pub fn is_pod_of(metadata: &ObjectMeta, job_uid: &str) -> bool {
    let labels = metadata.labels.as_ref();
    let label = labels.and_then(|labels| labels.get(JOB_UID));
    controller_uid(metadata) == Some(job_uid) && label.is_some_and(|label| label == job_uid)
}

/// Whether a pod has the finalizer and was created by the Job controller for a Job of this operator.
pub fn is_made_for_us(metadata: &ObjectMeta) -> bool {
    let job = controlling_job(metadata);
    let uid = controller_uid(metadata);
    is_held(metadata)
        && job.is_some_and(is_job_name)
        && uid.is_some_and(|uid| is_pod_of(metadata, uid))
}

/// Whether an object has all labels of an attempt and the request to its trainer.
fn is_marked(metadata: &ObjectMeta, uid: &str, attempt: (Work, u32)) -> bool {
    let labels = metadata.labels.as_ref();
    let is = |key: &str, value: &str| {
        labels.is_some_and(|labels| labels.get(key).is_some_and(|found| found == value))
    };
    is(MANAGED_BY, MANAGER)
        && is(SEARCH_UID, uid)
        && attempt_of(metadata) == Some(attempt)
        && has_request_of(metadata, uid, attempt.0, attempt.1)
}

/// Whether the request on an object is that of this attempt.
fn has_request_of(metadata: &ObjectMeta, uid: &str, work: Work, attempt: u32) -> bool {
    #[derive(Deserialize)]
    struct Request {
        identity: TrialIdentity,
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Document {
        One(Request),
        Several { trials: Vec<Request> },
    }
    let text = metadata
        .annotations
        .as_ref()
        .and_then(|all| all.get(REQUEST));
    let document = text.and_then(|text| serde_json::from_str::<Document>(text).ok());
    let request = document.and_then(|document| match document {
        Document::One(request) => Some(request),
        // A run is named by its first trial.
        Document::Several { trials } => trials.into_iter().next(),
    });
    request.is_some_and(|Request { identity }| {
        identity.search_uid == uid
            && match work {
                Work::Inspection => true,
                Work::Trial(trial) => identity.trial == trial && identity.attempt == attempt,
            }
    })
}
