//! Kubernetes events: what `kubectl describe` shows. Their reasons are listed in docs/failures.md.

use autopeft_search::notices::Notice;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder as KubeRecorder, Reporter};

use crate::controller::metrics::Metrics;

/// The longest note that the API server accepts.
const NOTE: usize = 1024;
/// The action of an event that is not about a trial.
const RECONCILE: &str = "Reconcile";

/// Publishes events.
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

    /// Publishes an event. A failure is logged and counted: nothing depends on events.
    pub async fn publish(&self, about: ObjectReference, notice: &Notice) {
        let reason = &notice.reason;
        let event = Event {
            type_: if notice.is_warning {
                EventType::Warning
            } else {
                EventType::Normal
            },
            reason: reason.clone(),
            note: Some(notice.message.chars().take(NOTE).collect()),
            // Events that differ only in the note are merged.
            action: match notice.about {
                Some((trial, attempt)) => format!("Trial{trial}Attempt{attempt}"),
                None => RECONCILE.into(),
            },
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
