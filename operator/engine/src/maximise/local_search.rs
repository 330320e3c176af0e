//! Local search for the best candidate: hill climbing over neighbours.
//!
//! From each start the search moves to the best neighbour until none is better, or the start's evaluations
//! are spent. A value known from an earlier start is not evaluated again. Observed and pending configurations
//! may be passed through, never chosen: the winner is the best of all candidates evaluated, wherever a climb
//! ended.

use std::collections::HashMap;

use autopeft_crds::{PeftConfiguration, SearchSpace};
use rand::Rng;
use rand::seq::SliceRandom;

use super::neighbours::neighbours;

/// A configuration and its value; larger is better.
pub type Valued = (PeftConfiguration, f64);

/// Maximises `value` over a space.
pub struct LocalSearch<'a, V> {
    space: &'a SearchSpace,
    value: V,
    known: HashMap<PeftConfiguration, f64>,
    spent: usize,
}

impl<'a, V: FnMut(&PeftConfiguration) -> f64> LocalSearch<'a, V> {
    /// A search in which nothing has been evaluated. `value` is called at most once for each
    /// configuration; NaN counts as −∞.
    pub fn new(space: &'a SearchSpace, value: V) -> Self {
        Self {
            space,
            value,
            known: HashMap::new(),
            spent: 0,
        }
    }

    /// Evaluates candidates one by one, without climbing.
    pub fn consider(&mut self, candidates: impl Iterator<Item = PeftConfiguration>) {
        for candidate in candidates {
            self.evaluate(&candidate, usize::MAX);
        }
    }

    /// How often `value` was called.
    pub fn evaluations(&self) -> usize {
        self.spent
    }

    /// Climbs from `start`, with at most `evaluations` evaluations, and returns where it ended.
    /// Neighbours for which `allowed` is false are never evaluated. They are visited in random
    /// order, so that no dimension is favoured when the evaluations run out.
    pub fn climb(
        &mut self,
        start: PeftConfiguration,
        evaluations: usize,
        allowed: impl Fn(&PeftConfiguration) -> bool,
        generator: &mut impl Rng,
    ) -> Option<Valued> {
        let limit = self.spent + evaluations;
        let mut at = (start.clone(), self.evaluate(&start, limit)?);
        loop {
            let mut around = neighbours(self.space, &at.0);
            around.shuffle(generator);
            let mut best: Option<Valued> = None;
            for neighbour in around.into_iter().filter(&allowed) {
                if let Some(value) = self.evaluate(&neighbour, limit)
                    && best.as_ref().is_none_or(|(_, most)| value > *most)
                {
                    best = Some((neighbour, value));
                }
            }
            match best {
                Some(better) if better.1 > at.1 => at = better,
                _ => return Some(at),
            }
        }
    }

    /// The best of everything evaluated for which `eligible` holds. Equal values are decided by
    /// the order of configurations, which does not depend on the path of the search.
    pub fn winner(&self, eligible: impl Fn(&PeftConfiguration) -> bool) -> Option<Valued> {
        self.known
            .iter()
            .filter(|(configuration, _)| eligible(configuration))
            .max_by(|a, b| a.1.total_cmp(b.1).then_with(|| b.0.cmp(a.0)))
            .map(|(configuration, value)| (configuration.clone(), *value))
    }

    /// The value of a configuration; `None` if it is not known and nothing is left to spend.
    fn evaluate(&mut self, configuration: &PeftConfiguration, limit: usize) -> Option<f64> {
        if let Some(value) = self.known.get(configuration) {
            return Some(*value);
        }
        if self.spent >= limit {
            return None;
        }
        self.spent += 1;
        let value = Some((self.value)(configuration))
            .filter(|value| !value.is_nan())
            .unwrap_or(f64::NEG_INFINITY);
        self.known.insert(configuration.clone(), value);
        Some(value)
    }
}
