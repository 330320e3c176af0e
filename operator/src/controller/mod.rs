//! The thin shell between the planner and Kubernetes: observes PeftSearch objects, Jobs and pods,
//! asks the planner, and carries its actions out. It decides nothing about a search.
//!
//! `judge` and `build` are pure; `api` calls the API server by the clients of `connection`.

mod act;
mod api;
pub mod build;
mod connection;
mod denials;
mod engines;
mod inspect;
pub mod judge;
mod lead;
mod memory;
mod metrics;
mod orphans;
mod reconcile;
mod recorder;
mod serve;
mod strays;
mod watches;

use std::any::Any;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::StreamExt;
use futures::channel::mpsc::UnboundedSender;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::{Controller, WatchStreamExt, watcher};
use kube::{Api, Client, Config, Resource, ResourceExt};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;

use build::{names, pod};
use connection::{Connections, Pauses};
use engines::{Ask, Engines};
use lead::{Leadership, Pulse};
use memory::Memories;
use metrics::Metrics;
use reconcile::{Guarded, Pass};
use recorder::Recorder;
use serve::Served;
use watches::Watches;

use autopeft_search::ledger::{Event, Ledger, Recorded, RetryCause};
use autopeft_search::patience::Patience;

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
    #[error("no way to a Kubernetes API server: {0}; run inside a cluster, or set KUBECONFIG")]
    Config(#[from] kube::config::InferConfigError),
    /// The client.
    #[error("the Kubernetes client: {0}")]
    Client(#[from] kube::Error),
    /// The Lease.
    #[error("leader election: {0}; may this operator get, create and patch its Lease?")]
    Lease(#[from] kube_lease_manager::LeaseManagerError),
    /// The metrics.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// The port or a signal.
    #[error("{0}")]
    System(#[from] std::io::Error),
}

/// What every reconcile needs.
pub struct Context {
    client: Client,
    searches: Store<Guarded>,
    jobs: Store<Job>,
    pods: Store<Pod>,
    memories: Memories,
    patience: Patience,
    engines: Engines,
    metrics: Metrics,
    recorder: Recorder,
    watches: Watches,
    defaults: pod::Defaults,
    pulse: Pulse,
    trigger: UnboundedSender<ObjectRef<Guarded>>,
    /// Told when a search has gone, so that what it leaves behind is looked for.
    gone: Notify,
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
            tracing::error!("another operator leads; this one ends");
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
    tracing::info!("stopping: what runs goes on without the operator");
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
    let namespace = options.namespace.as_deref();
    let ours = format!("{}={}", names::MANAGED_BY, names::MANAGER);
    let patience = options.patience;
    let watch_seconds = u32::try_from(patience.watch.as_secs()).unwrap_or(u32::MAX);
    let marked = watcher::Config::default()
        .timeout(watch_seconds)
        .labels(&ours);
    let (jobs, job_writer) = reflector::store::<Job>();
    let (pods, pod_writer) = reflector::store::<Pod>();
    let (searches, search_writer) = reflector::store::<Guarded>();
    let (trigger, triggers) = futures::channel::mpsc::unbounded();
    let Connections {
        calls,
        watches: client,
        ..
    } = connections;
    let watches = Watches::new(metrics.clone(), patience.watch_denied);
    let (of_jobs, of_pods, of_searches) = (watches.clone(), watches.clone(), watches.clone());
    let job_changes = watcher(scoped::<Job>(&client, namespace), marked.clone())
        .backoff(Pauses::new(patience))
        .modify(|job| job.managed_fields_mut().clear())
        .reflect(job_writer)
        .touched_objects()
        .filter_map(move |change| std::future::ready(of_jobs.told("Jobs", change)));
    let pod_changes = watcher(scoped::<Pod>(&client, namespace), marked)
        .backoff(Pauses::new(patience))
        .modify(|pod| pod.managed_fields_mut().clear())
        .reflect(pod_writer)
        .touched_objects()
        .filter_map(move |change| std::future::ready(of_pods.told("pods", change)));
    let (held, their, are_filled) = (pods.clone(), searches.clone(), Arc::clone(&ready));
    let (seen_off, ending) = tokio::sync::oneshot::channel::<()>();
    let watched = watcher::Config::default().timeout(watch_seconds);
    let search_changes = watcher(scoped::<Guarded>(&client, namespace), watched)
        .backoff(Pauses::new(patience))
        .reflect(search_writer)
        .applied_objects()
        .filter_map(move |change| std::future::ready(of_searches.told("PeftSearches", change)));
    let controller = Controller::for_stream(search_changes, searches)
        .owns_stream(job_changes)
        .watches_stream(pod_changes, search_of)
        .reconcile_on(triggers)
        .with_config(kube::runtime::controller::Config::default().concurrency(CONCURRENCY))
        .graceful_shutdown_on(async move {
            // A sender that is gone asks for the same.
            let _ = stopped.await;
            linger(&held, &their, &are_filled, &patience).await;
            // Nobody listens where the controller has ended.
            let _ = seen_off.send(());
        });
    let context = Arc::new(Context {
        recorder: Recorder::new(calls.clone(), &options.identity, metrics.clone()),
        watches,
        client: calls,
        searches: controller.store(),
        jobs,
        pods,
        memories: Memories::new(patience),
        patience,
        engines: Engines::new(options.engine_threads, options.ask),
        metrics,
        defaults: pod::Defaults {
            image: options.trainer_image,
        },
        pulse,
        trigger,
        gone: Notify::new(),
    });
    let filling = tokio::spawn(fill(Arc::clone(&context), ready));
    let orphans = tokio::spawn(orphans::sweep(Arc::clone(&context)));
    let strays = tokio::spawn(strays::sweep(Arc::clone(&context), options.namespace));
    let forgetting = tokio::spawn(forget(Arc::clone(&context)));
    let reconciling = controller
        .run(
            reconcile_when_filled,
            |object, error, context| reconcile::after_error(object, error, context),
            context,
        )
        .for_each(|done| async move {
            use kube::runtime::controller::Error;
            match done {
                // Told by `after_error`; a search that is gone is no error.
                Ok(_) | Err(Error::ReconcilerFailed(..) | Error::ObjectNotFound(_)) => {}
                Err(error) => tracing::warn!("watching: {error}"),
            }
        });
    tokio::select! {
        () = reconciling => {}
        // What is reconciled has a moment to come to its end.
        _ = async { let _ = ending.await; tokio::time::sleep(Duration::from_secs(1)).await } => {}
    }
    filling.abort();
    orphans.abort();
    strays.abort();
    forgetting.abort();
}

/// Sees pods off that our finalizer holds and that are being deleted, or that belong to a search that is. Where
/// a whole namespace goes, this process goes too, no other takes its place, and the finalizer would keep the
/// namespace.
async fn linger(
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
            // A cache that is not filled knows of no search.
            pod.metadata.deletion_timestamp.is_some()
                || are_filled.load(Ordering::Relaxed) && is_without(&pod, searches)
        });
        if !is_early && !is_going || begun.elapsed() >= patience.linger {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Whether the search whose pod it is has gone, or is going.
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

/// Whether a search has come to its end.
fn is_over(search: &Guarded) -> bool {
    let status = search
        .0
        .as_ref()
        .ok()
        .and_then(|search| search.status.as_ref());
    status.is_some_and(|status| status.completion_time.is_some())
}

/// Nothing is judged by a cache that is not filled.
async fn reconcile_when_filled(
    object: Arc<Guarded>,
    context: Arc<Context>,
) -> Result<kube::runtime::controller::Action, Arc<reconcile::ReconcileError>> {
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
            "Jobs and pods cannot be watched; may this operator list and watch them?"
        );
        if let Err(error) = reconcile::tell_blind(&object, &context).await {
            tracing::warn!("the Degraded condition could not be written: {error}");
        }
        // It waits again, and goes on as soon as they are filled.
        return Ok(kube::runtime::controller::Action::requeue(
            Duration::from_millis(100),
        ));
    }
    reconcile::reconcile(object, context).await
}

/// Waits until a cache is filled. kube-runtime 5.0.0 wakes only the last of several tasks that wait
/// for the same cache, so each looks again by itself.
async fn filled<K>(store: &Store<K>)
where
    K: Clone + kube::runtime::reflector::Lookup + 'static,
    K::DynamicType: Eq + std::hash::Hash + Clone,
{
    let mut answer = None;
    while answer.is_none() {
        let ready = tokio::time::timeout(Duration::from_millis(200), store.wait_until_ready());
        answer = ready.await.ok();
    }
    if let Some(Err(error)) = answer {
        // Its watch is gone because the process ends.
        tracing::debug!("a cache was not filled: {error}");
        std::future::pending::<()>().await;
    }
}

async fn fill(context: Arc<Context>, ready: Arc<AtomicBool>) {
    filled(&context.searches).await;
    filled(&context.jobs).await;
    filled(&context.pods).await;
    ready.store(true, Ordering::Relaxed);
    tracing::info!("the caches are filled");
}

/// Counts searches that cannot be read, and forgets those that are gone: memory, engine steps, metrics.
async fn forget(context: Arc<Context>) {
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

fn scoped<K>(client: &Client, namespace: Option<&str>) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
{
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

/// The search that a pod says it belongs to.
fn search_of(pod: Pod) -> Option<ObjectRef<Guarded>> {
    let name = pod.labels().get(names::SEARCH)?;
    let namespace = pod.namespace()?;
    Some(ObjectRef::new(name).within(&namespace))
}

/// Tells of what was recorded: a line in the log, and an event where a person may want one.
async fn tell(pass: &Pass<'_>, event: &Event, ledger: &Ledger) {
    let (namespace, search) = (pass.namespace(), pass.name());
    let about = pass.search.object_ref(&());
    let recorder = &pass.context.recorder;
    match event {
        Event::Planned(planned) => tracing::info!(
            namespace,
            search,
            trial = planned.trial,
            origin = format!("{:?}", planned.origin),
            parameters = planned.parameters,
            "planned: {}",
            planned.configuration
        ),
        Event::Started { .. } | Event::SpecChanged(_) | Event::Reopened => {}
        Event::Retried {
            trial,
            attempt,
            cause,
            gpu_seconds: _,
        } => {
            let why = match cause {
                // The end of the search has stopped it.
                RetryCause::Interrupted if ledger.conclusion().is_some() => {
                    tracing::info!(
                        namespace,
                        search,
                        trial,
                        "trial {trial} is stopped, for the search ends"
                    );
                    return;
                }
                RetryCause::Interrupted => {
                    "its Job or pod was taken away, or never began".to_owned()
                }
                RetryCause::Failed { reason, message } => format!("{reason:?}: {message}"),
            };
            let note = format!("trial {trial} is tried again (attempt {attempt}): {why}");
            tracing::warn!(namespace, search, trial, attempt, "{note}");
            recorder
                .warn_of(about, (*trial, *attempt), "TrialRetried", note)
                .await;
        }
        Event::Recorded {
            trial,
            attempt,
            outcome,
            gpu_seconds: _,
        } => match outcome {
            Recorded::Succeeded {
                score,
                train_seconds,
                ..
            } => {
                tracing::info!(
                    namespace,
                    search,
                    trial,
                    attempt,
                    "score {score} in {train_seconds} s"
                );
            }
            Recorded::Infeasible { reason, message } => {
                let note = format!("trial {trial} cannot be trained: {reason:?}: {message}");
                tracing::warn!(namespace, search, trial, attempt, "{note}");
                recorder
                    .warn_of(about, (*trial, *attempt), "TrialInfeasible", note)
                    .await;
            }
            Recorded::Failed { reason, message } => {
                let note = format!("trial {trial} was given up: {reason:?}: {message}");
                tracing::warn!(namespace, search, trial, attempt, "{note}");
                recorder
                    .warn_of(about, (*trial, *attempt), "TrialFailed", note)
                    .await;
            }
        },
        Event::Concluded(conclusion) => {
            let note = conclusion.message.clone();
            tracing::info!(
                namespace,
                search,
                reason = format!("{:?}", conclusion.reason),
                "{note}"
            );
            let reason = format!("{:?}", conclusion.reason);
            if conclusion.succeeded {
                recorder.tell(about, &reason, note).await;
            } else {
                recorder.warn(about, &reason, note).await;
            }
        }
    }
}

/// What a panic said.
fn panic_text(payload: &(dyn Any + Send)) -> String {
    payload
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".into())
}
