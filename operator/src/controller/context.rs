//! What every reconcile and every sweep needs, and the caches that they read.

use std::time::Duration;

use autopeft_search::patience::Patience;
use futures::channel::mpsc::UnboundedSender;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::reflector::{Lookup, ObjectRef, Store};
use kube::{Api, Client, Resource};
use tokio::sync::Notify;

use super::client::api::Guarded;
use super::client::recorder::Recorder;
use super::client::watches::Watches;
use super::engines::Engines;
use super::memory::Memories;
use super::metrics::Metrics;
use super::watchdog::Watchdog;
use autopeft_jobs::build::pod::Defaults;

/// What every reconcile and every sweep needs.
pub struct Context {
    /// The client for calls to the API server.
    pub client: Client,
    /// The searches in the cache.
    pub searches: Store<Guarded>,
    /// The Jobs in the cache.
    pub jobs: Store<Job>,
    /// The pods in the cache.
    pub pods: Store<Pod>,
    /// The memory of each search.
    pub memories: Memories,
    /// Timeouts and pauses.
    pub patience: Patience,
    /// The pool that computes suggestions.
    pub engines: Engines,
    /// The metrics served at `/metrics`.
    pub metrics: Metrics,
    /// Publishes events.
    pub recorder: Recorder,
    /// The permissions of the watches.
    pub watches: Watches,
    /// Defaults of every trainer's pod.
    pub defaults: Defaults,
    /// Whether this process was stopped.
    pub watchdog: Watchdog,
    /// Triggers a reconcile of a search.
    pub trigger: UnboundedSender<ObjectRef<Guarded>>,
    /// Notified when a search is gone, so that its orphans are searched for.
    pub gone: Notify,
}

/// Waits until a cache is synchronised. kube-runtime 5.0.0 wakes only the last of several tasks that wait for the same
/// cache, so each of them polls.
pub async fn filled<K>(store: &Store<K>)
where
    K: Clone + Lookup + 'static,
    K::DynamicType: Eq + std::hash::Hash + Clone,
{
    let mut answer = None;
    while answer.is_none() {
        let ready = tokio::time::timeout(Duration::from_millis(200), store.wait_until_ready());
        answer = ready.await.ok();
    }
    if let Some(Err(error)) = answer {
        // The watch was dropped because the process ends.
        tracing::debug!("a cache was not synchronised: {error}");
        std::future::pending::<()>().await;
    }
}

/// The objects of one namespace, or of all.
pub fn scoped<K>(client: &Client, namespace: Option<&str>) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
{
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}
