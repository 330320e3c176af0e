//! Deletes Jobs and releases pods whose search is gone. Kubernetes' garbage collector would delete the Jobs eventually,
//! but the finalizer would keep their pods, and the namespace, for ever.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::runtime::reflector::ObjectRef;
use kube::{Resource, ResourceExt};

use crate::controller::client::api::Guarded;
use crate::controller::client::api::{self, ApiError};
use crate::controller::context::{Context, filled};
use autopeft_jobs::build::names::{self, Work};

/// Sweeps until the process ends.
pub async fn sweep(context: Arc<Context>) {
    filled(&context.searches).await;
    filled(&context.jobs).await;
    filled(&context.pods).await;
    let mut failures = 0;
    loop {
        // While a removal fails, the pause doubles up to 32 seconds.
        tokio::time::sleep(context.patience.sweep * (1 << failures)).await;
        failures = if sweep_once(&context).await {
            0
        } else {
            (failures + 1).min(4)
        };
    }
}

/// Whether every orphan that was found could be removed.
async fn sweep_once(context: &Context) -> bool {
    let client = &context.client;
    let mut well = true;
    for job in context.jobs.state() {
        let (namespace, name) = (job.namespace().unwrap_or_default(), job.name_any());
        let is_going = job.metadata.deletion_timestamp.is_some();
        let owner =
            names::search_of_job(&job).filter(|(search, uid)| names::is_our_job(&job, search, uid));
        if !is_going
            && let Some(owner) = owner
            && is_orphan(context, &job.metadata, owner, &mut well).await
        {
            let uid = job.uid().unwrap_or_default();
            let deleted = api::delete_job(client, &namespace, &name, &uid).await;
            well &= is_done(context, &job.metadata, deleted);
        }
    }
    for pod in context.pods.state() {
        if names::is_held(&pod.metadata)
            && let Some(owner) = owner_of_pod(&pod.metadata)
            && is_orphan(context, &pod.metadata, owner, &mut well).await
        {
            let namespace = pod.namespace().unwrap_or_default();
            let released = api::release_pod(client, &namespace, &pod.metadata).await;
            well &= is_done(context, &pod.metadata, released);
        }
    }
    well
}

/// Name and UID of the pod's search, by its labels.
pub(super) fn owner_of_pod(metadata: &ObjectMeta) -> Option<(&str, &str)> {
    let owner = names::search_of(metadata)?;
    names::attempt_of_pod(metadata, owner.0, owner.1).map(|_| owner)
}

/// Whether an object's search is gone, or another one has its name.
async fn is_orphan(
    context: &Context,
    metadata: &ObjectMeta,
    (name, uid): (&str, &str),
    well: &mut bool,
) -> bool {
    let namespace = metadata.namespace.clone().unwrap_or_default();
    let is_its = |found: &ObjectMeta| {
        found.uid.as_deref() == Some(uid) && found.deletion_timestamp.is_none()
    };
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
            *well = is_done(context, metadata, Err(error));
            false
        }
    }
}

/// Whether a removal succeeded; a failure is counted and logged. `metadata` is that of the object.
pub(super) fn is_done(
    context: &Context,
    metadata: &ObjectMeta,
    answer: Result<(), ApiError>,
) -> bool {
    if let Err(error) = &answer {
        context.metrics.count_api_error(error.verb());
        let labels = metadata.labels.as_ref();
        let trial = match names::attempt_of(metadata) {
            Some((Work::Trial(trial), _)) => Some(trial),
            _ => None,
        };
        tracing::warn!(
            namespace = metadata.namespace,
            search = labels.and_then(|labels| labels.get(names::SEARCH)),
            trial,
            name = metadata.name,
            "orphaned Jobs or pods may remain: {error}"
        );
    }
    answer.is_ok()
}
