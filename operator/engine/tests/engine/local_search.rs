//! The local search, with the three defects of the released code as regressions.

use std::collections::HashSet;

use autopeft_crds::{Module, PeftConfiguration};
use autopeft_engine::maximise::local_search::LocalSearch;
use autopeft_engine::maximise::neighbours::neighbours;
use autopeft_engine::problem::canonical_set::CanonicalSet;
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;

use crate::searches::{base, score};

#[test]
fn the_winner_is_recorded_with_its_own_value_not_that_of_a_start() {
    let space = base();
    let set = CanonicalSet::new(&space, None);
    let mut generator = ChaCha8Rng::seed_from_u64(3);
    let mut search = LocalSearch::new(&space, score);
    let none = HashSet::new();
    for _ in 0..5 {
        let start = set.draw_unused(&none, &mut generator).expect("a start");
        let (end, value) = search
            .climb(start.clone(), 100, |_| true, &mut generator)
            .expect("a value");
        assert_eq!(value, score(&end));
        assert!(value >= score(&start));
    }
    let (winner, value) = search.winner(|_| true).expect("a winner");
    assert_eq!(value, score(&winner));
}

#[test]
fn a_climb_ends_where_no_neighbour_is_better() {
    let space = base();
    let set = CanonicalSet::new(&space, None);
    let mut generator = ChaCha8Rng::seed_from_u64(4);
    let mut search = LocalSearch::new(&space, score);
    let start = set
        .draw_unused(&HashSet::new(), &mut generator)
        .expect("a start");
    let (end, value) = search
        .climb(start, 10_000, |_| true, &mut generator)
        .expect("a value");
    assert!(
        neighbours(&space, &end)
            .iter()
            .all(|other| score(other) <= value)
    );
    // Each step is to a neighbour: with one move's evaluations, the end is one change away.
    let start = set
        .draw_unused(&HashSet::new(), &mut generator)
        .expect("a start");
    let around = neighbours(&space, &start);
    let mut search = LocalSearch::new(&space, score);
    let (end, _) = search
        .climb(start.clone(), 1 + around.len(), |_| true, &mut generator)
        .expect("a value");
    assert!(end == start || around.contains(&end));
}

#[test]
fn what_was_evaluated_before_is_passed_through_but_never_wins() {
    let space = base();
    let mut generator = ChaCha8Rng::seed_from_u64(5);
    let set = CanonicalSet::new(&space, None);
    let start = set
        .draw_unused(&HashSet::new(), &mut generator)
        .expect("a start");
    let mut search = LocalSearch::new(&space, score);
    let (top, _) = search
        .climb(start.clone(), 10_000, |_| true, &mut generator)
        .expect("a value");
    let used = HashSet::from([top.clone(), start]);
    let (winner, value) = search.winner(|c| !used.contains(c)).expect("a winner");
    assert!(!used.contains(&winner) && value <= score(&top));
}

#[test]
fn evaluations_are_counted_and_known_values_are_free() {
    let space = base();
    let set = CanonicalSet::new(&space, None);
    let mut generator = ChaCha8Rng::seed_from_u64(6);
    let start = set
        .draw_unused(&HashSet::new(), &mut generator)
        .expect("a start");
    let mut asked = HashSet::new();
    let mut search = LocalSearch::new(&space, |c: &PeftConfiguration| {
        assert!(asked.insert(c.clone()), "{c} asked twice");
        if c.size(Module::Prefix) == 0 {
            f64::NAN
        } else {
            score(c)
        }
    });
    search.climb(start.clone(), 100, |_| true, &mut generator);
    let spent = search.evaluations();
    assert!(spent <= 100);
    search.climb(start, 100, |_| true, &mut generator);
    assert!(search.evaluations() <= 200);
    let (_, value) = search.winner(|_| true).expect("a winner");
    assert!(value.is_finite());
}
