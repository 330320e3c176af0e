//! The loop of a search on this machine: observe, plan, act, record. It decides nothing itself.

use std::path::PathBuf;

use autopeft_crds::PeftSearchSpec;
use autopeft_crds::PeftSearchStatus;
use autopeft_crds::run::Expected;
use autopeft_crds::status::Attempt;
use k8s_openapi::jiff::Timestamp;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;

use super::outputs::{self, OutputError};
use super::progress::Progress;
use super::runs::{LOG, Runs, StartError};
use crate::local::journal::{Journal, JournalError};
use autopeft_search::ask::{self, AskError, Asked};
use autopeft_search::ledger::{Conclusion, Event, RetryCause};
use autopeft_search::log;
use autopeft_search::measures::{self, Subject};
use autopeft_search::planner::{self, Action, Engine, Run, Situation};
use autopeft_search::promotion;
use autopeft_search::request::{self, Locations, RequestError};
use autopeft_search::status::{Metadata, status};

/// A search that is ready to run.
#[derive(Debug)]
pub struct Search {
    /// The work directory.
    pub workdir: PathBuf,
    /// The object's metadata, for status.yaml.
    pub metadata: Metadata,
    /// The journal with the ledger.
    pub journal: Journal,
    /// What is searched.
    pub subject: Subject,
    /// Where model and data are.
    pub locations: Locations,
    /// The children.
    pub runs: Runs,
    /// The log and the progress bar.
    pub progress: Progress,
}

/// How the loop ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The search has ended.
    Concluded(Conclusion),
    /// It is suspended, and nothing runs.
    Suspended,
    /// It was asked to stop by a signal of this number.
    Stopped(i32),
}

/// Why the loop cannot continue.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A file of the work directory.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// A trial cannot be started.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The engine returned an error.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// The engine panicked.
    #[error(
        "the search engine failed ({0}); the journal is intact: report this, with its first line"
    )]
    Engine(String),
    /// A run's request cannot be built.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// Signals cannot be received.
    #[error("signals cannot be received: {0}")]
    Signals(std::io::Error),
}

type Suggesting = JoinHandle<Result<Asked, AskError>>;

/// What ended a wait.
enum Woken {
    Child,
    Engine(Result<Result<Asked, AskError>, tokio::task::JoinError>),
    Time,
    Signal(i32),
}

/// The signals that ask this program to stop.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn listen() -> Result<Self, SearchError> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).map_err(SearchError::Signals)?,
            terminate: signal(SignalKind::terminate()).map_err(SearchError::Signals)?,
        })
    }

    async fn next(&mut self) -> i32 {
        tokio::select! {
            _ = self.interrupt.recv() => SignalKind::interrupt().as_raw_value(),
            _ = self.terminate.recv() => SignalKind::terminate().as_raw_value(),
        }
    }
}

impl Search {
    /// Runs the search until it ends, is suspended or is asked to stop.
    pub async fn run(&mut self) -> Result<End, SearchError> {
        let first = self.status();
        self.write_status(&first)?;
        self.progress.show(&first, self.journal.spec().max_trials);
        let end = self.steps().await;
        self.progress.end();
        end
    }

    async fn steps(&mut self) -> Result<End, SearchError> {
        let mut signals = Signals::listen()?;
        let mut engine = Engine::Idle;
        let mut suggesting: Option<Suggesting> = None;
        loop {
            let runs = self.observe();
            let now = Timestamp::now();
            let promotion = promotion::wanted(&self.subject, self.journal.ledger());
            let plan = planner::plan(&Situation {
                spec: self.journal.spec(),
                inspection: &self.journal.header().inspection,
                ledger: self.journal.ledger(),
                runs: &runs,
                trials_per_run: 1,
                engine: &engine,
                converged: measures::has_converged(&self.subject, self.journal.ledger()),
                promotion: &promotion,
                ahead: false,
                full: false,
                now,
            });
            let mut acted = false;
            for action in plan.actions {
                acted |= self.act(action, now, &mut engine, &mut suggesting)?;
            }
            if acted {
                continue;
            }
            if let Some(end) = self.end_if_idle(suggesting.is_some()) {
                return Ok(end);
            }
            match self.wait(plan.wake, &mut suggesting, &mut signals).await {
                Woken::Child | Woken::Time => {}
                Woken::Engine(answer) => {
                    suggesting = None;
                    engine =
                        match answer.map_err(|error| SearchError::Engine(error.to_string()))?? {
                            Asked::Suggestion(planned) => Engine::Ready(planned),
                            Asked::Exhausted => Engine::Exhausted,
                        };
                }
                Woken::Signal(number) => {
                    self.stop(&mut signals).await;
                    return Ok(End::Stopped(number));
                }
            }
        }
    }

    /// The status as of now.
    pub fn status(&self) -> PeftSearchStatus {
        status(&self.subject, self.journal.ledger())
    }

    /// Writes the reports.
    pub fn write_reports(&self) -> Result<(), OutputError> {
        let object = self.metadata.object(self.journal.spec(), &self.status());
        let trace = measures::trace(&self.subject, self.journal.ledger());
        outputs::write_reports(&self.workdir, &object, &trace)
    }

    /// The log of the last failed attempt, if there is one.
    pub fn last_failure(&self) -> Option<PathBuf> {
        let run = self.journal.ledger().last_failure()?;
        Some(self.runs.directory(run).join(LOG))
    }

    /// The spec as of now.
    pub fn spec(&self) -> &PeftSearchSpec {
        self.journal.spec()
    }

    /// Every run that the ledger says was started, and stray children.
    fn observe(&self) -> Vec<Run> {
        let mut runs: Vec<Run> = self
            .journal
            .ledger()
            .started_runs()
            .into_iter()
            .map(|run| self.runs.observe(run, &self.expected(run)))
            .collect();
        runs.extend(self.runs.strays(&runs));
        runs
    }

    /// The trials whose outcomes a run's document should have.
    fn expected(&self, run: Attempt) -> Vec<Expected> {
        let (spec, uid) = (self.journal.spec(), &self.journal.header().uid);
        let members = self.journal.ledger().members(run);
        let expected = members.map(|entry| request::expected(spec, uid, entry));
        expected.collect()
    }

    /// Carries out one action; false if there was nothing to do.
    fn act(
        &mut self,
        action: Action,
        now: Timestamp,
        engine: &mut Engine,
        suggesting: &mut Option<Suggesting>,
    ) -> Result<bool, SearchError> {
        match action {
            Action::Write(event) => {
                if matches!(event, Event::Planned(_)) {
                    *engine = Engine::Idle;
                }
                self.record(event, now)?;
            }
            Action::Suggest { trial: _ } => {
                let problem = self.subject.problem.clone();
                let metric = self.subject.spec.task.score_metric();
                let ledger = self.journal.ledger().clone();
                *suggesting = Some(tokio::task::spawn_blocking(move || {
                    ask::ask(&problem, metric, &ledger, &|| false)
                }));
                *engine = Engine::Busy;
            }
            Action::Start { run } => {
                let Attempt { trial, attempt } = run;
                self.record(Event::Started { trial, attempt }, now)?;
                let (spec, uid) = (self.journal.spec(), &self.journal.header().uid);
                let request = request::run(spec, &self.locations, uid, self.journal.ledger(), run)?;
                let expected = self.expected(run);
                self.runs.start(run, &request, expected, now)?;
            }
            Action::Stop { run, why } => return Ok(self.runs.stop(run, why)),
            Action::Remove { run } => return Ok(self.runs.remove(run)),
        }
        Ok(true)
    }

    fn write_status(&self, status: &PeftSearchStatus) -> Result<(), SearchError> {
        let object = self.metadata.object(self.journal.spec(), status);
        Ok(outputs::write_status(&self.workdir, &object)?)
    }

    /// Writes an event to the journal, then logs it.
    fn record(&mut self, event: Event, now: Timestamp) -> Result<(), SearchError> {
        // A child of this process is interrupted only because the search is about to end.
        let is_stopped = match &event {
            Event::Retried {
                trial,
                cause: RetryCause::Interrupted,
                ..
            } => {
                let entry = self.journal.ledger().entry(*trial);
                entry.is_some_and(|entry| self.runs.holds(entry.run_id()))
            }
            _ => false,
        };
        self.journal.write(event.clone(), now)?;
        if matches!(event, Event::Started { .. } | Event::Joined { .. }) {
            return Ok(());
        }
        let status = self.status();
        let line = match &event {
            Event::Retried { trial, .. } if is_stopped => Some(log::stopped(*trial)),
            event => log::line(event, &status),
        };
        if let Some(line) = line {
            self.progress.log(&line);
        }
        self.progress.update(&status);
        self.write_status(&status)
    }

    /// How the loop ends, if nothing is left to wait for.
    fn end_if_idle(&self, suggesting: bool) -> Option<End> {
        if !self.runs.all_ended() {
            return None;
        }
        if let Some((conclusion, _)) = self.journal.ledger().conclusion() {
            return Some(End::Concluded(conclusion.clone()));
        }
        (self.journal.spec().suspend && !suggesting).then_some(End::Suspended)
    }

    async fn wait(
        &mut self,
        wake: Option<Timestamp>,
        suggesting: &mut Option<Suggesting>,
        signals: &mut Signals,
    ) -> Woken {
        let pause = wake.map(|wake| wake.duration_since(Timestamp::now()).unsigned_abs());
        let until = async {
            match pause {
                Some(pause) => tokio::time::sleep(pause).await,
                None => std::future::pending().await,
            }
        };
        let suggested = async {
            match suggesting {
                Some(handle) => handle.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.runs.ended() => Woken::Child,
            answer = suggested => Woken::Engine(answer),
            () = until => Woken::Time,
            number = signals.next() => Woken::Signal(number),
        }
    }

    /// Stops every child gracefully; a second signal ends the wait.
    async fn stop(&mut self, signals: &mut Signals) {
        self.runs.stop_all();
        while !self.runs.all_ended() {
            tokio::select! {
                () = self.runs.ended() => {}
                _ = signals.next() => return,
            }
        }
    }
}
