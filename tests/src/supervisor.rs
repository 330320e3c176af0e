//! Restarts an operator whenever it ends, as a kubelet does with a container.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::cluster::{Launch, Operator};

/// An operator that the proxy may kill.
#[derive(Clone, Debug)]
pub struct Victim(Arc<Mutex<Operator>>);

impl Victim {
    fn operator(&self) -> MutexGuard<'_, Operator> {
        lock(&self.0)
    }

    /// kill -9.
    pub fn kill(&self) {
        self.operator().kill();
    }
}

type Ends = Arc<Mutex<Vec<String>>>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An operator and its restarts; both end when this is dropped.
#[derive(Debug)]
pub struct Supervisor {
    victim: Victim,
    ends: Ends,
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
        let ends = Ends::default();
        let (watched, told) = (victim.clone(), Arc::clone(&ends));
        let task = tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(50)).await;
                let mut operator = watched.operator();
                if let Some(status) = operator.end() {
                    let log = operator.log();
                    let last = log.lines().last().unwrap_or_default();
                    lock(&told).push(format!("{status}: {last}"));
                    *operator = launch.start();
                }
            }
        });
        Self { victim, ends, task }
    }

    /// The handle for killing it.
    pub fn victim(&self) -> Victim {
        self.victim.clone()
    }

    /// The exit status and last log line of each process that was replaced.
    pub fn ends(&self) -> Vec<String> {
        lock(&self.ends).clone()
    }

    /// The body of a path.
    pub fn get(&self, path: &str) -> String {
        self.victim.operator().get(path)
    }

    /// The log of all its processes.
    pub fn log(&self) -> String {
        self.victim.operator().log()
    }
}
