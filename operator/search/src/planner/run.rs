//! A process or a Job as the planner sees it: one or several trials, and the outcome of each. No I/O, no
//! clock.

use autopeft_crds::Decimal;
use autopeft_crds::status::Attempt;
use autopeft_crds::trial::TrialOutcome;
use k8s_openapi::jiff::Timestamp;

/// One or several trials, carried out by one process or Job.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// Its first trial and that trial's attempt, by which it is named.
    pub id: Attempt,
    /// Its trials that are still needed, in the order of training.
    pub members: Vec<Attempt>,
    /// Its state.
    pub state: RunState,
    /// GPU seconds that it has used so far, where they are known.
    pub gpu_seconds: Option<Decimal>,
}

/// The state of a run.
#[derive(Clone, Debug, PartialEq)]
pub enum RunState {
    /// It runs.
    Running {
        /// Since when.
        since: Timestamp,
    },
    /// It ended or is gone: the outcome of each of its `members`, in their order.
    Ended(Vec<End>),
}

/// How one trial of a run ended.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    /// With an outcome: the trainer's, or a failure that the shell has determined.
    Outcome(TrialOutcome),
    /// Without a result and without a failure: it was stopped with the operator, evicted, or had not begun.
    Interrupted,
}

impl RunState {
    /// A run of `count` trials that was interrupted.
    pub fn interrupted(count: usize) -> Self {
        Self::Ended(vec![End::Interrupted; count])
    }

    /// A run that ended with these outcomes. Trials are trained one after another: the first without an
    /// outcome was running when the run ended, of `cause`; those after it had not begun.
    pub fn ended<E>(outcomes: Vec<Result<TrialOutcome, E>>, cause: impl FnOnce(E) -> End) -> Self {
        let mut cause = Some(cause);
        let end = |outcome: Result<TrialOutcome, E>| match outcome {
            Ok(outcome) => End::Outcome(outcome),
            Err(problem) => cause
                .take()
                .map_or(End::Interrupted, |cause| cause(problem)),
        };
        Self::Ended(outcomes.into_iter().map(end).collect())
    }
}

impl Run {
    /// Whether it contains a trial.
    pub fn holds(&self, trial: u32) -> bool {
        self.members.iter().any(|member| member.trial == trial)
    }
}
