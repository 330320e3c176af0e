//! Transcripts: lines that begin with `>` happen to the planner, the others are what it does. `begins 0` stands for the
//! three steps by which trial 0 is suggested, planned and started.

use autopeft_crds::trial::FailureReason;
use autopeft_search::ledger::Event;
use serde_json::{Value, json};

use super::world::{World, failure, spec, success};

/// Plays the lines that begin with `>` and compares everything else.
pub fn check(changes: Value, transcript: &str) {
    let mut world = World::new(&changes);
    let lines = transcript.lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty());
    let expected: Vec<String> = lines.flat_map(in_full).collect();
    for line in &expected {
        if let Some(command) = line.strip_prefix("> ") {
            world.lines.push(line.clone());
            command
                .split(", ")
                .for_each(|part| happen(&mut world, &changes, part));
            world.settle().expect("no fuse");
        }
    }
    let found = world.lines.join("\n");
    assert_eq!(found, expected.join("\n"), "\nfound:\n{found}\n");
}

fn in_full(line: &str) -> Vec<String> {
    match line.strip_prefix("begins ") {
        Some(trial) => vec![
            format!("suggest {trial}"),
            format!("plan {trial}"),
            format!("start {trial}/1"),
        ],
        None => vec![line.to_owned()],
    }
}

fn happen(world: &mut World, changes: &Value, command: &str) {
    let words: Vec<&str> = command.split(' ').collect();
    let number = |word: &str| word.parse::<u32>().expect("a trial");
    match words.as_slice() {
        ["begin"] => {}
        [trial, "scores", score] => {
            world.end(number(trial), success(score.parse().expect("score")))
        }
        [trial, "fails", reason] => {
            let reason: FailureReason =
                serde_json::from_value(json!(reason)).expect("a failure reason");
            world.end(number(trial), failure(reason));
        }
        ["crash"] => world.crash(),
        ["wait", seconds] => world.wait(seconds.parse().expect("seconds")),
        ["mended"] => {
            let event = Event::Reopened;
            world.ledger.apply(&event, world.now).expect("bad input");
            world.journal.push((event, world.now));
        }
        ["exhausted"] => world.exhausted = true,
        ["converged"] => world.converged = true,
        ["ahead"] => world.ahead = true,
        ["full"] => world.full = true,
        ["gpus", gpus] => world.gpus = number(gpus),
        [field, "becomes", value] => {
            let mut changes = changes.clone();
            changes[*field] = serde_json::from_str(value).expect("JSON");
            world.spec = spec(&changes);
            let event = Event::SpecChanged(Box::new(world.spec.clone()));
            world
                .ledger
                .apply(&event, world.now)
                .expect("always possible");
            world.journal.push((event, world.now));
        }
        _ => panic!("unknown: {command}"),
    }
}

#[test]
fn trials_run_one_after_another_until_the_budget_is_spent() {
    check(
        json!({"maxTrials": 2}),
        "> begin
         begins 0
         > 0 scores 0.5
         record 0 score 0.5
         remove 0/1
         begins 1
         > 1 scores 0.75
         record 1 score 0.75
         remove 1/1
         the search has succeeded: MaxTrialsReached
         > begin",
    );
}

#[test]
fn trials_fill_the_parallelism_and_no_more() {
    check(
        json!({"maxTrials": 3, "parallelism": 2}),
        "> begin
         begins 0
         begins 1
         > 1 scores 0.5
         record 1 score 0.5
         remove 1/1
         begins 2
         > 0 scores 0.5, 2 scores 0.25
         record 0 score 0.5
         record 2 score 0.25
         remove 0/1
         remove 2/1
         the search has succeeded: MaxTrialsReached",
    );
}

#[test]
fn baselines_follow_when_every_trial_is_planned() {
    check(
        json!({"maxTrials": 1, "parallelism": 2, "baselines": ["Prefix", "FullFineTuning"]}),
        "> begin
         begins 0
         plan 1 Prefix
         start 1/1
         > 1 fails OutOfMemory
         record 1 infeasible (OutOfMemory)
         remove 1/1
         plan 2 FullFineTuning
         start 2/1
         > 0 scores 0.5, 2 scores 0.5
         record 0 score 0.5
         record 2 score 0.5
         remove 0/1
         remove 2/1
         the search has succeeded: MaxTrialsReached",
    );
}

#[test]
fn failures_of_the_surroundings_are_tried_again_within_the_budget() {
    check(
        json!({"maxTrials": 1, "maxFailedTrials": 0}),
        "> begin
         begins 0
         > 0 fails Lost
         again 0/2 (Lost)
         remove 0/1
         start 0/2
         > 0 fails NoResult
         record 0 failed (NoResult)
         remove 0/2
         the search has failed: TooManyFailedTrials",
    );
}

#[test]
fn an_interruption_costs_no_retry() {
    check(
        json!({"maxTrials": 1, "maxRetries": 0}),
        "> begin
         begins 0
         > crash
         again 0/2 (interrupted)
         start 0/2
         > crash
         again 0/3 (interrupted)
         start 0/3
         > 0 scores 0.5
         record 0 score 0.5
         remove 0/3
         the search has succeeded: MaxTrialsReached",
    );
}

#[test]
fn a_result_that_outlived_a_crash_is_recorded_and_not_measured_again() {
    check(
        json!({"maxTrials": 1}),
        "> begin
         begins 0
         > 0 scores 0.5, crash
         record 0 score 0.5
         the search has succeeded: MaxTrialsReached",
    );
}

#[test]
fn infeasible_trials_are_results() {
    check(
        json!({"maxTrials": 3, "maxFailedTrials": 1}),
        "> begin
         begins 0
         > 0 scores 0.5
         record 0 score 0.5
         remove 0/1
         begins 1
         > 1 fails OutOfMemory
         record 1 infeasible (OutOfMemory)
         remove 1/1
         begins 2
         > 2 fails NotFinite
         record 2 infeasible (NotFinite)
         remove 2/1
         the search has succeeded: MaxTrialsReached",
    );
}

#[test]
fn a_search_in_which_nothing_ever_works_ends_early() {
    check(
        json!({"maxTrials": 9, "maxFailedTrials": 1}),
        "> begin
         begins 0
         > 0 fails NotFinite
         record 0 infeasible (NotFinite)
         remove 0/1
         begins 1
         > 1 fails NotFinite
         record 1 infeasible (NotFinite)
         remove 1/1
         the search has failed: TooManyFailedTrials",
    );
}

#[test]
fn a_full_disk_is_tried_once_more_and_not_again() {
    check(
        json!({"maxTrials": 1, "maxRetries": 5, "maxFailedTrials": 0}),
        "> begin
         begins 0
         > 0 fails DiskFull
         again 0/2 (DiskFull)
         remove 0/1
         start 0/2
         > 0 fails DiskFull
         record 0 failed (DiskFull)
         remove 0/2
         the search has failed: TooManyFailedTrials",
    );
}

#[test]
fn a_trial_that_takes_too_long_is_stopped_and_is_infeasible() {
    check(
        json!({"maxTrials": 2, "trialDeadlineSeconds": 60}),
        "> begin
         begins 0
         > 0 scores 0.5
         record 0 score 0.5
         remove 0/1
         begins 1
         > wait 59
         > wait 1
         stop 1/1 (TrialDeadline)
         record 1 infeasible (DeadlineExceeded)
         remove 1/1
         the search has succeeded: MaxTrialsReached",
    );
}

#[test]
fn the_search_ends_at_its_deadline_with_what_it_has() {
    check(
        json!({"activeDeadlineSeconds": 50}),
        "> begin
         begins 0
         > wait 10, 0 scores 0.5
         record 0 score 0.5
         remove 0/1
         begins 1
         > wait 40
         stop 1/1 (NotNeeded)
         again 1/2 (interrupted)
         remove 1/1
         the search has succeeded: DeadlineExceeded
         > activeDeadlineSeconds becomes 500
         start 1/2",
    );
}

#[test]
fn a_small_space_ends_the_search_early() {
    check(
        json!({"maxTrials": 9, "baselines": ["Prefix"]}),
        "> begin
         begins 0
         > exhausted, 0 scores 0.5
         record 0 score 0.5
         remove 0/1
         suggest 1
         plan 1 Prefix
         start 1/1
         > crash
         again 1/2 (interrupted)
         start 1/2
         > 1 scores 0.5
         record 1 score 0.5
         remove 1/2
         suggest 2
         the search has succeeded: SpaceExhausted",
    );
}

#[test]
fn a_search_that_has_converged_ends_early() {
    check(
        json!({"maxTrials": 9}),
        "> begin
         begins 0
         > converged, 0 scores 0.5
         record 0 score 0.5
         remove 0/1
         the search has succeeded: Converged",
    );
}

#[test]
fn a_suspended_search_starts_nothing_and_goes_on_later() {
    check(
        json!({"maxTrials": 2}),
        "> begin
         begins 0
         > suspend becomes true
         > 0 scores 0.5
         record 0 score 0.5
         remove 0/1
         > suspend becomes false
         begins 1",
    );
}

#[test]
fn a_shrunk_parallelism_lets_what_runs_finish() {
    check(
        json!({"maxTrials": 4, "parallelism": 2}),
        "> begin
         begins 0
         begins 1
         > parallelism becomes 1
         > 0 scores 0.5
         record 0 score 0.5
         remove 0/1
         > 1 scores 0.5
         record 1 score 0.5
         remove 1/1
         begins 2",
    );
}

#[test]
fn a_finished_search_goes_on_when_its_budget_is_raised() {
    check(
        json!({"maxTrials": 1}),
        "> begin
         begins 0
         > 0 scores 0.5
         record 0 score 0.5
         remove 0/1
         the search has succeeded: MaxTrialsReached
         > crash
         > maxTrials becomes 2
         begins 1",
    );
}
