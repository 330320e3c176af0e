//! The front as plain text.

use autopeft_crds::Decimal;
use autopeft_crds::modules::ModuleFacts;
use autopeft_crds::status::{BaselineResult, FrontMember};

use super::answer;
use super::columns::{self, Align};
use super::text::{DASH, score, significant, thousands};
use super::view::View;
use crate::status::WOULD_HELP;

/// The front, the baselines and a summary.
pub(super) fn front_table(view: &View<'_>) -> String {
    let front = view.front();
    let mut text = String::new();
    if front.is_empty() && view.status.baselines.is_empty() {
        text.push_str("no trial has a score, so there is no front\n");
    } else {
        let mut rows = vec![header(view)];
        rows.extend(front.iter().map(|member| member_row(view, member)));
        rows.extend(
            view.status
                .baselines
                .iter()
                .map(|result| baseline_row(view, result)),
        );
        let mut columns = vec![Align::Right, Align::Left];
        columns.extend(view.modules().map(|_| Align::Right));
        columns.extend([Align::Right, Align::Right, Align::Right, Align::Left]);
        let table = columns::aligned(&columns, &rows);
        for (index, line) in table.lines().enumerate() {
            if index == 1 + front.len() {
                text.push_str(&format!("\n{}\n", view.baselines_caption()));
            }
            text.push_str(line);
            text.push('\n');
        }
    }
    text.push('\n');
    for line in summary(view) {
        text.push_str(&line);
        text.push('\n');
    }
    text
}

fn header(view: &View<'_>) -> Vec<String> {
    let mut names = vec!["trial", "layers"];
    names.extend(view.modules().map(|module| module.symbol));
    names.extend(["parameters", "% of backbone", view.metric()]);
    names.into_iter().map(str::to_owned).collect()
}

fn member_row(view: &View<'_>, member: &FrontMember) -> Vec<String> {
    let configuration = &member.configuration;
    let mut cells = vec![member.trial.to_string(), configuration.layers.to_string()];
    let sizes = view.modules().map(|facts| configuration.size(facts.module));
    cells.extend(sizes.map(|size| size.to_string()));
    cells.extend([
        thousands(member.parameters),
        significant(member.parameters_percent.get()),
        score(member.score.get()),
    ]);
    cells
}

fn baseline_row(view: &View<'_>, result: &BaselineResult) -> Vec<String> {
    let configuration = view.baseline_configuration(result.trial);
    let shown = |cell: Option<String>| cell.unwrap_or_else(|| DASH.into());
    let mut cells = vec![
        result.trial.to_string(),
        shown(configuration.as_ref().map(|found| found.layers.to_string())),
    ];
    let size = |facts: &ModuleFacts| configuration.as_ref().map(|found| found.size(facts.module));
    cells.extend(
        view.modules()
            .map(|facts| shown(size(facts).map(|size| size.to_string()))),
    );
    cells.extend([
        thousands(result.parameters),
        significant(result.parameters_percent.get()),
        score(result.score.get()),
        result.name.facts().title.to_owned(),
    ]);
    cells
}

/// A summary in a few lines.
fn summary(view: &View<'_>) -> Vec<String> {
    let status = view.status;
    let counts = &status.trials;
    let mut trials = format!("{} trials ended", counts.progress);
    for (count, state) in [
        (counts.infeasible, "infeasible"),
        (counts.failed, "failed"),
        (counts.running, "running"),
    ] {
        if count > 0 {
            trials.push_str(&format!(", {count} {state}"));
        }
    }
    let mut lines = vec![trials];
    let shown = status.pareto_front.len();
    if (shown as u64) < u64::from(status.front_size) {
        lines.push(format!(
            "{shown} of the front's {} members are shown",
            status.front_size
        ));
    }
    if let Some(best) = status.best_score {
        let mut line = format!("best {}: {}", view.metric(), score(best.get()));
        let budgets = view.best_within_budgets();
        if budgets.len() > 1 {
            let budgets = budgets.iter().map(|(budget, member)| {
                let value = score(member.score.get());
                format!("{value} with at most {budget} % (trial {})", member.trial)
            });
            line.push_str("; by trainable parameters, in percent of the backbone's: ");
            line.push_str(&budgets.collect::<Vec<_>>().join(", "));
        }
        lines.push(line);
    }
    lines.extend(
        view.constant()
            .map(|constant| constant_line(view, constant)),
    );
    if let Some(volume) = hypervolume(view) {
        lines.push(format!("hypervolume: {volume}"));
    }
    lines.extend(answer::lines(view));
    lines
}

/// The score of a constant predictor, and what it means if no trial is better.
pub(super) fn constant_line(view: &View<'_>, constant: f64) -> String {
    let mut line = format!(
        "always giving the same answer: {} {}",
        view.metric(),
        score(constant)
    );
    let best = view.status.best_score.map(Decimal::get);
    if best.is_some_and(|best| best <= constant) {
        line.push_str(&format!(
            "; no trial scores more, so nothing was learned: {WOULD_HELP}"
        ));
    }
    line
}

/// The hypervolume with its reference point.
pub(super) fn hypervolume(view: &View<'_>) -> Option<String> {
    let mut text = score(view.status.hypervolume?.get());
    if let Some(reference) = &view.status.reference_point {
        text.push_str(&format!(
            ", against {} {} and {} % of the backbone",
            view.metric(),
            score(reference.score.get()),
            significant(reference.parameters_percent.get())
        ));
        if let Some(trials) = reference.inferred_from_trials {
            text.push_str(&format!(
                ", a point inferred from the first {trials} trials"
            ));
        }
    }
    Some(text)
}
