//! Random schedules and crashes at every point. Whatever happens, the ledger ends as that of a search
//! that was left alone, an attempt is started once, and a result never changes.

use autopeft_crds::LedgerEntry;
use autopeft_crds::trial::{FailureReason, TrialOutcome};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::world::{World, failure, success};

/// What a trial comes to, by its number and how often the surroundings have failed it.
fn fate(trial: u32, failed_attempts: u32) -> TrialOutcome {
    match (trial % 7, failed_attempts) {
        (2, 0) => failure(FailureReason::Lost),
        (4, _) => failure(FailureReason::NoResult),
        (5, _) => failure(FailureReason::OutOfMemory),
        _ => success(0.5 + f64::from(trial) / 100.0),
    }
}

/// What must not depend on crashes: everything but attempts and times.
fn essence(world: &World) -> Vec<LedgerEntry> {
    let mut entries = world.ledger.entries().to_vec();
    for entry in &mut entries {
        entry.attempt = 1;
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

/// Runs a search to its end. `order` says which run ends next; a crash happens when the fuse burns
/// out, and the next fuse is taken from `fuses`.
fn play(changes: &Value, order: &[usize], fuses: &[usize]) -> World {
    let mut world = World::new(changes);
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
        let (trial, _) = running[order.next().map_or(0, |choice| choice % running.len())];
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

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
}
