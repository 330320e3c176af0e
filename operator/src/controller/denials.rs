//! What the API server refuses until somebody changes the cluster: told by the Degraded condition where
//! the status can be written, else by an event; by the log and the metrics in any case.

use kube::Resource;

use super::api::{self, UPDATE_STATUS};
use super::outcome::Trouble;
use super::reconcile::{Pass, ReconcileError};
use super::restore::{self, Early};

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
            if self.memory.failures == 0 {
                self.warn("StatusNotWritten", message).await;
            }
            return;
        }
        let trouble = Trouble::new(reason, &message);
        if self.memory.denial.as_ref() != Some(&trouble) {
            self.memory.denial = Some(trouble);
            self.warn(reason, message).await;
        }
        self.tell_degraded().await;
    }

    /// Writes the Degraded condition where nothing else of the status can be said.
    pub(super) async fn tell_degraded(&mut self) {
        let known = self.search.status.clone();
        let status = known
            .filter(|status| !status.conditions.is_empty())
            .unwrap_or_else(|| restore::early(&self.search, &Early::Inspecting, self.now));
        let troubles = self.memory.troubles();
        if let Err(error) = self.record(status, &troubles).await {
            tracing::warn!(
                namespace = self.namespace(),
                search = self.name(),
                "the Degraded condition could not be written: {error}"
            );
        }
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
