//! A comparison in a terminal.

use super::rows::{self, Table};
use super::transfer;
use crate::compare::{Comparison, Section, Transfer, Wins};
use crate::report::columns::{Align, aligned};
use crate::report::text::{score, significant, visible};

/// Every section with its tables.
pub(in crate::report) fn text(comparison: &Comparison) -> String {
    let mut parts: Vec<String> = comparison
        .sections
        .iter()
        .map(|section| section_text(section, comparison.budget))
        .collect();
    let matrices = comparison.transfers.iter();
    parts.extend(matrices.map(|found| transfer_text(found, comparison.budget)));
    parts.extend(comparison.notes.iter().map(|told| note(told)));
    parts.join("\n")
}

fn section_text(section: &Section, budget: f64) -> String {
    let mut parts = vec![
        format!("{}\n", visible(&section.title)),
        table(&rows::kinds(section, budget)),
        format!("{}\n", reference(section)),
    ];
    let mut add = |title: &str, found: &Table| {
        if !found.rows.is_empty() {
            parts.push(format!("\n{title}\n{}", table(found)));
        }
    };
    add(
        "baselines, trained as in the search",
        &rows::baselines(section, &section.baselines),
    );
    add(
        "trained in full, mean over the seeds",
        &rows::in_full(section),
    );
    for race in &section.races {
        let found = rows::at_equal_trials(section, &race.labels, &race.at_equal_trials);
        let title = match race.wins {
            Some(wins) => format!("at equal trials: {}", won(wins)),
            None => "at equal trials".into(),
        };
        add(&title, &found);
    }
    for ablation in &section.ablations {
        let found = rows::at_equal_trials(section, &ablation.labels, &ablation.at_equal_trials);
        add("spaces at equal trials", &found);
    }
    let title = format!("layers chosen within {budget} % of the backbone's parameters");
    add(&title, &rows::layer_selection(section));
    add("cost of the searches", &rows::cost(section));
    parts.concat()
}

fn transfer_text(found: &Transfer, budget: f64) -> String {
    let title = visible(&found.title);
    let explained = transfer::explained(budget);
    let matrix = table(&transfer::table(found));
    let notes: String = found.notes.iter().map(|told| note(told)).collect();
    format!("{title}\n{explained}\n{matrix}{}\n{notes}", transfer::SIGNS)
}

fn note(told: &str) -> String {
    format!("note: {}\n", visible(told))
}

fn table(table: &Table) -> String {
    let align = |(_, is_number): &(String, bool)| {
        if *is_number {
            Align::Right
        } else {
            Align::Left
        }
    };
    let columns: Vec<Align> = table.head.iter().map(align).collect();
    let head = table.head.iter().map(|(name, _)| name.clone()).collect();
    let cells = |row: &Vec<String>| row.iter().map(|cell| visible(cell)).collect();
    let rows: Vec<Vec<String>> = std::iter::once(head)
        .chain(table.rows.iter().map(cells))
        .collect();
    aligned(&columns, &rows)
}

/// The reference point in a sentence.
pub(super) fn reference(section: &Section) -> String {
    let reference = &section.reference;
    format!(
        "Hypervolumes are against {} {} and {} % of the backbone, a point {}.",
        section.metric.label(),
        score(reference.score),
        significant(reference.percent),
        match reference.is_given {
            true => "that the searches give",
            false => "inferred from all of these trials",
        }
    )
}

/// How often the Bayesian search is ahead.
pub(super) fn won(wins: Wins) -> String {
    let Wins { won, equal, pairs } = wins;
    let mut text = format!(
        "in {won} of {pairs} pairs of a Bayesian and a random search the Bayesian one has the larger hypervolume"
    );
    if equal > 0 {
        text.push_str(&format!(", in {equal} both have the same"));
    }
    text
}
