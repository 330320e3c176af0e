//! A world in memory that carries plans out as the local shell does: a journal that survives a crash,
//! runs that do not, and results on a disk.

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use autopeft_crds::spec::{Metric, PeftSearchSpec};
use autopeft_crds::status::TrialOrigin;
use autopeft_crds::trial::{FailureReason, Inspection, TrialMeasurements, TrialOutcome};
use autopeft_crds::{Decimal, Module, PeftConfiguration};
use autopeft_search::ledger::{Event, Ledger, Planned, Recorded, RetryCause};
use autopeft_search::planner::{self, Action, Engine, Plan, Run, RunState, Situation, StopReason};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

/// Everything, and what to crash at.
pub struct World {
    pub spec: PeftSearchSpec,
    pub inspection: Inspection,
    pub journal: Vec<(Event, Timestamp)>,
    pub ledger: Ledger,
    pub engine: Engine,
    /// Whether the engine finds nothing more to suggest.
    pub exhausted: bool,
    pub converged: bool,
    /// Whether trials are chosen ahead.
    pub ahead: bool,
    /// Whether the ledger can hold no more.
    pub full: bool,
    /// GPUs of each trial.
    pub gpus: u32,
    pub now: Timestamp,
    /// The children: those that run, and how the others ended.
    pub children: BTreeMap<(u32, u32), Child>,
    /// Results that trainers have written, which outlive everything.
    pub disk: BTreeMap<(u32, u32), TrialOutcome>,
    /// Every start ever made.
    pub starts: Vec<(u32, u32)>,
    /// The transcript.
    pub lines: Vec<String>,
    /// Steps until the crash.
    pub fuse: Option<usize>,
    /// Steps taken since the beginning.
    pub steps: usize,
}

pub struct Child {
    pub since: Timestamp,
    pub ended: Option<RunState>,
    pub ended_at: Option<Timestamp>,
    pub stopped: bool,
}

/// The operator went away in the middle of what it did.
#[derive(Debug)]
pub struct Crash;

pub fn spec(changes: &Value) -> PeftSearchSpec {
    let mut value = json!({
        "model": {"source": {"path": "model"}},
        "task": {"name": "rte", "source": {"path": "data"}},
        "maxTrials": 3,
        "maxRetries": 1,
        "maxFailedTrials": 1,
        "trialDeadlineSeconds": 100,
    });
    for (name, change) in changes.as_object().into_iter().flatten() {
        value[name] = change.clone();
    }
    serde_json::from_value(value).expect("a spec")
}

impl World {
    pub fn new(changes: &Value) -> Self {
        let start = Timestamp::from_second(1_000_000).expect("a time");
        Self {
            spec: spec(changes),
            inspection: Inspection {
                architecture: "bert".into(),
                layers: 4,
                hidden_size: 64,
                backbone_parameters: 1_000_000,
                train_examples: 100,
                validation_examples: 50,
                model_fingerprint: None,
                data_fingerprint: None,
                constant_score: None,
                spec_hash: None,
                other: BTreeMap::new(),
            },
            journal: Vec::new(),
            ledger: Ledger::new(start),
            engine: Engine::Idle,
            exhausted: false,
            converged: false,
            ahead: false,
            full: false,
            gpus: 0,
            now: start,
            children: BTreeMap::new(),
            disk: BTreeMap::new(),
            starts: Vec::new(),
            lines: Vec::new(),
            fuse: None,
            steps: 0,
        }
    }

    pub fn observe(&self) -> Vec<Run> {
        let mut runs = Vec::new();
        for entry in self.ledger.open() {
            if self.ledger.started(entry.trial).is_none() {
                continue;
            }
            let key = (entry.trial, entry.attempt);
            let state = match (self.children.get(&key), self.disk.get(&key)) {
                (Some(child), _) => child.state(),
                (None, Some(outcome)) => RunState::Ended(outcome.clone()),
                (None, None) => RunState::Interrupted,
            };
            runs.push(Run {
                trial: key.0,
                attempt: key.1,
                state,
                gpu_seconds: self.gpu_seconds(key),
            });
        }
        for ((trial, attempt), child) in &self.children {
            if !runs
                .iter()
                .any(|run| (run.trial, run.attempt) == (*trial, *attempt))
            {
                runs.push(Run {
                    trial: *trial,
                    attempt: *attempt,
                    state: child.state(),
                    gpu_seconds: None,
                });
            }
        }
        runs
    }

    fn gpu_seconds(&self, key: (u32, u32)) -> Option<Decimal> {
        let child = self.children.get(&key).filter(|_| self.gpus > 0)?;
        let end = child.ended_at.unwrap_or(self.now);
        let seconds = end.duration_since(child.since).as_secs_f64();
        Decimal::new(f64::from(self.gpus) * seconds).ok()
    }

    pub fn plan(&self) -> Plan {
        planner::plan(&Situation {
            spec: &self.spec,
            inspection: &self.inspection,
            ledger: &self.ledger,
            runs: &self.observe(),
            engine: &self.engine,
            converged: self.converged,
            ahead: self.ahead,
            full: self.full,
            now: self.now,
        })
    }

    /// Plans and acts until there is nothing to do.
    pub fn settle(&mut self) -> Result<(), Crash> {
        for _ in 0..1000 {
            let mut acted = false;
            for action in self.plan().actions {
                acted |= self.act(action)?;
            }
            if !acted {
                return Ok(());
            }
        }
        panic!(
            "the planner never comes to rest:\n{}",
            self.lines.join("\n")
        );
    }

    /// One step that a crash may precede.
    fn step(&mut self) -> Result<(), Crash> {
        self.steps += 1;
        match &mut self.fuse {
            Some(0) => Err(Crash),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn write(&mut self, event: Event) -> Result<(), Crash> {
        self.step()?;
        self.ledger
            .apply(&event, self.now)
            .unwrap_or_else(|error| panic!("{error}: {event:?}"));
        self.journal.push((event, self.now));
        self.step()
    }

    fn act(&mut self, action: Action) -> Result<bool, Crash> {
        let line = describe(&action);
        match action {
            Action::Write(event) => {
                if matches!(event, Event::Planned(_)) {
                    self.engine = Engine::Idle;
                }
                self.write(event)?;
            }
            Action::Suggest { trial } => {
                self.step()?;
                self.engine = if self.exhausted {
                    Engine::Exhausted
                } else {
                    Engine::Ready(Box::new(self.suggestion(trial)))
                };
            }
            Action::Start { trial, attempt } => {
                self.write(Event::Started { trial, attempt })?;
                self.starts.push((trial, attempt));
                self.children.insert(
                    (trial, attempt),
                    Child {
                        since: self.now,
                        ended: None,
                        ended_at: None,
                        stopped: false,
                    },
                );
                self.step()?;
            }
            Action::Stop {
                trial,
                attempt,
                why,
            } => {
                let child = self.children.get_mut(&(trial, attempt)).expect("a child");
                if std::mem::replace(&mut child.stopped, true) {
                    return Ok(false);
                }
                child.ended_at = Some(self.now);
                child.ended = Some(match why {
                    StopReason::NotNeeded => RunState::Interrupted,
                    StopReason::TrialDeadline => {
                        RunState::Ended(failure(FailureReason::DeadlineExceeded))
                    }
                });
                self.step()?;
            }
            Action::Remove { trial, attempt } => {
                if self.children.remove(&(trial, attempt)).is_none() {
                    return Ok(false);
                }
                self.step()?;
            }
        }
        self.lines.push(line);
        Ok(true)
    }

    /// A suggestion that depends on all that a real one depends on.
    fn suggestion(&self, trial: u32) -> Planned {
        let mut hasher = DefaultHasher::new();
        for entry in self.ledger.search_trials() {
            entry.configuration.hash().hash(&mut hasher);
            // At most one trial is open where this matters.
            format!("{:?} {:?}", entry.state, entry.score).hash(&mut hasher);
        }
        let hash = match self.spec.parallelism {
            1 => hasher.finish(),
            _ => u64::from(trial),
        };
        let size = u32::try_from(hash % 64).expect("small") + 1;
        Planned {
            trial,
            configuration: PeftConfiguration::new(
                "1010".parse().expect("a mask"),
                &[(Module::SerialAdapter, size), (Module::Prefix, trial)],
            ),
            parameters: u64::from(size),
            origin: TrialOrigin::Random,
            baseline: None,
            basis: self.ledger.events(),
            inputs_hash: format!("{hash:x}"),
            acquisition: None,
            predicted_mean: None,
            predicted_deviation: None,
            surrogate: None,
        }
    }

    /// A child ends by itself, with a result on the disk where it has one.
    pub fn end(&mut self, trial: u32, outcome: TrialOutcome) {
        let attempt = self.ledger.entry(trial).expect("a trial").attempt;
        let child = self.children.get_mut(&(trial, attempt)).expect("a child");
        child.ended = Some(RunState::Ended(outcome.clone()));
        child.ended_at = Some(self.now);
        if matches!(outcome, TrialOutcome::Succeeded(_)) {
            self.disk.insert((trial, attempt), outcome);
        }
    }

    /// The operator and its children go away; the journal and the disk stay.
    pub fn crash(&mut self) {
        self.children.clear();
        self.engine = Engine::Idle;
        let mut ledger = Ledger::new(self.ledger.start_time());
        for (event, at) in &self.journal {
            ledger.apply(event, *at).expect("its own events");
        }
        self.ledger = ledger;
    }

    pub fn running(&self) -> Vec<(u32, u32)> {
        self.children
            .iter()
            .filter(|(_, child)| child.ended.is_none())
            .map(|(key, _)| *key)
            .collect()
    }

    pub fn wait(&mut self, seconds: i64) {
        self.now += SignedDuration::from_secs(seconds);
    }
}

impl Child {
    fn state(&self) -> RunState {
        self.ended
            .clone()
            .unwrap_or(RunState::Running { since: self.since })
    }
}

pub fn failure(reason: FailureReason) -> TrialOutcome {
    TrialOutcome::Failed {
        reason,
        message: format!("{reason:?}"),
    }
}

pub fn success(score: f64) -> TrialOutcome {
    TrialOutcome::Succeeded(Box::new(TrialMeasurements {
        score,
        metric: Metric::Accuracy,
        best_epoch: 1,
        epochs: Vec::new(),
        trained_parameters: 10,
        deployed_parameters: 8,
        train_seconds: 1.0,
        total_seconds: 2.0,
        peak_memory_bytes: 1,
        device: "cpu".into(),
        precision: "float32".into(),
        steps: 1,
        validation_examples: 50,
        seeds: BTreeMap::new(),
        versions: BTreeMap::new(),
    }))
}

fn describe(action: &Action) -> String {
    match action {
        Action::Write(Event::Planned(planned)) => match planned.baseline {
            Some(name) => format!("plan {} {name:?}", planned.trial),
            None => format!("plan {}", planned.trial),
        },
        Action::Write(Event::Started { trial, attempt }) => format!("started {trial}/{attempt}"),
        Action::Write(Event::Retried {
            trial,
            attempt,
            cause,
            gpu_seconds: _,
        }) => match cause {
            RetryCause::Interrupted => format!("again {trial}/{attempt} (interrupted)"),
            RetryCause::Failed { reason, message: _ } => {
                format!("again {trial}/{attempt} ({reason:?})")
            }
        },
        Action::Write(Event::Recorded {
            trial,
            attempt: _,
            outcome,
            gpu_seconds: _,
        }) => match outcome {
            Recorded::Succeeded { score, .. } => format!("record {trial} score {score}"),
            Recorded::Infeasible { reason, message: _ } => {
                format!("record {trial} infeasible ({reason:?})")
            }
            Recorded::Failed { reason, message: _ } => {
                format!("record {trial} failed ({reason:?})")
            }
        },
        Action::Write(Event::Reopened) => "reopened".into(),
        Action::Write(Event::SpecChanged(_)) => "spec changed".into(),
        Action::Write(Event::Concluded(conclusion)) => {
            let how = if conclusion.succeeded {
                "succeeded"
            } else {
                "failed"
            };
            format!("the search has {how}: {:?}", conclusion.reason)
        }
        Action::Suggest { trial } => format!("suggest {trial}"),
        Action::Start { trial, attempt } => format!("start {trial}/{attempt}"),
        Action::Stop {
            trial,
            attempt,
            why,
        } => format!("stop {trial}/{attempt} ({why:?})"),
        Action::Remove { trial, attempt } => format!("remove {trial}/{attempt}"),
    }
}
