//! Which examples of a task are trained on, choose the epoch, and give the score.

use std::path::Path;

use autopeft_crds::spec::{EvaluationSpec, TaskSpec};

use crate::task::{self, Examples, Task, TaskError};
use crate::train::sample::{kept_for_selection, test_examples};

/// A task's examples by their use.
#[derive(Debug)]
pub struct Split {
    /// What is trained on; the validation examples choose the epoch.
    pub task: Task,
    /// What the score is measured on, where that is not the validation examples of `task`.
    pub report: Option<Examples>,
}

/// The split of a task for an evaluation. `seed` is that of the sample stream.
///
/// # Errors
/// The test file cannot be used, or too few examples are left to learn from or to be measured on.
pub fn split(
    mut task: Task,
    evaluation: Option<&EvaluationSpec>,
    spec: &TaskSpec,
    data: &Path,
    seed: u64,
) -> Result<Split, TaskError> {
    let mut report = None;
    if let Some(file) = evaluation.and_then(|evaluation| evaluation.test_file.as_deref()) {
        let test = task::load_test(spec, &task.kind, data, file)?;
        let test = test_examples(test, &task.kind, task.metric)?;
        task.notes.push(format!(
            "the score is that of {} test examples; {} validation examples choose the epoch",
            test.len(),
            task.validation.len()
        ));
        report = Some(test);
    }
    if let Some(percent) = evaluation.and_then(|evaluation| evaluation.selection_percent) {
        let (rest, kept) = kept_for_selection(&task, percent, seed)?;
        task.notes.push(format!(
            "{} of {} training examples choose the epoch; the score is that of {} validation examples",
            kept.len(),
            task.train.len(),
            task.validation.len()
        ));
        task.train = rest;
        report = Some(std::mem::replace(&mut task.validation, kept));
    }
    Ok(Split { task, report })
}
