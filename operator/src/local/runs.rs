//! The trials that run on this machine: one child process and one directory per attempt. Starts,
//! watches and stops processes; reads their results.
//!
//! An attempt's directory is `trials/NNNN-A`, with `request.json`, `result.json` (the trainer's) and
//! `log.txt`. A child leads a process group of its own, so that the terminal's Ctrl-C does not reach
//! it, and holds the reading end of a pipe: when this program goes away in whatever manner, the pipe
//! closes and the trainer ends (`--exit-with-parent`).

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use autopeft_crds::Decimal;
use autopeft_crds::limits::MESSAGE;
use autopeft_crds::spec::Metric;
use autopeft_crds::trial::{
    FailureReason, RESULT_MAX_BYTES, TrialIdentity, TrialOutcome, TrialRequest, parse_result,
};
use k8s_openapi::jiff::Timestamp;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot};

use super::files::{self, FileError, REMEDY};
use super::trainer::{self, TrainerError, last_words};
use autopeft_search::planner::{Run, RunState, StopReason};

/// How long a child may take to end when it is asked to.
const GRACE: Duration = Duration::from_secs(5);

/// The trainer's exit code for a request that it cannot use.
const BAD_INPUT: i32 = 2;

/// The signal that nothing can catch.
const KILLED: i32 = 9;

/// The files of an attempt's directory.
pub const LOG: &str = "log.txt";
const RESULT: &str = "result.json";

/// How children are started.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The program.
    pub trainer: PathBuf,
    /// `auto`, `cpu` or `cuda`.
    pub device: String,
    /// Threads for each child, where several share the machine.
    pub threads: Option<usize>,
}

/// Why a child could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its directory cannot be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The program cannot be started.
    #[error(transparent)]
    Trainer(#[from] TrainerError),
}

type Key = (u32, u32);

/// The children of this process.
#[derive(Debug)]
pub struct Runs {
    workdir: PathBuf,
    launch: Launch,
    metric: Metric,
    children: BTreeMap<Key, Running>,
    /// Trials of which an attempt was killed by signal 9, and not by us.
    killed: BTreeSet<u32>,
    report: mpsc::UnboundedSender<(Key, std::io::Result<ExitStatus>)>,
    reports: mpsc::UnboundedReceiver<(Key, std::io::Result<ExitStatus>)>,
}

#[derive(Debug)]
struct Running {
    identity: TrialIdentity,
    since: Timestamp,
    stopped: Option<StopReason>,
    halt: Option<oneshot::Sender<()>>,
    ended: Option<TrialOrGone>,
}

/// How a child ended.
#[derive(Clone, Debug)]
enum TrialOrGone {
    Outcome(TrialOutcome),
    Gone,
}

impl Runs {
    /// No children yet.
    pub fn new(workdir: &Path, launch: Launch, metric: Metric) -> Self {
        let (report, reports) = mpsc::unbounded_channel();
        Self {
            workdir: workdir.into(),
            launch,
            metric,
            children: BTreeMap::new(),
            killed: BTreeSet::new(),
            report,
            reports,
        }
    }

    /// The directory of an attempt.
    pub fn directory(&self, trial: u32, attempt: u32) -> PathBuf {
        self.workdir
            .join("trials")
            .join(attempt_name(trial, attempt))
    }

    /// Whether an attempt is a child of this process, also one that has ended.
    pub fn holds(&self, trial: u32, attempt: u32) -> bool {
        self.children.contains_key(&(trial, attempt))
    }

    /// Whether no child runs any more.
    pub fn all_ended(&self) -> bool {
        self.children
            .values()
            .all(|running| running.ended.is_some())
    }

    /// Starts an attempt.
    pub fn start(&mut self, request: &TrialRequest, since: Timestamp) -> Result<(), StartError> {
        let key = (request.identity.trial, request.identity.attempt);
        let directory = self.directory(key.0, key.1);
        let refused = |path: &Path| {
            let path = path.to_owned();
            move |source| FileError {
                path,
                source,
                remedy: REMEDY,
            }
        };
        std::fs::create_dir_all(&directory).map_err(refused(&directory))?;
        let request_file = directory.join("request.json");
        let document = serde_json::to_vec_pretty(request).map_err(TrainerError::Request)?;
        files::replace(&request_file, &document)?;
        let log_file = directory.join(LOG);
        let log = std::fs::File::create(&log_file).map_err(refused(&log_file))?;
        let log_too = log.try_clone().map_err(refused(&log_file))?;
        let mut command = Command::new(&self.launch.trainer);
        command
            .arg("trial")
            .arg("--request")
            .arg(&request_file)
            .arg("--result")
            .arg(directory.join(RESULT))
            .args(["--device", &self.launch.device, "--exit-with-parent"])
            .envs(trainer::environment())
            .stdin(Stdio::piped())
            .stdout(log)
            .stderr(log_too)
            .process_group(0)
            .kill_on_drop(true);
        if let Some(threads) = self.launch.threads {
            command.env("OMP_NUM_THREADS", threads.to_string());
        }
        let child = command.spawn().map_err(|source| TrainerError::NotStarted {
            path: self.launch.trainer.clone(),
            source,
        })?;
        let (halt, halted) = oneshot::channel();
        tokio::spawn(watch(child, halted, key, self.report.clone()));
        self.children.insert(
            key,
            Running {
                identity: request.identity.clone(),
                since,
                stopped: None,
                halt: Some(halt),
                ended: None,
            },
        );
        Ok(())
    }

    /// Asks a child to end, and makes it. False where it was asked before.
    pub fn stop(&mut self, trial: u32, attempt: u32, why: StopReason) -> bool {
        let Some(running) = self.children.get_mut(&(trial, attempt)) else {
            return false;
        };
        let Some(halt) = running.halt.take() else {
            return false;
        };
        running.stopped = Some(why);
        // A child that has just ended does not listen any more.
        let _ = halt.send(());
        true
    }

    /// Asks every child to end.
    pub fn stop_all(&mut self) {
        let keys: Vec<Key> = self.children.keys().copied().collect();
        for (trial, attempt) in keys {
            self.stop(trial, attempt, StopReason::NotNeeded);
        }
    }

    /// Forgets an attempt that has ended; its directory stays. False where there was none.
    pub fn remove(&mut self, trial: u32, attempt: u32) -> bool {
        self.children.remove(&(trial, attempt)).is_some()
    }

    /// Waits until a child ends.
    pub async fn ended(&mut self) {
        if let Some(((trial, attempt), status)) = self.reports.recv().await {
            self.take_end(trial, attempt, &status);
        }
    }

    /// What can be seen of an attempt that the ledger says was started: a child, or what a child of
    /// an earlier process left behind.
    pub fn observe(&self, identity: &TrialIdentity) -> Run {
        let (trial, attempt) = (identity.trial, identity.attempt);
        let state = match self.children.get(&(trial, attempt)) {
            Some(running) => running.state(),
            None => match self.result(identity) {
                Ok(outcome) => RunState::Ended(outcome),
                Err(_) => RunState::Interrupted,
            },
        };
        run((trial, attempt), state)
    }

    /// The children that are none of `known`.
    pub fn strays(&self, known: &[Run]) -> Vec<Run> {
        let is_known = |key: &Key| known.iter().any(|run| (run.trial, run.attempt) == *key);
        self.children
            .iter()
            .filter(|(key, _)| !is_known(key))
            .map(|(key, running)| run(*key, running.state()))
            .collect()
    }

    fn take_end(&mut self, trial: u32, attempt: u32, status: &std::io::Result<ExitStatus>) {
        let Some(running) = self.children.get(&(trial, attempt)) else {
            return;
        };
        let end = match (self.result(&running.identity), running.stopped) {
            (Ok(outcome), _) => TrialOrGone::Outcome(outcome),
            (Err(_), Some(StopReason::NotNeeded)) => TrialOrGone::Gone,
            (Err(_), Some(StopReason::TrialDeadline)) => failed(
                FailureReason::DeadlineExceeded,
                "it took longer than trialDeadlineSeconds".into(),
            ),
            (Err(problem), None) => self.explain(trial, attempt, status, &problem),
        };
        if let Some(running) = self.children.get_mut(&(trial, attempt)) {
            running.ended = Some(end);
        }
    }

    /// Why a child that nobody stopped has left no valid result.
    fn explain(
        &mut self,
        trial: u32,
        attempt: u32,
        status: &std::io::Result<ExitStatus>,
        problem: &str,
    ) -> TrialOrGone {
        let status = match status {
            Ok(status) => status,
            Err(error) => {
                let message = format!("waiting for the trainer failed: {error}");
                return failed(FailureReason::Lost, message);
            }
        };
        if status.code() == Some(BAD_INPUT) {
            return failed(FailureReason::BadInput, self.last_words(trial, attempt));
        }
        match status.signal() {
            // The kernel takes memory back in this way. Once may be chance, or another's doing.
            Some(KILLED) if !self.killed.insert(trial) => failed(
                FailureReason::OutOfMemory,
                "the trainer was killed by signal 9 twice, most likely because the machine ran out of memory".into(),
            ),
            Some(signal) => failed(
                FailureReason::Lost,
                format!("the trainer was killed by signal {signal}"),
            ),
            None => failed(
                FailureReason::NoResult,
                format!(
                    "{problem}; the trainer exited with {status}, see trials/{}/{LOG}",
                    attempt_name(trial, attempt)
                ),
            ),
        }
    }

    fn last_words(&self, trial: u32, attempt: u32) -> String {
        let log = self.directory(trial, attempt).join(LOG);
        let bytes = std::fs::read(log).unwrap_or_default();
        last_words(&bytes)
    }

    /// The result in an attempt's directory, or why there is no valid one.
    fn result(&self, identity: &TrialIdentity) -> Result<TrialOutcome, String> {
        let name = attempt_name(identity.trial, identity.attempt);
        let path = self.workdir.join("trials").join(&name).join(RESULT);
        let mut bytes = Vec::new();
        std::fs::File::open(path)
            .and_then(|file| {
                file.take(RESULT_MAX_BYTES as u64 + 1)
                    .read_to_end(&mut bytes)
            })
            .map_err(|error| format!("trials/{name}/{RESULT} cannot be read ({error})"))?;
        parse_result(&bytes, identity, self.metric)
            .map(|result| result.outcome)
            .map_err(|error| format!("trials/{name}/{RESULT} is not valid: {error}"))
    }
}

/// A run as the planner sees it. Only a result tells on what it was computed.
fn run((trial, attempt): Key, state: RunState) -> Run {
    let gpu_seconds = match &state {
        RunState::Ended(TrialOutcome::Succeeded(measured))
            if measured.device.starts_with("cuda") =>
        {
            Decimal::new(measured.total_seconds).ok()
        }
        _ => None,
    };
    Run {
        trial,
        attempt,
        state,
        gpu_seconds,
    }
}

/// The name of an attempt's directory.
fn attempt_name(trial: u32, attempt: u32) -> String {
    format!("{trial:04}-{attempt}")
}

impl Running {
    fn state(&self) -> RunState {
        match &self.ended {
            None => RunState::Running { since: self.since },
            Some(TrialOrGone::Outcome(outcome)) => RunState::Ended(outcome.clone()),
            Some(TrialOrGone::Gone) => RunState::Interrupted,
        }
    }
}

/// A failure, its message short enough for the ledger.
fn failed(reason: FailureReason, message: String) -> TrialOrGone {
    TrialOrGone::Outcome(TrialOutcome::Failed {
        reason,
        message: message.chars().take(MESSAGE).collect(),
    })
}

/// Waits for a child and reports its end; ends it when told to, or when nobody is left to tell.
async fn watch(
    mut child: Child,
    halted: oneshot::Receiver<()>,
    key: Key,
    report: mpsc::UnboundedSender<(Key, std::io::Result<ExitStatus>)>,
) {
    // Held until the child has ended: waiting for a child closes a pipe that is still its own.
    let _lifeline = child.stdin.take();
    let group = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    let status = tokio::select! {
        status = child.wait() => status,
        _ = halted => {
            signal(group, Signal::TERM);
            match tokio::time::timeout(GRACE, child.wait()).await {
                Ok(status) => status,
                Err(_) => {
                    signal(group, Signal::KILL);
                    child.wait().await
                }
            }
        }
    };
    // Nobody listens when the search is being left.
    let _ = report.send((key, status));
}

fn signal(group: Option<Pid>, signal: Signal) {
    if let Some(group) = group {
        // The group may be gone already.
        let _ = kill_process_group(group, signal);
    }
}
