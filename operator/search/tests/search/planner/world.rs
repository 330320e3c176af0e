//! A world in memory that carries plans out as the local shell does: a journal that survives a crash,
//! runs that do not, and results on a disk.

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use autopeft_crds::PeftSearchSpec;
use autopeft_crds::spec::Metric;
use autopeft_crds::status::{Attempt, TrialOrigin};
use autopeft_crds::trial::{
    FailureClass, FailureReason, Inspection, TrialMeasurements, TrialOutcome,
};
use autopeft_crds::{Decimal, Module, PeftConfiguration, SearchSpace};
use autopeft_search::ledger::{Event, Ledger, Planned, Recorded, RetryCause};
use autopeft_search::measures::Subject;
use autopeft_search::planner::{
    self, Action, End, Engine, Plan, Run, RunState, Situation, StopReason,
};
use autopeft_search::promotion;
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
    /// The most trials of a run.
    pub trials_per_run: usize,
    /// GPUs of each run.
    pub gpus: u32,
    pub now: Timestamp,
    /// The children by their runs: those that run, and how the others ended.
    pub children: BTreeMap<Attempt, Child>,
    /// Results that trainers have written, which outlive everything.
    pub disk: BTreeMap<Attempt, TrialOutcome>,
    /// Every attempt ever started.
    pub starts: Vec<Attempt>,
    /// The transcript.
    pub lines: Vec<String>,
    /// Steps until the crash.
    pub fuse: Option<usize>,
    /// Steps taken since the beginning.
    pub steps: usize,
}

pub struct Child {
    pub members: Vec<Attempt>,
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
                feed_forward_size: None,
                backbone_parameters: 1_000_000,
                train_examples: 100,
                validation_examples: 50,
                model_fingerprint: None,
                data_fingerprint: None,
                others: Vec::new(),
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
            trials_per_run: 1,
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
        let mut runs: Vec<Run> = Vec::new();
        for entry in self.ledger.open() {
            let id = entry.run_id();
            if self.ledger.started(entry.trial).is_none() || runs.iter().any(|run| run.id == id) {
                continue;
            }
            let members: Vec<Attempt> = self
                .ledger
                .members(id)
                .map(|entry| entry.current_attempt())
                .collect();
            let state = match self.children.get(&id) {
                Some(child) => child.state(),
                None => RunState::ended(self.results(&members), |()| End::Interrupted),
            };
            runs.push(Run {
                id,
                members,
                state,
                gpu_seconds: self.gpu_seconds(id),
            });
        }
        for (id, child) in &self.children {
            if !runs.iter().any(|run| run.id == *id) {
                runs.push(Run {
                    id: *id,
                    members: child.members.clone(),
                    state: child.state(),
                    gpu_seconds: None,
                });
            }
        }
        runs
    }

    /// What a run's trainer has written down of its trials.
    fn results(&self, members: &[Attempt]) -> Vec<Result<TrialOutcome, ()>> {
        let result = |member: &Attempt| self.disk.get(member).cloned().ok_or(());
        members.iter().map(result).collect()
    }

    fn gpu_seconds(&self, run: Attempt) -> Option<Decimal> {
        let child = self.children.get(&run).filter(|_| self.gpus > 0)?;
        let end = child.ended_at.unwrap_or(self.now);
        let seconds = end.duration_since(child.since).as_secs_f64();
        Decimal::new(f64::from(self.gpus) * seconds).ok()
    }

    pub fn subject(&self) -> Subject {
        let model = &self.inspection;
        let layers = model.layers as usize;
        let space = SearchSpace::resolve(&self.spec.search_space, layers, model.shape());
        Subject::new(&self.spec, &space.expect("a space"), model)
    }

    pub fn plan(&self) -> Plan {
        let promotion = match &self.spec.promotion {
            Some(_) => promotion::wanted(&self.subject(), &self.ledger),
            None => Vec::new(),
        };
        planner::plan(&Situation {
            spec: &self.spec,
            inspection: &self.inspection,
            ledger: &self.ledger,
            runs: &self.observe(),
            trials_per_run: self.trials_per_run,
            engine: &self.engine,
            converged: self.converged,
            promotion: &promotion,
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
            Action::Start { run } => {
                let Attempt { trial, attempt } = run;
                self.write(Event::Started { trial, attempt })?;
                let members: Vec<Attempt> = self
                    .ledger
                    .members(run)
                    .map(|entry| entry.current_attempt())
                    .collect();
                self.starts.extend(&members);
                self.children.insert(
                    run,
                    Child {
                        members,
                        since: self.now,
                        ended: None,
                        ended_at: None,
                        stopped: false,
                    },
                );
                self.step()?;
            }
            Action::Stop { run, why } => {
                let child = self.children.get_mut(&run).expect("a child");
                if std::mem::replace(&mut child.stopped, true) {
                    return Ok(false);
                }
                let cause = match why {
                    StopReason::NotNeeded => End::Interrupted,
                    StopReason::TrialDeadline => {
                        End::Outcome(failure(FailureReason::DeadlineExceeded))
                    }
                };
                self.run_ends(run, cause);
                self.step()?;
            }
            Action::Remove { run } => {
                if self.children.remove(&run).is_none() {
                    return Ok(false);
                }
                self.step()?;
            }
        }
        self.lines.push(line);
        Ok(true)
    }

    /// A suggestion that depends on all that a real one depends on.
    pub fn suggestion(&self, trial: u32) -> Planned {
        let mut hasher = DefaultHasher::new();
        for entry in self.ledger.search_trials() {
            entry.configuration.hash().hash(&mut hasher);
            // At most one trial is open where this matters.
            format!("{:?} {:?}", entry.state, entry.score).hash(&mut hasher);
        }
        let hash = match (self.spec.parallelism, self.trials_per_run) {
            (1, 1) => hasher.finish(),
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
            of_trial: None,
            terms: None,
            basis: self.ledger.events(),
            inputs_hash: format!("{hash:x}"),
            acquisition: None,
            predicted_mean: None,
            predicted_deviation: None,
            surrogate: None,
        }
    }

    /// A trial ends by itself: with a result on the disk, whereupon its run goes on with the next one, or without
    /// one, which ends its run.
    pub fn end(&mut self, trial: u32, outcome: TrialOutcome) {
        let entry = self.ledger.entry(trial).expect("a trial");
        let (run, due) = (entry.run_id(), entry.current_attempt());
        let leaves_a_result = match &outcome {
            TrialOutcome::Succeeded(_) => true,
            TrialOutcome::Failed { reason, .. } => {
                self.trials_per_run > 1 && reason.class() != FailureClass::Infrastructure
            }
        };
        if !leaves_a_result {
            self.run_ends(run, End::Outcome(outcome));
            return;
        }
        self.disk.insert(due, outcome);
        let members = &self.children.get(&run).expect("a child").members;
        if members.iter().all(|member| self.disk.contains_key(member)) {
            self.run_ends(run, End::Interrupted);
        }
    }

    fn run_ends(&mut self, run: Attempt, cause: End) {
        let members = self.children.get(&run).expect("a child").members.clone();
        let ended = RunState::ended(self.results(&members), |()| cause);
        let child = self.children.get_mut(&run).expect("a child");
        child.ended = Some(ended);
        child.ended_at = Some(self.now);
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

    /// The runs at work, each with the trial that it trains.
    pub fn running(&self) -> Vec<(Attempt, u32)> {
        self.children
            .iter()
            .filter(|(_, child)| child.ended.is_none())
            .map(|(run, child)| {
                let mut members = child.members.iter();
                let at_work = members.find(|member| !self.disk.contains_key(member));
                (*run, at_work.expect("a trial without a result").trial)
            })
            .collect()
    }

    /// Somebody else, such as a later version, has planned this.
    pub fn planned_by_another(&mut self, planned: Planned) {
        let event = Event::Planned(Box::new(planned));
        self.ledger.apply(&event, self.now).expect("a trial");
        self.journal.push((event, self.now));
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
        selection_score: None,
        metrics: BTreeMap::new(),
        best_epoch: 1,
        selected_layers: None,
        stopped_early: None,
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
        Action::Write(Event::Planned(planned)) if planned.terms.is_some() => {
            super::promotion::described(planned)
        }
        Action::Write(Event::Planned(planned)) => match (planned.baseline, planned.of_trial) {
            (Some(name), _) => format!("plan {} {name:?}", planned.trial),
            (None, Some(of)) => format!("plan {} as {of} again", planned.trial),
            (None, None) => format!("plan {}", planned.trial),
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
        Action::Write(Event::Joined {
            trial,
            attempt,
            run,
        }) => format!("join {trial}/{attempt} to {}", shown(run)),
        Action::Start { run } => format!("start {}", shown(run)),
        Action::Stop { run, why } => format!("stop {} ({why:?})", shown(run)),
        Action::Remove { run } => format!("remove {}", shown(run)),
    }
}

fn shown(run: &Attempt) -> String {
    format!("{}/{}", run.trial, run.attempt)
}
