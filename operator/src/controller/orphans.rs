//! Lets the pods go whose search is gone: our finalizer would keep them, and their namespace, for
//! ever.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::channel::mpsc::UnboundedReceiver;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::reflector::ObjectRef;
use kube::{Resource, ResourceExt};

use super::reconcile::Guarded;
use super::{Context, api, names};

/// How often all pods are looked at, should an event have been missed.
const SWEEP: Duration = Duration::from_secs(30);

/// Looks at each pod that `changed` names, and at all of them now and then.
pub async fn watch(context: Arc<Context>, mut changed: UnboundedReceiver<ObjectRef<Pod>>) {
    let mut sweep = tokio::time::interval(SWEEP);
    loop {
        tokio::select! {
            pod = changed.next() => {
                let Some(pod) = pod else { return };
                if let Some(pod) = context.pods.get(&pod) {
                    let_go(&context, &pod).await;
                }
            }
            _ = sweep.tick() => {
                for pod in context.pods.state() {
                    let_go(&context, &pod).await;
                }
            }
        }
    }
}

async fn let_go(context: &Context, pod: &Pod) {
    if !names::is_held(&pod.metadata) || is_known(context, pod) {
        return;
    }
    let namespace = pod.namespace().unwrap_or_default();
    let labels = pod.labels();
    let (Some(name), Some(uid)) = (labels.get(names::SEARCH), labels.get(names::SEARCH_UID)) else {
        return;
    };
    // A cache may lag behind; the API server does not.
    let released = match api::read_search(&context.client, &namespace, name).await {
        Ok(Some(search))
            if search.metadata.uid.as_ref() == Some(uid)
                && search.metadata.deletion_timestamp.is_none() =>
        {
            return;
        }
        Ok(_) => api::release_pod(&context.client, &namespace, pod).await,
        Err(error) => Err(error),
    };
    if let Err(error) = released {
        tracing::warn!(
            namespace,
            pod = pod.name_any(),
            "a pod of a search that is gone is still held: {error}"
        );
    }
}

fn is_known(context: &Context, pod: &Pod) -> bool {
    let namespace = pod.namespace().unwrap_or_default();
    let Some(name) = pod.labels().get(names::SEARCH) else {
        return true;
    };
    let reference = ObjectRef::<Guarded>::new(name).within(&namespace);
    context.searches.get(&reference).is_some_and(|search| {
        search.uid().as_ref() == pod.labels().get(names::SEARCH_UID)
            && search.meta().deletion_timestamp.is_none()
    })
}
