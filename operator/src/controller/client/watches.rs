//! Whether the watches may watch. What the API server denies a watch no call shows, so that it is told
//! here: in the log, the metrics, and the searches' conditions.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use kube::runtime::watcher;

use crate::controller::metrics::Metrics;
use autopeft_search::trouble::Trouble;

/// What the API server last denied, by what was watched.
#[derive(Clone, Debug)]
pub struct Watches {
    metrics: Metrics,
    /// How long a denial is told.
    patience: Duration,
    denied: Arc<Mutex<BTreeMap<&'static str, (Instant, String)>>>,
}

impl Watches {
    /// Before anything was watched.
    pub fn new(metrics: Metrics, patience: Duration) -> Self {
        Self {
            metrics,
            patience,
            denied: Arc::default(),
        }
    }

    /// Takes a watch's trouble out of its changes, and tells it. It has paused by itself; where the
    /// controller saw it, all that wake the controller would pause.
    pub fn told<T>(
        &self,
        of: &'static str,
        change: Result<T, watcher::Error>,
    ) -> Option<Result<T, watcher::Error>> {
        match change {
            Ok(change) => {
                self.denied().remove(of);
                Some(Ok(change))
            }
            Err(error) => {
                self.note(of, &error);
                None
            }
        }
    }

    fn note(&self, of: &'static str, error: &watcher::Error) {
        if code(error) == Some(410) {
            // As it should be: what it began from is too old for the API server to remember.
            tracing::debug!("watching {of}: {error}; it begins anew");
            return;
        }
        self.metrics.count_api_error(&format!("watch {of}"));
        if code(error) != Some(403) {
            tracing::warn!("watching {of}: {error}; it begins anew");
        } else {
            tracing::warn!(
                "watching {of}: {error}; check that the operator may list and watch them"
            );
            let message = format!("{of} cannot be watched: {error}");
            self.denied().insert(of, (Instant::now(), message));
        }
    }

    /// What the user of a search should know.
    pub fn trouble(&self) -> Option<Trouble> {
        let mut denied = self.denied();
        denied.retain(|_, (at, _)| at.elapsed() < self.patience);
        let (_, message) = denied.values().next()?;
        Some(Trouble::new("NotWatching", message))
    }

    fn denied(&self) -> std::sync::MutexGuard<'_, BTreeMap<&'static str, (Instant, String)>> {
        self.denied.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The HTTP status of a watch's trouble, where the API server has told it.
fn code(error: &watcher::Error) -> Option<u16> {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status)) => Some(status.code),
        watcher::Error::WatchError(status) => Some(status.code),
        _ => None,
    }
}
