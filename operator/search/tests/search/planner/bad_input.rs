//! Bad input ends a search, and a mended one goes on with it: transcripts as in `scenarios`.

use serde_json::json;

use super::scenarios::check;

#[test]
fn bad_input_ends_the_search_and_what_runs_is_stopped() {
    check(
        json!({"parallelism": 2}),
        "> begin
         begins 0
         begins 1
         > 0 fails BadInput
         again 0/2 (BadInput)
         stop 1/1 (NotNeeded)
         remove 0/1
         again 1/2 (interrupted)
         remove 1/1
         the search has failed: BadInput
         > crash",
    );
}

#[test]
fn a_search_that_bad_input_has_ended_goes_on_when_the_input_is_mended() {
    check(
        json!({"maxTrials": 1, "maxRetries": 0}),
        "> begin
         begins 0
         > 0 fails BadInput
         again 0/2 (BadInput)
         remove 0/1
         the search has failed: BadInput
         > crash, mended
         start 0/2
         > 0 fails BadInput, crash
         again 0/3 (interrupted)
         start 0/3
         > 0 fails BadInput
         again 0/4 (BadInput)
         remove 0/3
         the search has failed: BadInput
         > crash, mended
         start 0/4
         > 0 scores 0.5
         record 0 score 0.5
         remove 0/4
         the search has succeeded: MaxTrialsReached",
    );
}

#[test]
fn two_trials_with_bad_input_are_both_tried_again() {
    check(
        json!({"maxTrials": 2, "parallelism": 2}),
        "> begin
         begins 0
         begins 1
         > 0 fails BadInput, 1 fails BadInput
         again 0/2 (BadInput)
         again 1/2 (BadInput)
         remove 0/1
         remove 1/1
         the search has failed: BadInput
         > crash, mended
         start 0/2
         start 1/2",
    );
}

#[test]
fn bad_input_of_a_baseline_ends_the_baseline_alone() {
    check(
        json!({"maxTrials": 1, "baselines": ["Prefix"]}),
        "> begin
         begins 0
         > 0 scores 0.5
         record 0 score 0.5
         remove 0/1
         plan 1 Prefix
         start 1/1
         > 1 fails BadInput
         record 1 failed (BadInput)
         remove 1/1
         the search has succeeded: MaxTrialsReached",
    );
}
