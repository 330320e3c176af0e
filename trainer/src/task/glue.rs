//! The GLUE tasks (arXiv:1804.07461): their files, columns, labels and quirks.
//!
//! Two layouts are read: the benchmark's own (`train.tsv` and `dev.tsv`, without quoting), and the
//! hub's Parquet files. A class's number is its place in the hub's list of names.

use std::collections::BTreeSet;
use std::path::Path;

use autopeft_crds::spec::TaskName;

use super::{Files, Labels, TaskError};
use crate::data::{self, Columns, DataError, TsvLayout, listed};

struct Glue {
    /// The folder of the benchmark's archive.
    folder: &'static str,
    /// Columns of the TSV files: text, second text, label.
    tsv: (&'static str, Option<&'static str>, &'static str),
    /// Text columns of the Parquet files; their label is `label`.
    hub: (&'static str, Option<&'static str>),
    /// The validation file, and its split in the hub.
    dev: (&'static str, &'static str),
    layout: TsvLayout,
    /// The classes; none for a regression.
    names: &'static [&'static str],
    /// The same as the TSV files spell them.
    spelled: &'static [&'static str],
}

const TASKS: [TaskName; 8] = [
    TaskName::Cola,
    TaskName::Sst2,
    TaskName::Mrpc,
    TaskName::Stsb,
    TaskName::Qqp,
    TaskName::Mnli,
    TaskName::Qnli,
    TaskName::Rte,
];
const PLAIN: TsvLayout = TsvLayout {
    header: None,
    skip_short_rows: false,
};
const DEV: (&str, &str) = ("dev.tsv", "validation");
const SENTENCES: (&str, Option<&str>) = ("sentence1", Some("sentence2"));
const DIGITS: &[&str] = &["0", "1"];
const ENTAILMENT: &[&str] = &["entailment", "not_entailment"];
const NLI: &[&str] = &["entailment", "neutral", "contradiction"];

fn glue(name: TaskName) -> Option<Glue> {
    Some(match name {
        TaskName::Cola => Glue {
            folder: "CoLA",
            tsv: ("sentence", None, "label"),
            hub: ("sentence", None),
            dev: DEV,
            layout: TsvLayout {
                header: Some(&["source", "label", "mark", "sentence"]),
                skip_short_rows: false,
            },
            names: &["unacceptable", "acceptable"],
            spelled: DIGITS,
        },
        TaskName::Sst2 => Glue {
            folder: "SST-2",
            tsv: ("sentence", None, "label"),
            hub: ("sentence", None),
            dev: DEV,
            layout: PLAIN,
            names: &["negative", "positive"],
            spelled: DIGITS,
        },
        TaskName::Mrpc => Glue {
            folder: "MRPC",
            tsv: ("#1 String", Some("#2 String"), "Quality"),
            hub: SENTENCES,
            dev: DEV,
            layout: PLAIN,
            names: &["not_equivalent", "equivalent"],
            spelled: DIGITS,
        },
        TaskName::Stsb => Glue {
            folder: "STS-B",
            tsv: ("sentence1", Some("sentence2"), "score"),
            hub: SENTENCES,
            dev: DEV,
            layout: PLAIN,
            names: &[],
            spelled: &[],
        },
        TaskName::Qqp => Glue {
            folder: "QQP",
            tsv: ("question1", Some("question2"), "is_duplicate"),
            hub: ("question1", Some("question2")),
            dev: DEV,
            layout: TsvLayout {
                header: None,
                skip_short_rows: true,
            },
            names: &["not_duplicate", "duplicate"],
            spelled: DIGITS,
        },
        TaskName::Mnli => Glue {
            folder: "MNLI",
            tsv: ("sentence1", Some("sentence2"), "gold_label"),
            hub: ("premise", Some("hypothesis")),
            dev: ("dev_matched.tsv", "validation_matched"),
            layout: PLAIN,
            names: NLI,
            spelled: NLI,
        },
        TaskName::Qnli => Glue {
            folder: "QNLI",
            tsv: ("question", Some("sentence"), "label"),
            hub: ("question", Some("sentence")),
            dev: DEV,
            layout: PLAIN,
            names: ENTAILMENT,
            spelled: ENTAILMENT,
        },
        TaskName::Rte => Glue {
            folder: "RTE",
            tsv: ("sentence1", Some("sentence2"), "label"),
            hub: SENTENCES,
            dev: DEV,
            layout: PLAIN,
            names: ENTAILMENT,
            spelled: ENTAILMENT,
        },
        TaskName::Custom => return None,
    })
}

/// The files of a task in the hub's data set, training first; nothing for a task of the user's own.
pub fn hub_files(name: TaskName) -> Option<[String; 2]> {
    let glue = glue(name)?;
    Some(["train", glue.dev.1].map(|split| format!("{}/{}", name.as_str(), shard(split))))
}

fn shard(split: &str) -> String {
    format!("{split}-00000-of-00001.parquet")
}

pub(super) fn files(name: TaskName, directory: &Path) -> Result<Files, TaskError> {
    let glue = glue(name).ok_or(TaskError::NotDescribed)?;
    let below = |folder: &str| directory.join(folder);
    let standard = [directory.to_path_buf(), below(glue.folder)];
    let hub = [directory.to_path_buf(), below(name.as_str()), below("data")];
    let tsv = ["train.tsv", glue.dev.0].map(ToOwned::to_owned);
    let parquet = ["train", glue.dev.1].map(shard);
    let places = standard.iter().map(|folder| (folder, &tsv));
    let places = places.chain(hub.iter().map(|folder| (folder, &parquet)));
    let mut half = None;
    for (folder, files) in places {
        match files.each_ref().map(|file| folder.join(file).is_file()) {
            [true, true] if *files == tsv => return Ok(from_tsv(&glue, folder)),
            [true, true] => return Ok(from_parquet(&glue, folder)),
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
                task: name.as_str(),
                there: there.clone(),
                missing: missing.clone(),
            }
        }
        None => TaskError::NoFiles {
            directory: directory.into(),
            task: name.as_str(),
            dev: glue.dev.0,
            parquet: format!("{}/{}", name.as_str(), shard("train")),
            there: there(directory),
        },
    })
}

/// What a directory has, for a message.
fn there(directory: &Path) -> String {
    let names: BTreeSet<String> = std::fs::read_dir(directory)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    listed(names.iter().map(String::as_str))
}

/// Says of a file without the task's columns whose columns it has.
pub(super) fn other_task(name: TaskName, problem: DataError) -> TaskError {
    let path = match &problem {
        DataError::NoColumn { path, .. } => path,
        DataError::ColumnCount { place, .. } => &place.path,
        _ => return problem.into(),
    };
    let is_parquet = path.extension().is_some_and(|ending| ending == "parquet");
    let header: Vec<String> = match &problem {
        DataError::NoColumn { found, .. } if is_parquet => found.clone(),
        // The task's own header was taken, where its files have none.
        _ => data::first_line(path)
            .map(|line| line.split('\t').map(ToOwned::to_owned).collect())
            .unwrap_or_default(),
    };
    let others = owners(&header, is_parquet);
    if others.contains(&name.as_str()) {
        // The columns are right; a row is not.
        return problem.into();
    }
    let is_count = matches!(problem, DataError::ColumnCount { .. });
    if is_count && others.is_empty() {
        return problem.into();
    }
    TaskError::OtherTask {
        problem: problem.into(),
        task: name,
        others,
    }
}

/// The tasks whose columns a header has; of those, the ones with the most columns.
fn owners(header: &[String], is_parquet: bool) -> Vec<&'static str> {
    let has = |column: &str| header.iter().any(|name| name == column);
    let fits: Vec<(usize, &'static str)> = TASKS
        .into_iter()
        .filter_map(|name| {
            let glue = glue(name)?;
            let (first, second) = if is_parquet {
                glue.hub
            } else {
                (glue.tsv.0, glue.tsv.1)
            };
            let label = if is_parquet { "label" } else { glue.tsv.2 };
            // CoLA's file has no header: four columns, the second one 0 or 1.
            let is_cola = !is_parquet
                && glue.layout.header.is_some()
                && matches!(header, [_, label, _, _] if DIGITS.contains(&label.as_str()));
            let is_named = glue.layout.header.is_none() || is_parquet;
            let fits = is_named && has(first) && second.is_none_or(has) && has(label);
            let columns = 2 + usize::from(second.is_some());
            (fits || is_cola).then_some((columns, name.as_str()))
        })
        .collect();
    let most = fits.iter().map(|(columns, _)| *columns).max();
    fits.into_iter()
        .filter(|(columns, _)| Some(*columns) == most)
        .map(|(_, name)| name)
        .collect()
}

fn from_tsv(glue: &Glue, folder: &Path) -> Files {
    let (first, second, label) = glue.tsv;
    Files {
        train: folder.join("train.tsv"),
        validation: folder.join(glue.dev.0),
        columns: columns(first, second, label),
        layout: glue.layout.clone(),
        labels: labels(glue.names, owned(glue.spelled)),
    }
}

fn from_parquet(glue: &Glue, folder: &Path) -> Files {
    let (first, second) = glue.hub;
    // There, a label is the number of its class.
    let numbers = (0..glue.names.len()).map(|class| class.to_string());
    Files {
        train: folder.join(shard("train")),
        validation: folder.join(shard(glue.dev.1)),
        columns: columns(first, second, "label"),
        layout: TsvLayout::default(),
        labels: labels(glue.names, numbers.collect()),
    }
}

fn columns(first: &str, second: Option<&str>, label: &str) -> Columns {
    Columns {
        first: first.into(),
        second: second.map(Into::into),
        label: label.into(),
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
