//! Trainings in full: transcripts as in `scenarios`.

use autopeft_search::ledger::Planned;
use serde_json::{Value, json};

use super::scenarios::check;

/// The line of a training in full, or on another task, that is planned.
pub fn described(planned: &Planned) -> String {
    let terms = planned.terms.as_ref().expect("terms");
    let seed = terms.seed.expect("a seed");
    let what = match (planned.baseline, planned.of_trial) {
        (Some(name), _) => format!("{name:?}"),
        (None, of) => of.expect("one").to_string(),
    };
    let trial = planned.trial;
    match &terms.task {
        None => format!("promote {trial} {what} seed {seed}"),
        Some(task) => format!("move {trial} {what} to {} seed {seed}", task.name.as_str()),
    }
}

/// A search of one trial whose configuration is trained in full with two seeds.
fn search() -> Value {
    json!({
        "maxTrials": 1,
        "promotion": {"candidates": "NamedTrials", "trials": [0], "seeds": 2},
    })
}

#[test]
fn trainings_in_full_follow_the_search_and_its_baselines() {
    let mut search = search();
    search["baselines"] = json!(["Prefix"]);
    search["promotion"]["baselines"] = json!(["SerialAdapter"]);
    check(
        search,
        "> begin
         begins 0
         > 0 scores 0.5
         record 0 score 0.5
         remove 0/1
         plan 1 Prefix
         start 1/1
         > 1 scores 0.4
         record 1 score 0.4
         remove 1/1
         promote 2 0 seed 43
         start 2/1
         > 2 scores 0.6
         record 2 score 0.6
         remove 2/1
         promote 3 0 seed 44
         start 3/1
         > crash
         again 3/2 (interrupted)
         start 3/2
         > 3 scores 0.7
         record 3 score 0.7
         remove 3/2
         promote 4 SerialAdapter seed 43
         start 4/1
         > 4 fails BadInput
         record 4 failed (BadInput)
         remove 4/1
         promote 5 SerialAdapter seed 44
         start 5/1
         > 5 fails Lost
         again 5/2 (Lost)
         remove 5/1
         start 5/2
         > 5 scores 0.5
         record 5 score 0.5
         remove 5/2
         the search has succeeded: MaxTrialsReached",
    );
}

#[test]
fn the_front_is_promoted_once_every_trial_has_its_result() {
    check(
        json!({"maxTrials": 2, "parallelism": 2, "promotion": {"seeds": 1}}),
        "> begin
         begins 0
         begins 1
         > 1 scores 0.5
         record 1 score 0.5
         remove 1/1
         > 0 scores 0.5
         record 0 score 0.5
         remove 0/1
         promote 2 0 seed 43
         start 2/1
         > 2 scores 0.7
         record 2 score 0.7
         remove 2/1
         the search has succeeded: MaxTrialsReached",
    );
}

#[test]
fn trainings_in_full_can_be_asked_for_after_the_end_and_more_of_them_later() {
    check(
        json!({"maxTrials": 1}),
        r#"> begin
         begins 0
         > 0 scores 0.5
         record 0 score 0.5
         remove 0/1
         the search has succeeded: MaxTrialsReached
         > promotion becomes {"seeds":1}
         promote 1 0 seed 43
         start 1/1
         > 1 scores 0.6
         record 1 score 0.6
         remove 1/1
         the search has succeeded: MaxTrialsReached
         > promotion becomes {"seeds":2}
         promote 2 0 seed 44
         start 2/1
         > 2 scores 0.6
         record 2 score 0.6
         remove 2/1
         the search has succeeded: MaxTrialsReached
         > promotion becomes {"seeds":1,"epochs":3}
         promote 3 0 seed 43
         start 3/1
         > 3 scores 0.6
         record 3 score 0.6
         remove 3/1
         the search has succeeded: MaxTrialsReached"#,
    );
}

#[test]
fn what_the_manifest_no_longer_asks_for_is_withdrawn() {
    check(
        search(),
        r#"> begin
         begins 0
         > 0 scores 0.5
         record 0 score 0.5
         remove 0/1
         promote 1 0 seed 43
         start 1/1
         > promotion becomes {"candidates":"NamedTrials","trials":[0],"seeds":1,"epochs":3}
         record 1 failed (Withdrawn)
         stop 1/1 (NotNeeded)
         promote 2 0 seed 43
         remove 1/1
         start 2/1
         > promotion becomes null
         record 2 failed (Withdrawn)
         stop 2/1 (NotNeeded)
         remove 2/1
         the search has succeeded: MaxTrialsReached"#,
    );
}

#[test]
fn a_suspended_search_starts_no_training_in_full() {
    check(
        search(),
        "> begin
         begins 0
         > suspend becomes true, 0 scores 0.5
         record 0 score 0.5
         remove 0/1
         > suspend becomes false
         promote 1 0 seed 43
         start 1/1",
    );
}

#[test]
fn limits_of_the_search_hold_for_trainings_in_full() {
    let mut search = search();
    search["activeDeadlineSeconds"] = json!(60);
    check(
        search.clone(),
        "> begin
         begins 0
         > wait 30, 0 scores 0.5
         record 0 score 0.5
         remove 0/1
         promote 1 0 seed 43
         start 1/1
         > wait 30
         stop 1/1 (NotNeeded)
         again 1/2 (interrupted)
         remove 1/1
         the search has succeeded: DeadlineExceeded",
    );
    let mut search = self::search();
    search["maxGpuSeconds"] = json!(20);
    check(
        search,
        "> gpus 1
         begins 0
         > wait 20, 0 scores 0.5
         record 0 score 0.5
         remove 0/1
         the search has succeeded: MaxGpuSecondsReached",
    );
}

#[test]
fn a_training_in_full_has_a_deadline_of_its_own() {
    let mut search = search();
    search["promotion"]["trialDeadlineSeconds"] = json!(300);
    check(
        search,
        "> begin
         begins 0
         > wait 99, 0 scores 0.5
         record 0 score 0.5
         remove 0/1
         promote 1 0 seed 43
         start 1/1
         > wait 299
         > wait 1
         stop 1/1 (TrialDeadline)
         record 1 infeasible (DeadlineExceeded)
         remove 1/1
         promote 2 0 seed 44
         start 2/1",
    );
}

#[test]
fn a_training_in_full_that_a_limit_has_ended_is_tried_again_once() {
    check(
        search(),
        r#"> begin
         begins 0
         > 0 scores 0.5
         record 0 score 0.5
         remove 0/1
         promote 1 0 seed 43
         start 1/1
         > 1 fails OutOfMemory
         record 1 infeasible (OutOfMemory)
         remove 1/1
         promote 2 0 seed 44
         start 2/1
         > 2 scores 0.6
         record 2 score 0.6
         remove 2/1
         the search has succeeded: MaxTrialsReached
         > retryTrials becomes [1,2]
         promote 3 0 seed 43
         start 3/1
         > 3 fails OutOfMemory
         record 3 infeasible (OutOfMemory)
         remove 3/1
         the search has succeeded: MaxTrialsReached
         > retryTrials becomes [1,3]
         promote 4 0 seed 43
         start 4/1
         > 4 scores 0.7
         record 4 score 0.7
         remove 4/1
         the search has succeeded: MaxTrialsReached"#,
    );
}

#[test]
fn a_withdrawn_training_is_planned_again_when_it_is_asked_for_again() {
    check(
        json!({"maxTrials": 1, "promotion": {"seeds": 1}}),
        r#"> begin
         begins 0
         > 0 scores 0.5
         record 0 score 0.5
         remove 0/1
         promote 1 0 seed 43
         start 1/1
         > promotion becomes null
         record 1 failed (Withdrawn)
         stop 1/1 (NotNeeded)
         remove 1/1
         the search has succeeded: MaxTrialsReached
         > promotion becomes {"seeds":1}
         promote 2 0 seed 43
         start 2/1
         > 2 scores 0.7
         record 2 score 0.7
         remove 2/1
         the search has succeeded: MaxTrialsReached"#,
    );
}

#[test]
fn an_input_that_only_a_training_in_full_cannot_use_ends_the_search() {
    check(
        search(),
        "> begin
         begins 0
         > 0 scores 0.5
         record 0 score 0.5
         remove 0/1
         promote 1 0 seed 43
         start 1/1
         > 1 fails BadInput
         again 1/2 (BadInput)
         remove 1/1
         the search has failed: BadInput
         > mended
         start 1/2",
    );
}

#[test]
fn a_full_ledger_gets_no_training_in_full() {
    check(
        search(),
        "> begin
         begins 0
         > full, 0 scores 0.5
         record 0 score 0.5
         remove 0/1
         the search has succeeded: StatusFull",
    );
}
