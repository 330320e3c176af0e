//! The examples that a fidelity takes, and whether they can be learned from and can tell models apart.

use std::collections::BTreeSet;

use autopeft_crds::spec::{FidelitySpec, Metric};

use super::seeds;
use crate::task::{Examples, Kind, Targets, Task, TaskError};

/// The fewest examples that a rank correlation is told from chance over: two have no values but -1, 0 and 1.
const CORRELATED_LEAST: usize = 3;

/// Which examples are spoken of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Those that are trained on.
    Train,
    /// Those that are scored on.
    Validation,
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Self::Train => "training",
            Self::Validation => "validation",
        }
    }

    /// How many of them a fidelity wants.
    fn wanted(self, fidelity: &FidelitySpec) -> Option<u32> {
        match self {
            Self::Train => fidelity.train_examples,
            Self::Validation => fidelity.validation_examples,
        }
    }

    /// Which of the samples that are drawn with one seed is theirs.
    fn draw(self) -> u64 {
        match self {
            Self::Train => 0,
            Self::Validation => 1,
        }
    }

    fn field(self) -> &'static str {
        match self {
            Self::Train => "spec.fidelity.trainExamples",
            Self::Validation => "spec.fidelity.validationExamples",
        }
    }
}

/// The examples that a fidelity takes; `seed` is that of the sample stream.
pub fn subsample(examples: Examples, part: Part, fidelity: &FidelitySpec, seed: u64) -> Examples {
    let places = seeds::sample(examples.len(), part.wanted(fidelity), seed, part.draw());
    if places.len() == examples.len() {
        examples
    } else {
        examples.at(&places)
    }
}

/// A task with the examples that a fidelity takes.
///
/// # Errors
/// Nothing can be learned from them, or told apart by them.
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

/// Refuses training examples of one label, and validation examples over which the metric is the same for every
/// model. `all` is how many the file has: fewer are a sample.
///
/// # Errors
/// Which examples, what they lack, and what would be right.
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
            format!("raise {} ({all} are there)", part.field())
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
        (Part::Validation, Metric::Pearson | Metric::Spearman)
            if examples.len() < CORRELATED_LEAST =>
        {
            Some(format!(": {name} needs at least {CORRELATED_LEAST}"))
        }
        (Part::Validation, Metric::Pearson | Metric::Spearman | Metric::Matthews) => {
            one.map(|label| format!(", every one labelled {label}: {name} is 0 for any model"))
        }
        (Part::Validation, Metric::F1) => lacks_the_second(&examples.targets, kind)
            .map(|label| format!(", none labelled {label}: {name} is 0 for any model")),
        (Part::Validation, Metric::Accuracy) => None,
    }
}

/// The label that every example has.
fn one_label(targets: &Targets, kind: &Kind) -> Option<String> {
    match (targets, kind) {
        (Targets::Classes(classes), Kind::Classification(labels)) => {
            let distinct: BTreeSet<i64> = classes.iter().copied().collect();
            match distinct.len() {
                0 | 1 => {
                    let label = distinct
                        .first()
                        .and_then(|class| labels.get(*class as usize));
                    Some(label.map_or_else(String::new, |label| format!("{label:?}")))
                }
                _ => None,
            }
        }
        (Targets::Numbers(numbers), _) => {
            let first = numbers.first()?;
            let is_one = numbers.iter().all(|number| number == first);
            is_one.then(|| first.to_string())
        }
        (Targets::Classes(_), Kind::Regression) => None,
    }
}

/// With two classes, F1 is that of the second: its name, where no example has it.
fn lacks_the_second(targets: &Targets, kind: &Kind) -> Option<String> {
    match (targets, kind) {
        (Targets::Classes(classes), Kind::Classification(labels)) => match labels.as_slice() {
            [_, second] if !classes.contains(&1) => Some(format!("{second:?}")),
            _ => None,
        },
        _ => None,
    }
}
