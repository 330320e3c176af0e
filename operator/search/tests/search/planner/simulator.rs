//! Random schedules and crashes at every point. Whatever happens, the ledger ends as that of a search
//! that was left alone, an attempt is started once, and a result never changes.

use std::collections::BTreeSet;

use autopeft_crds::LedgerEntry;
use autopeft_crds::spec::{BaselineName, FidelitySpec, TaskName, TaskSpec};
use autopeft_crds::status::{TrialOrigin, TrialPurpose, TrialState, TrialTerms};
use autopeft_crds::trial::{FailureReason, TrialOutcome};
use autopeft_search::ledger::{Event, Planned};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::world::{World, failure, spec, success};

/// What a trial comes to, by its number and how often the surroundings have failed it.
fn fate(trial: u32, failed_attempts: u32) -> TrialOutcome {
    match (trial % 7, failed_attempts) {
        (2, 0) => failure(FailureReason::Lost),
        (4, _) => failure(FailureReason::NoResult),
        (5, _) => failure(FailureReason::OutOfMemory),
        _ => success(0.5 + f64::from(trial) / 100.0),
    }
}

/// What must not depend on crashes: everything but attempts, their runs and times.
fn essence(world: &World) -> Vec<LedgerEntry> {
    let mut entries = world.ledger.entries().to_vec();
    for entry in &mut entries {
        entry.attempt = 1;
        entry.run = None;
        entry.planned_at = None;
        entry.finished_at = None;
    }
    entries
}

fn check_invariants(world: &World, settled: &mut Vec<LedgerEntry>) {
    let running = world.running().len();
    assert!(
        running <= world.spec.parallelism as usize,
        "{running} runs at once"
    );
    let mut starts = world.starts.clone();
    starts.sort_unstable();
    starts.dedup();
    assert_eq!(starts.len(), world.starts.len(), "an attempt started twice");
    for entry in world.ledger.entries() {
        match settled.iter().find(|known| known.trial == entry.trial) {
            Some(known) => assert_eq!(known, entry, "a result changed"),
            None if entry.state.is_final() => settled.push(entry.clone()),
            None => {}
        }
    }
}

/// Runs a search to its end. `order` says which run goes on next; a crash happens when the fuse burns
/// out, and the next fuse is taken from `fuses`.
fn play(changes: &Value, order: &[usize], fuses: &[usize]) -> World {
    carry_on(World::new(changes), order, fuses)
}

fn carry_on(mut world: World, order: &[usize], fuses: &[usize]) -> World {
    let mut fuses = fuses.iter();
    let mut order = order.iter().cycle();
    let mut settled = Vec::new();
    world.fuse = fuses.next().copied();
    for _ in 0..10_000 {
        if world.settle().is_err() {
            world.crash();
            world.fuse = fuses.next().copied();
            check_invariants(&world, &mut settled);
            continue;
        }
        check_invariants(&world, &mut settled);
        let running = world.running();
        if running.is_empty() {
            assert!(world.ledger.conclusion().is_some(), "it stands still");
            return world;
        }
        let (_, trial) = running[order.next().map_or(0, |choice| choice % running.len())];
        let failed = world.ledger.entry(trial).expect("a trial").failed_attempts;
        world.end(trial, fate(trial, failed));
        world.wait(1);
    }
    panic!("the search never ends");
}

fn search(parallelism: u32) -> Value {
    json!({
        "maxTrials": 12,
        "parallelism": parallelism,
        "maxRetries": 1,
        "maxFailedTrials": 5,
        "baselines": ["SerialAdapter", "Prefix"],
    })
}

#[test]
fn a_crash_at_any_point_changes_nothing() {
    let alone = play(&search(1), &[0], &[]);
    assert_eq!(alone.ledger.entries().len(), 14);
    for point in 0..alone.steps {
        let crashed = play(&search(1), &[0], &[point]);
        assert_eq!(essence(&crashed), essence(&alone), "crash at {point}");
    }
}

#[test]
fn two_crashes_at_any_points_change_nothing() {
    let alone = play(&search(1), &[0], &[]);
    for first in (0..alone.steps).step_by(3) {
        for second in 0..12 {
            let crashed = play(&search(1), &[0], &[first, second]);
            assert_eq!(essence(&crashed), essence(&alone), "{first}, then {second}");
        }
    }
}

/// The same search with the trials that ran out of memory tried again.
fn with_retries(mut search: Value) -> Value {
    search["retryTrials"] = json!([5, 12, 0, 99]);
    search
}

#[test]
fn a_crash_at_any_point_changes_nothing_about_a_trial_that_is_tried_again() {
    let search = with_retries(search(1));
    let alone = play(&search, &[0], &[]);
    // Those of the search, two baselines and the retries of trials 5 and 12.
    assert_eq!(alone.ledger.entries().len(), 16);
    assert_eq!(alone.ledger.search_trials().count(), 12);
    assert_eq!(alone.ledger.entries()[6].of_trial, Some(5));
    for point in 0..alone.steps {
        let crashed = play(&search, &[0], &[point]);
        assert_eq!(essence(&crashed), essence(&alone), "crash at {point}");
    }
}

/// The search, once it has ended, with its limits raised.
fn raised(world: World) -> World {
    let changes = with_retries(search(world.spec.parallelism));
    edited(world, &changes)
}

/// The same search with trainings in full.
fn with_promotion(mut search: Value) -> Value {
    search["promotion"] = json!({
        "seeds": 2, "maxConfigurations": 3, "trials": [8, 4], "baselines": ["Prefix"], "epochs": 3,
    });
    search
}

/// The same search with trainings on two other tasks.
fn with_transfer(search: Value) -> Value {
    let mut search = with_promotion(search);
    let other =
        |name: &str| json!({"name": name, "task": {"name": name, "source": {"path": name}}});
    search["transfer"] = json!({"tasks": [other("mrpc"), other("cola")]});
    search
}

/// The search, once it has ended, with a spec of these changes.
fn edited(mut world: World, changes: &Value) -> World {
    world.spec = spec(changes);
    let event = Event::SpecChanged(Box::new(world.spec.clone()));
    world
        .ledger
        .apply(&event, world.now)
        .expect("it may change");
    world.journal.push((event, world.now));
    world
}

/// A search left alone, and the same in this order and with these fuses: from the beginning or, where it ends with the
/// changes `before` first, edited after its end.
fn asked_for(
    changes: &Value,
    before: Option<Value>,
    trials_per_run: usize,
    (order, fuses): (&[usize], &[usize]),
) -> (World, World) {
    let begin = |changes: &Value, order: &[usize], fuses: &[usize]| {
        let mut world = World::new(changes);
        world.trials_per_run = trials_per_run;
        carry_on(world, order, fuses)
    };
    let world = match before {
        Some(before) => carry_on(edited(begin(&before, order, fuses), changes), order, fuses),
        None => begin(changes, order, fuses),
    };
    (begin(changes, &[0], &[]), world)
}

/// The trial or the baseline that is trained in full, the seed, and how it ended.
type Promoted = (Option<u32>, Option<BaselineName>, Option<u64>, TrialState);

/// What each training in full trains, and how it ended.
fn promotions(world: &World) -> Vec<Promoted> {
    let entries = world.ledger.entries().iter();
    let promotions = entries.filter(|entry| entry.purpose() == TrialPurpose::Promotion);
    promotions
        .map(|entry| {
            let seed = entry.terms.as_ref().and_then(|terms| terms.seed);
            (entry.of_trial, entry.baseline, seed, entry.state)
        })
        .collect()
}

#[test]
fn a_crash_at_any_point_changes_nothing_about_trainings_in_full() {
    let alone = play(&with_promotion(search(1)), &[0], &[]);
    let promoted = promotions(&alone);
    // Trial 4 has no score.
    let of = |trial| promoted.iter().filter(|found| found.0 == trial).count();
    assert_eq!((of(Some(4)), of(Some(8)), of(None)), (0, 2, 2));
    assert!(promoted.len() >= 8, "{promoted:?}");
    assert!(
        promoted
            .iter()
            .all(|found| matches!(found.2, Some(43 | 44)))
    );
    for point in 0..alone.steps {
        let crashed = play(&with_promotion(search(1)), &[0], &[point]);
        assert_eq!(essence(&crashed), essence(&alone), "crash at {point}");
    }
}

#[test]
fn the_search_is_what_it_is_without_trainings_in_full() {
    let without = essence(&play(&search(1), &[0], &[]));
    let with = essence(&play(&with_promotion(search(1)), &[0], &[]));
    assert_eq!(with[..without.len()], without[..]);
}

/// What each training on another task trains, on which, and how it ended.
fn transfers(world: &World) -> Vec<(Promoted, TaskName)> {
    let entries = world.ledger.entries().iter();
    let transfers = entries.filter(|entry| entry.purpose() == TrialPurpose::Transfer);
    transfers
        .map(|entry| {
            let terms = entry.terms.as_ref().expect("terms");
            let what = (entry.of_trial, entry.baseline, terms.seed, entry.state);
            (what, terms.task.as_ref().expect("a task").name)
        })
        .collect()
}

#[test]
fn a_crash_at_any_point_changes_nothing_about_trainings_on_other_tasks() {
    let alone = play(&with_transfer(search(1)), &[0], &[]);
    let (promoted, moved) = (promotions(&alone), transfers(&alone));
    assert_eq!(moved.len(), 2 * promoted.len());
    let on = |name| {
        let of_task = moved.iter().filter(move |(_, task)| *task == name);
        of_task.map(|((trial, baseline, seed, _), _)| (*trial, *baseline, *seed))
    };
    let what = promoted.iter().map(|found| (found.0, found.1, found.2));
    assert!(on(TaskName::Mrpc).eq(what.clone()) && on(TaskName::Cola).eq(what));
    for point in 0..alone.steps {
        let crashed = play(&with_transfer(search(1)), &[0], &[point]);
        assert_eq!(essence(&crashed), essence(&alone), "crash at {point}");
    }
}

#[test]
fn the_trainings_in_full_are_what_they_are_without_other_tasks() {
    let without = essence(&play(&with_promotion(search(1)), &[0], &[]));
    let with = essence(&play(&with_transfer(search(1)), &[0], &[]));
    assert_eq!(with[..without.len()], without[..]);
}

/// A ledger in which trial 0 is the search's, and 1 to 4 are promotions of it and transfers.
fn with_all_purposes(parallelism: u32, trials_per_run: usize) -> World {
    let mut search = search(parallelism);
    search["promotion"] = json!({"candidates": "NamedTrials", "trials": [0], "seeds": 2});
    let task = json!({"name": "mrpc", "source": {"path": "other"}});
    search["transfer"] = json!({"tasks": [{"name": "mrpc", "task": task}]});
    let mut world = World::new(&search);
    world.trials_per_run = trials_per_run;
    world.planned_by_another(world.suggestion(0));
    let task: TaskSpec = serde_json::from_value(task).expect("a task");
    for (trial, origin) in [
        (1, TrialOrigin::Promotion),
        (2, TrialOrigin::Transfer),
        (3, TrialOrigin::Promotion),
        (4, TrialOrigin::Transfer),
    ] {
        let is_transfer = origin == TrialOrigin::Transfer;
        let in_full = FidelitySpec {
            epochs: 20,
            ..FidelitySpec::default()
        };
        let terms = TrialTerms {
            evaluation: None,
            fidelity: Some(in_full),
            seed: Some(if trial < 3 { 43 } else { 44 }),
            learning_rate: None,
            patience: None,
            task: is_transfer.then(|| task.clone()),
        };
        world.planned_by_another(Planned {
            origin,
            of_trial: Some(0),
            terms: Some(Box::new(terms)),
            ..world.suggestion(trial)
        });
    }
    world
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// Whatever shares a run: the ledger ends as that of a search that starts each trial by itself.
    #[test]
    fn runs_of_several_trials_end_like_runs_of_one(
        parallelism in 2_u32..5,
        trials_per_run in 2_usize..4,
        order in prop::collection::vec(0_usize..8, 1..20),
        fuses in prop::collection::vec(0_usize..40, 0..12),
    ) {
        let alone = play(&search(parallelism), &[0], &[]);
        let mut world = World::new(&search(parallelism));
        world.trials_per_run = trials_per_run;
        let world = carry_on(world, &order, &fuses);
        prop_assert_eq!(essence(&world), essence(&alone));
        let is_shared = world.journal.iter().any(|(event, _)| matches!(event, Event::Joined { .. }));
        prop_assert!(is_shared, "no run was shared");
    }

    /// A promotion and a transfer that somebody has planned come to their ends by the same rules, and the search
    /// around them is what it is without them.
    #[test]
    fn trials_of_all_purposes_end_by_the_same_rules(
        parallelism in 2_u32..5,
        trials_per_run in 1_usize..4,
        order in prop::collection::vec(0_usize..8, 1..20),
        fuses in prop::collection::vec(0_usize..40, 0..12),
    ) {
        let world = carry_on(with_all_purposes(parallelism, trials_per_run), &order, &fuses);
        let alone = carry_on(with_all_purposes(parallelism, 1), &[0], &[]);
        prop_assert_eq!(essence(&world), essence(&alone));
        let ledger = &world.ledger;
        prop_assert_eq!(ledger.search_trials().count(), 12);
        let states: Vec<TrialState> = ledger.entries()[1..5].iter().map(|entry| entry.state).collect();
        prop_assert_eq!(states, [TrialState::Succeeded, TrialState::Succeeded, TrialState::Succeeded, TrialState::Failed]);
        prop_assert_eq!(ledger.entries()[2].failed_attempts, 1);
        let alone = ledger.entries().iter().filter(|entry| entry.purpose() != TrialPurpose::Search);
        prop_assert!(alone.into_iter().all(|entry| entry.run.is_none()));
    }

    /// Trainings on other tasks, asked for from the beginning or after the end, in whatever order they end.
    #[test]
    fn any_schedule_of_trainings_on_other_tasks_with_any_crashes_ends_the_same(
        parallelism in 1_u32..6,
        trials_per_run in 1_usize..4,
        order in prop::collection::vec(0_usize..8, 1..20),
        fuses in prop::collection::vec(0_usize..80, 0..16),
        is_late in any::<bool>(),
    ) {
        let changes = with_transfer(search(parallelism));
        let before = is_late.then(|| with_promotion(search(parallelism)));
        let (alone, world) = asked_for(&changes, before, trials_per_run, (&order, &fuses));
        prop_assert_eq!(essence(&world), essence(&alone));
        let moved = transfers(&world);
        prop_assert!(moved.iter().all(|((.., state), _)| state.is_final()));
        let once: BTreeSet<String> = moved.iter().map(|found| format!("{found:?}")).collect();
        prop_assert_eq!(once.len(), moved.len());
    }

    /// Trainings in full, asked for from the beginning or after the end, in whatever order they end.
    #[test]
    fn any_schedule_of_trainings_in_full_with_any_crashes_ends_the_same(
        parallelism in 1_u32..6,
        trials_per_run in 1_usize..4,
        order in prop::collection::vec(0_usize..8, 1..20),
        fuses in prop::collection::vec(0_usize..60, 0..16),
        is_late in any::<bool>(),
    ) {
        let changes = with_promotion(search(parallelism));
        let before = is_late.then(|| search(parallelism));
        let (alone, world) = asked_for(&changes, before, trials_per_run, (&order, &fuses));
        prop_assert_eq!(essence(&world), essence(&alone));
        let promoted = promotions(&world);
        prop_assert!(promoted.iter().all(|found| found.3.is_final()));
        let once: BTreeSet<String> = promoted.iter().map(|found| format!("{found:?}")).collect();
        prop_assert_eq!(once.len(), promoted.len());
        let alone = world.ledger.entries().iter().filter(|entry| entry.purpose() != TrialPurpose::Search);
        prop_assert!(alone.into_iter().all(|entry| entry.run.is_none()));
    }

    #[test]
    fn any_schedule_with_any_crashes_ends_the_same(
        parallelism in 1_u32..6,
        order in prop::collection::vec(0_usize..8, 1..20),
        fuses in prop::collection::vec(0_usize..40, 0..12),
    ) {
        let alone = play(&search(parallelism), &[0], &[]);
        let world = play(&search(parallelism), &order, &fuses);
        prop_assert_eq!(essence(&world), essence(&alone));
    }

    /// Trials of an ended search that are tried again, in whatever order they end: the results of the others stay.
    #[test]
    fn any_schedule_of_retries_with_any_crashes_ends_the_same(
        parallelism in 1_u32..6,
        order in prop::collection::vec(0_usize..8, 1..20),
        fuses in prop::collection::vec(0_usize..40, 0..12),
    ) {
        let before = play(&search(parallelism), &order, &fuses);
        let results = essence(&before);
        let world = carry_on(raised(before), &order, &fuses);
        let alone = carry_on(raised(play(&search(parallelism), &[0], &[])), &[0], &[]);
        prop_assert_eq!(essence(&world), essence(&alone));
        prop_assert_eq!(&essence(&world)[..results.len()], &results[..]);
        let retried: Vec<_> = world.ledger.entries().iter().filter_map(LedgerEntry::retries).collect();
        prop_assert_eq!(retried, [5]);
        let mut states = world.ledger.search_trials().map(|entry| entry.state);
        prop_assert!(states.all(|state| state != TrialState::Infeasible));
    }
}
