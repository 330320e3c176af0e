//! The tables of a comparison, as cells: the page and the terminal show the same ones.

use crate::compare::{Cost, MethodGroup, Run, Section, Spread, Step};
use crate::report::text::{DASH, score, significant, thousands};

/// A table: headings, whether each column is of numbers, and rows.
pub(super) struct Table {
    pub head: Vec<(String, bool)>,
    pub rows: Vec<Vec<String>>,
}

impl Table {
    fn new(head: &[(&str, bool)]) -> Self {
        Self {
            head: head
                .iter()
                .map(|(name, is_number)| ((*name).to_owned(), *is_number))
                .collect(),
            rows: Vec::new(),
        }
    }
}

/// The median, with the range where there is one: `0.7123 (0.7010 to 0.7200)`.
pub(super) fn spread(spread: Spread, number: fn(f64) -> String) -> String {
    let [median, least, most] = [spread.median, spread.least, spread.most].map(number);
    match least == most {
        true => median,
        false => format!("{median} ({least} to {most})"),
    }
}

fn optional(found: Option<Spread>, number: fn(f64) -> String) -> String {
    found.map_or_else(|| DASH.to_owned(), |found| spread(found, number))
}

/// A count: a whole number as such, else with one decimal.
fn count(value: f64) -> String {
    match value.fract() == 0.0 {
        true => format!("{value:.0}"),
        false => format!("{value:.1}"),
    }
}

/// The kinds with what they found.
pub(super) fn kinds(section: &Section, budget: f64) -> Table {
    let best = format!("best {}", section.metric.label());
    let within = format!("best within {budget} %");
    let mut table = Table::new(&[
        ("searches", false),
        ("of", false),
        ("trials", true),
        (&best, true),
        (&within, true),
        ("hypervolume", true),
    ]);
    for kind in &section.kinds {
        let names: Vec<&str> = kind.runs.iter().map(|run| run.label.as_str()).collect();
        let trials = Spread::of(kind.runs.iter().map(|run| run.trials.len() as f64));
        table.rows.push(vec![
            kind.label.clone(),
            names.join(", "),
            optional(trials, count),
            optional(kind.best(), score),
            optional(kind.within(budget), score),
            optional(kind.volume(), score),
        ]);
    }
    table
}

/// The baselines.
pub(super) fn baselines(section: &Section, groups: &[MethodGroup]) -> Table {
    let mut table = Table::new(&[
        ("baseline", false),
        ("trainings", true),
        (section.metric.label(), true),
        ("% of backbone", true),
    ]);
    for group in groups {
        table.rows.push(vec![
            group.title.clone(),
            group.score.count.to_string(),
            match group.deviation {
                Some(deviation) => format!("{} ± {}", spread(group.score, score), score(deviation)),
                None => spread(group.score, score),
            },
            spread(group.percent, significant),
        ]);
    }
    table
}

/// What was trained in full, by search.
pub(super) fn in_full(section: &Section) -> Table {
    let mut table = Table::new(&[
        ("search", false),
        ("trial or baseline", false),
        (section.metric.label(), true),
        ("seeds", true),
        ("% of backbone", true),
    ]);
    for run in section.kinds.iter().flat_map(|kind| &kind.runs) {
        for result in &run.in_full {
            let mean = score(result.scored.score);
            table.rows.push(vec![
                run.label.clone(),
                match result.baseline {
                    Some(name) => name.facts().title.to_owned(),
                    None => result.scored.trial.to_string(),
                },
                match result.deviation {
                    Some(deviation) => format!("{mean} ± {}", score(deviation)),
                    None => mean,
                },
                result.seeds.to_string(),
                significant(result.scored.percent),
            ]);
        }
    }
    table
}

/// What the kinds of a group have reached after as many trials as each of their searches has.
pub(super) fn at_equal_trials(section: &Section, labels: &[String], steps: &[Step]) -> Table {
    let best = format!("best {}", section.metric.label());
    let mut table = Table::new(&[
        ("searches", false),
        ("seeds", true),
        ("trials", true),
        (&best, true),
        ("hypervolume", true),
    ]);
    for (label, step) in labels.iter().zip(steps) {
        table.rows.push(vec![
            label.clone(),
            step.volume.count.to_string(),
            step.trials.to_string(),
            optional(step.best, score),
            spread(step.volume, score),
        ]);
    }
    table
}

/// The methods that choose layers.
pub(super) fn layer_selection(section: &Section) -> Table {
    let mut table = Table::new(&[
        ("method", false),
        ("trained", false),
        (section.metric.label(), true),
        ("% of backbone", true),
        ("layers", true),
        ("", false),
    ]);
    for method in &section.layer_selection {
        table.rows.push(vec![
            match method.is_search {
                true => format!("search: {}", method.title),
                false => method.title.clone(),
            },
            if method.in_full {
                "in full"
            } else {
                "as in the search"
            }
            .to_owned(),
            spread(method.score, score),
            spread(method.percent, significant),
            spread(method.layers, count),
            if method.is_over {
                "over the budget"
            } else {
                ""
            }
            .to_owned(),
        ]);
    }
    table
}

/// What the searches cost.
pub(super) fn cost(section: &Section) -> Table {
    let runs = || section.kinds.iter().flat_map(|kind| &kind.runs);
    let mut table = Table::new(&[
        ("search", false),
        ("trials", true),
        ("steps", true),
        ("seconds", true),
    ]);
    let has_gpus = runs().any(|run| run.cost.gpu_seconds.is_some());
    let has_full = runs().any(|run| run.cost.full.is_some());
    if has_gpus {
        table.head.push(("GPU seconds".into(), true));
    }
    if has_full {
        for (name, is_number) in [
            ("measured by", false),
            ("its seconds", true),
            ("search, in such trainings", true),
            ("trial, % of its seconds", true),
            ("% of its steps", true),
        ] {
            table.head.push((name.into(), is_number));
        }
    }
    table.rows = runs()
        .map(|run| cost_row(run, has_gpus, has_full))
        .collect();
    table
}

fn cost_row(run: &Run, has_gpus: bool, has_full: bool) -> Vec<String> {
    let cost: &Cost = &run.cost;
    let known = |value: Option<f64>| value.map_or_else(|| DASH.to_owned(), significant);
    let mut row = vec![
        run.label.clone(),
        cost.trials.to_string(),
        thousands(cost.steps),
        significant(cost.seconds),
    ];
    if has_gpus {
        row.push(known(cost.gpu_seconds));
    }
    if has_full {
        let full = cost.full.as_ref();
        row.push(full.map_or_else(|| DASH.to_owned(), |full| full.what.clone()));
        row.push(known(full.map(|full| full.seconds)));
        row.push(known(cost.in_full_trainings()));
        row.push(known(cost.trial_percent()));
        row.push(known(cost.trial_percent_of_steps()));
    }
    row
}
