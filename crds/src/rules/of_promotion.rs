//! Rules of `spec.promotion`.

use serde_json::Value;

use super::problem::{Problem, Seen, decimals_in_range, is_given, problem, text};
use super::{Rule, of_transfer, rule};
use crate::{limits, tasks};

/// The rows.
pub(super) fn rules() -> Vec<Rule> {
    let (entries, bytes, most) = (
        limits::ENTRIES.most,
        limits::ENTRY_BYTES,
        limits::OBJECT_BYTES / 1000,
    );
    let percent = limits::PARAMETERS_PERCENT;
    let endings: Vec<String> = test_endings().map(|ending| format!("'{ending}'")).collect();
    let count =
        |list: &str| format!("(has(self.promotion.{list}) ? self.promotion.{list}.size() : 0)");
    let found = format!(
        "(self.promotion.candidates == 'Front' ? self.promotion.maxConfigurations : \
         self.promotion.candidates == 'BestWithinBudgets' ? {} : 0)",
        count("budgets")
    );
    let trainings = format!(
        "({found} + {} + {}) * self.promotion.seeds * \
         (1 + (has(self.transfer) ? self.transfer.tasks.size() : 0))",
        count("trials"),
        count("baselines")
    );
    vec![
        rule(
            &["spec"],
            format!("!has(self.promotion) || self.maxTrials + {trainings} <= {entries}"),
            format!(
                "a search, its promotion and its transfer have at most {entries} trials together, {bytes} bytes each: the \
                 object holds {most} kB; lower promotion.seeds, promotion.maxConfigurations or maxTrials, or name fewer"
            ),
            fits_the_object,
        ),
        rule(
            &["spec.promotion"],
            "self.candidates != 'BestWithinBudgets' || (has(self.budgets) && self.budgets.size() > 0)",
            "give budgets, such as [\"0.1\", \"1\"], or another value of candidates",
            budgets_are_given,
        ),
        rule(
            &["spec.promotion"],
            "self.candidates != 'NamedTrials' || (has(self.trials) && self.trials.size() > 0) || \
             (has(self.baselines) && self.baselines.size() > 0)",
            "name trials or baselines, or give another value of candidates",
            something_is_named,
        ),
        rule(
            &["spec.promotion.budgets"],
            format!("self.all(budget, {})", percent.cel("double(budget)")),
            format!("write budgets {percent}, in percent of the backbone's parameters"),
            budgets_in_range,
        ),
        rule(
            &["spec.promotion.evaluation"],
            "has(self.testFile) != has(self.selectionPercent)",
            "give testFile or selectionPercent; leave evaluation out for scores of the validation examples",
            one_evaluation,
        ),
        rule(
            &["spec.promotion.evaluation.testFile"],
            format!(
                "[{}].exists(ending, self.lowerAscii().endsWith(ending))",
                endings.join(", ")
            ),
            format!(
                "name a file that ends in {}, or .txt as MRPC's own do",
                tasks::file_endings()
            ),
            is_a_file_of_examples,
        ),
    ]
}

/// How a test file ends. MRPC's authors named theirs so that the last one is among them.
fn test_endings() -> impl Iterator<Item = String> {
    let of_tasks = tasks::FILE_ENDINGS.iter().chain(&["txt"]);
    of_tasks.map(|ending| format!(".{ending}"))
}

fn length(list: &Value) -> u64 {
    list.as_array().map_or(0, |list| list.len() as u64)
}

/// The trainings that a promotion takes at most.
fn trainings(promotion: &Value) -> u64 {
    let found = match text(&promotion["candidates"]) {
        "Front" => promotion["maxConfigurations"].as_u64().unwrap_or_default(),
        "BestWithinBudgets" => length(&promotion["budgets"]),
        _ => 0,
    };
    let configurations = found
        .saturating_add(length(&promotion["trials"]))
        .saturating_add(length(&promotion["baselines"]));
    configurations.saturating_mul(promotion["seeds"].as_u64().unwrap_or_default())
}

fn fits_the_object(seen: &Seen<'_>) -> Vec<Problem> {
    let trials = seen.value["maxTrials"].as_u64().unwrap_or_default();
    let on_a_task = trainings(&seen.value["promotion"]);
    // Each training on another task keeps the task's description.
    let (mut trainings, mut described) = (on_a_task, 0_u64);
    for task in of_transfer::tasks(seen.value) {
        trainings = trainings.saturating_add(on_a_task);
        let bytes = of_transfer::bytes(task).saturating_mul(on_a_task);
        described = described.saturating_add(bytes);
    }
    let all = trials.saturating_add(trainings);
    let bytes = all.saturating_mul(limits::ENTRY_BYTES);
    let bytes = bytes.saturating_add(described);
    let is_too_much = all > limits::ENTRIES.most || bytes > limits::OBJECT_BYTES;
    let is_too_much = is_given(&seen.value["promotion"]) && is_too_much;
    problem(is_too_much, ".promotion", || {
        let kilobytes = bytes / 1000;
        format!("{trainings} trainings beside {trials} trials would need {kilobytes} kB")
    })
}

fn budgets_are_given(seen: &Seen<'_>) -> Vec<Problem> {
    let needs = text(&seen.value["candidates"]) == "BestWithinBudgets";
    let is_wrong = needs && length(&seen.value["budgets"]) == 0;
    problem(is_wrong, ".budgets", || "there are none".into())
}

fn something_is_named(seen: &Seen<'_>) -> Vec<Problem> {
    let needs = text(&seen.value["candidates"]) == "NamedTrials";
    let named = length(&seen.value["trials"]) + length(&seen.value["baselines"]);
    problem(needs && named == 0, ".trials", || "there are none".into())
}

fn budgets_in_range(seen: &Seen<'_>) -> Vec<Problem> {
    decimals_in_range(seen, limits::PARAMETERS_PERCENT)
}

fn one_evaluation(seen: &Seen<'_>) -> Vec<Problem> {
    let has_file = is_given(&seen.value["testFile"]);
    let has_share = is_given(&seen.value["selectionPercent"]);
    problem(has_file == has_share, "", || match has_file {
        true => "testFile and selectionPercent are given together".into(),
        false => "it says nothing".into(),
    })
}

fn is_a_file_of_examples(seen: &Seen<'_>) -> Vec<Problem> {
    let file = text(seen.value).to_ascii_lowercase();
    let is_known = test_endings().any(|ending| file.ends_with(&ending));
    problem(!is_known && !file.is_empty(), "", || {
        format!("{:?} has an unknown extension", text(seen.value))
    })
}
