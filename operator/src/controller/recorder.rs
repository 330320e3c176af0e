//! Kubernetes events: what `kubectl describe` shows. Their reasons are listed in docs/failures.md.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder as KubeRecorder, Reporter};

use super::metrics::Metrics;

/// The longest note that the API server takes.
const NOTE: usize = 1024;
/// What was done when an event is about no trial.
const RECONCILE: &str = "Reconcile";

/// Where events go.
#[derive(Clone)]
pub struct Recorder {
    events: KubeRecorder,
    metrics: Metrics,
}

impl Recorder {
    /// Events reported by this process.
    pub fn new(client: Client, instance: &str, metrics: Metrics) -> Self {
        let reporter = Reporter {
            controller: "autopeft.dev/operator".into(),
            instance: Some(instance.into()),
        };
        Self {
            events: KubeRecorder::new(client, reporter),
            metrics,
        }
    }

    /// Something that went as it should.
    pub async fn tell(&self, about: ObjectReference, reason: &str, note: String) {
        let (type_, action) = (EventType::Normal, RECONCILE);
        self.publish(about, type_, action, reason, note).await;
    }

    /// Something that a person may want to look at.
    pub async fn warn(&self, about: ObjectReference, reason: &str, note: String) {
        let (type_, action) = (EventType::Warning, RECONCILE);
        self.publish(about, type_, action, reason, note).await;
    }

    /// The same of an attempt of a trial.
    pub async fn warn_of(
        &self,
        about: ObjectReference,
        (trial, attempt): (u32, u32),
        reason: &str,
        note: String,
    ) {
        // Events are merged that differ in nothing but the note.
        let action = format!("Trial{trial}Attempt{attempt}");
        self.publish(about, EventType::Warning, &action, reason, note)
            .await;
    }

    /// An event that cannot be written is a line in the log and counted: nothing depends on it.
    async fn publish(
        &self,
        about: ObjectReference,
        type_: EventType,
        action: &str,
        reason: &str,
        note: String,
    ) {
        let event = Event {
            type_,
            reason: reason.into(),
            note: Some(note.chars().take(NOTE).collect()),
            action: action.into(),
            secondary: None,
        };
        let limit = std::time::Duration::from_secs(10);
        let published = tokio::time::timeout(limit, self.events.publish(&event, &about)).await;
        let why = match published {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {limit:?}"),
        };
        tracing::warn!(
            namespace = about.namespace,
            search = about.name,
            reason,
            "an event could not be written: {why}"
        );
        self.metrics.count_api_error("write event");
    }
}
