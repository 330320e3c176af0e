//! Clears away what belongs to a search that is gone. The garbage collector would take the Jobs in
//! its own time; our finalizer would keep their pods, and the namespace, for ever.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::runtime::reflector::ObjectRef;
use kube::{Resource, ResourceExt};

use super::api::{self, ApiError};
use super::names::Purpose;
use super::reconcile::Guarded;
use super::{Context, filled, names};

/// How often all Jobs and pods in the caches are looked at.
const SWEEP: Duration = Duration::from_secs(2);

/// Sweeps until the process ends.
pub async fn sweep(context: Arc<Context>) {
    filled(&context.searches).await;
    filled(&context.jobs).await;
    filled(&context.pods).await;
    let mut ticks = tokio::time::interval(SWEEP);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let client = &context.client;
        for job in context.jobs.state() {
            let (namespace, name) = (job.namespace().unwrap_or_default(), job.name_any());
            let is_going = job.metadata.deletion_timestamp.is_some();
            let is_ours = names::controller_uid(&job.metadata)
                == job.labels().get(names::SEARCH_UID).map(String::as_str);
            if !is_going && is_ours && is_orphan(&context, &job.metadata).await {
                let uid = job.uid().unwrap_or_default();
                complain(
                    &job.metadata,
                    api::delete_job(client, &namespace, &name, &uid).await,
                );
            }
        }
        for pod in context.pods.state() {
            if names::is_held(&pod.metadata) && is_orphan(&context, &pod.metadata).await {
                let namespace = pod.namespace().unwrap_or_default();
                complain(
                    &pod.metadata,
                    api::release_pod(client, &namespace, &pod).await,
                );
            }
        }
    }
}

/// Whether an object's search is gone, or another has its name.
async fn is_orphan(context: &Context, metadata: &ObjectMeta) -> bool {
    let labels = metadata.labels.as_ref();
    let label = |key: &str| labels.and_then(|labels| labels.get(key));
    let (Some(name), Some(uid)) = (label(names::SEARCH), label(names::SEARCH_UID)) else {
        return false;
    };
    let namespace = metadata.namespace.clone().unwrap_or_default();
    let is_its =
        |found: &ObjectMeta| found.uid.as_ref() == Some(uid) && found.deletion_timestamp.is_none();
    let reference = ObjectRef::<Guarded>::new(name).within(&namespace);
    if context
        .searches
        .get(&reference)
        .is_some_and(|search| is_its(search.meta()))
    {
        return false;
    }
    // A cache may lag behind; the API server does not.
    match api::read_search(&context.client, &namespace, name).await {
        Ok(found) => !found.is_some_and(|search| is_its(&search.metadata)),
        Err(error) => {
            complain(metadata, Err(error));
            false
        }
    }
}

/// `metadata` is that of the object that is still there.
fn complain(metadata: &ObjectMeta, done: Result<(), ApiError>) {
    if let Err(error) = done {
        let labels = metadata.labels.as_ref();
        let trial = match names::attempt_of(metadata) {
            Some((Purpose::Trial(trial), _)) => Some(trial),
            _ => None,
        };
        tracing::warn!(
            namespace = metadata.namespace,
            search = labels.and_then(|labels| labels.get(names::SEARCH)),
            trial,
            name = metadata.name,
            "what belongs to a search that is gone is still there: {error}"
        );
    }
}
