//! Searches that differ in seeds alone, and what they reach by number of trials.

use super::run::{Run, best_within};
use super::settings::Strategy;
use super::spread::Spread;

/// Searches that differ in seeds alone.
#[derive(Clone, Debug, PartialEq)]
pub struct Kind {
    /// What tells it from the others of its section.
    pub label: String,
    /// How it chooses configurations.
    pub strategy: Strategy,
    /// What it searches.
    pub space: String,
    /// The searches.
    pub runs: Vec<Run>,
}

/// What the searches of a kind have reached after so many trials.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// The finished trials of each search.
    pub trials: usize,
    /// The best score; nothing while a search of the kind has none.
    pub best: Option<Spread>,
    /// The hypervolume.
    pub volume: Spread,
}

impl Kind {
    /// The trials that each of its searches has.
    pub fn least_trials(&self) -> usize {
        self.runs
            .iter()
            .map(|run| run.trials.len())
            .min()
            .unwrap_or(0)
    }

    /// What they have reached after this many trials; `None` where a search has fewer.
    pub fn step(&self, trials: usize) -> Option<Step> {
        let place = trials.checked_sub(1)?;
        let at: Vec<_> = self
            .runs
            .iter()
            .map(|run| run.trials.get(place))
            .collect::<Option<_>>()?;
        let scores: Option<Vec<f64>> = at.iter().map(|trial| trial.best).collect();
        Some(Step {
            trials,
            best: scores.and_then(Spread::of),
            volume: Spread::of(at.iter().map(|trial| trial.volume))?,
        })
    }

    /// What they have reached after each number of trials that each of them has.
    pub fn steps(&self) -> Vec<Step> {
        (1..=self.least_trials())
            .filter_map(|trials| self.step(trials))
            .collect()
    }

    /// The best score of each search.
    pub fn best(&self) -> Option<Spread> {
        let best = |run: &Run| run.front.last().map(|member| member.score);
        Spread::of(self.runs.iter().filter_map(best))
    }

    /// The hypervolume at the end of each search.
    pub fn volume(&self) -> Option<Spread> {
        let last = |run: &Run| run.trials.last().map(|trial| trial.volume);
        Spread::of(self.runs.iter().filter_map(last))
    }

    /// The best score within a budget, of the searches that have one.
    pub fn within(&self, budget: f64) -> Option<Spread> {
        let best = |run: &Run| best_within(&run.front, budget).map(|member| member.score);
        Spread::of(self.runs.iter().filter_map(best))
    }
}
