//! A comparison as one HTML page: inline style, inline figures, no script.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::fronts::{self, Fronts, Screen, fronts_svg};
use super::picture;
use super::progress::{Measure, progress_svg};
use super::rows::{self, Table};
use super::{terminal, transfer};
use crate::compare::{Ablation, Comparison, Race, Section};
use crate::report::text::{counted, score, significant, visible};
use crate::report::{ReportError, html as parts, style};

/// The page.
pub(in crate::report) fn html(comparison: &Comparison) -> Result<String, ReportError> {
    let runs = comparison
        .sections
        .iter()
        .flat_map(|section| &section.kinds);
    let count = runs.map(|kind| kind.runs.len()).sum();
    let title = format!(
        "{} compared",
        counted(count, "PEFT search").replace("searchs", "searches")
    );
    let sections = comparison
        .sections
        .iter()
        .map(|found| section(found, comparison.budget))
        .collect::<Result<Vec<Markup>, _>>()?;
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { (PreEscaped(style::style())) }
            }
            body {
                h1 { (title) }
                p {
                    "Searches of one task, metric, model and data share a section and its axes. Searches that differ in "
                    "seeds alone are of one kind: of several, the median is given with the range. Figures and tables "
                    "of the paper are those of AutoPEFT, arXiv:2301.12132."
                }
                @for note in &comparison.notes { p { (visible(note)) "." } }
                @for section in &sections { (section) }
                @for found in &comparison.transfers { (transfer::section(found, comparison.budget)) }
            }
        }
    };
    Ok(page.into_string())
}

fn section(section: &Section, budget: f64) -> Result<Markup, ReportError> {
    let all: Vec<usize> = (0..section.kinds.len()).collect();
    let labels: Vec<String> = section
        .kinds
        .iter()
        .map(|kind| kind.label.clone())
        .collect();
    let searched = Fronts::of_searches(section, &all, true);
    let in_full = Fronts::in_full(section);
    let races = section
        .races
        .iter()
        .map(|found| race(section, found))
        .collect::<Result<Vec<_>, _>>()?;
    let ablations = section
        .ablations
        .iter()
        .map(|found| ablation(section, found))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(html! {
        h2 { (visible(&section.title)) }
        (table(&rows::kinds(section, budget), None))
        p { (terminal::reference(section)) }
        h3 { "Fronts" }
        p {
            "The configurations of each search that no other of it beats in both objectives, and the baselines, trained "
            "like the trials of the search; the paper's Figures 1 and 4 show the same of trainings in full."
            @if searched.has_ranges() { " A bar is a baseline's range over the searches." }
        }
        (figure(section, &searched, &labels, "Score against trainable parameters: the front of each search, with baselines")?)
        @if !section.baselines.is_empty() { (table(&rows::baselines(section, &section.baselines), None)) }
        @if !in_full.is_empty() {
            h3 { "Trained in full" }
            p {
                "What the searches found, trained in full over several seeds: the mean and one standard deviation to each "
                "side (the paper's Figures 1 and 4 and Table 1)."
            }
            (figure(section, &in_full, &labels, "Mean score of trainings in full against trainable parameters")?)
            (table(&rows::in_full(section), None))
        }
        @for race in &races { (race) }
        @for ablation in &ablations { (ablation) }
        @if !section.layer_selection.is_empty() {
            h3 { "Layer selection within " (budget) " %" }
            p {
                "The best configuration of each search with at most " (budget) " % of the backbone's parameters, beside "
                "methods that choose the layers of a serial adapter, and the serial adapter in every layer (the paper's "
                "Table 5)."
            }
            (table(&rows::layer_selection(section), None))
        }
        (pictures(section)?)
        h3 { "Cost" }
        p {
            "The steps, as planned, and the seconds of the trials of each search"
            @if section.kinds.iter().flat_map(|kind| &kind.runs).any(|run| run.cost.full.is_some()) {
                ", and how many trainings of the kind beside it take as long; the paper's 1.9 % are a search on RTE "
                "beside training in full on all of GLUE"
            }
            ". Baselines and trainings in full are left out."
        }
        (table(&rows::cost(section), None))
    })
}

/// A figure for broad and one for narrow screens, each with its legend.
fn figure(
    section: &Section,
    found: &Fronts,
    labels: &[String],
    description: &str,
) -> Result<Markup, ReportError> {
    let broad = fronts_svg(section, found, Screen::Broad)?;
    let narrow = fronts_svg(section, found, Screen::Narrow)?;
    let drawn = found.kinds().zip(labels).filter(|(at, _)| found.has(*at));
    let kinds = legend(section, drawn)?;
    let numbered = found
        .baselines()
        .enumerate()
        .map(|(number, name)| Ok((fronts::baseline_sign(Some(number + 1))?, name.to_owned())))
        .collect::<Result<Vec<_>, ReportError>>()?;
    let baseline = match numbered.is_empty() {
        true => Vec::new(),
        false => vec![(fronts::baseline_sign(None)?, "baseline".to_owned())],
    };
    Ok(html! {
        div.broad {
            (entries(&kinds, &baseline))
            (parts::figure(&broad, description))
        }
        div.narrow {
            (entries(&kinds, &numbered))
            (parts::figure(&narrow, description))
        }
    })
}

/// The signs and labels of some kinds.
fn legend<'a>(
    section: &Section,
    kinds: impl Iterator<Item = (usize, &'a String)>,
) -> Result<Vec<(String, String)>, ReportError> {
    let entry = |(at, label): (usize, &String)| {
        let label = match section.kinds[at].runs.len() {
            1 => label.clone(),
            several => format!("{label} ({several} seeds)"),
        };
        Ok((fronts::sign(at)?, label))
    };
    kinds.map(entry).collect()
}

fn entries(kinds: &[(String, String)], baselines: &[(String, String)]) -> Markup {
    html! {
        ul.legend {
            @for (sign, label) in kinds.iter().chain(baselines) {
                li { (PreEscaped(sign)) span { (visible(label)) } }
            }
        }
    }
}

fn race(section: &Section, race: &Race) -> Result<Markup, ReportError> {
    let equal = race.at_equal_trials.first().map_or(0, |step| step.trials);
    let best = progress_svg(section, &race.kinds, Measure::Best, equal)?;
    let volume = progress_svg(section, &race.kinds, Measure::Volume, equal)?;
    let several = race
        .kinds
        .iter()
        .any(|at| section.kinds[*at].runs.len() > 1);
    let kinds = race.kinds.iter().copied().zip(&race.labels);
    Ok(html! {
        h3 { "Bayesian against random" }
        p {
            "The best score and the hypervolume by number of trials (the paper's Figure 6)"
            @if several { "; a line is the median over the seeds, the area around it their range" }
            ". The dashed line is at " (counted(equal, "trial")) ", as many as each search has."
            @if let Some(wins) = race.wins { " There, " (terminal::won(wins)) "." }
        }
        (entries(&legend(section, kinds)?, &[]))
        div.pair {
            (parts::figure(&best, "Best score by number of trials"))
            (parts::figure(&volume, "Hypervolume by number of trials"))
        }
        (table(&rows::at_equal_trials(section, &race.labels, &race.at_equal_trials), None))
    })
}

fn ablation(section: &Section, ablation: &Ablation) -> Result<Markup, ReportError> {
    let fronts = Fronts::of_searches(section, &ablation.kinds, false);
    Ok(html! {
        h3 { "Spaces" }
        p {
            "Searches that differ in the space alone, each named by what it searches (the paper's Figure 7). Without "
            "“layers”, every layer is active."
        }
        (figure(section, &fronts, &ablation.labels, "The fronts of searches of different spaces")?)
        (table(
            &rows::at_equal_trials(section, &ablation.labels, &ablation.at_equal_trials),
            Some("After as many trials as each search has."),
        ))
    })
}

/// The configurations that each search ends with.
fn pictures(section: &Section) -> Result<Markup, ReportError> {
    let runs = || section.kinds.iter().flat_map(|kind| &kind.runs);
    let chosen = || runs().flat_map(|run| run.chosen.iter().map(move |chosen| (run, chosen)));
    let largest = picture::largest(chosen().map(|(_, chosen)| &chosen.scored.configuration));
    let cards = chosen()
        .map(|(run, chosen)| {
            let found = &chosen.scored;
            let description = format!("{}: {}", run.label, found.configuration);
            let svg = picture::picture(&found.configuration, &largest)?;
            Ok(html! {
                figure {
                    div role="img" aria-label=(visible(&description)) { (PreEscaped(svg)) }
                    figcaption {
                        b { (visible(&run.label)) } ", " (visible(&chosen.why)) ": " (section.metric.label()) " "
                        (score(found.score)) ", " (significant(found.percent)) " %, trial " (found.trial)
                    }
                }
            })
        })
        .collect::<Result<Vec<Markup>, ReportError>>()?;
    Ok(html! {
        h3 { "Discovered configurations" }
        p {
            "A column is a layer, layer 0 next to the input; a bar is a module that is inserted there, higher where it is "
            "larger, with its size on the right (the paper's Tables 2 and 7 to 9)."
        }
        div.cards { @for card in &cards { (card) } }
    })
}

fn table(table: &Table, caption: Option<&str>) -> Markup {
    html! {
        div.wide {
            table {
                thead {
                    tr { @for (name, is_number) in &table.head { th.number[*is_number] { (visible(name)) } } }
                }
                tbody {
                    @for row in &table.rows {
                        tr {
                            @for (cell, (_, is_number)) in row.iter().zip(&table.head) {
                                td.number[*is_number] { (visible(cell)) }
                            }
                        }
                    }
                }
                @if let Some(caption) = caption { caption { (caption) } }
            }
        }
    }
}
