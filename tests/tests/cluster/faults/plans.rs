//! Fault plans drawn from seeds: whatever faults occur, small searches end the same.
//!
//! `AUTOPEFT_FAULT_PLANS` says how many plans are run, `AUTOPEFT_FAULT_SEED` which is the first.
//! `make soak` runs many.

use std::panic::AssertUnwindSafe;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use autopeft_integration_tests::cluster::{cluster, runtime};
use autopeft_integration_tests::plans::Plan;
use autopeft_integration_tests::stage::{Small, Stage};

/// Plans that run at the same time.
const AT_ONCE: usize = 12;

fn number(variable: &str, otherwise: u64) -> u64 {
    match std::env::var(variable) {
        Ok(text) => text.parse().expect("a number"),
        Err(_) => otherwise,
    }
}

/// The number of rules of a plan that were applied, and how long its searches took.
async fn run(plan: &Plan) -> (usize, Duration) {
    let name = format!("plan-{}", plan.seed);
    let begun = Instant::now();
    let stage = Stage::set(&name, &plan.rules).await;
    stage.begin(Small::Narrow).await;
    stage.begin(Small::Wide).await;
    stage.ends_well(Small::Narrow).await;
    stage.ends_well(Small::Wide).await;
    stage.searches.is_clean().await;
    let struck = stage.proxy.struck();
    (
        struck.iter().filter(|struck| **struck > 0).count(),
        begun.elapsed(),
    )
}

/// Rows 1 to 10 and 12, combined.
#[test]
fn searches_end_the_same_under_any_fault_plan() {
    let count = number("AUTOPEFT_FAULT_PLANS", 60);
    let first = number("AUTOPEFT_FAULT_SEED", 0);
    // The cluster and the calm runs come first: they are what is compared with.
    cluster();
    for small in [Small::Narrow, Small::Wide] {
        assert_eq!(small.story().len(), Small::TRIALS);
    }
    let plans: Mutex<Vec<Plan>> = Mutex::new((first..first + count).rev().map(Plan::of).collect());
    let next = || plans.lock().expect("a queue").pop();
    let ended = Mutex::new(Vec::new());
    std::thread::scope(|threads| {
        for _ in 0..AT_ONCE {
            threads.spawn(|| {
                while let Some(plan) = next() {
                    // The others continue, so that all failing plans are reported.
                    let once = AssertUnwindSafe(|| runtime().block_on(run(&plan)));
                    let end = std::panic::catch_unwind(once).ok();
                    ended.lock().expect("a list").push((plan, end));
                }
            });
        }
    });
    let ended = ended.into_inner().expect("a list");
    let failed: Vec<&Plan> = ended
        .iter()
        .filter(|(_, end)| end.is_none())
        .map(|(plan, _)| plan)
        .collect();
    assert!(
        failed.is_empty(),
        "{} plans failed: {failed:#?}",
        failed.len()
    );
    let ends: Vec<(usize, Duration)> = ended.iter().filter_map(|(_, end)| *end).collect();
    let longest = ends.iter().map(|(_, took)| *took).max();
    let struck = ends.iter().filter(|(rules, _)| *rules > 0).count() as u64;
    eprintln!("{count} plans, {struck} of them struck; the longest took {longest:?}");
    assert!(
        struck * 4 >= count * 3,
        "only {struck} of {count} plans struck"
    );
}
