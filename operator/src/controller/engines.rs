//! The engine on blocking threads: a few suggestions at a time, in order of arrival. A suggestion is cancelled with its
//! search.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use autopeft_crds::spec::Metric;
use autopeft_engine::Problem;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use autopeft_search::ask::{AskError, Asked};
use autopeft_search::ledger::Ledger;

/// Why there is no suggestion.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The engine returned an error.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// The engine panicked.
    #[error("the search engine failed: {0}")]
    Panicked(String),
}

/// The result of a step, and how long it took.
#[derive(Debug)]
pub struct Answer {
    /// The result.
    pub asked: Result<Asked, EngineError>,
    /// Seconds.
    pub seconds: f64,
}

/// How long a step occupies its place in the pool. A longer one continues beside the next.
const SLICE: Duration = Duration::from_secs(30);

/// The function that computes a step: `ask::ask`.
pub type Ask = fn(&Problem, Metric, &Ledger, &dyn Fn() -> bool) -> Result<Asked, AskError>;

/// The pool.
#[derive(Clone, Debug)]
pub struct Engines {
    permits: Arc<Semaphore>,
    ask: Ask,
}

/// A computation of a suggestion. Dropped before its turn, it never starts; dropped later, it is soon cancelled.
#[derive(Debug)]
pub struct Step {
    task: JoinHandle<()>,
    unwanted: Arc<AtomicBool>,
    answer: Arc<Mutex<Option<Answer>>>,
}

impl Drop for Step {
    fn drop(&mut self) {
        self.unwanted.store(true, Ordering::Relaxed);
        self.task.abort();
    }
}

impl Step {
    /// The answer, if there is one; it is returned once.
    pub fn take(&self) -> Option<Answer> {
        self.answer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

impl Engines {
    /// A pool for this number of concurrent steps.
    pub fn new(steps: usize, ask: Ask) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(steps.max(1))),
            ask,
        }
    }

    /// Starts a step; `done` is called when it has an answer.
    pub fn begin(
        &self,
        problem: Problem,
        metric: Metric,
        ledger: Ledger,
        done: impl FnOnce() + Send + 'static,
    ) -> Step {
        let permits = Arc::clone(&self.permits);
        let answer = Arc::new(Mutex::new(None));
        let slot = Arc::clone(&answer);
        let unwanted = Arc::new(AtomicBool::new(false));
        let dropped = Arc::clone(&unwanted);
        let ask = self.ask;
        let task = tokio::spawn(async move {
            let turn = permits.acquire_owned().await;
            let begun = Instant::now();
            let mut computing = tokio::task::spawn_blocking(move || {
                ask(&problem, metric, &ledger, &|| {
                    dropped.load(Ordering::Relaxed)
                })
            });
            let computed = match tokio::time::timeout(SLICE, &mut computing).await {
                Ok(computed) => computed,
                Err(_) => {
                    drop(turn);
                    computing.await
                }
            };
            let asked = match computed {
                Ok(asked) => asked.map_err(EngineError::from),
                Err(error) => Err(EngineError::Panicked(panic_text(error))),
            };
            let seconds = begun.elapsed().as_secs_f64();
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(Answer { asked, seconds });
            done();
        });
        Step {
            task,
            unwanted,
            answer,
        }
    }
}

fn panic_text(error: tokio::task::JoinError) -> String {
    match error.try_into_panic() {
        Ok(payload) => crate::controller::error::panic_text(payload.as_ref()),
        Err(error) => error.to_string(),
    }
}
