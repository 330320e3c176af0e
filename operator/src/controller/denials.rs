//! What the API server refuses until somebody changes the cluster: told by the Degraded condition where
//! the status can be written, else by an event; by the log and the metrics in any case.

use autopeft_search::trouble::Trouble;
use kube::Resource;

use super::api::{self, UPDATE_STATUS};
use super::judge::restore::{self, Early};
use super::reconcile::{Pass, ReconcileError};

impl Pass<'_> {
    /// Tells of a call that came to nothing and will do so again.
    pub(super) async fn tell_refused(&mut self, error: &ReconcileError) {
        let ReconcileError::Api(error) = error else {
            return;
        };
        let Some(reason) = error.refusal() else {
            return;
        };
        let message = format!("{}: {}", error.verb(), error.message());
        if error.verb() == UPDATE_STATUS {
            if !self.memory.pauses.is_failing() {
                self.warn("StatusNotWritten", message).await;
            }
            return;
        }
        let trouble = Trouble::new(reason, &message);
        let is_new = self.memory.denial.replace(trouble.clone()) != Some(trouble);
        // The condition is an event too.
        if !self.tell_degraded().await && is_new {
            self.warn(reason, message).await;
        }
    }

    /// Writes the Degraded condition where nothing else of the status can be said; whether it could.
    pub(super) async fn tell_degraded(&mut self) -> bool {
        let known = self.search.status.clone();
        let status = known
            .filter(|status| !status.conditions.is_empty())
            .unwrap_or_else(|| restore::early(&self.search, &Early::Inspecting, self.now));
        let troubles = self.memory.pauses.troubles();
        let written = self.record(status, &troubles).await;
        if let Err(error) = &written {
            tracing::warn!(
                namespace = self.namespace(),
                search = self.name(),
                "the Degraded condition could not be written: {error}"
            );
        }
        written.is_ok()
    }

    async fn warn(&self, reason: &str, message: String) {
        let reference = self.search.object_ref(&());
        self.context.recorder.warn(reference, reason, message).await;
    }
}

/// What is to be told of a Job that the API server does not take.
pub(super) fn of_creation(error: &api::ApiError) -> Option<Trouble> {
    let is_answer = matches!(error.code(), Some(400..=499));
    let reason = match error.refusal() {
        Some("Refused") => "JobRefused",
        Some(reason) => reason,
        None if is_answer => "JobRefused",
        None => return None,
    };
    let message = format!("the Job cannot be created: {}", error.message());
    Some(Trouble::new(reason, &message))
}
