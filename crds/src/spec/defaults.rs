//! The defaults that are not a type's own.

use crate::decimal::Decimal;

/// A constant of this file; none of them is out of `Decimal`'s range.
fn constant(text: &str) -> Decimal {
    text.parse()
        .unwrap_or_else(|error| unreachable!("default value: {error}"))
}

pub(crate) fn max_trials() -> u32 {
    200
}
pub(crate) fn parallelism() -> u32 {
    1
}
pub(crate) fn max_failed_trials() -> u32 {
    20
}
pub(crate) fn max_retries() -> u32 {
    2
}
pub(crate) fn trial_deadline_seconds() -> u64 {
    86_400
}
pub(super) fn revision() -> String {
    "main".into()
}
pub(super) fn train_file() -> String {
    "train.jsonl".into()
}
pub(super) fn validation_file() -> String {
    "validation.jsonl".into()
}
pub(super) fn label_column() -> String {
    "label".into()
}
pub(super) fn tolerance() -> Decimal {
    constant("0.001")
}
pub(super) fn learning_rate() -> Decimal {
    constant("0.0001")
}
pub(super) fn zero() -> Decimal {
    constant("0")
}
