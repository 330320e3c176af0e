//! Finds orphaned Jobs and pods whose labels were removed, so that no watch reports them. What a search still needs
//! stays; its reconcile finds it by name.

use std::sync::Arc;

use autopeft_search::needs::needs;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Client, Resource};

use super::orphans;
use crate::controller::client::api::Guarded;
use crate::controller::client::api::{self, ApiError};
use crate::controller::context::{Context, filled, scoped};
use autopeft_jobs::build::names;

/// Sweeps until the process ends.
pub async fn sweep(context: Arc<Context>, namespace: Option<String>) {
    filled(&context.searches).await;
    filled(&context.pods).await;
    let namespace = namespace.as_deref();
    let patience = context.patience;
    let mut pause = patience.sweep_unlabelled;
    loop {
        let has_one_gone = tokio::select! {
            () = tokio::time::sleep(pause) => false,
            () = context.gone.notified() => true,
        };
        if has_one_gone {
            // Kubernetes' garbage collector may be about to delete them.
            tokio::time::sleep(patience.sweep_after_deletion).await;
        }
        let found = [
            found_any(&context, jobs(&context, namespace).await),
            found_any(&context, pods(&context, namespace).await),
        ];
        pause = if has_one_gone || found.contains(&true) {
            patience.sweep_unlabelled
        } else {
            patience.longest_sweep.min(pause * 2)
        };
    }
}

/// Whether something was found; an error is counted and logged.
fn found_any(context: &Context, swept: Result<bool, ApiError>) -> bool {
    swept.unwrap_or_else(|error| {
        context.metrics.count_api_error(error.verb());
        tracing::warn!("searching for Jobs and pods without their labels: {error}");
        false
    })
}

/// Deletes Jobs without the label that no search needs; returns whether there were any. Failures are logged and left for
/// the next sweep.
async fn jobs(context: &Context, namespace: Option<&str>) -> Result<bool, ApiError> {
    let client = &context.client;
    let mut is_found = false;
    for metadata in api::list_unlabelled_jobs(&scoped::<Job>(client, namespace)).await? {
        let done = match orphan(client, &metadata).await {
            Ok(None) => continue,
            Ok(Some(uid)) => {
                is_found = true;
                let within = metadata.namespace.as_deref().unwrap_or_default();
                let name = metadata.name.as_deref().unwrap_or_default();
                api::delete_job(client, within, name, &uid).await
            }
            Err(error) => Err(error),
        };
        orphans::is_done(context, &metadata, done);
    }
    Ok(is_found)
}

/// The UID of a Job that this operator created and no search needs.
async fn orphan(client: &Client, metadata: &ObjectMeta) -> Result<Option<String>, ApiError> {
    let within = metadata.namespace.as_deref().unwrap_or_default();
    let name = metadata.name.as_deref().unwrap_or_default();
    if metadata.deletion_timestamp.is_some() || !names::is_job_name(name) {
        return Ok(None);
    }
    let Some(job) = api::read_job(client, within, name).await? else {
        return Ok(None);
    };
    let Some((search, uid)) = names::search_of_job(&job) else {
        return Ok(None);
    };
    let attempt = names::attempt_of_job(name, search, uid);
    let Some(attempt) = attempt.filter(|_| names::is_our_job(&job, search, uid)) else {
        return Ok(None);
    };
    let search = api::read_search(client, within, search).await?;
    let is_needed = search.is_some_and(|search| needs(&search, uid, attempt));
    Ok(job.metadata.uid.filter(|_| !is_needed))
}

/// Removes the finalizer from pods without the labels that no search needs; returns whether there were any. Failures are
/// logged and left for the next sweep.
async fn pods(context: &Context, namespace: Option<&str>) -> Result<bool, ApiError> {
    let client = &context.client;
    let mut is_found = false;
    let unlabelled = api::list_unlabelled_pods(&scoped::<Pod>(client, namespace)).await?;
    // Some labels may be left, but not those that identify the search.
    let watched = context.pods.state();
    let watched = watched.iter().map(|pod| &pod.metadata);
    let watched = watched.filter(|metadata| orphans::owner_of_pod(metadata).is_none());
    for metadata in unlabelled.iter().chain(watched) {
        if !names::is_made_for_us(metadata) {
            continue;
        }
        let within = metadata.namespace.as_deref().unwrap_or_default();
        let done = match api::list_searches(client, within).await {
            Ok(searches) if searches.iter().any(|search| waits_for(search, metadata)) => continue,
            Ok(_) => {
                is_found = true;
                api::release_pod(client, within, metadata).await
            }
            Err(error) => Err(error),
        };
        orphans::is_done(context, metadata, done);
    }
    Ok(is_found)
}

/// Whether a search waits for the pod's outcome; assumed for a search that cannot be read.
fn waits_for(search: &Guarded, pod: &ObjectMeta) -> bool {
    let metadata = search.meta();
    let name = metadata.name.as_deref().unwrap_or_default();
    let uid = metadata.uid.as_deref().unwrap_or_default();
    let Some(attempt) = names::attempt_of_pod(pod, name, uid) else {
        return false;
    };
    match &search.0 {
        Ok(search) => needs(search, uid, attempt),
        Err(_) => true,
    }
}
