//! The step before a search: a Job in which the trainer looks at model and data. Its document goes
//! into the status, and nothing else of it is kept.

use std::sync::Arc;
use std::time::Duration;

use autopeft_crds::inspection::{InspectionOutcome, parse_inspection};
use autopeft_crds::status::PeftSearchStatus;
use autopeft_crds::trial::Inspection;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::Resource;
use kube::runtime::controller::Action as Next;

use super::act::Created;
use super::api;
use super::build::names;
use super::build::{job, pod};
use super::judge::outcome::{self, Ending, Seen};
use super::judge::restore::{self, Early};
use super::judge::words::in_words;
use super::reconcile::{Pass, ReconcileError, until};
use autopeft_search::ends;
use autopeft_search::pauses::{Setback, Work};
use autopeft_search::request::{self, Places};
use autopeft_search::trouble::Trouble;

/// Where the inspection stands.
#[derive(Debug)]
pub(super) enum Inspected {
    /// It is done.
    Found(Inspection),
    /// It is not; what to do meanwhile.
    NotYet(Next),
}

/// Sees to the inspection; there is one attempt at a time, under one name.
pub(super) async fn inspect(
    pass: &mut Pass<'_>,
    places: &Places,
) -> Result<Inspected, ReconcileError> {
    let status = pass.search.status.as_ref();
    let known = status.and_then(|status| status.inspection.clone());
    let generation = pass.search.metadata.generation;
    pass.memory.pauses.keep_setbacks_of(generation);
    let (search, uid) = (pass.name(), pass.uid());
    let name = names::job_name(&search, &uid, Work::Inspection, 1);
    let found = pass.jobs.iter().find(|job| {
        job.metadata.name.as_ref() == Some(&name) && names::is_our_job(job, &search, &uid)
    });
    let is_inspection = |metadata| {
        let attempt = names::attempt_of_pod(metadata, &search, &uid);
        matches!(attempt, Some((Work::Inspection, _)))
    };
    let late = due(pass).filter(|due| pass.now >= *due);
    if known.is_some() || late.is_some() {
        let pods = pass.pods.iter().filter(|pod| is_inspection(&pod.metadata));
        let (pods, job) = (pods.cloned().collect::<Vec<_>>(), found.cloned());
        clear(pass, &pods, job.as_deref()).await?;
        return match known {
            Some(inspection) => Ok(Inspected::Found(inspection)),
            None => give_up(pass).await,
        };
    }
    if let Some(message) = ended_before(pass, "BadInput") {
        let status = restore::early(&pass.search, &Early::BadInput(message), pass.now);
        pass.record(status, &[]).await?;
        return Ok(Inspected::NotYet(pass.rest().await?));
    }
    let found = match found.cloned() {
        // It was made here and is not in the cache: not yet, or somebody has taken our label off.
        None if !pass.memory.created.is_empty() => live(pass, &name).await?,
        found => found,
    };
    let Some(job) = found else {
        return create(pass, places).await;
    };
    pass.memory.pauses.not_refused();
    let job_uid = job.metadata.uid.as_deref().unwrap_or_default();
    let pods = pass.pods.iter();
    let pods: Vec<Arc<Pod>> = pods
        .filter(|pod| names::is_pod_of(&pod.metadata, job_uid))
        .cloned()
        .collect();
    let wanted = wanted(pass, places)?;
    let is_made = pass.memory.created.contains_key(job_uid) || job::is_the_same(&job, &wanted);
    let seen: Vec<&Pod> = pods.iter().map(AsRef::as_ref).collect();
    let mut state = outcome::see(&job, &seen, &pass.context.patience, pass.now);
    if let Seen::Unclear { patience, then } = &state {
        let since = *pass.memory.inspection_unclear.get_or_insert(pass.now);
        let until = since.checked_add(*patience).unwrap_or(Timestamp::MAX);
        if pass.now < until {
            return Ok(Inspected::NotYet(Next::requeue(
                pass.context.patience.look_at_jobs,
            )));
        }
        let ending = then.clone();
        let live = api::list_pods(&pass.context.client, &pass.namespace(), &[job_uid]).await?;
        let live = live
            .iter()
            .filter(|pod| names::is_pod_of(&pod.metadata, job_uid));
        state = match outcome::see(
            &job,
            &live.collect::<Vec<_>>(),
            &pass.context.patience,
            pass.now,
        ) {
            Seen::Unclear { .. } => ending.map_or(Seen::Running, Seen::Ended),
            clear => clear,
        };
    } else {
        pass.memory.inspection_unclear = None;
    }
    let waiting = match state {
        // The spec has changed since: what it waits for may be mended.
        _ if !is_made => {
            clear(pass, &pods, Some(&job)).await?;
            None
        }
        Seen::Waiting(_) if job::is_outdated(&job, &wanted) => {
            clear(pass, &pods, Some(&job)).await?;
            None
        }
        Seen::Running | Seen::Unclear { .. } => None,
        Seen::Waiting(trouble) => Some(trouble),
        Seen::Ended(Ending::Document(text)) => match parse_inspection(text.as_bytes(), &uid) {
            Ok(result) => match result.outcome {
                InspectionOutcome::Found(inspection) => {
                    let mut status = restore::early(&pass.search, &Early::Inspecting, pass.now);
                    status.inspection = Some(inspection);
                    return settled(pass, status, &pods, &job).await;
                }
                InspectionOutcome::Refused { message } => {
                    let message = in_words(&message, &pass.search.spec);
                    let refused = Early::BadInput(message.clone());
                    let status = restore::early(&pass.search, &refused, pass.now);
                    let next = settled(pass, status, &pods, &job).await?;
                    let reference = pass.search.object_ref(&());
                    let recorder = &pass.context.recorder;
                    recorder.warn(reference, "BadInput", message).await;
                    return Ok(next);
                }
                InspectionOutcome::Unavailable { message } => {
                    let message = in_words(&message, &pass.search.spec);
                    again(pass, &job, &pods, message).await?;
                    None
                }
            },
            Err(error) => {
                again(pass, &job, &pods, error.to_string()).await?;
                None
            }
        },
        Seen::Ended(Ending::Without(_, message))
        | Seen::Evicted(message)
        | Seen::Rejected(message) => {
            again(pass, &job, &pods, message).await?;
            None
        }
    };
    let status = restore::early(&pass.search, &Early::Inspecting, pass.now);
    // While the next one runs, it stays said what the last one came to.
    let troubles = waiting.map_or_else(|| pass.memory.pauses.troubles(), |trouble| vec![trouble]);
    pass.record(status, &troubles).await?;
    Ok(Inspected::NotYet(Next::requeue(
        pass.context.patience.look_at_jobs,
    )))
}

/// Records what an inspection has found and clears it away. What was recorded comes back as a change.
async fn settled(
    pass: &mut Pass<'_>,
    status: PeftSearchStatus,
    pods: &[Arc<Pod>],
    job: &Job,
) -> Result<Inspected, ReconcileError> {
    pass.memory.pauses.keep_setbacks_while(|_| false);
    pass.record(status, &[]).await?;
    clear(pass, pods, Some(job)).await?;
    Ok(Inspected::NotYet(Next::requeue(Duration::from_millis(20))))
}

/// When the search has to end.
fn due(pass: &Pass<'_>) -> Option<Timestamp> {
    let begun = pass.search.status.as_ref()?.start_time.as_ref()?.0;
    ends::deadline(&pass.search.spec, begun)
}

/// Ends a search whose time is over before an inspection has come to something.
async fn give_up(pass: &mut Pass<'_>) -> Result<Inspected, ReconcileError> {
    let seconds = pass.search.spec.active_deadline_seconds.unwrap_or(0);
    let troubles = pass.memory.pauses.troubles();
    let why = troubles.first().map(|trouble| &trouble.message);
    let message = format!(
        "{seconds} seconds (activeDeadlineSeconds) have passed, and model and data could not be looked at{}",
        why.map_or_else(String::new, |why| format!(": {why}"))
    );
    let is_known = ended_before(pass, "DeadlineExceeded").is_some();
    pass.memory.pauses.not_refused();
    pass.memory.pauses.keep_setbacks_while(|_| false);
    if !is_known {
        let late = Early::Late(message.clone());
        let status = restore::early(&pass.search, &late, pass.now);
        pass.record(status, &[]).await?;
        let reference = pass.search.object_ref(&());
        let recorder = &pass.context.recorder;
        recorder.warn(reference, "DeadlineExceeded", message).await;
    }
    Ok(Inspected::NotYet(pass.rest().await?))
}

/// The message with which the search, of the spec as it is now, has ended for this reason.
fn ended_before(pass: &Pass<'_>, reason: &str) -> Option<String> {
    let status = pass.search.status.as_ref()?;
    if status.observed_generation != pass.search.metadata.generation {
        return None;
    }
    let succeeded = status.conditions.iter().find(|condition| {
        condition.type_ == "Succeeded" && condition.status == "False" && condition.reason == reason
    })?;
    Some(succeeded.message.clone())
}

/// Clears an inspection that came to nothing away, so that the next one can begin after a pause.
async fn again(
    pass: &mut Pass<'_>,
    job: &Job,
    pods: &[Arc<Pod>],
    message: String,
) -> Result<(), ReconcileError> {
    let uid = job.metadata.uid.as_deref().unwrap_or_default();
    let generation = pass.search.metadata.generation;
    let trouble = Trouble::new("InspectionFailed", message);
    let setback = Setback {
        work: Work::Inspection,
        job: uid.into(),
        trouble,
        at_least: 1,
    };
    pass.memory.pauses.set_back(&setback, generation, pass.now);
    clear(pass, pods, Some(job)).await
}

async fn create(pass: &mut Pass<'_>, places: &Places) -> Result<Inspected, ReconcileError> {
    let tags = pod::tags(&pass.search.spec);
    // What has a status has been told.
    if pass.search.status.is_none() && !tags.is_empty() {
        let note = format!(
            "{}: a tag may come to mean another image while the search runs; name images by digest (NAME@sha256:...)",
            tags.join(", ")
        );
        let reference = pass.search.object_ref(&());
        pass.context
            .recorder
            .warn(reference, "ImageByTag", note)
            .await;
    }
    let mut next = Next::requeue(pass.context.patience.look_at_jobs);
    if pass.search.spec.suspend {
        next = due(pass).map_or_else(Next::await_change, |due| Next::requeue(until(due)));
    } else if let Some(pause) = pass.memory.pauses.left(Work::Inspection, pass.now) {
        next = Next::requeue(pause.min(pass.context.patience.look_at_jobs));
    } else {
        let wanted = wanted(pass, places)?;
        match pass.create(&wanted).await? {
            Created::Made(uid) => {
                pass.memory.created.insert(uid, pass.now);
            }
            Created::Conflict => {
                let name = wanted.metadata.name.unwrap_or_default();
                match live(pass, &name).await? {
                    // Somebody has changed it: it is made anew.
                    Some(job) => clear(pass, &[], Some(&job)).await?,
                    None => {
                        let message =
                            format!("a Job {name} exists that is not this search's; delete it");
                        let trouble = Trouble::new("Conflict", message);
                        pass.memory.pauses.refused(trouble, pass.now);
                    }
                }
            }
            Created::Refused => {}
        }
    }
    let status = restore::early(&pass.search, &Early::Inspecting, pass.now);
    let troubles = pass.memory.pauses.troubles();
    pass.record(status, &troubles).await?;
    Ok(Inspected::NotYet(next))
}

/// The inspection's Job as the API server has it.
async fn live(pass: &Pass<'_>, name: &str) -> Result<Option<Arc<Job>>, ReconcileError> {
    let read = api::read_job(&pass.context.client, &pass.namespace(), name).await?;
    let (search, uid) = (pass.name(), pass.uid());
    let ours = read.filter(|job| names::is_our_job(job, &search, &uid));
    Ok(ours.map(Arc::new))
}

/// The Job of the inspection.
fn wanted(pass: &Pass<'_>, places: &Places) -> Result<Job, ReconcileError> {
    let request = request::inspection(&pass.search.spec, places, &pass.uid())?;
    let document = serde_json::to_string(&request)?;
    let defaults = &pass.context.defaults;
    Ok(job::job(
        &pass.search,
        Work::Inspection,
        1,
        document,
        defaults,
    ))
}

async fn clear(
    pass: &mut Pass<'_>,
    pods: &[Arc<Pod>],
    job: Option<&Job>,
) -> Result<(), ReconcileError> {
    for pod in pods {
        pass.let_go(pod).await?;
    }
    let Some(job) = job else { return Ok(()) };
    let (name, uid) = (&job.metadata.name, &job.metadata.uid);
    let (name, uid) = (
        name.as_deref().unwrap_or_default(),
        uid.as_deref().unwrap_or_default(),
    );
    pass.delete_job(name, uid).await?;
    pass.memory.created.remove(uid);
    Ok(())
}
