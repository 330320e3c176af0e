//! From the labels of a file to classes and numbers.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use autopeft_crds::limits::CLASSES;
use autopeft_crds::spec::TaskKind;

use super::alike;
use super::error::TaskError;
use super::examples::{Sets, Targets};
use super::family::Files;
use crate::data::{DataError, Label, Place, Row, listed, shortened};

/// The most classes that are inferred or given.
pub(super) const MAX_LABELS: usize = CLASSES.most as usize;

/// The largest label of a regression. The model computes in 32 bits, and the gradient's norm sums squares of
/// numbers of this size over as many as 10⁸ parameters.
const MAX_TARGET: f64 = 1e14;

/// 2^64: whole numbers from here on come out of JSON as floats.
const ROUNDED: f64 = 18_446_744_073_709_551_616.0;

/// The classes of a training file: its distinct labels, numbers by size, else by text; and how many
/// examples each has.
pub(super) fn infer(
    rows: &[Row],
    files: &Files,
) -> Result<(Vec<String>, BTreeMap<String, usize>), TaskError> {
    let (path, column) = (files.train.as_path(), files.columns.label.as_str());
    let mut found = BTreeMap::new();
    for row in rows {
        let names = if files.kind == TaskKind::MultiLabel {
            spellings(row, path, column, &files.delimiter)?
        } else {
            [spelling(&row.label, row.line, path, column)?].into()
        };
        for name in names {
            *found.entry(name).or_default() += 1;
        }
    }
    if found.is_empty() {
        return Err(constant(path, column, "an empty list".into()));
    }
    if found.len() > MAX_LABELS {
        return Err(TaskError::TooManyLabels {
            path: path.into(),
            column: column.into(),
            found: found.len(),
            most: MAX_LABELS,
        });
    }
    let mut labels: Vec<String> = found.keys().cloned().collect();
    if let [only] = labels.as_slice() {
        return Err(constant(path, column, format!("{only:?}")));
    }
    let numbers: Option<Vec<f64>> = labels.iter().map(|label| label.parse().ok()).collect();
    if numbers.is_some_and(|numbers| numbers.iter().all(|number| number.is_finite())) {
        let number = |label: &String| label.parse::<f64>().unwrap_or(f64::INFINITY);
        labels.sort_by(|a, b| number(a).total_cmp(&number(b)));
    }
    Ok((labels, found))
}

/// The index of each row's class.
pub(super) fn classes(
    rows: &[Row],
    spelled: &[String],
    path: &Path,
    column: &str,
) -> Result<Targets, TaskError> {
    let place = places(spelled);
    let mut classes = Vec::with_capacity(rows.len());
    for row in rows {
        let label = spelling(&row.label, row.line, path, column)?;
        match place.get(label.as_str()) {
            Some(class) => classes.push(*class),
            None => return Err(unknown(&label, row.line, spelled, path, column).into()),
        }
    }
    Ok(Targets::Classes(classes))
}

/// The indices of each row's classes, in ascending order.
pub(super) fn sets(
    rows: &[Row],
    spelled: &[String],
    path: &Path,
    column: &str,
    delimiter: &str,
) -> Result<Targets, TaskError> {
    let place = places(spelled);
    let mut members = Vec::with_capacity(rows.len());
    for row in rows {
        let mut set = BTreeSet::new();
        for label in spellings(row, path, column, delimiter)? {
            match place.get(label.as_str()) {
                Some(class) => set.insert(*class),
                None => return Err(unknown(&label, row.line, spelled, path, column).into()),
            };
        }
        members.push(set.into_iter().collect());
    }
    Ok(Targets::Sets(Sets {
        classes: spelled.len(),
        members,
    }))
}

fn places(spelled: &[String]) -> HashMap<&str, i64> {
    spelled.iter().map(String::as_str).zip(0..).collect()
}

/// A label that is none of the classes.
fn unknown(label: &str, line: u64, spelled: &[String], path: &Path, column: &str) -> DataError {
    let mut expected = format!("one of {}", listed(spelled.iter().map(String::as_str)));
    if let Some(twin) = alike::twin(label, spelled) {
        expected.push_str(&format!("; {:?} differs in form only", shortened(twin)));
    }
    for alike in alike::groups(spelled) {
        let names = listed(alike.into_iter().map(String::as_str));
        expected.push_str(&format!("; the classes {names} differ in form only"));
    }
    let found = format!("{:?}", shortened(label));
    value(line, path, column, found, expected)
}

/// The distinct classes of an example: those of a list, or those between the delimiters of a text.
fn spellings(
    row: &Row,
    path: &Path,
    column: &str,
    delimiter: &str,
) -> Result<BTreeSet<String>, DataError> {
    match &row.label {
        Label::List(labels) => labels
            .iter()
            .map(|label| spelling(label, row.line, path, column))
            .collect(),
        Label::Text(text) => Ok(text
            .split(delimiter)
            .map(str::trim)
            .filter(|name| !name.is_empty())
            .map(ToOwned::to_owned)
            .collect()),
        other => Ok([spelling(other, row.line, path, column)?].into()),
    }
}

/// Each row's label as a number.
pub(super) fn numbers(rows: &[Row], path: &Path, column: &str) -> Result<Targets, TaskError> {
    let mut numbers = Vec::with_capacity(rows.len());
    for row in rows {
        let number = match &row.label {
            Label::Integer(whole) => Some(*whole as f64),
            Label::Number(number) => Some(*number),
            Label::Text(text) => text.trim().parse::<f64>().ok(),
            Label::Decimal(digits) => digits.parse().ok(),
            Label::Boolean(_) | Label::List(_) => None,
        };
        match number.filter(|number| number.abs() <= MAX_TARGET) {
            Some(number) => numbers.push(number),
            None => {
                let expected = match number {
                    Some(number) if number.is_finite() => {
                        format!(
                            "at most {MAX_TARGET:e} in magnitude: the loss, its squared error, overflows beyond; scale the labels"
                        )
                    }
                    _ => "a finite number".into(),
                };
                let found = match &row.label {
                    Label::Text(text) => format!("{:?}", shortened(text)),
                    Label::Integer(whole) => whole.to_string(),
                    Label::Decimal(digits) => digits.clone(),
                    Label::Number(number) => number.to_string(),
                    Label::Boolean(value) => value.to_string(),
                    Label::List(_) => "a list".into(),
                };
                return Err(value(row.line, path, column, found, expected).into());
            }
        }
    }
    Ok(Targets::Numbers(numbers))
}

/// Rejects a file with a single label: there is nothing to learn, and a correlation is undefined. `spelled` are the
/// classes as the file has them.
pub(super) fn not_constant(
    targets: &Targets,
    spelled: &[String],
    path: &Path,
    column: &str,
) -> Result<(), TaskError> {
    let only = match targets {
        Targets::Classes(classes) => {
            only(classes).map(|class| format!("{:?}", spelled[*class as usize]))
        }
        Targets::Numbers(numbers) => only(numbers).map(ToString::to_string),
        Targets::Sets(sets) => only(&sets.members).map(|set| {
            let names = set.iter().map(|class| spelled[*class as usize].as_str());
            listed(names)
        }),
    };
    only.map_or(Ok(()), |value| Err(constant(path, column, value)))
}

fn only<T: PartialEq>(values: &[T]) -> Option<&T> {
    let first = values.first()?;
    values.iter().all(|value| value == first).then_some(first)
}

/// A label as text: the numbers 1 and 1.0 and the text "1" name the same class. Text is not
/// normalised: "1.0" and " 1" name others.
fn spelling(label: &Label, line: u64, path: &Path, column: &str) -> Result<String, DataError> {
    match label {
        Label::Text(text) if text.is_empty() => Err(value(
            line,
            path,
            column,
            "an empty label".into(),
            "a class".into(),
        )),
        Label::Text(text) => Ok(text.clone()),
        Label::Integer(whole) => Ok(whole.to_string()),
        Label::Decimal(digits) => Ok(digits.clone()),
        Label::Boolean(value) => Ok(value.to_string()),
        Label::List(_) => Err(value(line, path, column, "a list".into(), "a class".into())),
        // A whole number beyond 64 bits was rounded and may be equal to others now.
        Label::Number(number)
            if number.is_finite() && number.abs() >= ROUNDED && number.fract() == 0.0 =>
        {
            Err(value(
                line,
                path,
                column,
                format!("{number:e}"),
                "a class; write numbers beyond 64 bits in quotation marks".into(),
            ))
        }
        // Display prints a whole float without a point.
        Label::Number(number) if number.is_finite() => Ok(number.to_string()),
        Label::Number(number) => Err(value(
            line,
            path,
            column,
            number.to_string(),
            "a class".into(),
        )),
    }
}

fn value(line: u64, path: &Path, column: &str, found: String, expected: String) -> DataError {
    DataError::Value {
        place: Place::new(path, line),
        column: column.into(),
        found,
        expected,
    }
}

fn constant(path: &Path, column: &str, value: String) -> TaskError {
    TaskError::Constant {
        path: path.into(),
        column: column.into(),
        value,
    }
}
