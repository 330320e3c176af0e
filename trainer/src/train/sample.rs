//! The samples of a fidelity, and checks that a model can learn from them and be measured on them.

use std::collections::BTreeSet;

use autopeft_crds::spec::{FidelitySpec, Metric};

use super::seeds;
use crate::task::{Examples, Kind, Targets, Task, TaskError};

/// The fewest examples for a correlation: of two it can only be -1, 0 or 1.
const CORRELATED_LEAST: usize = 3;

/// Examples by their use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Training examples.
    Train,
    /// Validation examples.
    Validation,
    /// Training examples that are kept to choose the epoch.
    Selection,
    /// Examples of a test file.
    Test,
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Self::Train => "training",
            Self::Validation => "validation",
            Self::Selection => "selection",
            Self::Test => "test",
        }
    }

    /// The name of their sample, which distinguishes samples drawn with one seed.
    fn draw(self) -> u64 {
        match self {
            Self::Train => 0,
            Self::Validation => 1,
            Self::Selection => 2,
            Self::Test => 3,
        }
    }

    /// Where they come from, if there are too few.
    fn source(self, all: usize) -> String {
        let field = match self {
            Self::Train => "spec.fidelity.trainExamples",
            Self::Validation => "spec.fidelity.validationExamples",
            Self::Selection => "spec.promotion.evaluation.selectionPercent",
            Self::Test => return "the test file needs others".into(),
        };
        format!("raise {field} ({all} are there)")
    }
}

/// The sample of a fidelity; `seed` is that of the sample stream.
pub fn subsample(examples: Examples, part: Part, fidelity: &FidelitySpec, seed: u64) -> Examples {
    let wanted = match part {
        Part::Train => fidelity.train_examples,
        Part::Validation => fidelity.validation_examples,
        Part::Selection | Part::Test => None,
    };
    let places = seeds::sample(examples.len(), wanted, seed, part.draw());
    if places.len() == examples.len() {
        examples
    } else {
        examples.at(&places)
    }
}

/// The training examples without a share of them, in percent, and that share, which chooses the epoch: at least one
/// example, drawn at random.
///
/// # Errors
/// Nothing can be learned from the ones, or measured on the others.
pub fn kept_for_selection(
    task: &Task,
    percent: u32,
    seed: u64,
) -> Result<(Examples, Examples), TaskError> {
    let (examples, kind, metric) = (&task.train, &task.kind, task.metric);
    let all = examples.len();
    let wanted = (all as u64 * u64::from(percent) / 100).max(1);
    let wanted = u32::try_from(wanted).ok();
    let kept = seeds::sample(all, wanted, seed, Part::Selection.draw());
    let rest: Vec<usize> = (0..all)
        .filter(|place| kept.binary_search(place).is_err())
        .collect();
    let (rest, kept) = (examples.at(&rest), examples.at(&kept));
    check(Part::Train, &rest, kind, metric, rest.len())?;
    check(Part::Selection, &kept, kind, metric, all)?;
    Ok((rest, kept))
}

/// Examples of a test file.
///
/// # Errors
/// The metric is the same for every model on them.
pub fn test_examples(
    examples: Examples,
    kind: &Kind,
    metric: Metric,
) -> Result<Examples, TaskError> {
    check(Part::Test, &examples, kind, metric, examples.len())?;
    Ok(examples)
}

/// A task with the samples of a fidelity.
///
/// # Errors
/// Nothing can be learned from them, or measured on them.
pub fn sampled(task: Task, fidelity: &FidelitySpec, seed: u64) -> Result<Task, TaskError> {
    let (kind, metric) = (&task.kind, task.metric);
    let part = |examples: Examples, part: Part| {
        let all = examples.len();
        let examples = subsample(examples, part, fidelity, seed);
        check(part, &examples, kind, metric, all)?;
        Ok::<_, TaskError>(examples)
    };
    let train = part(task.train, Part::Train)?;
    let validation = part(task.validation, Part::Validation)?;
    Ok(Task {
        train,
        validation,
        ..task
    })
}

/// Rejects training examples of a single label, and others on which the metric is the same for every model.
/// `all` is the number of examples in the file.
///
/// # Errors
/// Which examples, the problem, and the remedy.
fn check(
    part: Part,
    examples: &Examples,
    kind: &Kind,
    metric: Metric,
    all: usize,
) -> Result<(), TaskError> {
    let Some(problem) = problem(part, examples, kind, metric) else {
        return Ok(());
    };
    let (name, count) = (part.name(), examples.len());
    let plural = if count == 1 { "" } else { "s" };
    Err(TaskError::Sample {
        examples: format!("{count} {name} example{plural}"),
        problem,
        advice: if count < all {
            part.source(all)
        } else {
            format!("the {name} file needs others")
        },
    })
}

fn problem(part: Part, examples: &Examples, kind: &Kind, metric: Metric) -> Option<String> {
    let name = metric.label();
    let one = one_label(&examples.targets, kind);
    match (part, metric) {
        (Part::Train, _) => {
            one.map(|label| format!(", every one labelled {label}: there is nothing to learn"))
        }
        (_, Metric::Pearson | Metric::Spearman) if examples.len() < CORRELATED_LEAST => {
            Some(format!(": {name} needs at least {CORRELATED_LEAST}"))
        }
        (_, Metric::Pearson | Metric::Spearman | Metric::Matthews) => {
            one.map(|label| format!(", every one labelled {label}: {name} is 0 for any model"))
        }
        (_, Metric::MacroF1 | Metric::MicroF1) if all_empty(&examples.targets) => {
            Some(format!(", none with a class: {name} is 0 for any model"))
        }
        (_, Metric::Accuracy | Metric::MacroF1 | Metric::MicroF1 | Metric::SubsetAccuracy) => None,
        (_, Metric::F1) => lacks_the_second(&examples.targets, kind)
            .map(|label| format!(", none labelled {label}: {name} is 0 for any model")),
    }
}

/// The label that every example has.
fn one_label(targets: &Targets, kind: &Kind) -> Option<String> {
    let name = |class: &i64| {
        let label = kind.labels().get(*class as usize);
        label.map_or_else(String::new, |label| format!("{label:?}"))
    };
    match targets {
        Targets::Classes(classes) => {
            let distinct: BTreeSet<i64> = classes.iter().copied().collect();
            match distinct.len() {
                0 | 1 => Some(distinct.first().map(name).unwrap_or_default()),
                _ => None,
            }
        }
        Targets::Numbers(numbers) => {
            let first = numbers.first()?;
            let is_one = numbers.iter().all(|number| number == first);
            is_one.then(|| first.to_string())
        }
        Targets::Sets(sets) => {
            let first = sets.members.first()?;
            let is_one = sets.members.iter().all(|set| set == first);
            let names: Vec<String> = first.iter().map(name).collect();
            is_one.then(|| format!("{{{}}}", names.join(", ")))
        }
    }
}

/// Whether no example has a class.
fn all_empty(targets: &Targets) -> bool {
    matches!(targets, Targets::Sets(sets) if sets.members.iter().all(Vec::is_empty))
}

/// The second of two classes, if no example has it: binary F1 is 0 for any model then.
fn lacks_the_second(targets: &Targets, kind: &Kind) -> Option<String> {
    match (targets, kind) {
        (Targets::Classes(classes), Kind::Classification(labels)) => match labels.as_slice() {
            [_, second] if !classes.contains(&1) => Some(format!("{second:?}")),
            _ => None,
        },
        _ => None,
    }
}
