//! The runs on this machine: one child process and one directory each, for one or several trials. Starts,
//! watches and stops processes; reads their results.
//!
//! The directory of a run, by its first trial and that trial's attempt, is `trials/NNNN-A`, with `request.json`,
//! `result.json` (the trainer's) and `log.txt`. A child leads a process group of its own, so that the terminal's Ctrl-C does not reach
//! it, and holds the reading end of a pipe: when this program ends in any way, the pipe closes and the trainer exits
//! (`--exit-with-parent`).

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use autopeft_crds::run::{Expected, RunRequest};
use autopeft_crds::status::Attempt;
use autopeft_crds::trial::{RESULT_MAX_BYTES, TrialOutcome};
use autopeft_search::planner::{End, Run, RunState, StopReason};
use autopeft_search::processes::{self, Ended, Exit};
use k8s_openapi::jiff::Timestamp;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot};

use super::files::{self, FileError, REMEDY};
use super::trainer::{self, TrainerError};

/// How long a child may take to exit after SIGTERM.
const GRACE: Duration = Duration::from_secs(5);

/// The files of a run's directory.
pub const LOG: &str = "log.txt";
const RESULT: &str = "result.json";

/// How children are started.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The program.
    pub trainer: PathBuf,
    /// `auto`, `cpu` or `cuda`.
    pub device: String,
    /// Threads per child, if several share the machine.
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

/// How a child ended.
type Report = (Attempt, Exit);

/// The children of this process.
#[derive(Debug)]
pub struct Runs {
    workdir: PathBuf,
    launch: Launch,
    children: BTreeMap<Attempt, Running>,
    /// Trials whose run was killed by signal 9, not sent by this program.
    killed: BTreeSet<u32>,
    report: mpsc::UnboundedSender<Report>,
    reports: mpsc::UnboundedReceiver<Report>,
}

#[derive(Debug)]
struct Running {
    expected: Vec<Expected>,
    since: Timestamp,
    stopped: Option<StopReason>,
    halt: Option<oneshot::Sender<()>>,
    ended: Option<RunState>,
}

impl Runs {
    /// No children yet.
    pub fn new(workdir: &Path, launch: Launch) -> Self {
        let (report, reports) = mpsc::unbounded_channel();
        Self {
            workdir: workdir.into(),
            launch,
            children: BTreeMap::new(),
            killed: BTreeSet::new(),
            report,
            reports,
        }
    }

    /// The directory of a run.
    pub fn directory(&self, run: Attempt) -> PathBuf {
        self.workdir.join("trials").join(processes::name_of(run))
    }

    /// Whether a run is a child of this process, also one that has ended.
    pub fn holds(&self, run: Attempt) -> bool {
        self.children.contains_key(&run)
    }

    /// Whether every child has ended.
    pub fn all_ended(&self) -> bool {
        self.children
            .values()
            .all(|running| running.ended.is_some())
    }

    /// Starts a run with these expected outcomes.
    pub fn start(
        &mut self,
        run: Attempt,
        request: &RunRequest,
        expected: Vec<Expected>,
        since: Timestamp,
    ) -> Result<(), StartError> {
        let directory = self.directory(run);
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
        tokio::spawn(watch(child, halted, run, self.report.clone()));
        self.children.insert(
            run,
            Running {
                expected,
                since,
                stopped: None,
                halt: Some(halt),
                ended: None,
            },
        );
        Ok(())
    }

    /// Stops a child: SIGTERM, then SIGKILL. False if it is being stopped already.
    pub fn stop(&mut self, run: Attempt, why: StopReason) -> bool {
        let Some(running) = self.children.get_mut(&run) else {
            return false;
        };
        let Some(halt) = running.halt.take() else {
            return false;
        };
        running.stopped = Some(why);
        // The child may have just ended.
        let _ = halt.send(());
        true
    }

    /// Stops every child.
    pub fn stop_all(&mut self) {
        let runs: Vec<Attempt> = self.children.keys().copied().collect();
        for run in runs {
            self.stop(run, StopReason::NotNeeded);
        }
    }

    /// Forgets a run that has ended; its directory stays. False if there was none.
    pub fn remove(&mut self, run: Attempt) -> bool {
        self.children.remove(&run).is_some()
    }

    /// Waits until a child ends.
    pub async fn ended(&mut self) {
        if let Some((run, exit)) = self.reports.recv().await {
            self.record_exit(run, &exit);
        }
    }

    /// The state of a run that the ledger says was started: of its child, or from what the child of an earlier process
    /// left behind.
    pub fn observe(&self, run: Attempt, expected: &[Expected]) -> Run {
        let state = match self.children.get(&run) {
            Some(running) => running.state(),
            None => RunState::ended(self.results(run, expected), |_| End::Interrupted),
        };
        processes::seen(run, expected, state)
    }

    /// The children that are not in `known`.
    pub fn strays(&self, known: &[Run]) -> Vec<Run> {
        self.children
            .iter()
            .filter(|(id, _)| !known.iter().any(|run| run.id == **id))
            .map(|(id, running)| processes::seen(*id, &running.expected, running.state()))
            .collect()
    }

    fn record_exit(&mut self, run: Attempt, exit: &Exit) {
        let Some(running) = self.children.get(&run) else {
            return;
        };
        let log = std::fs::read(self.directory(run).join(LOG)).unwrap_or_default();
        let ended = Ended {
            run,
            expected: &running.expected,
            results: self.results(run, &running.expected),
            stopped: running.stopped,
            exit,
            output_end: &processes::output_end(&log),
        };
        let state = processes::judge(ended, &mut self.killed);
        if let Some(running) = self.children.get_mut(&run) {
            running.ended = Some(state);
        }
    }

    /// The outcome of each trial in a run's directory, or why there is no valid one.
    fn results(&self, run: Attempt, expected: &[Expected]) -> Vec<Result<TrialOutcome, String>> {
        let mut bytes = Vec::new();
        let read = std::fs::File::open(self.directory(run).join(RESULT)).and_then(|file| {
            file.take(RESULT_MAX_BYTES as u64 + 1)
                .read_to_end(&mut bytes)
        });
        let document = read
            .map(|_| bytes.as_slice())
            .map_err(|error| error.to_string());
        let file = format!("trials/{}/{RESULT}", processes::name_of(run));
        processes::results(document, expected, &file)
    }
}

impl Running {
    fn state(&self) -> RunState {
        let running = RunState::Running { since: self.since };
        self.ended.clone().unwrap_or(running)
    }
}

/// Waits for a child and reports its end; stops it on request, or when the requester is gone.
async fn watch(
    mut child: Child,
    halted: oneshot::Receiver<()>,
    run: Attempt,
    report: mpsc::UnboundedSender<Report>,
) {
    // Held until the child has ended: `wait` closes a pipe that is still in `child`.
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
    let exit = match status {
        Ok(status) => match (status.code(), status.signal()) {
            (Some(code), _) => Exit::Code(code),
            (None, Some(signal)) => Exit::Signal(signal),
            (None, None) => Exit::Unknown(status.to_string()),
        },
        Err(error) => Exit::Unknown(error.to_string()),
    };
    // The receiver is gone when the search is being left.
    let _ = report.send((run, exit));
}

fn signal(group: Option<Pid>, signal: Signal) {
    if let Some(group) = group {
        // The group may be gone already.
        let _ = kill_process_group(group, signal);
    }
}
