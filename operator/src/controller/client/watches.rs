//! Errors of the watches, which no call returns: reported in the log, the metrics and the searches' conditions.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use kube::runtime::watcher;

use crate::controller::metrics::Metrics;
use autopeft_search::trouble::Trouble;

/// The last denial of each watch.
#[derive(Clone, Debug)]
pub struct Watches {
    metrics: Metrics,
    /// How long a denial is reported.
    patience: Duration,
    denied: Arc<Mutex<BTreeMap<&'static str, (Instant, String)>>>,
}

impl Watches {
    /// Before the first watch.
    pub fn new(metrics: Metrics, patience: Duration) -> Self {
        Self {
            metrics,
            patience,
            denied: Arc::default(),
        }
    }

    /// Filters the errors out of a watch's events and reports them. The watch backs off by itself; if the controller
    /// saw the errors, all its sources would back off.
    pub fn report<T>(
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
            // Expected: the resource version has expired.
            tracing::debug!("watching {of}: {error}; restarting the watch");
            return;
        }
        self.metrics.count_api_error(&format!("watch {of}"));
        if code(error) != Some(403) {
            tracing::warn!("watching {of}: {error}; restarting the watch");
        } else {
            tracing::warn!(
                "watching {of}: {error}; check that the operator may list and watch them"
            );
            let message = format!("{of} cannot be watched: {error}");
            self.denied().insert(of, (Instant::now(), message));
        }
    }

    /// The denial to report to users.
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

/// The HTTP status of a watch's error, if there was a response.
fn code(error: &watcher::Error) -> Option<u16> {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status)) => Some(status.code),
        watcher::Error::WatchError(status) => Some(status.code),
        _ => None,
    }
}
