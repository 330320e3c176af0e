//! Client. Writes a changed status by compare-and-swap, then logs and publishes events. Everything that the status
//! implies is done afterwards, so that the next reconcile needs nothing but the objects.

use autopeft_crds::{PeftSearch, PeftSearchStatus};
use autopeft_search::inspection::{self, Early};
use autopeft_search::log::Level;
use autopeft_search::notices::{self, Notice};
use autopeft_search::object;
use autopeft_search::trouble::Trouble;
use kube::Resource;

use super::client::api::{self, UPDATE_STATUS};
use super::error::ReconcileError;
use super::judge::Stage;
use super::pass::Pass;
use super::plan::Decision;
use autopeft_jobs::build::volumes;

/// Records a decision: status, log lines, events.
pub async fn record(
    pass: &mut Pass<'_>,
    stage: &Stage,
    decision: &Decision,
) -> Result<(), ReconcileError> {
    write(pass, decision.status.clone(), &decision.troubles).await?;
    if let Stage::Searching(course) = stage {
        pass.memory.engine = course.engine.clone();
    }
    let (namespace, search) = (pass.namespace(), pass.name());
    for line in &decision.lines {
        let (trial, attempt, text) = (line.trial, line.attempt, &line.text);
        match line.level {
            Level::Detail => tracing::debug!(namespace, search, trial, attempt, "{text}"),
            Level::Normal => tracing::info!(namespace, search, trial, attempt, "{text}"),
            Level::Warning => tracing::warn!(namespace, search, trial, attempt, "{text}"),
        }
    }
    for notice in &decision.notices {
        notify(pass, notice).await;
    }
    Ok(())
}

/// Writes a status if it changed, and publishes events about the changes.
pub async fn write(
    pass: &mut Pass<'_>,
    status: PeftSearchStatus,
    troubles: &[Trouble],
) -> Result<(), ReconcileError> {
    let before = pass.search.status.as_ref();
    let mut all: Vec<Trouble> = pass.memory.denial.iter().cloned().collect();
    if status.completion_time.is_none() {
        all.extend(pass.context.watches.trouble());
    }
    all.extend_from_slice(troubles);
    let mut status = object::settle(status, before, &all, pass.now);
    status.artifacts = volumes::artifacts(&pass.search);
    pass.context.metrics.show(&pass.search, &status);
    if before.is_some_and(|before| *before == status) {
        return Ok(());
    }
    let changes = notices::of_change(&pass.search, before, &status);
    let wanted = PeftSearch {
        status: Some(status),
        ..pass.search.clone()
    };
    let written = match api::replace_status(&pass.context.client, &wanted).await {
        Ok(written) => written,
        Err(error) => {
            if error.code() == Some(409) {
                let ledger = |search: &PeftSearch| {
                    let status = search.status.as_ref();
                    status.map_or_else(Vec::new, |status| status.ledger.clone())
                };
                pass.memory.lost = Some([ledger(&pass.search), ledger(&wanted)]);
            }
            return Err(error.into());
        }
    };
    pass.memory.written = Some(written.clone());
    pass.search = written;
    for notice in &changes {
        notify(pass, notice).await;
    }
    Ok(())
}

/// Reports that another operator wrote to the ledger, if one did.
pub async fn report_rival(pass: &mut Pass<'_>) {
    let Some(lost) = pass.memory.lost.take() else {
        return;
    };
    let status = pass.search.status.as_ref();
    let found = status.map_or(&[][..], |status| &status.ledger);
    if lost.iter().any(|ledger| ledger == found) {
        // A user's edit, or a lost response.
        return;
    }
    pass.context.metrics.rival_writes.inc();
    let message = "another operator reconciles this search too; nothing is done twice, but only one operator should watch this namespace";
    notify(pass, &Notice::warning("AnotherOperator", message)).await;
}

/// Publishes an event, and logs it unless it is about a trial.
async fn notify(pass: &Pass<'_>, notice: &Notice) {
    // Info, also for warnings: they concern the search, not the operator.
    if notice.about.is_none() {
        let (namespace, search) = (pass.namespace(), pass.name());
        tracing::info!(
            namespace,
            search,
            reason = notice.reason,
            "{}",
            notice.message
        );
    }
    let reference = pass.search.object_ref(&());
    pass.context.recorder.publish(reference, notice).await;
}

/// Reports a request that fails and will fail again: by the Degraded condition if the status can be written, else by an
/// event; by log and metrics in any case.
pub async fn report_failure(pass: &mut Pass<'_>, error: &ReconcileError) {
    let ReconcileError::Api(error) = error else {
        return;
    };
    // Counted before it is reported by the condition. A lost compare-and-swap is no error.
    if error.code() != Some(409) {
        pass.context.metrics.count_api_error(error.verb());
    }
    let Some(reason) = error.refusal() else {
        return;
    };
    let message = format!("{}: {}", error.verb(), error.message());
    if error.verb() == UPDATE_STATUS {
        if !pass.memory.backoffs.is_failing() {
            notify(pass, &Notice::warning("StatusNotWritten", message)).await;
        }
        return;
    }
    let trouble = Trouble::new(reason, &message);
    let is_new = pass.memory.denial.replace(trouble.clone()) != Some(trouble);
    // The change of the condition is an event already.
    if !write_degraded(pass).await && is_new {
        notify(pass, &Notice::warning(reason, message)).await;
    }
}

/// Writes the Degraded condition and leaves the rest of the status; returns whether it was written.
pub async fn write_degraded(pass: &mut Pass<'_>) -> bool {
    let known = pass.search.status.clone();
    let status = known
        .filter(|status| !status.conditions.is_empty())
        .unwrap_or_else(|| inspection::status(&pass.search, &Early::Inspecting, pass.now));
    let troubles = pass.memory.backoffs.troubles();
    let written = write(pass, status, &troubles).await;
    if let Err(error) = &written {
        tracing::warn!(
            namespace = pass.namespace(),
            search = pass.name(),
            "the Degraded condition could not be written: {error}"
        );
    }
    written.is_ok()
}
