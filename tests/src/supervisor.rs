//! Keeps an operator running as a kubelet keeps a container: started again whenever it has ended.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::cluster::{Launch, Operator};

/// An operator that somebody else may kill.
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

/// An operator, and what starts it again; both end when this is dropped.
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

    /// For whoever is to kill it.
    pub fn victim(&self) -> Victim {
        self.victim.clone()
    }

    /// How each life ended that is over, and the last that was said in it; another followed.
    pub fn ends(&self) -> Vec<String> {
        lock(&self.ends).clone()
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
