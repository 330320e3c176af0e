//! Trials that are tried again after the limit that ended them was raised.

use autopeft_crds::SearchSpace;
use autopeft_crds::status::TrialOrigin;
use autopeft_crds::trial::{FailureReason, TrialOutcome};
use autopeft_search::ask::{self, Asked};
use autopeft_search::ledger::{Event, Ledger, LedgerError, Planned, Recorded};
use autopeft_search::measures::{self, Subject};
use autopeft_search::retries;
use autopeft_search::status::status;
use serde_json::json;

use super::scenarios::check;
use super::world::{World, success};

#[test]
fn trials_out_of_memory_are_tried_again_once_and_whatever_crashes() {
    check(
        json!({"maxTrials": 3, "maxFailedTrials": 1}),
        "> begin
         begins 0
         > 0 fails OutOfMemory
         record 0 infeasible (OutOfMemory)
         remove 0/1
         begins 1
         > 1 fails OutOfMemory
         record 1 infeasible (OutOfMemory)
         remove 1/1
         the search has failed: TooManyFailedTrials
         > retryTrials becomes [0,1,7]
         plan 2 as 0 again
         start 2/1
         > 2 scores 0.5, crash
         record 2 score 0.5
         plan 3 as 1 again
         start 3/1
         > crash
         again 3/2 (interrupted)
         start 3/2
         > 3 fails OutOfMemory
         record 3 infeasible (OutOfMemory)
         remove 3/2
         begins 4
         > 4 scores 0.6
         record 4 score 0.6
         remove 4/1
         the search has succeeded: MaxTrialsReached
         > crash",
    );
}

#[test]
fn a_retry_is_tried_again_by_its_own_number_and_a_baseline_never() {
    check(
        json!({"maxTrials": 2, "trialDeadlineSeconds": 60, "baselines": ["Prefix"]}),
        "> begin
         begins 0
         > 0 scores 0.5
         record 0 score 0.5
         remove 0/1
         begins 1
         > wait 60
         stop 1/1 (TrialDeadline)
         record 1 infeasible (DeadlineExceeded)
         remove 1/1
         plan 2 Prefix
         start 2/1
         > retryTrials becomes [0,1,2]
         > 2 fails OutOfMemory
         record 2 infeasible (OutOfMemory)
         remove 2/1
         plan 3 as 1 again
         start 3/1
         > wait 60
         stop 3/1 (TrialDeadline)
         record 3 infeasible (DeadlineExceeded)
         remove 3/1
         the search has succeeded: MaxTrialsReached
         > retryTrials becomes [0,1,2,3]
         plan 4 as 3 again
         start 4/1
         > 4 scores 0.6
         record 4 score 0.6
         remove 4/1
         the search has succeeded: MaxTrialsReached",
    );
}

#[test]
fn a_configuration_that_cannot_be_trained_at_all_is_not_tried_again() {
    check(
        json!({"maxTrials": 2, "maxFailedTrials": 2, "retryTrials": [0, 1]}),
        "> begin
         begins 0
         > 0 fails NotFinite
         record 0 infeasible (NotFinite)
         remove 0/1
         begins 1
         > 1 scores 0.5
         record 1 score 0.5
         remove 1/1
         the search has succeeded: MaxTrialsReached",
    );
}

#[test]
fn a_retry_takes_the_number_of_the_trial_that_was_chosen_ahead() {
    check(
        json!({"maxTrials": 3, "parallelism": 2, "retryTrials": [0]}),
        "> ahead
         begins 0
         begins 1
         suggest 2
         > 0 fails OutOfMemory
         record 0 infeasible (OutOfMemory)
         remove 0/1
         plan 2 as 0 again
         start 2/1
         suggest 3
         > 1 scores 0.5
         record 1 score 0.5
         remove 1/1
         plan 3
         start 3/1",
    );
}

#[test]
fn a_suspended_search_tries_nothing_again_until_it_is_resumed() {
    check(
        json!({"maxTrials": 1, "maxFailedTrials": 0, "retryTrials": [0]}),
        "> begin
         begins 0
         > suspend becomes true
         > 0 fails OutOfMemory
         record 0 infeasible (OutOfMemory)
         remove 0/1
         > suspend becomes false
         plan 1 as 0 again
         start 1/1",
    );
}

#[test]
fn a_full_ledger_gets_no_retry() {
    check(
        json!({"maxTrials": 1, "maxFailedTrials": 0}),
        "> begin
         begins 0
         > 0 fails OutOfMemory
         record 0 infeasible (OutOfMemory)
         remove 0/1
         the search has failed: TooManyFailedTrials
         > full, retryTrials becomes [0]
         the search has failed: StatusFull",
    );
}

/// A search whose trials the engine suggests.
struct Search {
    world: World,
    subject: Subject,
}

impl Search {
    fn new(initial: u32) -> Self {
        let nuts = json!({"warmup": 16, "samples": 4, "thinning": 2});
        let algorithm = json!({
            "initialTrials": initial, "nuts": nuts, "localSearch": {"restarts": 1, "evaluations": 5},
        });
        let world = World::new(&json!({"maxTrials": 9, "algorithm": algorithm}));
        let (spec, model) = (&world.spec, &world.inspection);
        let space = SearchSpace::resolve(&spec.search_space, 4, 64).expect("a space");
        let subject = Subject::new(spec, &space, model);
        Self { world, subject }
    }

    fn ledger(&self) -> &Ledger {
        &self.world.ledger
    }

    fn asked(&self) -> Planned {
        let metric = self.subject.spec.task.score_metric();
        match ask::ask(&self.subject.problem, metric, self.ledger(), &|| false) {
            Ok(Asked::Suggestion(planned)) => *planned,
            other => panic!("{other:?}"),
        }
    }

    fn apply(&mut self, event: &Event) -> Result<(), LedgerError> {
        self.world.ledger.apply(event, self.world.now)
    }

    fn suggested(mut self) -> Self {
        let planned = self.asked();
        self.apply(&Event::Planned(Box::new(planned)))
            .expect("the next");
        self
    }

    fn plan_again(&mut self, trial: usize) -> Result<(), LedgerError> {
        let planned = retries::plan(&self.ledger().entries()[trial], self.ledger());
        self.apply(&Event::Planned(Box::new(planned)))
    }

    fn again(mut self, trial: usize) -> Self {
        self.plan_again(trial).expect("it may be tried again");
        self
    }

    fn recorded(mut self, trial: u32, outcome: Recorded) -> Self {
        let event = Event::Recorded {
            trial,
            attempt: 1,
            outcome,
            gpu_seconds: None,
        };
        self.apply(&event).expect("it is open");
        self
    }

    fn scores(self, trial: u32, score: f64) -> Self {
        let TrialOutcome::Succeeded(measured) = success(score) else {
            panic!("it succeeds")
        };
        self.recorded(
            trial,
            Recorded::from_measurements(&measured).expect("finite"),
        )
    }

    fn fails(self, trial: u32, reason: FailureReason) -> Self {
        let message = "as the test wants it".to_owned();
        self.recorded(trial, Recorded::Infeasible { reason, message })
    }
}

#[test]
fn the_initial_design_is_the_same_with_and_without_a_retry() {
    let search = |initial| {
        let begun = Search::new(initial).suggested().suggested().scores(0, 0.5);
        begun.fails(1, FailureReason::OutOfMemory)
    };
    let (without, with) = (search(4).asked(), search(4).again(1).asked());
    assert_eq!((without.trial, with.trial), (2, 3));
    assert_eq!(with.origin, TrialOrigin::Initial);
    assert_eq!(with.configuration, without.configuration);
    assert_eq!(with.inputs_hash, without.inputs_hash);
}

#[test]
fn the_engine_sees_a_retry_instead_of_what_it_tries_again() {
    let begun = || Search::new(2).suggested().suggested().scores(0, 0.5);
    let limited = || begun().fails(1, FailureReason::OutOfMemory);
    let inputs = |search: Search| search.asked().inputs_hash;
    let (avoided, pending) = (inputs(limited()), inputs(begun()));
    let retried = inputs(limited().again(1));
    assert_eq!(retried, pending, "while the retry runs, it is pending");
    assert_ne!(retried, avoided);
    let scored = inputs(limited().again(1).scores(2, 0.75));
    assert_eq!(scored, inputs(begun().scores(1, 0.75)));
    let limited_again = limited().again(1).fails(2, FailureReason::OutOfMemory);
    assert_eq!(inputs(limited_again), avoided);
}

#[test]
fn a_retry_is_counted_once_and_the_hypervolume_does_not_fall() {
    let search = Search::new(2).suggested().suggested().scores(0, 0.5);
    let search = search.fails(1, FailureReason::DeadlineExceeded);
    let before = measures::measure(&search.subject, search.ledger());
    let search = search.again(1);
    let trials = status(&search.subject, search.ledger()).trials;
    assert_eq!((trials.progress.as_str(), trials.running), ("1/9", 1));
    assert_eq!(trials.infeasible, 0);
    let during = measures::measure(&search.subject, search.ledger());
    assert_eq!(during.reference, before.reference);
    assert_eq!(during.hypervolume, before.hypervolume);
    let search = search.scores(2, 0.25);
    let trials = status(&search.subject, search.ledger()).trials;
    assert_eq!((trials.progress.as_str(), trials.succeeded), ("2/9", 2));
    let after = measures::measure(&search.subject, search.ledger());
    assert_eq!(after.reference, before.reference);
    assert!(after.hypervolume >= before.hypervolume);
}

#[test]
fn the_ledger_takes_one_retry_and_only_of_a_trial_that_a_limit_ended() {
    let search = Search::new(9).suggested().suggested().suggested();
    let search = search.scores(0, 0.5).fails(1, FailureReason::NotFinite);
    let mut search = search.fails(2, FailureReason::OutOfMemory);
    for trial in [0, 1] {
        assert!(search.plan_again(trial).is_err(), "trial {trial}");
    }
    search.plan_again(2).expect("it may be tried again");
    let twice = search.plan_again(2);
    assert!(matches!(
        twice,
        Err(LedgerError::Inconsistent { trial: 4, .. })
    ));
}

#[test]
fn numbers_without_effect_are_told() {
    let search = Search::new(9).suggested().suggested().suggested();
    let search = search.scores(0, 0.5).fails(1, FailureReason::NotFinite);
    let search = search.fails(2, FailureReason::OutOfMemory);
    let told = |numbers: &[u32]| {
        let mut spec = search.world.spec.clone();
        spec.retry_trials = numbers.to_vec();
        retries::without_effect(&spec, search.ledger().entries())
    };
    assert_eq!(told(&[]), None);
    assert_eq!(told(&[0, 2]), None);
    let found = told(&[1, 0, 9]).expect("two of them");
    assert!(
        found.ends_with("but trial 1 was ended by no limit, trial 9 does not exist"),
        "{found}"
    );
    let many: Vec<u32> = (10..30).collect();
    assert!(
        told(&many)
            .expect("all")
            .ends_with("trial 17 does not exist, 12 more")
    );
}
