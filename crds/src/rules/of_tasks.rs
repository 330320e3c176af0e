//! What is wrong with a task.

use serde::Deserialize;
use serde_json::Value;

use super::problem::{Problem, Seen, decimals_in_range, is_given, problem, text};
use crate::limits;
use crate::named::Named;
use crate::tasks::{FILE_ENDINGS, Metric, TaskKind, TaskName};

pub(super) fn custom_is_described(seen: &Seen<'_>) -> Vec<Problem> {
    let name = text(&seen.value["name"]);
    let is_custom = name == TaskName::Custom.as_str();
    problem(
        is_custom != is_given(&seen.value["custom"]),
        ".custom",
        || {
            if is_custom {
                "the field is missing".into()
            } else {
                format!("the task {name} has its own files and labels")
            }
        },
    )
}

/// What a task predicts, if known.
fn kind(task: &Value) -> Option<TaskKind> {
    match TaskName::from_name(text(&task["name"]))?.facts() {
        Some(facts) => Some(facts.kind(text(&task["form"]) == "Pair")),
        None => custom_kind(&task["custom"]),
    }
}

fn custom_kind(custom: &Value) -> Option<TaskKind> {
    TaskKind::deserialize(&custom["type"]).ok()
}

pub(super) fn metric_fits(seen: &Seen<'_>) -> Vec<Problem> {
    let (Some(metric), Some(kind)) = (
        Metric::from_name(text(&seen.value["metric"])),
        kind(seen.value),
    ) else {
        return Vec::new();
    };
    if metric.fits(kind) {
        return Vec::new();
    }
    vec![Problem {
        below: ".metric".into(),
        problem: format!("{} does not fit a {} task", metric.label(), kind.label()),
        remedy: Some(format!("write {}", Metric::fitting(kind))),
    }]
}

pub(super) fn known_ending(seen: &Seen<'_>) -> Vec<Problem> {
    let file = text(seen.value).to_ascii_lowercase();
    let is_known = FILE_ENDINGS
        .iter()
        .any(|ending| file.ends_with(&format!(".{ending}")));
    problem(!is_known && !file.is_empty(), "", || {
        format!("{:?} has an unknown extension", text(seen.value))
    })
}

pub(super) fn label_is_no_text(seen: &Seen<'_>) -> Vec<Problem> {
    let label = &seen.value["labelColumn"];
    let columns = seen.value["textColumns"].as_array();
    let is_text = columns.is_some_and(|columns| columns.contains(label));
    problem(is_text, ".labelColumn", || {
        format!("{label} is a text column too")
    })
}

pub(super) fn score_metric(task: &Value) -> Option<Metric> {
    let name = TaskName::from_name(text(&task["name"]))?;
    let given = Metric::from_name(text(&task["metric"]));
    Some(given.unwrap_or_else(|| name.metric(kind(task).unwrap_or(TaskKind::Classification))))
}

/// A field of a custom task that only some kinds have.
fn only_for(seen: &Seen<'_>, field: &str, kinds: &[TaskKind]) -> Vec<Problem> {
    let Some(kind) = custom_kind(seen.value) else {
        return Vec::new();
    };
    let is_wrong = is_given(&seen.value[field]) && !kinds.contains(&kind);
    problem(is_wrong, &format!(".{field}"), || {
        format!("a {} task has none", kind.label())
    })
}

pub(super) fn numbers_have_no_labels(seen: &Seen<'_>) -> Vec<Problem> {
    let is_regression = custom_kind(seen.value) == Some(TaskKind::Regression);
    problem(
        is_regression && is_given(&seen.value["labels"]),
        ".labels",
        || "a regression has no classes".into(),
    )
}

pub(super) fn choices_are_named(seen: &Seen<'_>) -> Vec<Problem> {
    let is_choice = custom_kind(seen.value) == Some(TaskKind::MultipleChoice);
    if is_choice {
        let is_absent = !is_given(&seen.value["choiceColumns"]);
        problem(is_absent, ".choiceColumns", || {
            "the field is missing".into()
        })
    } else {
        only_for(seen, "choiceColumns", &[TaskKind::MultipleChoice])
    }
}

pub(super) fn choices_are_columns_of_their_own(seen: &Seen<'_>) -> Vec<Problem> {
    let choices = seen.value["choiceColumns"].as_array();
    let label = &seen.value["labelColumn"];
    let texts = seen.value["textColumns"].as_array();
    let is_other =
        |column: &Value| column == label || texts.is_some_and(|columns| columns.contains(column));
    let twice = choices
        .into_iter()
        .flatten()
        .find(|column| is_other(column));
    problem(twice.is_some(), ".choiceColumns", || {
        format!("{} is another column too", twice.unwrap_or(&Value::Null))
    })
}

pub(super) fn labels_name_the_choices(seen: &Seen<'_>) -> Vec<Problem> {
    let length = |field: &str| seen.value[field].as_array().map(Vec::len);
    let (Some(choices), Some(labels)) = (length("choiceColumns"), length("labels")) else {
        return Vec::new();
    };
    problem(choices != labels, ".labels", || {
        format!("{labels} labels for {choices} choices")
    })
}

pub(super) fn several_are_delimited(seen: &Seen<'_>) -> Vec<Problem> {
    only_for(seen, "labelDelimiter", &[TaskKind::MultiLabel])
}

pub(super) fn classes_are_weighted(seen: &Seen<'_>) -> Vec<Problem> {
    let kinds = [TaskKind::Classification, TaskKind::MultiLabel];
    only_for(seen, "classWeights", &kinds)
}

pub(super) fn one_weighting(seen: &Seen<'_>) -> Vec<Problem> {
    let is_balanced = seen.value["balanced"] == true;
    let has_values = is_given(&seen.value["values"]);
    problem(is_balanced == has_values, "", || {
        if is_balanced {
            "balanced and values are given together".into()
        } else {
            "it gives no weights".into()
        }
    })
}

pub(super) fn a_weight_per_class(seen: &Seen<'_>) -> Vec<Problem> {
    let length = |list: &Value| list.as_array().map(Vec::len);
    let weights = length(&seen.value["classWeights"]["values"]);
    let (Some(weights), Some(labels)) = (weights, length(&seen.value["labels"])) else {
        return Vec::new();
    };
    problem(weights != labels, ".classWeights.values", || {
        format!("{weights} weights for {labels} labels")
    })
}

pub(super) fn weights_in_range(seen: &Seen<'_>) -> Vec<Problem> {
    decimals_in_range(seen, limits::CLASS_WEIGHT)
}

pub(super) fn form_of_choices(seen: &Seen<'_>) -> Vec<Problem> {
    let name = text(&seen.value["name"]);
    let facts = TaskName::from_name(name).and_then(TaskName::facts);
    let has_choices = facts.is_some_and(|facts| facts.has_choices());
    problem(
        is_given(&seen.value["form"]) && !has_choices,
        ".form",
        || format!("the task {name} has one form"),
    )
}
