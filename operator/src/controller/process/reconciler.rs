//! What surrounds a reconcile: caches are waited for, a panic ends one reconcile and nothing else, what failed is
//! tried again after a pause.

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

/// How soon to look again after losing a compare-and-swap.
const AT_ONCE: Duration = Duration::from_millis(100);

/// Nothing is judged by a cache that is not filled.
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
        if let Err(error) = tell_blind(&object, &context).await {
            tracing::warn!("the Degraded condition could not be written: {error}");
        }
        // It waits again, and goes on as soon as they are filled.
        return Ok(Next::requeue(AT_ONCE));
    }
    reconcile(object, context).await
}

/// Reconciles a search. A panic ends this reconcile and nothing else.
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

/// What follows a reconcile that came to nothing.
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
    // Nobody else holds it: a search is reconciled by one task at a time.
    let is_lost = error.is_lost_race();
    let pause = match memory.try_lock() {
        Ok(mut memory) => {
            // What was believed may be wrong: the next reconcile reads the object itself.
            memory.written = None;
            if is_lost {
                AT_ONCE
            } else {
                let most = if error.is_passing() {
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
        // The garbage collector takes the Jobs; `orphans` releases their pods.
        memory.step = None;
        return Ok(Next::await_change());
    }
    let mut pass = Pass::new(context, &mut memory, search.clone());
    match crate::controller::reconcile(&mut pass).await {
        Ok(next) => {
            memory.backoffs.shell_succeeded();
            // What was denied is allowed again; the condition says so at once.
            let was_denied = memory.denial.take().is_some();
            Ok(if was_denied {
                Next::requeue(AT_ONCE)
            } else if next == Next::await_change() && context.watches.trouble().is_some() {
                // It may pass without anything that wakes this search.
                Next::requeue(context.patience.watch_denied)
            } else {
                next
            })
        }
        Err(error) => {
            record::tell_refused(&mut pass, &error).await;
            Err(error)
        }
    }
}

/// Tells a search's user that nothing can be done, because Jobs and pods are not known.
async fn tell_blind(object: &Guarded, context: &Context) -> Result<(), ReconcileError> {
    let Ok(search) = &object.0 else {
        return Ok(());
    };
    let memory = context
        .memories
        .of(search.metadata.uid.as_deref().unwrap_or_default());
    let mut memory = memory.lock().await;
    let mut pass = Pass::new(context, &mut memory, search.clone());
    if read::read(&mut pass).await? {
        record::tell_degraded(&mut pass).await;
    }
    Ok(())
}
