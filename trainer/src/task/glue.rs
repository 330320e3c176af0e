//! The tasks of GLUE (arXiv:1804.07461) and SuperGLUE (arXiv:1905.00537): their files, columns, labels and quirks.
//!
//! Two layouts are read: the benchmark's own (`train.tsv` and `dev.tsv`, without quoting; `train.jsonl` and
//! `val.jsonl`), and the hub's Parquet files. A class's number is its index in the hub's list of names.

use std::collections::BTreeSet;
use std::path::Path;

use autopeft_crds::spec::TaskForm;
use autopeft_crds::tasks::{TASKS, TaskFacts, TextColumns, TextForm};

use super::error::TaskError;
use super::family::{Family, Files, Labels, Texts};
use crate::data::{self, Columns, DataError, TsvLayout, listed};

/// The training split of the Parquet files.
const TRAIN: &str = "train";

/// The label column of the Parquet files.
const HUB_LABEL: &str = "label";

/// A GLUE or SuperGLUE task, or another in the same two layouts.
#[derive(Clone, Copy, Debug)]
pub struct Glue<'a> {
    facts: &'a TaskFacts,
    /// Whether choices are read as one pair of texts.
    is_pair: bool,
}

impl<'a> Glue<'a> {
    /// The task of a row.
    pub fn new(facts: &'a TaskFacts) -> Self {
        Self {
            facts,
            is_pair: false,
        }
    }

    /// The same in a form of a task of choices.
    #[must_use]
    pub fn in_form(self, form: Option<TaskForm>) -> Self {
        let is_pair = form == Some(TaskForm::Pair);
        Self { is_pair, ..self }
    }
}

impl Family for Glue<'_> {
    fn hub_files(&self) -> [String; 2] {
        let facts = self.facts;
        [TRAIN, facts.hub_validation].map(|split| format!("{}/{}", facts.name, shard(split)))
    }

    fn files(&self, directory: &Path) -> Result<Files, TaskError> {
        files(self, directory)
    }

    fn with_file(&self, file: &Path) -> Result<Files, TaskError> {
        let nowhere = Path::new("");
        let ending = file.extension();
        let is_parquet = ending.is_some_and(|ending| ending.eq_ignore_ascii_case("parquet"));
        let mut files = match is_parquet {
            true => from_parquet(self, nowhere),
            false => from_own(self, nowhere, ""),
        };
        // MRPC's authors name their files so.
        if ending.is_some_and(|ending| ending.eq_ignore_ascii_case("txt")) {
            files.layout = Some(own_layout(self.facts));
        }
        files.validation = file.into();
        Ok(files)
    }

    fn explain(&self, _columns: &Columns, problem: DataError) -> TaskError {
        other_task(self.facts, problem)
    }
}

fn shard(split: &str) -> String {
    format!("{split}-00000-of-00001.parquet")
}

fn files(task: &Glue<'_>, directory: &Path) -> Result<Files, TaskError> {
    let facts = task.facts;
    let name = facts.name;
    let below = |folder: &str| directory.join(folder);
    let standard = [directory.to_path_buf(), below(facts.folder)];
    let hub = [directory.to_path_buf(), below(name), below("data")];
    let own: Vec<[String; 2]> = facts
        .own_validation
        .iter()
        .map(|validation| [facts.own_train, validation].map(ToOwned::to_owned))
        .collect();
    let parquet = [TRAIN, facts.hub_validation].map(shard);
    let in_folder = |folder| own.iter().map(move |files| (folder, files));
    let places = standard.iter().flat_map(in_folder);
    let places = places.chain(hub.iter().map(|folder| (folder, &parquet)));
    let mut half = None;
    for (folder, files) in places {
        // A dangling link counts: the reader reports it.
        let is_there = |file: &String| folder.join(file).symlink_metadata().is_ok();
        match files.each_ref().map(is_there) {
            [true, true] if *files == parquet => return Ok(from_parquet(task, folder)),
            [true, true] => return Ok(from_own(task, folder, &files[1])),
            [false, false] => {}
            [has_train, _] => half = half.or(Some((folder, files, has_train))),
        }
    }
    Err(match half {
        Some((folder, [train, validation], has_train)) => {
            let (there, missing) = if has_train {
                (train, validation)
            } else {
                (validation, train)
            };
            TaskError::NoFile {
                directory: folder.clone(),
                task: name,
                there: there.clone(),
                missing: missing.clone(),
            }
        }
        None => TaskError::NoFiles {
            directory: directory.into(),
            task: name,
            own: format!("{} and {}", facts.own_train, own[0][1]),
            parquet: format!("{name}/{}", shard(TRAIN)),
            there: there(directory),
        },
    })
}

/// The files of a directory, for a message.
fn there(directory: &Path) -> String {
    let names: BTreeSet<String> = std::fs::read_dir(directory)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    listed(names.iter().map(String::as_str))
}

/// For a file without the task's columns: the error with the tasks whose columns it has.
fn other_task(facts: &TaskFacts, problem: DataError) -> TaskError {
    let path = match &problem {
        DataError::NoColumn { path, .. } => path,
        DataError::ColumnCount { place, .. } => &place.path,
        _ => return problem.into(),
    };
    let is_parquet = path.extension().is_some_and(|ending| ending == "parquet");
    let header: Vec<String> = match &problem {
        DataError::NoColumn { found, .. } if is_parquet => found.clone(),
        // The files of this task have no header.
        _ => data::first_line(path)
            .map(|line| line.split('\t').map(ToOwned::to_owned).collect())
            .unwrap_or_default(),
    };
    let others = owners(&header, is_parquet);
    if others.contains(&facts.name) {
        // The columns are right: the error is in a row.
        return problem.into();
    }
    let is_count = matches!(problem, DataError::ColumnCount { .. });
    if is_count && others.is_empty() {
        return problem.into();
    }
    TaskError::OtherTask {
        problem: problem.into(),
        task: facts.name,
        others,
    }
}

/// The tasks whose columns a header has; of those, the ones with the most columns.
fn owners(header: &[String], is_parquet: bool) -> Vec<&'static str> {
    let has = |column: &str| header.iter().any(|name| name == column);
    let fits: Vec<(usize, &'static str)> = TASKS
        .iter()
        .filter_map(|facts| {
            let ((first, second), label) = if is_parquet {
                (facts.hub_text, HUB_LABEL)
            } else {
                (facts.own_text, facts.own_label)
            };
            // CoLA's file has no header: four columns, the second one 0 or 1.
            let is_cola = !is_parquet
                && facts.own_header.is_some()
                && matches!(header, [_, label, _, _] if facts.own_classes.contains(&label.as_str()));
            let is_named = facts.own_header.is_none() && facts.own_train.ends_with(".tsv") || is_parquet;
            let fits = is_named && has(first) && second.is_none_or(has) && has(label);
            let columns = 2 + usize::from(second.is_some());
            (fits || is_cola).then_some((columns, facts.name))
        })
        .collect();
    let most = fits.iter().map(|(columns, _)| *columns).max();
    fits.into_iter()
        .filter(|(columns, _)| Some(*columns) == most)
        .map(|(_, name)| name)
        .collect()
}

fn from_own(task: &Glue<'_>, folder: &Path, validation: &str) -> Files {
    let facts = task.facts;
    Files {
        train: folder.join(facts.own_train),
        validation: folder.join(validation),
        columns: columns(facts, facts.own_text, facts.own_label),
        layout: Some(own_layout(facts)).filter(|layout| *layout != TsvLayout::default()),
        labels: labels(facts.classes, owned(facts.own_classes)),
        texts: texts(task),
        kind: facts.kind(task.is_pair),
        delimiter: String::new(),
    }
}

fn own_layout(facts: &TaskFacts) -> TsvLayout {
    TsvLayout {
        header: facts.own_header,
        skip_short_rows: facts.own_skips_short_rows,
    }
}

fn from_parquet(task: &Glue<'_>, folder: &Path) -> Files {
    let facts = task.facts;
    // There, a label is the number of its class.
    let numbers = (0..facts.classes.len()).map(|class| class.to_string());
    Files {
        train: folder.join(shard(TRAIN)),
        validation: folder.join(shard(facts.hub_validation)),
        columns: columns(facts, facts.hub_text, HUB_LABEL),
        layout: None,
        labels: labels(facts.classes, numbers.collect()),
        texts: texts(task),
        kind: facts.kind(task.is_pair),
        delimiter: String::new(),
    }
}

fn columns(facts: &TaskFacts, (first, second): TextColumns, label: &str) -> Columns {
    let more = match facts.form {
        TextForm::Plain => Vec::new(),
        TextForm::Joined(more) => more.to_vec(),
        TextForm::Choices(columns) => [columns.choices, &[columns.question]].concat(),
    };
    Columns {
        first: first.into(),
        second: second.map(Into::into),
        more: owned(&more),
        label: label.into(),
        has_lists: false,
    }
}

fn texts(task: &Glue<'_>) -> Texts {
    match task.facts.form {
        TextForm::Plain => Texts::Plain,
        TextForm::Joined(_) => Texts::Joined,
        TextForm::Choices(columns) => Texts::Cued {
            column: columns.question,
            cues: columns.cues,
            is_pair: task.is_pair,
        },
    }
}

fn labels(names: &[&str], spelled: Vec<String>) -> Labels {
    if names.is_empty() {
        Labels::Numbers
    } else {
        Labels::Spelled {
            spelled,
            names: owned(names),
        }
    }
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A task of this test only: a row is all that it takes (docs/extending.md).
    #[test]
    fn a_row_is_all_that_a_new_task_needs() {
        let row = TaskFacts {
            name: "tests",
            folder: "Tests",
            own_text: ("question", Some("answer")),
            own_label: "verdict",
            classes: &["wrong", "right", "unclear"],
            own_classes: &["0", "1", "2"],
            ..TASKS[0]
        };
        let row = TaskFacts {
            own_header: None,
            ..row
        };
        let folder = tempfile::tempdir().expect("a folder");
        let inner = folder.path().join("Tests");
        std::fs::create_dir(&inner).expect("a folder");
        let text = "question\tanswer\tverdict\nhow?\tso\t1\nwhy?\tno\t0\nwho?\tme\t2\n";
        for file in ["train.tsv", "dev.tsv"] {
            std::fs::write(inner.join(file), text).expect("a file");
        }
        let files = files(&Glue::new(&row), folder.path()).expect("the files");
        assert_eq!(files.train, inner.join("train.tsv"));
        let rows = data::read(&files.train, &files.columns).expect("rows").rows;
        assert_eq!(rows[0].first, "how?");
        assert_eq!(rows[0].second.as_deref(), Some("so"));
        let Labels::Spelled { spelled, names } = files.labels else {
            panic!("classes are spelled");
        };
        assert_eq!((spelled[2].as_str(), names[2].as_str()), ("2", "unclear"));
    }
}
