//! What the planner sees of a process or a Job: one or several trials, and what came of each. No I/O, no clock.

use autopeft_crds::Decimal;
use autopeft_crds::status::Attempt;
use autopeft_crds::trial::TrialOutcome;
use k8s_openapi::jiff::Timestamp;

/// What a process or a Job carries out: one or several trials.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// Its first trial and that trial's attempt: what it is named by.
    pub id: Attempt,
    /// Its trials that are of interest still, in the order in which they are trained.
    pub members: Vec<Attempt>,
    /// Where it stands.
    pub state: RunState,
    /// GPU seconds that it has used so far, where they are known.
    pub gpu_seconds: Option<Decimal>,
}

/// Where a run stands.
#[derive(Clone, Debug, PartialEq)]
pub enum RunState {
    /// It runs.
    Running {
        /// Since when.
        since: Timestamp,
    },
    /// It ended, or nothing is left of it: what came of each of its `members`, in their order.
    Ended(Vec<End>),
}

/// What came of one trial of a run.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    /// It ended; `TrialOutcome::Failed` also where the shell knows it better than the trainer.
    Outcome(TrialOutcome),
    /// It has no result, through nothing of its own: it went away together with the operator, was evicted, or had not
    /// begun.
    Interrupted,
}

impl RunState {
    /// A run that went away with its `count` trials.
    pub fn interrupted(count: usize) -> Self {
        Self::Ended(vec![End::Interrupted; count])
    }

    /// A run that ended with what its document says of each trial. Trials are trained one after another: where some
    /// have no outcome, the first of them is the one by which the run ended, and how is `cause`; the others had not
    /// begun.
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
    /// Whether it carries a trial out.
    pub fn holds(&self, trial: u32) -> bool {
        self.members.iter().any(|member| member.trial == trial)
    }
}
