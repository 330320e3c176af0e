//! What surrounds a reconcile: it waits for the caches, catches panics, and retries failures after a pause.

use std::sync::Arc;
use std::time::{Duration, Instant};

use autopeft_search::notices::Notice;
use futures::FutureExt;
use k8s_openapi::jiff::Timestamp;
use kube::Resource;
use kube::runtime::controller::Action as Next;

use crate::controller::client::api::Guarded;
use crate::controller::context::{Context, filled};
use crate::controller::error::{ReconcileError, panic_text};
use crate::controller::pass::Pass;
use crate::controller::{read, record};

/// The pause after a lost compare-and-swap.
const AT_ONCE: Duration = Duration::from_millis(100);

/// Reconciles a search once the caches are synchronised.
pub async fn reconcile_when_filled(
    object: Arc<Guarded>,
    context: Arc<Context>,
) -> Result<Next, Arc<ReconcileError>> {
    let filled = async {
        filled(&context.jobs).await;
        filled(&context.pods).await;
    };
    if tokio::time::timeout(context.patience.caches, filled)
        .await
        .is_err()
    {
        let metadata = object.meta();
        tracing::error!(
            namespace = metadata.namespace,
            search = metadata.name,
            "Jobs and pods cannot be watched; check that the operator may list and watch them"
        );
        if let Err(error) = report_not_watching(&object, &context).await {
            tracing::warn!("the Degraded condition could not be written: {error}");
        }
        // The next reconcile waits again, and proceeds as soon as they are synchronised.
        return Ok(Next::requeue(AT_ONCE));
    }
    reconcile(object, context).await
}

/// Reconciles a search. A panic ends only this reconcile.
async fn reconcile(
    object: Arc<Guarded>,
    context: Arc<Context>,
) -> Result<Next, Arc<ReconcileError>> {
    let begun = Instant::now();
    let step = std::panic::AssertUnwindSafe(step(&object, &context)).catch_unwind();
    let done = step
        .await
        .unwrap_or_else(|payload| Err(ReconcileError::Panicked(panic_text(payload.as_ref()))));
    let metrics = &context.metrics;
    metrics
        .reconcile_seconds
        .observe(begun.elapsed().as_secs_f64());
    let result = if done.is_ok() { "ok" } else { "error" };
    metrics.reconciles.with_label_values(&[result]).inc();
    done.map_err(Arc::new)
}

/// Handles a failed reconcile: when to retry.
pub fn after_error(
    object: Arc<Guarded>,
    error: &Arc<ReconcileError>,
    context: Arc<Context>,
) -> Next {
    let metadata = object.meta();
    let name = metadata.name.as_deref().unwrap_or_default();
    let namespace = metadata.namespace.as_deref().unwrap_or_default();
    let memory = context
        .memories
        .of(metadata.uid.as_deref().unwrap_or_default());
    // It is not locked: only one task at a time reconciles a search.
    let is_lost = error.is_lost_race();
    let pause = match memory.try_lock() {
        Ok(mut memory) => {
            // The memory may be outdated: the next reconcile reads the object from the API server.
            memory.written = None;
            if is_lost {
                AT_ONCE
            } else {
                let most = if error.is_transient() {
                    context.patience.away
                } else {
                    Duration::MAX
                };
                memory.backoffs.shell_failed(most, Timestamp::now())
            }
        }
        Err(_) => context.patience.look,
    };
    if is_lost {
        tracing::debug!(namespace, search = name, "{error}; retrying in {pause:?}");
    } else {
        tracing::warn!(namespace, search = name, "{error}; retrying in {pause:?}");
    }
    Next::requeue(pause)
}

async fn step(object: &Guarded, context: &Context) -> Result<Next, ReconcileError> {
    let search = match &object.0 {
        Ok(search) => search,
        Err(invalid) => {
            let message = format!(
                "this object cannot be read, and the operator does not touch it: {}",
                invalid.error
            );
            tracing::error!(
                namespace = invalid.metadata.namespace,
                search = invalid.metadata.name,
                "{message}"
            );
            let notice = Notice::warning("Unreadable", message);
            let reference = object.object_ref(&());
            context.recorder.publish(reference, &notice).await;
            return Ok(Next::await_change());
        }
    };
    let memory = context
        .memories
        .of(search.metadata.uid.as_deref().unwrap_or_default());
    let mut memory = memory.lock().await;
    if search.metadata.deletion_timestamp.is_some() {
        // Kubernetes' garbage collector deletes the Jobs; `orphans` releases their pods.
        memory.step = None;
        return Ok(Next::await_change());
    }
    let mut pass = Pass::new(context, &mut memory, search.clone());
    match crate::controller::reconcile(&mut pass).await {
        Ok(next) => {
            memory.backoffs.shell_succeeded();
            // A denied request is allowed again: update the condition at once.
            let was_denied = memory.denial.take().is_some();
            Ok(if was_denied {
                Next::requeue(AT_ONCE)
            } else if next == Next::await_change() && context.watches.trouble().is_some() {
                // The watch may recover without an event that triggers this search.
                Next::requeue(context.patience.watch_denied)
            } else {
                next
            })
        }
        Err(error) => {
            record::report_failure(&mut pass, &error).await;
            Err(error)
        }
    }
}

/// Reports in the Degraded condition that Jobs and pods cannot be watched.
async fn report_not_watching(object: &Guarded, context: &Context) -> Result<(), ReconcileError> {
    let Ok(search) = &object.0 else {
        return Ok(());
    };
    let memory = context
        .memories
        .of(search.metadata.uid.as_deref().unwrap_or_default());
    let mut memory = memory.lock().await;
    let mut pass = Pass::new(context, &mut memory, search.clone());
    if read::read(&mut pass).await? {
        record::write_degraded(&mut pass).await;
    }
    Ok(())
}
