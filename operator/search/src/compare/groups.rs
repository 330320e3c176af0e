//! The kinds of a section, and which of them differ in one thing alone.

use super::kinds::{Kind, Step};
use super::run::Run;
use super::settings::{self, Settings, Strategy, Traits};

/// Kinds that differ in how they choose configurations alone.
#[derive(Clone, Debug, PartialEq)]
pub struct Race {
    /// Their places among the kinds of the section.
    pub kinds: Vec<usize>,
    /// What tells them apart.
    pub labels: Vec<String>,
    /// What they have reached after as many trials as each of them has.
    pub at_equal_trials: Vec<Step>,
    /// How often a Bayesian search has the larger hypervolume then.
    pub wins: Option<Wins>,
}

/// The pairs of one Bayesian and one random search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wins {
    /// In which the Bayesian one has the larger hypervolume.
    pub won: usize,
    /// In which both are equal.
    pub equal: usize,
    /// All of them.
    pub pairs: usize,
}

/// Kinds that differ in the space alone.
#[derive(Clone, Debug, PartialEq)]
pub struct Ablation {
    /// Their places among the kinds of the section.
    pub kinds: Vec<usize>,
    /// What tells them apart: their spaces.
    pub labels: Vec<String>,
    /// What they have reached after as many trials as each of them has.
    pub at_equal_trials: Vec<Step>,
}

/// The kinds in the order of their first searches, and the traits of each.
pub(super) fn kinds(runs: Vec<Run>, traits: &[Traits]) -> (Vec<Kind>, Vec<Traits>) {
    let mut groups: Vec<(&Traits, Vec<Run>)> = Vec::new();
    for (run, of_run) in runs.into_iter().zip(traits) {
        match groups.iter_mut().find(|(known, _)| *known == of_run) {
            Some((_, members)) => members.push(run),
            None => groups.push((of_run, vec![run])),
        }
    }
    let of_kinds: Vec<&Traits> = groups.iter().map(|(of_kind, _)| *of_kind).collect();
    let labels = settings::labels(&of_kinds);
    let spaces = settings::space_names(&of_kinds);
    let of_kinds = of_kinds.into_iter().cloned().collect();
    let kinds = groups
        .into_iter()
        .zip(labels.into_iter().zip(spaces))
        .map(|((of_kind, runs), (label, space))| Kind {
            label,
            strategy: of_kind.strategy,
            space,
            runs,
        })
        .collect();
    (kinds, of_kinds)
}

/// The places of those that share a part of their traits.
fn groups_by<'a, T: PartialEq>(
    traits: &'a [Traits],
    part: impl Fn(&'a Traits) -> T,
) -> Vec<Vec<usize>> {
    let mut groups: Vec<(T, Vec<usize>)> = Vec::new();
    for (place, of_kind) in traits.iter().enumerate() {
        let key = part(of_kind);
        match groups.iter_mut().find(|(known, _)| *known == key) {
            Some((_, members)) => members.push(place),
            None => groups.push((key, vec![place])),
        }
    }
    groups.into_iter().map(|(_, members)| members).collect()
}

/// Those with a Bayesian search and one without a surrogate.
pub(super) fn races(kinds: &[Kind], traits: &[Traits]) -> Vec<Race> {
    let groups = groups_by(traits, |of_kind| (&of_kind.space, &of_kind.training));
    let is_race = |group: &Vec<usize>| {
        let is_bayesian = |at: &&usize| kinds[**at].strategy == Strategy::Bayesian;
        let bayesian = group.iter().filter(is_bayesian).count();
        bayesian > 0 && bayesian < group.len()
    };
    let of_group = |group: Vec<usize>| Race {
        at_equal_trials: at_equal_trials(kinds, &group),
        wins: wins(kinds, &group),
        labels: labels_of(traits, &group),
        kinds: group,
    };
    groups.into_iter().filter(is_race).map(of_group).collect()
}

/// Those with two spaces or more.
pub(super) fn ablations(kinds: &[Kind], traits: &[Traits]) -> Vec<Ablation> {
    let part = |of_kind: &Traits| -> (Strategy, Settings, Settings) {
        let Traits {
            strategy,
            training,
            algorithm,
            space: _,
            space_name: _,
        } = of_kind.clone();
        // The larger the space, the more trials it is given, and the more of them initial ones.
        let algorithm = algorithm
            .into_iter()
            .filter(|(path, _)| path != "algorithm.initialTrials")
            .collect();
        (strategy, training, algorithm)
    };
    groups_by(traits, part)
        .into_iter()
        .filter(|group| {
            group
                .iter()
                .any(|at| traits[*at].space != traits[group[0]].space)
        })
        .map(|group| Ablation {
            at_equal_trials: at_equal_trials(kinds, &group),
            labels: labels_of(traits, &group),
            kinds: group,
        })
        .collect()
}

/// What tells the kinds of a group apart.
fn labels_of(traits: &[Traits], group: &[usize]) -> Vec<String> {
    let of_group: Vec<&Traits> = group.iter().map(|at| &traits[*at]).collect();
    settings::labels(&of_group)
}

fn equal_trials(kinds: &[Kind], group: &[usize]) -> usize {
    let least = group.iter().map(|at| kinds[*at].least_trials());
    least.min().unwrap_or(0)
}

fn at_equal_trials(kinds: &[Kind], group: &[usize]) -> Vec<Step> {
    let trials = equal_trials(kinds, group);
    let steps = group.iter().map(|at| kinds[*at].step(trials));
    // Each of them has so many trials.
    steps.flatten().collect()
}

fn wins(kinds: &[Kind], group: &[usize]) -> Option<Wins> {
    let last = equal_trials(kinds, group).checked_sub(1)?;
    let volumes = |wanted: Strategy| -> Vec<f64> {
        let of_kind = group.iter().map(|at| &kinds[*at]);
        let of_strategy = of_kind.filter(|kind| kind.strategy == wanted);
        let runs = of_strategy.flat_map(|kind| &kind.runs);
        runs.filter_map(|run| Some(run.trials.get(last)?.volume))
            .collect()
    };
    let (bayesian, random) = (volumes(Strategy::Bayesian), volumes(Strategy::Random));
    let pairs = || {
        let left = bayesian.iter();
        left.flat_map(|one| random.iter().map(move |other| (one, other)))
    };
    let count = pairs().count();
    (count > 0).then(|| Wins {
        won: pairs().filter(|(one, other)| one > other).count(),
        equal: pairs().filter(|(one, other)| one == other).count(),
        pairs: count,
    })
}
