//! The GLUE tasks: their files, columns, labels and quirks (trainer.md, section 3).
//!
//! Two layouts are read: the benchmark's own (`train.tsv` and `dev.tsv`, without quoting), and the
//! hub's Parquet files. A class's number is its place in the hub's list of names.

use std::path::{Path, PathBuf};

use autopeft_crds::spec::TaskName;

use super::{Files, Labels, TaskError};
use crate::data::{Columns, TsvLayout};

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
    let first_with = |folders: &[PathBuf], file: &str| {
        folders
            .iter()
            .find(|folder| folder.join(file).is_file())
            .cloned()
    };
    let standard = [directory.to_path_buf(), directory.join(glue.folder)];
    if let Some(folder) = first_with(&standard, "train.tsv") {
        return Ok(from_tsv(&glue, &folder));
    }
    let hub = [
        directory.to_path_buf(),
        directory.join(name.as_str()),
        directory.join("data"),
    ];
    if let Some(folder) = first_with(&hub, &shard("train")) {
        return Ok(from_parquet(&glue, &folder));
    }
    Err(TaskError::NoFiles {
        directory: directory.into(),
        task: name.as_str(),
        dev: glue.dev.0,
        parquet: format!("{}/{}", name.as_str(), shard("train")),
    })
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
