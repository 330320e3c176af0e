//! Rules of `spec.transfer`.

use serde_json::Value;

use super::problem::{Problem, Seen, is_given, problem};
use super::{Rule, not_at_admission, rule};
use crate::limits;

/// The rows.
pub(super) fn rules() -> Vec<Rule> {
    let bytes = limits::TRANSFER_TASK_BYTES;
    vec![
        rule(
            &["spec"],
            "!has(self.transfer) || has(self.promotion)",
            "transfer trains what promotion trains: give promotion too, such as promotion: {}",
            something_is_promoted,
        ),
        not_at_admission(
            &["spec.transfer.tasks[]"],
            format!(
                "describe the task in at most {bytes} bytes of JSON: leave out labels, which are then read from the \
                 training file"
            ),
            is_short,
        ),
        not_at_admission(
            &["spec.transfer"],
            "one inspection reads all data, with one token: give each source.hub the same tokenSecretRef, or none",
            one_token,
        ),
    ]
}

/// The tasks of a spec's transfer.
pub(super) fn tasks(spec: &Value) -> impl Iterator<Item = &Value> {
    spec["transfer"]["tasks"].as_array().into_iter().flatten()
}

/// What the description of a task takes, bytes of JSON.
pub(super) fn bytes(task: &Value) -> u64 {
    task.to_string().len() as u64
}

fn something_is_promoted(seen: &Seen<'_>) -> Vec<Problem> {
    let is_wrong = is_given(&seen.value["transfer"]) && !is_given(&seen.value["promotion"]);
    problem(is_wrong, ".transfer", || "nothing is promoted".into())
}

fn is_short(seen: &Seen<'_>) -> Vec<Problem> {
    let bytes = bytes(seen.value);
    let is_long = bytes > limits::TRANSFER_TASK_BYTES;
    problem(is_long, "", || format!("it has {bytes} bytes"))
}

fn one_token(seen: &Seen<'_>) -> Vec<Problem> {
    let token = |task: &Value| {
        let token = &task["source"]["hub"]["tokenSecretRef"];
        is_given(token).then(|| token.clone())
    };
    let of_others = tasks(seen.spec).map(|other| token(&other["task"]));
    let tokens = [token(&seen.spec["task"])].into_iter().chain(of_others);
    let mut tokens: Vec<(usize, Value)> = tokens
        .enumerate()
        .filter_map(|(index, token)| Some((index, token?)))
        .collect();
    let Some((_, first)) = tokens.first().cloned() else {
        return Vec::new();
    };
    tokens.retain(|(_, token)| *token != first);
    let other = tokens.first();
    // The first of all is that of `spec.task`, which is equal to itself.
    let below = other.map_or_else(String::new, |(index, _)| {
        format!(".tasks[{}].task.source.hub.tokenSecretRef", index - 1)
    });
    problem(other.is_some(), &below, || {
        "it is another token than that of a task before it".into()
    })
}
