//! What our Jobs and pods are called and how they are marked. No I/O.

use autopeft_crds::PeftSearch;
use autopeft_crds::configuration::hex_prefix;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

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
    let name: String = search.chars().take(46).collect();
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
