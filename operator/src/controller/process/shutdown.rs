//! Shutdown: releases pods that the finalizer would otherwise keep.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use autopeft_search::patience::Patience;
use k8s_openapi::api::core::v1::Pod;
use kube::Resource;
use kube::runtime::reflector::{ObjectRef, Store};

use crate::controller::client::api::Guarded;
use autopeft_jobs::build::names;

/// Waits until pods that are being deleted, or whose search is, have been released. If the whole namespace is deleted,
/// this process ends with it, no other replaces it, and the finalizer would keep the namespace.
pub async fn wait_for_releases(
    pods: &Store<Pod>,
    searches: &Store<Guarded>,
    are_filled: &AtomicBool,
    patience: &Patience,
) {
    let begun = std::time::Instant::now();
    let is_searching = searches.state().iter().any(|search| !is_over(search));
    loop {
        let is_early = is_searching && begun.elapsed() < patience.notice;
        let held = pods.state().into_iter();
        let mut held = held.filter(|pod| names::is_held(&pod.metadata));
        let is_going = held.any(|pod| {
            // An unsynchronised cache has no searches.
            pod.metadata.deletion_timestamp.is_some()
                || are_filled.load(Ordering::Relaxed) && is_without(&pod, searches)
        });
        if !is_early && !is_going || begun.elapsed() >= patience.linger {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Whether the pod's search is gone or being deleted.
fn is_without(pod: &Pod, searches: &Store<Guarded>) -> bool {
    let Some((name, uid)) = names::search_of(&pod.metadata) else {
        return false;
    };
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let search = searches.get(&ObjectRef::new(name).within(namespace));
    !search.is_some_and(|search| {
        let metadata = search.meta();
        metadata.uid.as_deref() == Some(uid) && metadata.deletion_timestamp.is_none()
    })
}

/// Whether a search has ended.
fn is_over(search: &Guarded) -> bool {
    let status = search
        .0
        .as_ref()
        .ok()
        .and_then(|search| search.status.as_ref());
    status.is_some_and(|status| status.completion_time.is_some())
}
