//! Keeps an operator running as a kubelet keeps a container: started again whenever it has ended.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::cluster::{Launch, Operator};

/// An operator that somebody else may kill.
#[derive(Clone, Debug)]
pub struct Victim(Arc<Mutex<Operator>>);

impl Victim {
    fn operator(&self) -> MutexGuard<'_, Operator> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// kill -9.
    pub fn kill(&self) {
        self.operator().kill();
    }
}

/// An operator, and what starts it again; both end when this is dropped.
#[derive(Debug)]
pub struct Supervisor {
    victim: Victim,
    restarts: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Supervisor {
    /// Starts the operator that `launch` describes.
    pub fn of(launch: Launch) -> Self {
        let victim = Victim(Arc::new(Mutex::new(launch.start())));
        let restarts = Arc::new(AtomicUsize::default());
        let (watched, count) = (victim.clone(), Arc::clone(&restarts));
        let task = tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(50)).await;
                let mut operator = watched.operator();
                if operator.has_ended() {
                    *operator = launch.start();
                    count.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        Self {
            victim,
            restarts,
            task,
        }
    }

    /// For whoever is to kill it.
    pub fn victim(&self) -> Victim {
        self.victim.clone()
    }

    /// How often it was started again.
    pub fn restarts(&self) -> usize {
        self.restarts.load(Ordering::Relaxed)
    }

    /// The text that it serves behind a path.
    pub fn get(&self, path: &str) -> String {
        self.victim.operator().get(path)
    }

    /// What it has said, over all its lives.
    pub fn log(&self) -> String {
        self.victim.operator().log()
    }
}
