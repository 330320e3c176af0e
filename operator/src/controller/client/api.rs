//! Calls to the API server: each with a time limit and a name. The only place where `kube` errors are
//! taken apart.

use std::fmt::Debug;
use std::future::Future;
use std::time::Duration;

use autopeft_crds::PeftSearch;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{
    DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions, PropagationPolicy,
};
use kube::core::{DeserializeGuard, Status};
use kube::{Api, Client};
use serde::de::DeserializeOwned;
use serde_json::json;

use autopeft_jobs::build::names::{FINALIZER, JOB_UID, MANAGED_BY, MANAGER};

/// A search that may not be readable.
pub type Guarded = DeserializeGuard<PeftSearch>;

/// How writing a status is called.
pub const UPDATE_STATUS: &str = "update peftsearch status";
/// The longest that one call may take.
const LIMIT: Duration = Duration::from_secs(10);

/// Why a call came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// No answer in time.
    #[error("{verb}: no answer within {LIMIT:?}")]
    Timeout {
        /// What was asked.
        verb: &'static str,
    },
    /// An answer that is an error, or no connection.
    #[error("{verb}: {}", told(source))]
    Refused {
        /// What was asked.
        verb: &'static str,
        /// What `kube` says.
        source: Box<kube::Error>,
    },
}

impl ApiError {
    /// What the API server has answered, where it has.
    fn status(&self) -> Option<&Status> {
        match self {
            Self::Refused { source, .. } => match source.as_ref() {
                kube::Error::Api(status) => Some(status),
                _ => None,
            },
            Self::Timeout { .. } => None,
        }
    }

    /// The HTTP status, where there was an answer.
    pub fn code(&self) -> Option<u16> {
        self.status().map(|status| status.code)
    }

    /// Whether something of that name exists. Other conflicts have the same HTTP status.
    pub fn is_already_exists(&self) -> bool {
        self.status().is_some_and(Status::is_already_exists)
    }

    /// Whether the same may go well a moment later: no answer, an overload, trouble of its own.
    pub fn is_passing(&self) -> bool {
        !matches!(self.code(), Some(code) if code < 500 && code != 429)
    }

    /// What was asked.
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Timeout { verb } | Self::Refused { verb, .. } => verb,
        }
    }

    /// Whether it is refused by what others have set up, and stays so until somebody changes that:
    /// the reason for the Degraded condition.
    pub fn refusal(&self) -> Option<&'static str> {
        let webhook = self.message().contains("failed calling webhook");
        match self.code()? {
            500.. if webhook => Some("WebhookFailed"),
            403 if self.message().contains("quota") => Some("QuotaExceeded"),
            403 => Some("Forbidden"),
            // Gone, or changed meanwhile.
            404 | 409 => None,
            400..=499 => Some("Refused"),
            _ => None,
        }
    }

    /// The same of the creation of a Job.
    pub fn refusal_to_create(&self) -> Option<&'static str> {
        let is_answer = matches!(self.code(), Some(400..=499));
        match self.refusal() {
            Some("Refused") => Some("JobRefused"),
            None if is_answer => Some("JobRefused"),
            reason => reason,
        }
    }

    /// What the API server says, without the client's words around it.
    pub fn message(&self) -> String {
        match self {
            Self::Refused { source, .. } => told(source),
            Self::Timeout { .. } => self.to_string(),
        }
    }
}

fn told(source: &kube::Error) -> String {
    match source {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}

async fn call<T>(
    verb: &'static str,
    asked: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, ApiError> {
    match tokio::time::timeout(LIMIT, asked).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(source)) => Err(ApiError::Refused {
            verb,
            source: Box::new(source),
        }),
        Err(_) => Err(ApiError::Timeout { verb }),
    }
}

/// The search as etcd has it, not as a cache does.
pub async fn read_search(
    client: &Client,
    namespace: &str,
    name: &str,
) -> Result<Option<PeftSearch>, ApiError> {
    let api: Api<PeftSearch> = Api::namespaced(client.clone(), namespace);
    call("get peftsearch", api.get_opt(name)).await
}

/// Writes a status where nothing was written since it was read (HTTP 409 otherwise).
pub async fn replace_status(client: &Client, search: &PeftSearch) -> Result<PeftSearch, ApiError> {
    let metadata = &search.metadata;
    let (namespace, name) = (metadata.namespace.as_deref(), metadata.name.as_deref());
    let api: Api<PeftSearch> = Api::namespaced(client.clone(), namespace.unwrap_or_default());
    let parameters = PostParams::default();
    let put = api.replace_status(name.unwrap_or_default(), &parameters, search);
    call(UPDATE_STATUS, put).await
}

/// Deletes a search whose time is over, unless somebody has changed it meanwhile.
pub async fn delete_search(client: &Client, search: &PeftSearch) -> Result<(), ApiError> {
    let metadata = &search.metadata;
    let namespace = metadata.namespace.as_deref().unwrap_or_default();
    let name = metadata.name.as_deref().unwrap_or_default();
    let api: Api<PeftSearch> = Api::namespaced(client.clone(), namespace);
    let parameters = as_it_is(metadata.uid.clone(), metadata.resource_version.clone());
    absent_is_well(call("delete peftsearch", api.delete(name, &parameters)).await)
}

/// Creates a Job.
pub async fn create_job(client: &Client, namespace: &str, job: &Job) -> Result<Job, ApiError> {
    let api: Api<Job> = Api::namespaced(client.clone(), namespace);
    call("create job", api.create(&PostParams::default(), job)).await
}

/// A Job as etcd has it.
pub async fn read_job(
    client: &Client,
    namespace: &str,
    name: &str,
) -> Result<Option<Job>, ApiError> {
    let api: Api<Job> = Api::namespaced(client.clone(), namespace);
    call("get job", api.get_opt(name)).await
}

/// The pods of these Jobs as etcd has them, by the label of the Job controller.
pub async fn list_pods(
    client: &Client,
    namespace: &str,
    job_uids: &[&str],
) -> Result<Vec<Pod>, ApiError> {
    let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let selector = format!("{JOB_UID} in ({})", job_uids.join(","));
    let parameters = ListParams::default().labels(&selector);
    let listed = call("list pods", api.list(&parameters)).await?;
    Ok(listed.items)
}

/// The events about the object with this UID.
pub async fn list_events(
    client: &Client,
    namespace: &str,
    uid: &str,
) -> Result<Vec<Event>, ApiError> {
    let api: Api<Event> = Api::namespaced(client.clone(), namespace);
    let parameters = ListParams::default().fields(&format!("regarding.uid={uid}"));
    Ok(call("list events", api.list(&parameters)).await?.items)
}

/// The searches of a namespace as etcd has them, those too that cannot be read.
pub async fn list_searches(client: &Client, namespace: &str) -> Result<Vec<Guarded>, ApiError> {
    let api: Api<Guarded> = Api::namespaced(client.clone(), namespace);
    let all = ListParams::default();
    let listed = call("list peftsearches", api.list(&all)).await?;
    Ok(listed.items)
}

/// The metadata of all Jobs that are not labelled as ours.
pub async fn list_unlabelled_jobs(api: &Api<Job>) -> Result<Vec<ObjectMeta>, ApiError> {
    let others = format!("{MANAGED_BY}!={MANAGER}");
    list_metadata("list jobs", api, &others).await
}

/// The metadata of all Jobs' pods that are not labelled as ours.
pub async fn list_unlabelled_pods(api: &Api<Pod>) -> Result<Vec<ObjectMeta>, ApiError> {
    let others = format!("{MANAGED_BY}!={MANAGER},{JOB_UID}");
    list_metadata("list pods", api, &others).await
}

/// What the API server has in its cache: nothing is asked of etcd.
async fn list_metadata<K>(
    verb: &'static str,
    api: &Api<K>,
    selector: &str,
) -> Result<Vec<ObjectMeta>, ApiError>
where
    K: Clone + DeserializeOwned + Debug,
{
    let parameters = ListParams::default().labels(selector).match_any();
    let listed = call(verb, api.list_metadata(&parameters)).await?;
    Ok(listed.items.into_iter().map(|item| item.metadata).collect())
}

/// Deletes a Job and, in the background, its pods.
pub async fn delete_job(
    client: &Client,
    namespace: &str,
    name: &str,
    uid: &str,
) -> Result<(), ApiError> {
    let api: Api<Job> = Api::namespaced(client.clone(), namespace);
    let parameters = as_it_is(Some(uid.into()), None);
    absent_is_well(call("delete job", api.delete(name, &parameters)).await)
}

/// Takes our finalizer off a pod.
pub async fn release_pod(
    client: &Client,
    namespace: &str,
    metadata: &ObjectMeta,
) -> Result<(), ApiError> {
    let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let patch = json!({
        "metadata": {
            "uid": metadata.uid,
            "$deleteFromPrimitiveList/finalizers": [FINALIZER],
        }
    });
    let name = metadata.name.as_deref().unwrap_or_default();
    let parameters = PatchParams::default();
    let patch = Patch::Strategic(&patch);
    let patched = api.patch_metadata(name, &parameters, &patch);
    absent_is_well(call("patch pod", patched).await)
}

/// Deletes what has this UID and, where it is given, this version.
fn as_it_is(uid: Option<String>, resource_version: Option<String>) -> DeleteParams {
    DeleteParams {
        propagation_policy: Some(PropagationPolicy::Background),
        preconditions: Some(Preconditions {
            uid,
            resource_version,
        }),
        ..DeleteParams::default()
    }
}

/// What should go away and is gone, or has another in its place, is well.
fn absent_is_well<T>(answer: Result<T, ApiError>) -> Result<(), ApiError> {
    match answer {
        Ok(_) => Ok(()),
        Err(error) if matches!(error.code(), Some(404 | 409)) => Ok(()),
        Err(error) => Err(error),
    }
}
