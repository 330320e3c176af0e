//! Baselines over the searches of a section, and the methods that choose layers.

use std::collections::BTreeSet;

use autopeft_crds::spec::BaselineName;

use super::kinds::Kind;
use super::run::{InFull, Run, best_within};
use super::settings::{Settings, Traits, differing, shown};
use super::spread::Spread;

/// One baseline, trained alike by one search or several.
#[derive(Clone, Debug, PartialEq)]
pub struct MethodGroup {
    /// Its name, with the settings in which it was trained where they differ in the section.
    pub title: String,
    /// Which baseline.
    pub name: BaselineName,
    /// Whether it was trained in full, over several seeds; else at the fidelity of a search.
    pub in_full: bool,
    /// The scores: one of each search; in full, the means over the seeds.
    pub score: Spread,
    /// The largest standard deviation over the seeds.
    pub deviation: Option<f64>,
    /// The trainable parameters, which differ where the method chooses the layers itself.
    pub parameters: Spread,
    /// The same in percent of the backbone's.
    pub percent: Spread,
    /// The layers that carry its modules.
    pub layers: Spread,
}

/// A row of the table of methods that choose layers.
#[derive(Clone, Debug, PartialEq)]
pub struct Method {
    /// A kind of search, or a baseline.
    pub title: String,
    /// Whether it is a search; its row is then that of its best configuration within the budget.
    pub is_search: bool,
    /// Whether it was trained in full, over several seeds.
    pub in_full: bool,
    /// Whether it has more parameters than the budget allows.
    pub is_over: bool,
    /// The score.
    pub score: Spread,
    /// Trainable parameters in percent of the backbone's.
    pub percent: Spread,
    /// The layers that carry modules.
    pub layers: Spread,
}

/// One score of a baseline.
struct Measured<'a> {
    name: BaselineName,
    in_full: bool,
    settings: &'a Settings,
    of: &'a super::run::Scored,
    deviation: Option<f64>,
}

/// The baselines of all searches. Those of searches with other settings are told apart.
pub(super) fn methods(kinds: &[Kind], traits: &[Traits]) -> Vec<MethodGroup> {
    let differing = differing(traits.iter().map(|of_kind| &of_kind.training));
    let mut groups: Vec<Vec<Measured<'_>>> = Vec::new();
    let pairs = kinds.iter().zip(traits);
    for measured in
        pairs.flat_map(|(kind, of_kind)| kind.runs.iter().flat_map(|run| measured(run, of_kind)))
    {
        let is_alike = |group: &&mut Vec<Measured<'_>>| {
            group.first().is_some_and(|first| {
                (first.name, first.in_full) == (measured.name, measured.in_full)
                    && first.settings == measured.settings
            })
        };
        match groups.iter_mut().find(is_alike) {
            Some(group) => group.push(measured),
            None => groups.push(vec![measured]),
        }
    }
    let mut methods: Vec<MethodGroup> = groups
        .iter()
        .filter_map(|group| of_group(group, &differing))
        .collect();
    methods.sort_by_key(|group| (group.in_full, group.name));
    methods
}

fn measured<'a>(run: &'a Run, traits: &'a Traits) -> Vec<Measured<'a>> {
    let settings = &traits.training;
    let beside = run.baselines.iter().map(|baseline| Measured {
        name: baseline.name,
        in_full: false,
        settings,
        of: &baseline.scored,
        deviation: None,
    });
    let in_full = run.in_full.iter().filter_map(|result| {
        Some(Measured {
            name: result.baseline?,
            in_full: true,
            settings,
            of: &result.scored,
            deviation: result.deviation,
        })
    });
    beside.chain(in_full).collect()
}

fn of_group(group: &[Measured<'_>], differing: &BTreeSet<&str>) -> Option<MethodGroup> {
    let first = group.first()?;
    let title = first.name.facts().title;
    let each = |value: fn(&Measured<'_>) -> f64| Spread::of(group.iter().map(value));
    Some(MethodGroup {
        title: match differing.is_empty() {
            true => title.to_owned(),
            false => format!("{title}, {}", shown(first.settings, differing)),
        },
        name: first.name,
        in_full: first.in_full,
        score: each(|measured| measured.of.score)?,
        deviation: group
            .iter()
            .filter_map(|measured| measured.deviation)
            .reduce(f64::max),
        parameters: each(|measured| measured.of.parameters as f64)?,
        percent: each(|measured| measured.of.percent)?,
        layers: each(|measured| measured.of.configuration.layers.active() as f64)?,
    })
}

/// The best of each kind within the budget, then the baselines that choose layers and the serial adapter in every
/// layer, which they start from. Nothing without such a baseline.
pub(super) fn layer_selection(
    kinds: &[Kind],
    baselines: &[MethodGroup],
    budget: f64,
) -> Vec<Method> {
    if !baselines.iter().any(|group| group.name.chooses_layers()) {
        return Vec::new();
    }
    let searches = kinds.iter().flat_map(|kind| {
        let found = kind
            .runs
            .iter()
            .filter_map(|run| best_within(&run.front, budget));
        let in_full = kind.runs.iter().filter_map(|run| best_in_full(run, budget));
        [
            row(&kind.label, false, found.collect()),
            row(&kind.label, true, in_full.collect()),
        ]
    });
    let is_shown = |group: &&MethodGroup| {
        group.name.chooses_layers() || group.name == BaselineName::SerialAdapter
    };
    let others = baselines.iter().filter(is_shown).map(|group| Method {
        title: group.title.clone(),
        is_search: false,
        in_full: group.in_full,
        is_over: group.percent.median > budget,
        score: group.score,
        percent: group.percent,
        layers: group.layers,
    });
    let mut rows: Vec<Method> = searches.flatten().chain(others).collect();
    rows.sort_by_key(|row| row.in_full);
    rows
}

/// The configuration of a search with the best mean of trainings in full within a budget.
fn best_in_full(run: &Run, budget: f64) -> Option<&super::run::Scored> {
    let results = run
        .in_full
        .iter()
        .filter(|result: &&InFull| result.baseline.is_none() && result.scored.percent <= budget);
    let best = results.max_by(|left, right| left.scored.score.total_cmp(&right.scored.score));
    best.map(|result| &result.scored)
}

fn row(title: &str, in_full: bool, found: Vec<&super::run::Scored>) -> Option<Method> {
    Some(Method {
        title: title.to_owned(),
        is_search: true,
        in_full,
        is_over: false,
        score: Spread::of(found.iter().map(|scored| scored.score))?,
        percent: Spread::of(found.iter().map(|scored| scored.percent))?,
        layers: Spread::of(
            found
                .iter()
                .map(|scored| scored.configuration.layers.active() as f64),
        )?,
    })
}
