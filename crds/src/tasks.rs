//! The tasks: a row each.
//!
//! A new task with two files of texts and labels is a variant and a row (docs/extending.md).

pub use crate::metrics::{Metric, TaskKind};
use crate::named::{Named, written_by_name};

/// The predefined tasks, and `custom`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TaskName {
    /// Corpus of Linguistic Acceptability.
    Cola,
    /// Stanford Sentiment Treebank.
    Sst2,
    /// Microsoft Research Paraphrase Corpus.
    Mrpc,
    /// Semantic Textual Similarity benchmark.
    Stsb,
    /// Quora Question Pairs.
    Qqp,
    /// Multi-Genre Natural Language Inference, the matched validation split.
    Mnli,
    /// Question NLI.
    Qnli,
    /// Recognizing Textual Entailment.
    Rte,
    /// Yes or no questions about a passage (SuperGLUE).
    Boolq,
    /// CommitmentBank (SuperGLUE).
    Cb,
    /// Word in Context (SuperGLUE).
    Wic,
    /// Choice of Plausible Alternatives (SuperGLUE).
    Copa,
    /// User-defined, described under `custom`.
    Custom,
}

/// The columns with the text, and the second text of a pair.
pub type TextColumns = (&'static str, Option<&'static str>);

/// How the texts of an example are made of its columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextForm {
    /// The text columns as they are.
    Plain,
    /// The first text column, then these, in one text, with the tokenizer's separator token between them.
    Joined(&'static [&'static str]),
    /// Several choices of a continuation of the text column.
    Choices(ChoiceColumns),
}

/// Where the choices of an example are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChoiceColumns {
    /// The columns of the choices, in order.
    pub choices: &'static [&'static str],
    /// The column that says what is asked for.
    pub question: &'static str,
    /// Its values, and what is written behind the text for each.
    pub cues: &'static [(&'static str, &'static str)],
}

/// The facts about a task. Two layouts are read: the benchmark's own files (TSV without quoting, or JSONL), and the
/// hub's Parquet files, whose label column is `label`.
#[derive(Clone, Copy, Debug)]
pub struct TaskFacts {
    /// Which task.
    pub task: TaskName,
    /// Its name in manifests, and its folder in the hub's data set.
    pub name: &'static str,
    /// The benchmark's data set on the hub.
    pub data_set: &'static str,
    /// The folder of the benchmark's archive.
    pub folder: &'static str,
    /// The metric that is the score where a manifest gives none.
    pub metric: Metric,
    /// The text columns of the benchmark's files.
    pub own_text: TextColumns,
    /// Their label column.
    pub own_label: &'static str,
    /// The columns of TSV files that have no header line.
    pub own_header: Option<&'static [&'static str]>,
    /// Whether rows of TSV files with fewer columns than the header are skipped.
    pub own_skips_short_rows: bool,
    /// The training file of the benchmark.
    pub own_train: &'static str,
    /// The names of its validation file, the usual one first.
    pub own_validation: &'static [&'static str],
    /// The text columns of the Parquet files.
    pub hub_text: TextColumns,
    /// The validation split of the Parquet files.
    pub hub_validation: &'static str,
    /// How the texts are made of the columns, in both layouts.
    pub form: TextForm,
    /// The classes, in the order of the hub's numbers; none for a number to predict.
    pub classes: &'static [&'static str],
    /// The same as the benchmark's files spell them.
    pub own_classes: &'static [&'static str],
}

const DIGITS: &[&str] = &["0", "1"];
const ENTAILMENT: &[&str] = &["entailment", "not_entailment"];
const NLI: &[&str] = &["entailment", "neutral", "contradiction"];
const BOOLEANS: &[&str] = &["false", "true"];
const COMMITMENT: &[&str] = &["entailment", "contradiction", "neutral"];
const SENTENCES: TextColumns = ("sentence1", Some("sentence2"));

/// What most of the tasks share.
const USUAL: TaskFacts = TaskFacts {
    task: TaskName::Rte,
    name: "rte",
    data_set: "nyu-mll/glue",
    folder: "RTE",
    metric: Metric::Accuracy,
    own_text: SENTENCES,
    own_label: "label",
    own_header: None,
    own_skips_short_rows: false,
    own_train: "train.tsv",
    own_validation: &["dev.tsv"],
    hub_text: SENTENCES,
    hub_validation: "validation",
    form: TextForm::Plain,
    classes: ENTAILMENT,
    own_classes: ENTAILMENT,
};

/// What the tasks of SuperGLUE share. The archive's validation file is `val.jsonl`; copies also call it `dev.jsonl`.
const SUPERGLUE: TaskFacts = TaskFacts {
    data_set: "aps/super_glue",
    own_train: "train.jsonl",
    own_validation: &["val.jsonl", "dev.jsonl"],
    classes: BOOLEANS,
    own_classes: BOOLEANS,
    ..USUAL
};

/// The rows, in the order of the variants.
pub const TASKS: &[TaskFacts] = &[
    TaskFacts {
        task: TaskName::Cola,
        name: "cola",
        folder: "CoLA",
        metric: Metric::Matthews,
        own_text: ("sentence", None),
        own_header: Some(&["source", "label", "mark", "sentence"]),
        hub_text: ("sentence", None),
        classes: &["unacceptable", "acceptable"],
        own_classes: DIGITS,
        ..USUAL
    },
    TaskFacts {
        task: TaskName::Sst2,
        name: "sst2",
        folder: "SST-2",
        own_text: ("sentence", None),
        hub_text: ("sentence", None),
        classes: &["negative", "positive"],
        own_classes: DIGITS,
        ..USUAL
    },
    TaskFacts {
        task: TaskName::Mrpc,
        name: "mrpc",
        folder: "MRPC",
        own_text: ("#1 String", Some("#2 String")),
        own_label: "Quality",
        classes: &["not_equivalent", "equivalent"],
        own_classes: DIGITS,
        ..USUAL
    },
    TaskFacts {
        task: TaskName::Stsb,
        name: "stsb",
        folder: "STS-B",
        metric: Metric::Spearman,
        own_label: "score",
        classes: &[],
        own_classes: &[],
        ..USUAL
    },
    TaskFacts {
        task: TaskName::Qqp,
        name: "qqp",
        folder: "QQP",
        own_text: ("question1", Some("question2")),
        own_label: "is_duplicate",
        own_skips_short_rows: true,
        hub_text: ("question1", Some("question2")),
        classes: &["not_duplicate", "duplicate"],
        own_classes: DIGITS,
        ..USUAL
    },
    TaskFacts {
        task: TaskName::Mnli,
        name: "mnli",
        folder: "MNLI",
        own_label: "gold_label",
        own_validation: &["dev_matched.tsv"],
        hub_text: ("premise", Some("hypothesis")),
        hub_validation: "validation_matched",
        classes: NLI,
        own_classes: NLI,
        ..USUAL
    },
    TaskFacts {
        task: TaskName::Qnli,
        name: "qnli",
        folder: "QNLI",
        own_text: ("question", Some("sentence")),
        hub_text: ("question", Some("sentence")),
        ..USUAL
    },
    USUAL,
    TaskFacts {
        task: TaskName::Boolq,
        name: "boolq",
        folder: "BoolQ",
        own_text: ("passage", Some("question")),
        hub_text: ("passage", Some("question")),
        ..SUPERGLUE
    },
    TaskFacts {
        task: TaskName::Cb,
        name: "cb",
        folder: "CB",
        own_text: ("premise", Some("hypothesis")),
        hub_text: ("premise", Some("hypothesis")),
        classes: COMMITMENT,
        own_classes: COMMITMENT,
        ..SUPERGLUE
    },
    TaskFacts {
        task: TaskName::Wic,
        name: "wic",
        folder: "WiC",
        own_text: ("sentence1", None),
        hub_text: ("sentence1", None),
        form: TextForm::Joined(&["sentence2", "word"]),
        ..SUPERGLUE
    },
    TaskFacts {
        task: TaskName::Copa,
        name: "copa",
        folder: "COPA",
        own_text: ("premise", None),
        hub_text: ("premise", None),
        form: TextForm::Choices(ChoiceColumns {
            choices: &["choice1", "choice2"],
            question: "question",
            cues: &[
                ("cause", "What was the cause of this?"),
                ("effect", "What happened as a result?"),
            ],
        }),
        classes: &["choice1", "choice2"],
        own_classes: DIGITS,
        ..SUPERGLUE
    },
];

/// The user-defined task.
const CUSTOM: &str = "custom";

impl TaskFacts {
    /// What is predicted; `is_pair` is whether choices are read as a pair of texts.
    pub fn kind(&self, is_pair: bool) -> TaskKind {
        if self.classes.is_empty() {
            TaskKind::Regression
        } else if self.has_choices() && !is_pair {
            TaskKind::MultipleChoice
        } else {
            TaskKind::Classification
        }
    }

    /// Whether an example has several choices.
    pub fn has_choices(&self) -> bool {
        matches!(self.form, TextForm::Choices(_))
    }
}

impl TaskName {
    /// The task's row; `None` for a user-defined task.
    pub fn facts(self) -> Option<&'static TaskFacts> {
        TASKS.get(self as usize)
    }

    /// The name as a manifest spells it.
    pub fn as_str(self) -> &'static str {
        self.facts().map_or(CUSTOM, |facts| facts.name)
    }

    /// The default metric; `kind` is that of a user-defined task.
    pub fn metric(self, kind: TaskKind) -> Metric {
        self.facts()
            .map_or_else(|| kind.metric(), |facts| facts.metric)
    }
}

impl Named for TaskName {
    const ALL: &'static [Self] = &{
        let mut all = [Self::Custom; TASKS.len() + 1];
        let mut row = 0;
        while row < TASKS.len() {
            all[row] = TASKS[row].task;
            row += 1;
        }
        all
    };

    fn as_str(self) -> &'static str {
        TaskName::as_str(self)
    }
}

written_by_name!(TaskName);

/// The names of the tasks with choices, as a list in CEL.
pub(crate) fn with_choices() -> String {
    let names = TASKS.iter().filter(|facts| facts.has_choices());
    let names: Vec<String> = names.map(|facts| format!("'{}'", facts.name)).collect();
    names.join(", ")
}

/// The file extensions of a user-defined task.
pub const FILE_ENDINGS: [&str; 4] = ["jsonl", "csv", "tsv", "parquet"];

/// The extensions in a sentence: `.jsonl, .csv, .tsv or .parquet`.
pub fn file_endings() -> String {
    let [others @ .., last] = FILE_ENDINGS.map(|ending| format!(".{ending}"));
    format!("{} or {last}", others.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_stands_at_its_tasks_place() {
        for (place, row) in TASKS.iter().enumerate() {
            assert_eq!(row.task as usize, place, "{}", row.name);
            assert_eq!(row.classes.len(), row.own_classes.len(), "{}", row.name);
            assert!(row.metric.fits(row.kind(false)), "{}", row.name);
        }
        assert_eq!(TaskName::Custom as usize, TASKS.len());
        assert_eq!(TaskName::Custom.as_str(), "custom");
    }

    #[test]
    fn endings_are_listed_in_a_sentence() {
        assert_eq!(file_endings(), ".jsonl, .csv, .tsv or .parquet");
    }
}
