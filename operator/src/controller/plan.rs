//! No client. Decides what to do with a search, by the rules of `autopeft-search`, for its inspection and its trials.

use std::collections::BTreeSet;
use std::time::Duration;

use autopeft_crds::PeftSearchStatus;
use autopeft_crds::status::{Attempt, LedgerEntry};
use autopeft_search::backoff::{Setback, Work};
use autopeft_search::inspection::{self, Early, Run, Step};
use autopeft_search::ledger::Event;
use autopeft_search::log::Line;
use autopeft_search::measures;
use autopeft_search::notices::{self, Notice};
use autopeft_search::planner::{self, Action, Engine, Situation};
use autopeft_search::trouble::Trouble;
use autopeft_search::{deadlines, object, promotion, status};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::jiff::Timestamp;

use super::error::ReconcileError;
use super::judge::{Course, Look, Seen, Stage, inspection_objects};
use super::pass::{Pass, Question};
use autopeft_jobs::build::pod;
use autopeft_jobs::judge::observe::{Objects, Observed};

/// The result of planning.
pub enum Planned {
    /// This must be read first.
    Ask(Question),
    /// The ledger has changed; plan again.
    Again,
    /// The decision.
    Decided(Box<Decision>),
}

/// What to do. The status is written before anything else.
#[derive(Default)]
pub struct Decision {
    /// The status.
    pub status: PeftSearchStatus,
    /// Reported by the condition Degraded.
    pub troubles: Vec<Trouble>,
    /// Log lines, for after the status is written.
    pub lines: Vec<Line>,
    /// Events, for after the status is written.
    pub notices: Vec<Notice>,
    /// Jobs to create.
    pub starts: Vec<Start>,
    /// Jobs to delete and pods to release.
    pub removals: Vec<Objects>,
    /// Whether to compute the next suggestion.
    pub suggest: bool,
    /// Whether the object may be deleted: no Jobs or pods are left, and no result would be lost.
    pub may_expire: bool,
    /// When to reconcile next if nothing happens before.
    pub wake: Option<Timestamp>,
    /// The interval of polling, for states that end without an event.
    pub look: Option<Duration>,
}

/// A Job to create.
pub struct Start {
    /// The inspection or the trial.
    pub work: Work,
    /// The attempt, from 1.
    pub attempt: u32,
    /// The Job.
    pub job: Job,
}

impl From<Decision> for Planned {
    fn from(decision: Decision) -> Self {
        Self::Decided(Box::new(decision))
    }
}

/// Plans, given the observed Jobs and pods.
pub fn plan(pass: &mut Pass<'_>, stage: &mut Stage, seen: Seen) -> Result<Planned, ReconcileError> {
    match (stage, seen) {
        (Stage::Invalid(errors), _) => Ok(early(pass, &Early::Invalid(errors.clone())).into()),
        (Stage::Unreadable(error), _) => {
            let message = format!("the operator does not touch this search: {error}");
            Ok(Planned::from(Decision {
                status: object::with_degraded(&pass.search, pass.now),
                troubles: vec![Trouble::new("Unreadable", message)],
                ..Decision::default()
            }))
        }
        (Stage::Inspecting { wanted }, Seen::Inspection(look)) => {
            Ok(plan_inspection(pass, wanted, look))
        }
        (Stage::Searching(course), Seen::Trials(observed)) => plan_trials(pass, course, observed),
        // The observation is of another stage: observe again.
        (Stage::Inspecting { .. } | Stage::Searching(_), _) => Ok(Planned::Again),
    }
}

/// A search before its first trial.
fn early(pass: &Pass<'_>, early: &Early) -> Decision {
    let before = pass.search.status.as_ref();
    Decision {
        status: inspection::status(&pass.search, early, pass.now),
        // An invalid edit must not lose the results of trials.
        may_expire: before.is_none_or(|status| status.ledger.is_empty()),
        ..Decision::default()
    }
}

fn plan_inspection(pass: &mut Pass<'_>, wanted: &Job, look: Look) -> Planned {
    let Look {
        run,
        objects,
        unclear,
        question,
    } = look;
    if let Some(question) = question {
        return Planned::Ask(question);
    }
    pass.memory.inspection_unclear = unclear;
    let generation = pass.search.metadata.generation;
    let backoffs = &mut pass.memory.backoffs;
    backoffs.keep_setbacks_of(generation);
    if run != Run::Absent {
        backoffs.creation_allowed();
    }
    let decided = inspection::decide(&inspection::Situation {
        search: &pass.search,
        run: &run,
        pause: backoffs.left(Work::Inspection, pass.now),
        troubles: &backoffs.troubles(),
        now: pass.now,
    });
    if decided.early != Early::Inspecting {
        backoffs.creation_allowed();
        backoffs.keep_setbacks_while(|_| false);
    }
    if let Step::Retry(trouble) = &decided.step {
        let setback = Setback {
            work: Work::Inspection,
            job: objects.job.clone().unwrap_or_default().1,
            trouble: trouble.clone(),
            at_least: 1,
        };
        backoffs.add_setback(&setback, generation, pass.now);
    }
    // While an inspection runs, Degraded still reports how the last one failed.
    let mut decision = Decision {
        troubles: backoffs.troubles(),
        wake: decided.wake,
        look: Some(pass.context.patience.look_at_inspection),
        ..early(pass, &decided.early)
    };
    match decided.step {
        Step::Wait(trouble) => decision.troubles = trouble.map_or(decision.troubles, |it| vec![it]),
        Step::Start => {
            decision.notices.extend(pod::image_by_tag(&pass.search));
            decision.starts.push(Start {
                work: Work::Inspection,
                attempt: 1,
                job: wanted.clone(),
            });
        }
        Step::Clear | Step::Retry(_) => decision.removals.push(objects),
    }
    match decided.early {
        // Planning continues at once.
        Early::Found(_) => decision.wake = Some(pass.now),
        Early::Inspecting if pass.search.spec.suspend => decision.look = None,
        Early::Inspecting => {}
        Early::Invalid(_) | Early::BadInput(_) | Early::Late(_) => {
            (decision.wake, decision.look) = (None, None);
        }
    }
    decision.into()
}

fn plan_trials(
    pass: &mut Pass<'_>,
    course: &mut Course,
    observed: Observed,
) -> Result<Planned, ReconcileError> {
    take_in(pass, course, &observed)?;
    if let Some(question) = question(course, &observed) {
        return Ok(Planned::Ask(question));
    }
    let promotion = promotion::wanted(&course.subject, &course.ledger);
    let plan = planner::plan(&Situation {
        spec: &pass.search.spec,
        inspection: &course.subject.model,
        ledger: &course.ledger,
        runs: &observed.runs,
        trials_per_run: 1,
        engine: &course.engine,
        converged: measures::has_converged(&course.subject, &course.ledger),
        promotion: &promotion,
        ahead: true,
        full: deadlines::is_full(&pass.search),
        now: pass.now,
    });
    let mut is_new = false;
    for action in &plan.actions {
        if let Action::Write(event) = action {
            course.ledger.apply(event, pass.now)?;
            if matches!(event, Event::Planned(_)) {
                course.engine = Engine::Idle;
            }
            course.events.push(event.clone());
            is_new = true;
        }
    }
    if is_new {
        return Ok(Planned::Again);
    }
    decide(pass, course, observed, plan).map(Planned::from)
}

/// Updates ledger and memory from the observed Jobs.
fn take_in(
    pass: &mut Pass<'_>,
    course: &mut Course,
    observed: &Observed,
) -> Result<(), ReconcileError> {
    let generation = pass.search.metadata.generation;
    let memory = &mut *pass.memory;
    for (run, uid) in &observed.adopted {
        course.ledger.note_job(*run, uid)?;
        memory.backoffs.creation_allowed();
    }
    for (trial, uid) in &observed.begun {
        memory.backoffs.has_begun(Work::Trial(*trial), uid);
    }
    memory.backoffs.keep_setbacks_of(generation);
    for setback in &observed.setbacks {
        memory.backoffs.add_setback(setback, generation, pass.now);
    }
    if observed.missing.is_empty() {
        memory
            .unclear
            .retain(|run, _| observed.unclear.contains(run));
        for run in &observed.unclear {
            let since = memory.unclear.entry(*run).or_insert(pass.now);
            // The clock may have been set back.
            *since = pass.now.min(*since);
        }
    }
    Ok(())
}

/// What must be read of Jobs and pods first.
fn question(course: &Course, observed: &Observed) -> Option<Question> {
    let uid = |run: &Attempt| course.ledger.job_uid(*run).cloned();
    if !observed.missing.is_empty() {
        let missing = observed.missing.iter();
        let asked = missing.map(|run| (Work::Trial(run.trial), run.attempt, uid(run)));
        return Some(Question::Jobs(asked.collect()));
    }
    if !observed.unconfirmed.is_empty() {
        let unconfirmed = observed.unconfirmed.iter();
        let asked =
            unconfirmed.filter_map(|run| Some(((Work::Trial(run.trial), run.attempt), uid(run)?)));
        return Some(Question::Pods(asked.collect()));
    }
    None
}

/// The rest of a plan, once its events are in the ledger.
fn decide(
    pass: &mut Pass<'_>,
    course: &Course,
    observed: Observed,
    plan: planner::Plan,
) -> Result<Decision, ReconcileError> {
    let ledger = &course.ledger;
    let is_over = ledger.conclusion().is_some();
    let open: BTreeSet<Attempt> = ledger.open().map(LedgerEntry::run_id).collect();
    let memory = &mut *pass.memory;
    let generation = pass.search.metadata.generation;
    memory.bad_input = ledger.bad_input().map(|found| (generation, found.clone()));
    memory.gone.retain(|run| open.contains(run));
    memory.conflicts.retain(|run| open.contains(run));
    if is_over {
        // Nothing more is created.
        memory.backoffs.creation_allowed();
    }
    memory
        .backoffs
        .keep_setbacks_while(|trial| !is_over && ledger.open().any(|entry| entry.trial == trial));
    let mut troubles = memory.backoffs.troubles();
    let waits = !memory.conflicts.is_empty() || !observed.troubles.is_empty();
    troubles.extend(observed.troubles);
    let patience = &pass.context.patience;
    let status = status::status(&course.subject, ledger);
    let events = course.events.iter();
    let told = events.filter_map(|event| notices::of_event(event, ledger, &status));
    let (lines, notices): (Vec<Line>, Vec<Option<Notice>>) = told.unzip();
    let mut decision = Decision {
        status,
        lines,
        notices: notices.into_iter().flatten().collect(),
        troubles,
        may_expire: observed.objects.is_empty(),
        wake: [plan.wake, observed.wake].into_iter().flatten().min(),
        // A pod that does not start causes no event: it is found by polling.
        look: (!open.is_empty()).then_some(patience.look_at_jobs),
        ..Decision::default()
    };
    if waits {
        decision.look = Some(patience.look);
    }
    for action in plan.actions {
        match action {
            Action::Start { run } => decision.starts.push(Start {
                work: Work::Trial(run.trial),
                attempt: run.attempt,
                job: pass.job(&course.locations, ledger, run)?,
            }),
            Action::Suggest { trial: _ } => decision.suggest = true,
            Action::Stop { run, why: _ } | Action::Remove { run } => {
                let objects = observed.objects.get(&run);
                decision.removals.extend(objects.cloned());
            }
            Action::Write(_) => {}
        }
    }
    // The rest of the inspection.
    decision.removals.push(inspection_objects(pass));
    Ok(decision)
}
