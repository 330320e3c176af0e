//! The answer of a search: what has been trained in full, the configuration to take, and the commands that evaluate,
//! export and train it.

use autopeft_crds::spec::{BaselineName, EvaluationSpec, Source};
use autopeft_crds::status::{PromotedResult, Recommendation};
use autopeft_crds::trial::Method;
use autopeft_crds::{Decimal, PeftSearchSpec, PeftSearchStatus};
use maud::{Markup, html};

use super::cells::{configuration_cells, configuration_head};
use super::text::{DASH, optional_score, score, significant, spread, thousands, title};
use super::transfer;
use super::view::View;
use crate::{processes, promoted, request};

/// Where the files of a search are, as commands name them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// The directory with one directory of an adapter per trial.
    pub adapters: String,
    /// The directory with one directory per run that holds its request, where runs leave them.
    pub requests: Option<String>,
    /// The model.
    pub model: String,
    /// The task's data.
    pub data: String,
}

impl Files {
    /// Those of a work directory, for a search on one machine; its model and data as the manifest names them.
    pub fn of_workdir(workdir: &str, spec: &PeftSearchSpec) -> Self {
        let below = |name: &str| match workdir {
            "" => name.to_owned(),
            folder => format!("{folder}/{name}"),
        };
        Self {
            adapters: below("adapters"),
            requests: Some(below("trials")),
            model: named(&spec.model.source, "MODEL"),
            data: named(&spec.task.source, "DATA"),
        }
    }

    /// Those of a search in a cluster; `None` where it stores no adapters.
    pub fn of_cluster(spec: &PeftSearchSpec, status: &PeftSearchStatus) -> Option<Self> {
        // `claim: folder`; the claim is mounted wherever the reader wants.
        let (_, folder) = status.artifacts.as_ref()?.split_once(": ")?;
        Some(Self {
            adapters: format!("CLAIM/{folder}"),
            requests: None,
            model: named(&spec.model.source, "MODEL"),
            data: named(&spec.task.source, "DATA"),
        })
    }
}

/// A source that means the same everywhere, or a word to be replaced.
fn named(source: &Source, otherwise: &str) -> String {
    match &source.hub {
        Some(hub) => format!("hf://{}@{}", hub.repository, hub.revision),
        None => otherwise.to_owned(),
    }
}

/// The commands for a recommendation: what each is for, and the command.
pub(super) fn commands(
    view: &View<'_>,
    files: &Files,
    taken: &Recommendation,
) -> Vec<(&'static str, String)> {
    let adapter = quoted(&request::folder_of(&files.adapters, taken.best_trial));
    let (model, data) = (quoted(&files.model), quoted(&files.data));
    let mut commands = vec![(
        "evaluate",
        format!("peft-trainer evaluate --adapter {adapter} --model {model} --data {data}"),
    )];
    let method = taken.baseline.map_or(Method::Peft, BaselineName::method);
    if !method.trains_every_weight() {
        commands.push((
            "export",
            format!("peft-trainer export {adapter} --format adapters --out OUT"),
        ));
    }
    if let Some(requests) = &files.requests
        && let Some(entry) = view.entry(taken.best_trial)
    {
        let run = processes::name_of(entry.run_id());
        let request = quoted(&format!("{requests}/{run}/request.json"));
        commands.push((
            "train again",
            format!("peft-trainer train --request {request} --out OUT"),
        ));
    }
    commands
}

/// A text as one word of a shell.
fn quoted(text: &str) -> String {
    let is_plain = |character: char| character.is_alphanumeric() || "/._-:@=+,".contains(character);
    if !text.is_empty() && text.chars().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// Why this one is taken, in a sentence.
fn why(view: &View<'_>, taken: &Recommendation) -> String {
    let best = score(taken.best_mean.get());
    match taken.standard_error {
        Some(error) => format!(
            "the fewest parameters within one standard error, {}, of the best mean {}, {best}",
            score(error.get()),
            view.metric()
        ),
        None => format!(
            "the best {}, {best}, of one training each; more seeds tell luck apart",
            view.metric()
        ),
    }
}

/// Where the scores of trainings in full come from, if not from the validation examples alone.
fn evaluated(view: &View<'_>) -> Option<String> {
    let EvaluationSpec {
        test_file,
        selection_percent,
    } = request::evaluation(view.spec)?;
    let of_file = test_file
        .as_ref()
        .map(|file| format!("the test file {file}; the validation examples chose the epoch"));
    let of_share = selection_percent.map(|percent| {
        format!("the validation examples; {percent} % of the training examples chose the epoch")
    });
    of_file.or(of_share)
}

/// The mean of the scores that chose the epochs, where other examples did.
fn selection_mean(result: &PromotedResult) -> Option<Decimal> {
    let seeds = result.seeds.iter();
    let scores: Option<Vec<f64>> = seeds
        .map(|seed| Some(seed.selection_score?.get()))
        .collect();
    Decimal::new(promoted::average(&scores?)?).ok()
}

/// The result behind a recommendation.
fn result_of<'a>(view: &View<'a>, taken: &Recommendation) -> Option<&'a PromotedResult> {
    let mut results = view.status.promoted.iter();
    results.find(|result| (result.trial, result.baseline) == (taken.trial, taken.baseline))
}

/// A recommendation with its commands, as `peft-operator best` prints it.
pub(super) fn best(view: &View<'_>, files: Option<&Files>, taken: &Recommendation) -> String {
    let mut lines = vec![
        format!(
            "within {} % of the backbone's parameters: {}",
            taken.budget,
            title(taken.trial, taken.baseline)
        ),
        format!("  why            {}", why(view, taken)),
    ];
    let mut row = |name: &str, text: String| lines.push(format!("  {name:<14} {text}"));
    if let Some(result) = result_of(view, taken) {
        if taken.trial.is_some() {
            row("configuration", result.configuration.to_string());
        }
        let spread = spread(result.mean, result.standard_deviation);
        let seeds = super::text::counted(result.seeds.len(), "seed");
        row(view.metric(), format!("{spread} over {seeds}"));
    }
    if let Some(told) = evaluated(view) {
        row("scored on", told);
    }
    for (name, text) in transfer::of(view, (taken.trial, taken.baseline)) {
        row(&name, text);
    }
    let percent = significant(taken.parameters_percent.get());
    row(
        "parameters",
        format!("{} ({percent} %)", thousands(taken.parameters)),
    );
    match files {
        Some(files) => {
            let folder = request::folder_of(&files.adapters, taken.best_trial);
            row("adapter", format!("{folder}, of the best seed"));
            for (name, command) in commands(view, files, taken) {
                row(name, command);
            }
        }
        None => row(
            "adapter",
            "not stored: spec.trainer.artifactsClaim is not given".into(),
        ),
    }
    lines.join("\n")
}

/// The recommendations in a line each, as `peft-operator run` prints them.
pub(super) fn lines(view: &View<'_>) -> Vec<String> {
    let progress = view.spec.promotion.as_ref().map(|_| {
        let seeds = view.status.promoted.iter().map(|result| result.seeds.len());
        let configurations = super::text::counted(view.status.promoted.len(), "configuration");
        format!(
            "trained in full: {configurations}, {}",
            super::text::counted(seeds.sum(), "training")
        )
    });
    let taken = view.status.recommended.iter().map(|taken| {
        let result = result_of(view, taken);
        let deviation = result.and_then(|result| result.standard_deviation);
        format!(
            "recommended within {} %: {}, {} {}, {} % (peft-operator best)",
            taken.budget,
            title(taken.trial, taken.baseline),
            view.metric(),
            spread(Some(taken.mean), deviation),
            significant(taken.parameters_percent.get())
        )
    });
    progress
        .into_iter()
        .chain(taken)
        .chain(correlation(view))
        .chain(transfer::lines(view))
        .collect()
}

/// The rank correlation in a sentence.
fn correlation(view: &View<'_>) -> Option<String> {
    let found = view.status.rank_correlation.as_ref();
    found.map(promoted::told)
}

/// The page's section of training in full; nothing where the spec asks for none.
pub(super) fn section(view: &View<'_>) -> Markup {
    let Some(promotion) = &view.spec.promotion else {
        return html! {};
    };
    let files = Files::of_workdir("", view.spec);
    html! {
        h2 id="answer" { "Trained in full" }
        @if view.status.promoted.is_empty() {
            p { "No configuration has been trained in full yet." }
        } @else {
            p {
                "What the search found, trained for " (promotion.epochs) " epochs on the whole training set with "
                (super::text::counted(promotion.seeds as usize, "seed")) " each. "
                @if let Some(told) = evaluated(view) { "Scores are those of " (told) ". " }
                @if let Some(told) = correlation(view) { (told) "." }
            }
            (results(view))
            (recommendations(view, &files))
        }
    }
}

/// The parameters, or their range over the seeds.
fn parameters(result: &PromotedResult) -> String {
    let most = thousands(result.parameters);
    match result.fewest_parameters {
        Some(fewest) => format!("{} to {most}", thousands(fewest)),
        None => most,
    }
}

fn results(view: &View<'_>) -> Markup {
    let is_taken = |result: &PromotedResult| {
        let mut recommended = view.status.recommended.iter();
        recommended.any(|taken| (taken.trial, taken.baseline) == (result.trial, result.baseline))
    };
    let has_selection = evaluated(view).is_some();
    html! {
        div.wide {
            table {
                thead {
                    tr {
                        th { "Of" }
                        (configuration_head(view))
                        th.number { "Parameters" }
                        th.number { "% of backbone" }
                        th.number { "In the search" }
                        @if has_selection { th.number { "Of the selection" } }
                        th.number { "Mean " (view.metric()) }
                        th.number { "Ended" }
                        th.number { "Seconds" }
                    }
                }
                tbody {
                    @for result in &view.status.promoted {
                        tr.front[is_taken(result)] {
                            td { (title(result.trial, result.baseline)) }
                            (configuration_cells(view, &result.configuration))
                            td.number { (parameters(result)) }
                            td.number { (significant(result.parameters_percent.get())) }
                            td.number { (optional_score(result.search_score)) }
                            @if has_selection { td.number { (optional_score(selection_mean(result))) } }
                            td.number { (spread(result.mean, result.standard_deviation)) }
                            td.number { (result.progress) }
                            td.number {
                                (result.train_seconds.map_or_else(|| DASH.into(), |seconds| significant(seconds.get())))
                            }
                        }
                    }
                }
                caption { "Highlighted rows are recommended." }
            }
        }
    }
}

fn recommendations(view: &View<'_>, files: &Files) -> Markup {
    html! {
        @if view.status.recommended.is_empty() {
            p { "Nothing is recommended: no configuration has a score from each of its trainings." }
        } @else {
            h3 { "Which one to take" }
            p {
                "Of the configurations within a budget whose trainings all have a score, the best mean is found. Those "
                "within one standard error of it cannot be told from it: the one with the fewest parameters is taken."
            }
        }
        @for taken in &view.status.recommended {
            p {
                b { "Within " (taken.budget) " %: " (title(taken.trial, taken.baseline)) }
                ", " (view.metric()) " " (score(taken.mean.get())) ": " (why(view, taken)) "."
            }
            pre { @for (_, command) in commands(view, files, taken) { (command) "\n" } }
        }
        @if !view.status.recommended.is_empty() {
            p {
                "Run the commands in the work directory; " code { "peft-operator best DIR" } " prints them with its path. "
                "MODEL and DATA stand for the model and the task's data, OUT for a new directory."
            }
        }
    }
}

/// Why there is no recommendation, in a sentence.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum NoAnswer {
    /// The manifest asks for no training in full.
    #[error(
        "nothing has been trained in full: add spec.promotion to the manifest, such as \"promotion: {{}}\", and {0}"
    )]
    NotAsked(&'static str),
    /// None of the trainings is complete.
    #[error("no configuration has a score from each of its trainings in full yet ({0})")]
    Incomplete(String),
    /// The budget is too small.
    #[error(
        "no configuration that was trained in full is within {budget} %; the smallest has {least} %"
    )]
    TooSmall {
        /// The budget.
        budget: Decimal,
        /// The share of the smallest configuration.
        least: Decimal,
    },
}

/// The recommendations to show: that within a budget, or those of the status.
pub(super) fn chosen(
    view: &View<'_>,
    budget: Option<Decimal>,
    how: &'static str,
) -> Result<Vec<Recommendation>, NoAnswer> {
    let Some(promotion) = &view.spec.promotion else {
        return Err(NoAnswer::NotAsked(how));
    };
    let promoted = &view.status.promoted;
    let complete = promoted::complete(promotion, promoted);
    let Some(least) = complete.first() else {
        let progress: Vec<String> = promoted
            .iter()
            .map(|result| {
                format!(
                    "{}: {}",
                    title(result.trial, result.baseline),
                    result.progress
                )
            })
            .collect();
        let progress = match progress.is_empty() {
            true => "none has begun".to_owned(),
            false => progress.join(", "),
        };
        return Err(NoAnswer::Incomplete(progress));
    };
    let Some(budget) = budget else {
        return Ok(view.status.recommended.clone());
    };
    match promoted::within(budget, &complete) {
        Some(taken) => Ok(vec![taken]),
        None => Err(NoAnswer::TooSmall {
            budget,
            least: least.parameters_percent,
        }),
    }
}
