//! Calls to the API server, each with a timeout and a name. The only place that inspects `kube` errors.

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

/// The name of the call that writes a status.
pub const UPDATE_STATUS: &str = "update peftsearch status";
/// The timeout of a call.
const LIMIT: Duration = Duration::from_secs(10);

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// No answer in time.
    #[error("{verb}: no answer within {LIMIT:?}")]
    Timeout {
        /// What was asked.
        verb: &'static str,
    },
    /// An error response, or no connection.
    #[error("{verb}: {}", message(source))]
    Refused {
        /// What was asked.
        verb: &'static str,
        /// What `kube` says.
        source: Box<kube::Error>,
    },
}

impl ApiError {
    /// The API server's error response, if there is one.
    fn status(&self) -> Option<&Status> {
        match self {
            Self::Refused { source, .. } => match source.as_ref() {
                kube::Error::Api(status) => Some(status),
                _ => None,
            },
            Self::Timeout { .. } => None,
        }
    }

    /// The HTTP status, if there was a response.
    pub fn code(&self) -> Option<u16> {
        self.status().map(|status| status.code)
    }

    /// Whether an object of that name exists. Other conflicts have the same HTTP status.
    pub fn is_already_exists(&self) -> bool {
        self.status().is_some_and(Status::is_already_exists)
    }

    /// Whether a retry may succeed: no answer, overload, an internal error.
    pub fn is_transient(&self) -> bool {
        !matches!(self.code(), Some(code) if code < 500 && code != 429)
    }

    /// What was asked.
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Timeout { verb } | Self::Refused { verb, .. } => verb,
        }
    }

    /// The reason for the Degraded condition, if the request is rejected until somebody changes the cluster's
    /// configuration.
    pub fn refusal(&self) -> Option<&'static str> {
        let webhook = self.message().contains("failed calling webhook");
        match self.code()? {
            500.. if webhook => Some("WebhookFailed"),
            403 if self.message().contains("quota") => Some("QuotaExceeded"),
            403 => Some("Forbidden"),
            // Gone, or changed meanwhile.
            404 | 409 => None,
            400..=499 => Some("RequestRejected"),
            _ => None,
        }
    }

    /// The same for the creation of a Job.
    pub fn refusal_to_create(&self) -> Option<&'static str> {
        let is_answer = matches!(self.code(), Some(400..=499));
        match self.refusal() {
            Some("RequestRejected") => Some("JobRejected"),
            None if is_answer => Some("JobRejected"),
            reason => reason,
        }
    }

    /// The API server's message.
    pub fn message(&self) -> String {
        match self {
            Self::Refused { source, .. } => message(source),
            Self::Timeout { .. } => self.to_string(),
        }
    }
}

fn message(source: &kube::Error) -> String {
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

/// Reads the search from etcd.
pub async fn read_search(
    client: &Client,
    namespace: &str,
    name: &str,
) -> Result<Option<PeftSearch>, ApiError> {
    let api: Api<PeftSearch> = Api::namespaced(client.clone(), namespace);
    call("get peftsearch", api.get_opt(name)).await
}

/// Writes a status by compare-and-swap (HTTP 409 if the object has changed).
pub async fn replace_status(client: &Client, search: &PeftSearch) -> Result<PeftSearch, ApiError> {
    let metadata = &search.metadata;
    let (namespace, name) = (metadata.namespace.as_deref(), metadata.name.as_deref());
    let api: Api<PeftSearch> = Api::namespaced(client.clone(), namespace.unwrap_or_default());
    let parameters = PostParams::default();
    let put = api.replace_status(name.unwrap_or_default(), &parameters, search);
    call(UPDATE_STATUS, put).await
}

/// Deletes an expired search, unless it has changed.
pub async fn delete_search(client: &Client, search: &PeftSearch) -> Result<(), ApiError> {
    let metadata = &search.metadata;
    let namespace = metadata.namespace.as_deref().unwrap_or_default();
    let name = metadata.name.as_deref().unwrap_or_default();
    let api: Api<PeftSearch> = Api::namespaced(client.clone(), namespace);
    let parameters = with_preconditions(metadata.uid.clone(), metadata.resource_version.clone());
    ignore_absent(call("delete peftsearch", api.delete(name, &parameters)).await)
}

/// Creates a Job.
pub async fn create_job(client: &Client, namespace: &str, job: &Job) -> Result<Job, ApiError> {
    let api: Api<Job> = Api::namespaced(client.clone(), namespace);
    call("create job", api.create(&PostParams::default(), job)).await
}

/// Reads a Job from etcd.
pub async fn read_job(
    client: &Client,
    namespace: &str,
    name: &str,
) -> Result<Option<Job>, ApiError> {
    let api: Api<Job> = Api::namespaced(client.clone(), namespace);
    call("get job", api.get_opt(name)).await
}

/// Lists the pods of these Jobs from etcd, by the Job controller's label.
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

/// Lists the events about the object with this UID.
pub async fn list_events(
    client: &Client,
    namespace: &str,
    uid: &str,
) -> Result<Vec<Event>, ApiError> {
    let api: Api<Event> = Api::namespaced(client.clone(), namespace);
    let parameters = ListParams::default().fields(&format!("regarding.uid={uid}"));
    Ok(call("list events", api.list(&parameters)).await?.items)
}

/// Lists the searches of a namespace from etcd, including unreadable ones.
pub async fn list_searches(client: &Client, namespace: &str) -> Result<Vec<Guarded>, ApiError> {
    let api: Api<Guarded> = Api::namespaced(client.clone(), namespace);
    let all = ListParams::default();
    let listed = call("list peftsearches", api.list(&all)).await?;
    Ok(listed.items)
}

/// The metadata of all Jobs without the operator's label.
pub async fn list_unlabelled_jobs(api: &Api<Job>) -> Result<Vec<ObjectMeta>, ApiError> {
    let others = format!("{MANAGED_BY}!={MANAGER}");
    list_metadata("list jobs", api, &others).await
}

/// The metadata of all Jobs' pods without the operator's label.
pub async fn list_unlabelled_pods(api: &Api<Pod>) -> Result<Vec<ObjectMeta>, ApiError> {
    let others = format!("{MANAGED_BY}!={MANAGER},{JOB_UID}");
    list_metadata("list pods", api, &others).await
}

/// Lists from the API server's cache, without a read of etcd.
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
    let parameters = with_preconditions(Some(uid.into()), None);
    ignore_absent(call("delete job", api.delete(name, &parameters)).await)
}

/// Removes the operator's finalizer from a pod.
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
    ignore_absent(call("patch pod", patched).await)
}

/// Deletes only an object with this UID and, if given, this version.
fn with_preconditions(uid: Option<String>, resource_version: Option<String>) -> DeleteParams {
    DeleteParams {
        propagation_policy: Some(PropagationPolicy::Background),
        preconditions: Some(Preconditions {
            uid,
            resource_version,
        }),
        ..DeleteParams::default()
    }
}

/// An object that is already gone or replaced counts as deleted.
fn ignore_absent<T>(answer: Result<T, ApiError>) -> Result<(), ApiError> {
    match answer {
        Ok(_) => Ok(()),
        Err(error) if matches!(error.code(), Some(404 | 409)) => Ok(()),
        Err(error) => Err(error),
    }
}
