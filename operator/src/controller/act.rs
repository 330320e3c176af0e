//! Client. Carries out a recorded decision: creates and deletes Jobs, releases pods, starts the engine. The next
//! reconcile sees the effects in the caches or in the memory.

use std::time::Duration;

use autopeft_crds::status::Attempt;
use autopeft_search::backoff::Work;
use autopeft_search::planner::Engine;
use autopeft_search::trouble::Trouble;
use autopeft_search::{deadlines, status};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::runtime::controller::Action as Next;
use kube::runtime::reflector::ObjectRef;

use super::client::api::Guarded;
use super::client::api::{self, ApiError};
use super::error::ReconcileError;
use super::judge::{Course, Stage};
use super::pass::Pass;
use super::plan::{Decision, Start};
use super::record;
use autopeft_jobs::build::{job, names};
use autopeft_jobs::judge::observe::Objects;

/// The shortest delay until the next reconcile.
const SHORTEST: Duration = Duration::from_millis(20);

/// Carries out a decision; returns when to reconcile next.
pub async fn act(
    pass: &mut Pass<'_>,
    stage: &mut Stage,
    decision: Decision,
) -> Result<Next, ReconcileError> {
    let Decision {
        status: _,
        troubles,
        lines: _,
        notices: _,
        starts,
        removals,
        suggest,
        may_expire,
        wake,
        look,
    } = decision;
    // Starts before removals.
    let (mut has_started, mut is_refused) = (false, false);
    for start in starts {
        match self::start(pass, stage, start).await? {
            Started::Made => has_started = true,
            Started::Refused => is_refused = true,
            Started::Not => {}
        }
    }
    if let Stage::Searching(course) = stage {
        if has_started {
            let status = status::status(&course.subject, &course.ledger);
            record::write(pass, status, &troubles).await?;
        }
        if suggest {
            self::suggest(pass, course);
        }
    }
    for objects in &removals {
        remove(pass, objects).await?;
    }
    let expiry = if may_expire {
        expire(pass).await?
    } else {
        None
    };
    if expiry.is_some_and(|expiry| expiry <= pass.now) {
        return Ok(Next::await_change());
    }
    let is_removing = pass
        .memory
        .is_removing()
        .then_some(pass.context.patience.look);
    let delays = [
        wake.map(until),
        expiry.map(until),
        look,
        is_removing,
        pass.memory.backoffs.shortest(pass.now),
        // The next reconcile reports the refusal in the status.
        is_refused.then_some(SHORTEST),
    ];
    Ok(delays
        .into_iter()
        .flatten()
        .min()
        .map_or(Next::await_change(), |delay| {
            Next::requeue(delay.max(SHORTEST))
        }))
}

/// The time from now until then.
fn until(time: Timestamp) -> Duration {
    time.duration_since(Timestamp::now())
        .try_into()
        .unwrap_or_default()
}

/// The result of creating a Job.
enum Created {
    /// It exists and is this search's; its UID.
    Made(String),
    /// Another owner's Job has its name.
    Conflict,
    /// The API server rejects it; the back-offs have the reason and the time to retry.
    Refused,
}

/// The result of starting an attempt.
enum Started {
    /// Its Job exists.
    Made,
    /// Its Job is rejected, or another owner's Job has its name.
    Refused,
    /// Not attempted.
    Not,
}

/// Starts an attempt, unless it is paused.
async fn start(
    pass: &mut Pass<'_>,
    stage: &mut Stage,
    Start { work, attempt, job }: Start,
) -> Result<Started, ReconcileError> {
    let pause = pass.memory.backoffs.left(work, pass.now);
    if pause.is_some() || !pass.context.watchdog.is_on_time() {
        return Ok(Started::Not);
    }
    match (create(pass, &job).await?, work) {
        (Created::Made(uid), _) => {
            pass.memory.created.insert(uid.clone(), pass.now);
            if let (Stage::Searching(course), Work::Trial(trial)) = (stage, work) {
                course.ledger.note_job(Attempt { trial, attempt }, &uid)?;
            }
            Ok(Started::Made)
        }
        (Created::Conflict, Work::Trial(trial)) => {
            pass.memory.conflicts.insert(Attempt { trial, attempt });
            Ok(Started::Refused)
        }
        (Created::Conflict, Work::Inspection) => {
            conflict(pass, &job).await?;
            Ok(Started::Refused)
        }
        (Created::Refused, _) => Ok(Started::Refused),
    }
}

/// Creates a Job, or finds that it already exists.
async fn create(pass: &mut Pass<'_>, wanted: &Job) -> Result<Created, ReconcileError> {
    let namespace = pass.namespace();
    let client = &pass.context.client;
    match api::create_job(client, &namespace, wanted).await {
        Ok(job) => {
            pass.memory.backoffs.creation_allowed();
            Ok(Created::Made(job.metadata.uid.unwrap_or_default()))
        }
        Err(error) if error.is_already_exists() => {
            let name = wanted.metadata.name.as_deref().unwrap_or_default();
            let Some(found) = api::read_job(client, &namespace, name).await? else {
                // Deleted meanwhile: the next reconcile creates it.
                return Err(error.into());
            };
            let uid = found.metadata.uid.clone().unwrap_or_default();
            let is_ours = names::controller_uid(&found.metadata) == Some(&pass.uid())
                && (pass.memory.created.contains_key(&uid) || job::is_the_same(&found, wanted));
            if !is_ours {
                return Ok(Created::Conflict);
            }
            pass.memory.backoffs.creation_allowed();
            Ok(Created::Made(uid))
        }
        // For example, concurrent requests against one quota.
        Err(error) if error.code() == Some(409) => Err(error.into()),
        Err(error) => {
            let Some(reason) = error.refusal_to_create() else {
                return Err(error.into());
            };
            let message = format!("the Job cannot be created: {}", error.message());
            pass.context.metrics.count_api_error(error.verb());
            tracing::warn!(
                namespace = pass.namespace(),
                search = pass.name(),
                reason,
                "{message}"
            );
            pass.memory
                .backoffs
                .creation_refused(Trouble::new(reason, message), pass.now);
            Ok(Created::Refused)
        }
    }
}

/// The name of the inspection's Job is in use: by this search's own Job, which was changed and is recreated, or by
/// another owner's.
async fn conflict(pass: &mut Pass<'_>, wanted: &Job) -> Result<(), ReconcileError> {
    let name = wanted.metadata.name.clone().unwrap_or_default();
    let read = api::read_job(&pass.context.client, &pass.namespace(), &name).await?;
    match read.filter(|job| names::is_our_job(job, &pass.name(), &pass.uid())) {
        Some(job) => {
            let uid = job.metadata.uid.unwrap_or_default();
            delete_job(pass, &name, &uid).await
        }
        None => {
            let message = format!("a Job {name} of another owner exists; delete it");
            let trouble = Trouble::new("Conflict", message);
            pass.memory.backoffs.creation_refused(trouble, pass.now);
            Ok(())
        }
    }
}

/// Starts the engine for the next suggestion.
fn suggest(pass: &mut Pass<'_>, course: &Course) {
    let trigger = pass.context.trigger.clone();
    let reference = ObjectRef::<Guarded>::new(&pass.name()).within(&pass.namespace());
    let done = move || {
        // The receiver is gone when the process ends.
        let _ = trigger.unbounded_send(reference);
    };
    let metric = course.subject.spec.task.score_metric();
    let problem = course.subject.problem.clone();
    let engines = &pass.context.engines;
    pass.memory.step = Some(engines.begin(problem, metric, course.ledger.clone(), done));
    pass.memory.engine = Engine::Busy;
}

/// Releases an attempt's pods and deletes its Job.
async fn remove(pass: &mut Pass<'_>, objects: &Objects) -> Result<(), ReconcileError> {
    for pod in pass.pods.clone() {
        let name = pod.metadata.name.as_ref();
        if objects.held.iter().any(|held| name == Some(held)) {
            release(pass, &pod).await?;
        }
    }
    if let Some((name, uid)) = &objects.job {
        delete_job(pass, name, uid).await?;
    }
    Ok(())
}

/// Removes the finalizer from a pod, unless a request is pending.
async fn release(pass: &mut Pass<'_>, pod: &Pod) -> Result<(), ReconcileError> {
    let key = format!("pod/{}", pod.metadata.name.as_deref().unwrap_or_default());
    if !names::is_held(&pod.metadata) || !pass.memory.may_remove(&key, pass.now) {
        return Ok(());
    }
    let client = &pass.context.client;
    let released = api::release_pod(client, &pass.namespace(), &pod.metadata).await;
    note_answer(pass, &key, released)
}

/// Deletes a Job, unless a request is pending.
async fn delete_job(pass: &mut Pass<'_>, name: &str, uid: &str) -> Result<(), ReconcileError> {
    let key = format!("job/{uid}");
    if pass.memory.may_remove(&key, pass.now) {
        let deleted = api::delete_job(&pass.context.client, &pass.namespace(), name, uid).await;
        note_answer(pass, &key, deleted)?;
    }
    pass.memory.created.remove(uid);
    Ok(())
}

fn note_answer(
    pass: &mut Pass<'_>,
    key: &str,
    answer: Result<(), ApiError>,
) -> Result<(), ReconcileError> {
    if answer.is_err() {
        pass.memory.not_removed(key);
    }
    Ok(answer?)
}

/// Deletes a search whose `ttlSecondsAfterFinished` has passed; returns when it passes.
async fn expire(pass: &Pass<'_>) -> Result<Option<Timestamp>, ReconcileError> {
    let status = pass.search.status.as_ref();
    let end = status.and_then(|status| status.completion_time.as_ref());
    let expiry = end.and_then(|end| deadlines::expiry(&pass.search.spec, end.0));
    if expiry.is_some_and(|expiry| pass.now >= expiry) {
        api::delete_search(&pass.context.client, &pass.search).await?;
    }
    Ok(expiry)
}
