//! The watches and the caches that they fill.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use autopeft_search::patience::Patience;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Client, Resource, ResourceExt};

use crate::controller::client::api::Guarded;
use crate::controller::client::connection::WatchBackoff;
use crate::controller::client::watches::Watches;
use crate::controller::context::{Context, filled, scoped};
use autopeft_jobs::build::names;

/// The events of a watch.
type Changes<K> = BoxStream<'static, Result<K, watcher::Error>>;

/// The caches, and the streams that fill them while they are polled.
pub struct Caches {
    /// Every search in the watched namespaces.
    pub searches: Store<Guarded>,
    /// Every Job with the operator's label.
    pub jobs: Store<Job>,
    /// Every pod with the operator's label.
    pub pods: Store<Pod>,
    /// Changes of searches.
    pub search_changes: Changes<Guarded>,
    /// Changes of Jobs, deletions too.
    pub job_changes: Changes<Job>,
    /// Changes of pods, deletions too.
    pub pod_changes: Changes<Pod>,
}

/// Starts the watches.
pub fn watch(
    client: &Client,
    namespace: Option<&str>,
    watches: &Watches,
    patience: Patience,
) -> Caches {
    let seconds = u32::try_from(patience.watch.as_secs()).unwrap_or(u32::MAX);
    let all = watcher::Config::default().timeout(seconds);
    let marked = all
        .clone()
        .labels(&format!("{}={}", names::MANAGED_BY, names::MANAGER));
    let (jobs, job_writer) = reflector::store::<Job>();
    let (pods, pod_writer) = reflector::store::<Pod>();
    let (searches, search_writer) = reflector::store::<Guarded>();
    let job_changes = watcher(scoped::<Job>(client, namespace), marked.clone())
        .backoff(WatchBackoff::new(patience))
        .modify(|job| job.managed_fields_mut().clear())
        .reflect(job_writer)
        .touched_objects();
    let pod_changes = watcher(scoped::<Pod>(client, namespace), marked)
        .backoff(WatchBackoff::new(patience))
        .modify(|pod| pod.managed_fields_mut().clear())
        .reflect(pod_writer)
        .touched_objects();
    let search_changes = watcher(scoped::<Guarded>(client, namespace), all)
        .backoff(WatchBackoff::new(patience))
        .reflect(search_writer)
        .applied_objects();
    Caches {
        searches,
        jobs,
        pods,
        search_changes: without_errors(watches, "PeftSearches", search_changes),
        job_changes: without_errors(watches, "Jobs", job_changes),
        pod_changes: without_errors(watches, "pods", pod_changes),
    }
}

/// The events without errors, which are reported.
fn without_errors<K: Send + 'static>(
    watches: &Watches,
    of: &'static str,
    changes: impl Stream<Item = Result<K, watcher::Error>> + Send + 'static,
) -> Changes<K> {
    let watches = watches.clone();
    changes
        .filter_map(move |change| std::future::ready(watches.report(of, change)))
        .boxed()
}

/// The search of a pod, by its labels.
pub fn search_of(pod: Pod) -> Option<ObjectRef<Guarded>> {
    let name = pod.labels().get(names::SEARCH)?;
    let namespace = pod.namespace()?;
    Some(ObjectRef::new(name).within(&namespace))
}

/// Sets `ready` when the caches are synchronised.
pub async fn fill(context: Arc<Context>, ready: Arc<AtomicBool>) {
    filled(&context.searches).await;
    filled(&context.jobs).await;
    filled(&context.pods).await;
    ready.store(true, Ordering::Relaxed);
    tracing::info!("the caches are synchronised");
}

/// Counts unreadable searches, and forgets deleted ones: memory, suggestions, metrics.
pub async fn forget(context: Arc<Context>) {
    filled(&context.searches).await;
    loop {
        tokio::time::sleep(context.patience.sweep).await;
        let there = context.searches.state();
        let unreadable = there.iter().filter(|search| search.0.is_err()).count();
        let metrics = &context.metrics;
        metrics
            .unreadable
            .set(unreadable.try_into().unwrap_or(i64::MAX));
        context.metrics.keep(|namespace, name| {
            there.iter().any(|search| {
                search.meta().namespace.as_deref() == Some(namespace) && search.name_any() == name
            })
        });
        let is_less = context.memories.keep(|uid| {
            there
                .iter()
                .any(|search| search.uid().as_deref() == Some(uid))
        });
        if is_less {
            context.gone.notify_one();
        }
    }
}
