//! The process around the reconciles: leader election, caches, triggers, the metrics server, shutdown.

mod caches;
mod election;
mod reconciler;
mod serve;
mod shutdown;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use autopeft_crds::PeftSearch;
use autopeft_search::patience::Patience;
use futures::StreamExt;
use kube::runtime::{Controller, controller, watcher};
use kube::{Client, Config};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;

use super::client::api;
use super::client::connection::Connections;
use super::client::recorder::Recorder;
use super::client::watches::Watches;
use super::context::Context;
use super::engines::{Ask, Engines};
use super::memory::Memories;
use super::metrics::Metrics;
use super::sweep::{orphans, unlabelled};
use super::watchdog::Watchdog;
use autopeft_jobs::build::pod::Defaults;
use caches::Caches;
use election::Leadership;
use serve::Served;

/// The number of searches that are reconciled concurrently.
const CONCURRENCY: u16 = 16;

/// The operator's options.
#[derive(Clone, Debug)]
pub struct Options {
    /// The namespace to watch; all of them if `None`.
    pub namespace: Option<String>,
    /// The namespace of its Lease.
    pub lease_namespace: String,
    /// The Lease's name.
    pub lease_name: String,
    /// This replica's identity in the Lease.
    pub identity: String,
    /// The address of metrics and health checks.
    pub address: SocketAddr,
    /// The trainer's image for searches that name none.
    pub trainer_image: String,
    /// The number of suggestions computed concurrently.
    pub engine_threads: usize,
    /// The function that computes them.
    pub ask: Ask,
    /// Timeouts and pauses.
    pub patience: Patience,
}

/// Why the operator cannot run.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// No API server is configured.
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

/// Reads a search from the cluster of the environment, by default in its namespace.
pub async fn read(namespace: Option<&str>, name: &str) -> Result<PeftSearch, String> {
    let config = Config::infer().await.map_err(|error| error.to_string())?;
    let namespace = namespace.unwrap_or(&config.default_namespace).to_owned();
    let client = Client::try_from(config).map_err(|error| error.to_string())?;
    let found = api::read_search(&client, &namespace, name).await;
    let found = found.map_err(|error| error.to_string())?;
    found.ok_or_else(|| format!("the namespace {namespace} has no PeftSearch of this name"))
}

/// Runs the operator on the cluster of the environment.
pub async fn run(options: Options) -> Result<(), OperatorError> {
    run_on(&Config::infer().await?, options).await
}

/// Runs the operator until it is asked to stop or no longer leads.
pub async fn run_on(config: &Config, options: Options) -> Result<(), OperatorError> {
    let connections = Connections::to(config, &options.patience)?;
    let metrics = Metrics::new()?;
    let watchdog = Watchdog::start();
    let ready = Arc::new(AtomicBool::new(false));
    let served = Served {
        metrics: metrics.clone(),
        watchdog: watchdog.clone(),
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
    // The API server has answered: on standby.
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
    let mut controlling = tokio::spawn(run_controller(
        connections,
        options,
        metrics.clone(),
        watchdog,
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
        end = &mut controlling => {
            end.map_err(std::io::Error::other)?;
            return Ok(());
        }
    }
    tracing::info!("stopping: running trials continue without the operator");
    // The controller may have already ended.
    let _ = stop.send(());
    let _ = controlling.await;
    leadership.resign().await;
    Ok(())
}

/// Reconciles until stopped, and at most `Patience::linger` and a second longer.
async fn run_controller(
    connections: Connections,
    options: Options,
    metrics: Metrics,
    watchdog: Watchdog,
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
            // A dropped sender means the same.
            let _ = stopped.await;
            shutdown::wait_for_releases(&held, &their, &are_filled, &patience).await;
            // The receiver is gone if the controller has ended.
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
        watchdog,
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
        .for_each(async |done| log_watch_error(done));
    tokio::select! {
        () = reconciling => {}
        // Running reconciles have a second to finish.
        _ = async { let _ = ending.await; tokio::time::sleep(Duration::from_secs(1)).await } => {}
    }
    for task in beside {
        task.abort();
    }
}

/// Logs errors of a watch. `after_error` reports failed reconciles; a deleted search is no error.
fn log_watch_error<T, E: std::error::Error + 'static>(
    done: Result<T, controller::Error<E, watcher::Error>>,
) {
    match done {
        Ok(_)
        | Err(controller::Error::ReconcilerFailed(..) | controller::Error::ObjectNotFound(_)) => {}
        Err(error) => tracing::warn!("watching: {error}"),
    }
}
