//! The process around the reconciles: it is elected, fills caches, wakes searches, serves metrics, and ends.

mod caches;
mod lead;
mod linger;
mod reconciler;
mod serve;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use autopeft_search::patience::Patience;
use futures::StreamExt;
use kube::Config;
use kube::runtime::{Controller, controller, watcher};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;

use super::client::connection::Connections;
use super::client::recorder::Recorder;
use super::client::watches::Watches;
use super::context::Context;
use super::engines::{Ask, Engines};
use super::memory::Memories;
use super::metrics::Metrics;
use super::pulse::Pulse;
use super::sweep::{orphans, unlabelled};
use autopeft_jobs::build::pod::Defaults;
use caches::Caches;
use lead::Leadership;
use serve::Served;

/// Searches that are reconciled at the same time.
const CONCURRENCY: u16 = 16;

/// How the operator is run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The one namespace whose searches it carries out; all of them where it is left out.
    pub namespace: Option<String>,
    /// The namespace of its Lease.
    pub lease_namespace: String,
    /// The Lease's name.
    pub lease_name: String,
    /// Who it is among its replicas.
    pub identity: String,
    /// Where metrics and health are served.
    pub address: SocketAddr,
    /// The trainer's image, where a search names none.
    pub trainer_image: String,
    /// Suggestions that are computed at the same time.
    pub engine_threads: usize,
    /// What computes them.
    pub ask: Ask,
    /// How long is waited.
    pub patience: Patience,
}

/// Why the operator cannot run.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// No way to an API server.
    #[error(
        "no connection to a Kubernetes API server: {0}; run inside a cluster, or set KUBECONFIG"
    )]
    Config(#[from] kube::config::InferConfigError),
    /// The client.
    #[error("the Kubernetes client: {0}")]
    Client(#[from] kube::Error),
    /// The Lease.
    #[error("leader election: {0}; check that the operator may get, create and patch its Lease")]
    Lease(#[from] kube_lease_manager::LeaseManagerError),
    /// The metrics.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// The port or a signal.
    #[error("{0}")]
    System(#[from] std::io::Error),
}

/// Runs the operator of the cluster that the environment names.
pub async fn run(options: Options) -> Result<(), OperatorError> {
    run_on(&Config::infer().await?, options).await
}

/// Runs the operator until it is asked to stop or no longer leads.
pub async fn run_on(config: &Config, options: Options) -> Result<(), OperatorError> {
    let connections = Connections::to(config, &options.patience)?;
    let metrics = Metrics::new()?;
    let pulse = Pulse::begin();
    let ready = Arc::new(AtomicBool::new(false));
    let served = Served {
        metrics: metrics.clone(),
        pulse: pulse.clone(),
        ready: Arc::clone(&ready),
    };
    let mut serving = tokio::spawn(serve::serve(options.address, served));
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tracing::info!(identity = options.identity, "waiting to lead");
    let campaign = Leadership::campaign(
        connections.lease.clone(),
        &options.lease_namespace,
        &options.lease_name,
        &options.identity,
    );
    let mut leadership = tokio::select! {
        leadership = campaign => leadership?,
        _ = interrupt.recv() => return Ok(()),
        _ = terminate.recv() => return Ok(()),
        end = &mut serving => return Ok(end.map_err(std::io::Error::other)??),
    };
    // The API server has answered: it stands by.
    ready.store(true, Ordering::Relaxed);
    tokio::select! {
        () = leadership.won() => {}
        _ = interrupt.recv() => return Ok(()),
        _ = terminate.recv() => return Ok(()),
        end = &mut serving => return Ok(end.map_err(std::io::Error::other)??),
    }
    tracing::info!(identity = options.identity, "leading");
    metrics.leads.set(1);
    ready.store(false, Ordering::Relaxed);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let mut leading = tokio::spawn(lead(
        connections,
        options,
        metrics.clone(),
        pulse,
        ready,
        stopped,
    ));
    tokio::select! {
        () = leadership.lost() => {
            tracing::error!("another replica leads; this process exits");
            return Ok(());
        }
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        end = &mut serving => return Ok(end.map_err(std::io::Error::other)??),
        end = &mut leading => {
            end.map_err(std::io::Error::other)?;
            return Ok(());
        }
    }
    tracing::info!("stopping: running trials continue without the operator");
    // The controller may have ended by itself.
    let _ = stop.send(());
    let _ = leading.await;
    leadership.resign().await;
    Ok(())
}

/// Reconciles until told to stop, and at most `Patience::linger` and a second longer.
async fn lead(
    connections: Connections,
    options: Options,
    metrics: Metrics,
    pulse: Pulse,
    ready: Arc<AtomicBool>,
    stopped: tokio::sync::oneshot::Receiver<()>,
) {
    let patience = options.patience;
    let namespace = options.namespace.as_deref();
    let watches = Watches::new(metrics.clone(), patience.watch_denied);
    let (trigger, triggers) = futures::channel::mpsc::unbounded();
    let (seen_off, ending) = tokio::sync::oneshot::channel::<()>();
    let Caches {
        searches,
        jobs,
        pods,
        search_changes,
        job_changes,
        pod_changes,
    } = caches::watch(&connections.watches, namespace, &watches, patience);
    let (held, their, are_filled) = (pods.clone(), searches.clone(), Arc::clone(&ready));
    let controller = Controller::for_stream(search_changes, searches)
        .owns_stream(job_changes)
        .watches_stream(pod_changes, caches::search_of)
        .reconcile_on(triggers)
        .with_config(controller::Config::default().concurrency(CONCURRENCY))
        .graceful_shutdown_on(async move {
            // A sender that is gone asks for the same.
            let _ = stopped.await;
            linger::linger(&held, &their, &are_filled, &patience).await;
            // Nobody listens where the controller has ended.
            let _ = seen_off.send(());
        });
    let context = Arc::new(Context {
        recorder: Recorder::new(
            connections.calls.clone(),
            &options.identity,
            metrics.clone(),
        ),
        watches,
        client: connections.calls,
        searches: controller.store(),
        jobs,
        pods,
        memories: Memories::new(patience),
        patience,
        engines: Engines::new(options.engine_threads, options.ask),
        metrics,
        defaults: Defaults {
            image: options.trainer_image,
        },
        pulse,
        trigger,
        gone: Notify::new(),
    });
    let beside = [
        tokio::spawn(caches::fill(Arc::clone(&context), ready)),
        tokio::spawn(caches::forget(Arc::clone(&context))),
        tokio::spawn(orphans::sweep(Arc::clone(&context))),
        tokio::spawn(unlabelled::sweep(Arc::clone(&context), options.namespace)),
    ];
    let reconciling = controller
        .run(
            reconciler::reconcile_when_filled,
            reconciler::after_error,
            context,
        )
        .for_each(async |done| tell_watch(done));
    tokio::select! {
        () = reconciling => {}
        // What is reconciled has a moment to come to its end.
        _ = async { let _ = ending.await; tokio::time::sleep(Duration::from_secs(1)).await } => {}
    }
    for task in beside {
        task.abort();
    }
}

/// Tells of a watch's trouble. What failed in a reconcile is told by `after_error`; a search that is gone is no error.
fn tell_watch<T, E: std::error::Error + 'static>(
    done: Result<T, controller::Error<E, watcher::Error>>,
) {
    match done {
        Ok(_)
        | Err(controller::Error::ReconcilerFailed(..) | controller::Error::ObjectNotFound(_)) => {}
        Err(error) => tracing::warn!("watching: {error}"),
    }
}
