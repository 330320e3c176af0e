//! The maximum of the acquisition function over the configurations within the budget.
//!
//! By a local search from members of the front and from random configurations; over all configurations
//! where they are no more than the local search may evaluate.

pub mod local_search;
pub mod neighbours;

use autopeft_crds::PeftConfiguration;
use rand::Rng;
use rand::seq::SliceRandom;

use self::local_search::{LocalSearch, Valued};
use crate::problem::canonical_set::CanonicalSet;
use crate::problem::history::History;
use crate::problem::results::front;
use crate::random::{Stream, generator};

/// The best candidate that is neither observed nor pending; `None` if none has a finite value.
pub(crate) fn maximise(
    history: &History<'_>,
    set: &CanonicalSet,
    value: impl FnMut(&PeftConfiguration) -> f64,
) -> Option<Valued> {
    let settings = &history.problem.settings;
    let mut search = LocalSearch::new(&history.problem.space, value);
    let may_evaluate = settings.restarts.saturating_mul(settings.evaluations);
    if set.count() <= may_evaluate as u128 {
        search.consider(
            set.iter()
                .filter(|candidate| !history.used.contains(candidate)),
        );
    } else {
        let mut generator = generator(history.problem.seed, Stream::LocalSearch, history.index);
        for start in starts(history, set, &mut generator) {
            search.climb(
                start,
                settings.evaluations,
                |neighbour| set.contains(neighbour),
                &mut generator,
            );
        }
    }
    search
        .winner(|candidate| !history.used.contains(candidate))
        .filter(|(_, value)| value.is_finite())
}

/// The starting points: half of them members of the front, as far as it has them, the others random.
fn starts(
    history: &History<'_>,
    set: &CanonicalSet,
    generator: &mut impl Rng,
) -> Vec<PeftConfiguration> {
    let restarts = history.problem.settings.restarts;
    // The empty model has few neighbours, so it is no starting point.
    let mut starts: Vec<PeftConfiguration> = front(history.problem, &history.observations)
        .into_iter()
        .map(|point| point.configuration)
        .filter(|configuration| !configuration.is_empty_model())
        .collect();
    starts.shuffle(generator);
    starts.truncate(restarts.div_ceil(2));
    let mut excluded = history.used.clone();
    excluded.extend(PeftConfiguration::empty(history.problem.space.layers.len()));
    excluded.extend(starts.iter().cloned());
    while starts.len() < restarts
        && let Some(drawn) = set.draw_unused(&excluded, generator)
    {
        // A second climb from one start would find every value known.
        excluded.insert(drawn.clone());
        starts.push(drawn);
    }
    starts
}
