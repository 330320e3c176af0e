//! Client. Reads what a reconcile needs: the object, its Jobs and pods from the caches, the engine's answer; later, what
//! the caches cannot answer.

use std::sync::Arc;

use autopeft_crds::PeftSearch;
use autopeft_crds::status::Attempt;
use autopeft_search::ask::Asked;
use autopeft_search::backoff::Work;
use autopeft_search::object;
use autopeft_search::planner::Engine;
use autopeft_search::trouble::Trouble;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;

use super::client::api;
use super::engines::Step;
use super::error::ReconcileError;
use super::pass::{Pass, Question};
use autopeft_jobs::build::names;
use autopeft_jobs::judge::waiting::refusal;

/// Reads the inputs of a reconcile; false if the search is gone.
pub async fn read(pass: &mut Pass<'_>) -> Result<bool, ReconcileError> {
    let Some(newest) = newest(pass).await? else {
        return Ok(false);
    };
    pass.search = object::as_seen(newest);
    cached(pass);
    engine(pass);
    Ok(true)
}

/// The newest known version of a search: the cached one, or the API server's last answer. The first time it is read
/// from the API server, because the cache may lag behind what an earlier process wrote. `None` if it is gone.
async fn newest(pass: &mut Pass<'_>) -> Result<Option<PeftSearch>, ReconcileError> {
    let version = |search: &PeftSearch| -> u64 {
        let version = search.metadata.resource_version.as_deref();
        version
            .and_then(|version| version.parse().ok())
            .unwrap_or(0)
    };
    let cached = &pass.search;
    if let Some(written) = &pass.memory.written {
        let newer = if version(cached) > version(written) {
            cached
        } else {
            written
        };
        return Ok(Some(newer.clone()));
    }
    let read = api::read_search(&pass.context.client, &pass.namespace(), &pass.name()).await?;
    let same = read.filter(|read| read.metadata.uid == cached.metadata.uid);
    pass.memory.written.clone_from(&same);
    Ok(same)
}

/// Takes the Jobs and pods of a search from the caches.
fn cached(pass: &mut Pass<'_>) {
    let search = &pass.search;
    let (namespace, uid) = (&search.metadata.namespace, &search.metadata.uid);
    let (name, own) = (pass.name(), pass.uid());
    let mark = names::search_mark(search);
    // A fast pre-selection: there may be ten thousand objects.
    let may_be_ours = |metadata: &ObjectMeta, job: Option<&str>| {
        let labels = metadata.labels.as_ref();
        metadata.namespace == *namespace
            && (labels.and_then(|labels| labels.get(names::SEARCH_UID)) == uid.as_ref()
                || job.is_some_and(|job| job.starts_with(&mark)))
    };
    let mut jobs = pass.context.jobs.state();
    jobs.retain(|job| may_be_ours(&job.metadata, job.metadata.name.as_deref()));
    let mut pods = pass.context.pods.state();
    pods.retain(|pod| {
        let metadata = &pod.metadata;
        may_be_ours(metadata, names::controlling_job(metadata))
            && names::attempt_of_pod(metadata, &name, &own).is_some()
    });
    (pass.jobs, pass.pods) = (jobs, pods);
}

/// Takes the engine's answer.
fn engine(pass: &mut Pass<'_>) {
    let Some(answer) = pass.memory.step.as_ref().and_then(Step::take) else {
        pass.memory.retry_engine(pass.now);
        return;
    };
    pass.memory.step = None;
    pass.context.metrics.engine_seconds.observe(answer.seconds);
    match answer.asked {
        Ok(asked) => {
            if let Asked::Suggestion(planned) = &asked {
                tracing::debug!(
                    namespace = pass.namespace(),
                    search = pass.name(),
                    trial = planned.trial,
                    seconds = answer.seconds,
                    "suggested"
                );
            }
            pass.memory.backoffs.engine_succeeded();
            pass.memory.engine = match asked {
                Asked::Suggestion(planned) => Engine::Ready(planned),
                Asked::Exhausted => Engine::Exhausted,
            };
        }
        Err(error) => {
            let trouble = Trouble::new("EngineFailed", error.to_string());
            pass.memory.backoffs.engine_failed(trouble, pass.now);
        }
    }
}

/// Reads from the API server what the caches cannot answer.
pub async fn answer(pass: &mut Pass<'_>, question: Question) -> Result<(), ReconcileError> {
    match question {
        Question::Jobs(asked) => {
            for (work, attempt, uid) in asked {
                read_job(pass, (work, attempt), uid).await?;
            }
            Ok(())
        }
        Question::Pods(asked) => read_pods(pass, &asked).await,
    }
}

/// Reads a Job that is not in the cache: it is gone, or the cache lags behind, or its label was removed.
async fn read_job(
    pass: &mut Pass<'_>,
    (work, attempt): (Work, u32),
    noted: Option<String>,
) -> Result<(), ReconcileError> {
    let (search, uid) = (pass.name(), pass.uid());
    let name = names::job_name(&search, &uid, work, attempt);
    let read = api::read_job(&pass.context.client, &pass.namespace(), &name).await?;
    let found = read.filter(|job| match &noted {
        Some(noted) => job.metadata.uid.as_ref() == Some(noted),
        None => names::is_our_job(job, &search, &uid),
    });
    pass.looked_up.insert((work, attempt));
    match (found, work) {
        (Some(job), _) => {
            pass.jobs
                .retain(|job| job.metadata.name.as_ref() != Some(&name));
            pass.jobs.push(Arc::new(job));
        }
        (None, Work::Trial(trial)) => {
            pass.memory.gone.insert(Attempt { trial, attempt });
        }
        (None, Work::Inspection) => {}
    }
    Ok(())
}

/// Replaces the cached pods of these attempts by those that the API server lists. The cache may lag behind until a
/// dead watch is detected, and lacks pods whose label was removed.
async fn read_pods(
    pass: &mut Pass<'_>,
    asked: &[((Work, u32), String)],
) -> Result<(), ReconcileError> {
    let uids: Vec<&str> = asked.iter().map(|(_, uid)| uid.as_str()).collect();
    let live = api::list_pods(&pass.context.client, &pass.namespace(), &uids).await?;
    let is_asked_for = |pod: &Pod| uids.iter().any(|uid| names::is_pod_of(&pod.metadata, uid));
    pass.pods.retain(|pod| !is_asked_for(pod));
    let found = live.into_iter().filter(is_asked_for);
    pass.pods.extend(found.map(Arc::new));
    pass.confirmed
        .extend(asked.iter().map(|(attempt, _)| *attempt));
    Ok(())
}

/// Adds the API server's message to the report of a Job without a pod. Events are listed at intervals: the operator has no
/// watch of them.
pub async fn explain(pass: &mut Pass<'_>, troubles: &mut [Trouble]) {
    let mut untold = troubles.iter_mut();
    let Some((trouble, uid)) =
        untold.find_map(|trouble| trouble.told_of.clone().map(|uid| (trouble, uid)))
    else {
        return;
    };
    let pause = pass.context.patience.look_at_jobs;
    let is_new = |at: Timestamp| pass.now.duration_since(at).unsigned_abs() < pause;
    let known = pass.memory.told.take();
    let told = match known.filter(|(of, at, _)| *of == uid && is_new(*at)) {
        Some(known) => known,
        None => {
            let read = api::list_events(&pass.context.client, &pass.namespace(), &uid).await;
            // Who may not read events still says how to read them.
            let why = read.ok().and_then(|events| refusal(&events));
            (uid, pass.now, why)
        }
    };
    if let Some(why) = &told.2 {
        *trouble = trouble.because(why);
    }
    pass.memory.told = Some(told);
}
