//! What ends a search before its trials do, and what is chosen ahead.

use serde_json::json;

use super::scenarios::check;

#[test]
fn no_trial_starts_once_the_gpu_seconds_are_used_and_what_runs_goes_on() {
    check(
        json!({"maxTrials": 6, "parallelism": 2, "maxGpuSeconds": 100}),
        "> gpus 2
         begins 0
         begins 1
         > wait 20, 0 scores 0.5
         record 0 score 0.5
         remove 0/1
         begins 2
         > wait 10, 1 fails Lost
         again 1/2 (Lost)
         remove 1/1
         > wait 5, 2 scores 0.6
         record 2 score 0.6
         remove 2/1
         the search has succeeded: MaxGpuSecondsReached
         > maxGpuSeconds becomes 1000
         start 1/2
         begins 3",
    );
}

#[test]
fn seconds_of_trials_that_are_still_running_count() {
    check(
        json!({"maxTrials": 3, "parallelism": 2, "maxGpuSeconds": 50, "maxFailedTrials": 3}),
        "> gpus 1
         begins 0
         begins 1
         > wait 30, 0 fails OutOfMemory
         record 0 infeasible (OutOfMemory)
         remove 0/1
         > wait 5, 1 fails NotFinite
         record 1 infeasible (NotFinite)
         remove 1/1
         the search has failed: MaxGpuSecondsReached",
    );
}

#[test]
fn a_full_ledger_gets_no_more_trials_and_those_that_it_has_come_to_their_end() {
    check(
        json!({"maxTrials": 5, "parallelism": 2}),
        "> begin
         begins 0
         begins 1
         > full, 0 fails Lost
         again 0/2 (Lost)
         remove 0/1
         start 0/2
         > 0 scores 0.5
         record 0 score 0.5
         remove 0/2
         > 1 scores 0.6
         record 1 score 0.6
         remove 1/1
         the search has succeeded: StatusFull",
    );
}

#[test]
fn after_the_initial_design_trials_are_chosen_ahead_where_several_run() {
    check(
        json!({"maxTrials": 4, "parallelism": 2, "algorithm": {"initialTrials": 1}}),
        "> ahead
         begins 0
         begins 1
         suggest 2
         > 0 scores 0.5
         record 0 score 0.5
         remove 0/1
         plan 2
         start 2/1
         suggest 3
         > 1 scores 0.6
         record 1 score 0.6
         remove 1/1
         plan 3
         start 3/1",
    );
}

#[test]
fn where_one_trial_runs_its_result_is_waited_for() {
    check(
        json!({"maxTrials": 4, "algorithm": {"initialTrials": 2}}),
        "> ahead
         begins 0
         suggest 1
         > 0 scores 0.5
         record 0 score 0.5
         remove 0/1
         plan 1
         start 1/1
         > 1 scores 0.6
         record 1 score 0.6
         remove 1/1
         begins 2",
    );
}
