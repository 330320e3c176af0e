//! What a rule looks at, and what it finds.

use serde_json::Value;

use crate::decimal::Decimal;
use crate::limits::Real;

/// What a predicate finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    /// Where, below the rule's place: `.sizes[2]`, or nothing for the place itself.
    pub(super) below: String,
    /// What is wrong there.
    pub(super) problem: String,
    /// What would be right, where the predicate knows it better than the rule's message.
    pub(super) remedy: Option<String>,
}

/// What a predicate looks at.
pub(super) struct Seen<'a> {
    /// The value at the rule's place.
    pub(super) value: &'a Value,
    /// The whole spec.
    pub(super) spec: &'a Value,
}

/// Nothing, or one problem below the place.
pub(super) fn problem(is_wrong: bool, below: &str, words: impl FnOnce() -> String) -> Vec<Problem> {
    let found = is_wrong.then(|| Problem {
        below: below.into(),
        problem: words(),
        remedy: None,
    });
    found.into_iter().collect()
}

pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

pub(super) fn is_given(value: &Value) -> bool {
    !value.is_null()
}

pub(super) fn decimal(value: &Value) -> Option<Decimal> {
    value.as_str()?.parse().ok()
}

pub(super) fn count(value: &Value) -> Option<u64> {
    value.as_u64()
}

/// The entries of a list of decimals that are out of range.
pub(super) fn decimals_in_range(seen: &Seen<'_>, range: Real) -> Vec<Problem> {
    let values = seen.value.as_array().into_iter().flatten().enumerate();
    let wrong = values.filter_map(|(index, value)| Some((index, decimal(value)?)));
    wrong
        .filter(|(_, value)| !range.contains(value.get()))
        .map(|(index, value)| Problem {
            below: format!("[{index}]"),
            problem: format!("{value} is out of range"),
            remedy: None,
        })
        .collect()
}
