//! Trainings on other tasks: transcripts as in `scenarios`.

use serde_json::{Value, json};

use super::scenarios::check;

fn task(name: &str) -> Value {
    json!({"name": name, "task": {"name": name, "source": {"path": name}}})
}

/// A search of one trial whose configuration is trained in full and on other tasks.
fn search(tasks: &[&str], seeds: u32) -> Value {
    let tasks: Vec<Value> = tasks.iter().map(|name| task(name)).collect();
    json!({
        "maxTrials": 1,
        "promotion": {"candidates": "NamedTrials", "trials": [0], "seeds": seeds},
        "transfer": {"tasks": tasks},
    })
}

#[test]
fn other_tasks_follow_the_trainings_in_full_with_the_same_seeds_and_baselines() {
    let mut search = search(&["mrpc", "cola"], 2);
    search["promotion"]["baselines"] = json!(["SerialAdapter"]);
    search["parallelism"] = json!(4);
    search["maxTrials"] = json!(4);
    check(
        search,
        "> begin
         begins 0
         begins 1
         begins 2
         begins 3
         > 0 scores 0.5, 1 scores 0.1, 2 scores 0.1, 3 scores 0.1
         record 0 score 0.5
         record 1 score 0.1
         record 2 score 0.1
         record 3 score 0.1
         remove 0/1
         remove 1/1
         remove 2/1
         remove 3/1
         promote 4 0 seed 43
         start 4/1
         promote 5 0 seed 44
         start 5/1
         promote 6 SerialAdapter seed 43
         start 6/1
         promote 7 SerialAdapter seed 44
         start 7/1
         > 4 scores 0.6, 5 scores 0.6, 6 scores 0.6, 7 scores 0.6
         record 4 score 0.6
         record 5 score 0.6
         record 6 score 0.6
         record 7 score 0.6
         remove 4/1
         remove 5/1
         remove 6/1
         remove 7/1
         move 8 0 to mrpc seed 43
         start 8/1
         move 9 0 to mrpc seed 44
         start 9/1
         move 10 SerialAdapter to mrpc seed 43
         start 10/1
         move 11 SerialAdapter to mrpc seed 44
         start 11/1
         > 8 scores 0.6, 9 scores 0.6, 10 scores 0.6, 11 scores 0.6
         record 8 score 0.6
         record 9 score 0.6
         record 10 score 0.6
         record 11 score 0.6
         remove 8/1
         remove 9/1
         remove 10/1
         remove 11/1
         move 12 0 to cola seed 43
         start 12/1
         move 13 0 to cola seed 44
         start 13/1
         move 14 SerialAdapter to cola seed 43
         start 14/1
         move 15 SerialAdapter to cola seed 44
         start 15/1
         > 12 scores 0.6, 13 scores 0.6, 14 scores 0.6, 15 scores 0.6
         record 12 score 0.6
         record 13 score 0.6
         record 14 score 0.6
         record 15 score 0.6
         remove 12/1
         remove 13/1
         remove 14/1
         remove 15/1
         the search has succeeded: MaxTrialsReached",
    );
}

#[test]
fn a_killed_training_on_another_task_is_started_again_and_bad_data_ends_only_its_own() {
    check(
        search(&["mrpc", "cola"], 1),
        "> begin
         begins 0
         > 0 scores 0.5
         record 0 score 0.5
         remove 0/1
         promote 1 0 seed 43
         start 1/1
         > 1 scores 0.6
         record 1 score 0.6
         remove 1/1
         move 2 0 to mrpc seed 43
         start 2/1
         > crash
         again 2/2 (interrupted)
         start 2/2
         > 2 fails BadInput
         record 2 failed (BadInput)
         remove 2/2
         move 3 0 to cola seed 43
         start 3/1
         > 3 scores 0.6
         record 3 score 0.6
         remove 3/1
         the search has succeeded: MaxTrialsReached
         > retryTrials becomes [2,3]
         move 4 0 to mrpc seed 43
         start 4/1
         > 4 scores 0.6
         record 4 score 0.6
         remove 4/1
         the search has succeeded: MaxTrialsReached",
    );
}

#[test]
fn other_tasks_can_be_asked_for_after_the_end_and_withdrawn() {
    let mut changes = search(&[], 1);
    changes["transfer"] = Value::Null;
    check(
        changes,
        r#"> begin
         begins 0
         > 0 scores 0.5
         record 0 score 0.5
         remove 0/1
         promote 1 0 seed 43
         start 1/1
         > 1 scores 0.6
         record 1 score 0.6
         remove 1/1
         the search has succeeded: MaxTrialsReached
         > transfer becomes {"tasks":[{"name":"a","task":{"name":"mrpc","source":{"path":"a"}}}]}
         move 2 0 to mrpc seed 43
         start 2/1
         > transfer becomes {"tasks":[{"name":"b","task":{"name":"mrpc","source":{"path":"b"}}}]}
         record 2 failed (Withdrawn)
         stop 2/1 (NotNeeded)
         move 3 0 to mrpc seed 43
         remove 2/1
         start 3/1
         > 3 scores 0.6
         record 3 score 0.6
         remove 3/1
         the search has succeeded: MaxTrialsReached
         > transfer becomes {"tasks":[{"name":"c","task":{"name":"mrpc","source":{"path":"b"}}}]}
         the search has succeeded: MaxTrialsReached
         > transfer becomes {"tasks":[{"name":"a","task":{"name":"mrpc","source":{"path":"a"}}}]}
         move 4 0 to mrpc seed 43
         start 4/1
         > transfer becomes null
         record 4 failed (Withdrawn)
         stop 4/1 (NotNeeded)
         remove 4/1
         the search has succeeded: MaxTrialsReached"#,
    );
}

#[test]
fn the_limits_of_a_search_hold_on_other_tasks() {
    let mut suspended = search(&["mrpc"], 1);
    suspended["promotion"]["trialDeadlineSeconds"] = json!(300);
    check(
        suspended,
        "> begin
         begins 0
         > 0 scores 0.5
         record 0 score 0.5
         remove 0/1
         promote 1 0 seed 43
         start 1/1
         > suspend becomes true, 1 scores 0.6
         record 1 score 0.6
         remove 1/1
         > suspend becomes false
         move 2 0 to mrpc seed 43
         start 2/1
         > wait 299
         > wait 1
         stop 2/1 (TrialDeadline)
         record 2 infeasible (DeadlineExceeded)
         remove 2/1
         the search has succeeded: MaxTrialsReached
         > retryTrials becomes [2]
         move 3 0 to mrpc seed 43
         start 3/1",
    );
    let mut bounded = search(&["mrpc"], 1);
    bounded["maxGpuSeconds"] = json!(20);
    check(
        bounded,
        "> gpus 1
         begins 0
         > wait 9, 0 scores 0.5
         record 0 score 0.5
         remove 0/1
         promote 1 0 seed 43
         start 1/1
         > wait 11, 1 scores 0.6
         record 1 score 0.6
         remove 1/1
         the search has succeeded: MaxGpuSecondsReached",
    );
    check(
        search(&["mrpc"], 1),
        "> begin
         begins 0
         > 0 scores 0.5
         record 0 score 0.5
         remove 0/1
         promote 1 0 seed 43
         start 1/1
         > full, 1 scores 0.6
         record 1 score 0.6
         remove 1/1
         the search has succeeded: StatusFull",
    );
}
