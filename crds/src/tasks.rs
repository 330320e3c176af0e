//! The tasks and their metrics: a row each.
//!
//! A new task with two files of texts and labels is a variant and a row (docs/extending.md).

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
    /// User-defined, described under `custom`.
    Custom,
}

/// The columns with the text, and the second text of a pair.
pub type TextColumns = (&'static str, Option<&'static str>);

/// The facts about a task. Two layouts are read: the benchmark's own TSV files, without quoting, and the
/// hub's Parquet files, whose label column is `label`.
#[derive(Clone, Copy, Debug)]
pub struct TaskFacts {
    /// Which task.
    pub task: TaskName,
    /// Its name in manifests, and its folder in the hub's data set.
    pub name: &'static str,
    /// The folder of the benchmark's archive.
    pub folder: &'static str,
    /// The metric that is the score where a manifest gives none.
    pub metric: Metric,
    /// The text columns of the TSV files.
    pub tsv_text: TextColumns,
    /// The label column of the TSV files.
    pub tsv_label: &'static str,
    /// The columns of the TSV files, where they have no header line.
    pub tsv_header: Option<&'static [&'static str]>,
    /// Whether rows of the TSV files with fewer columns than the header are skipped.
    pub tsv_skips_short_rows: bool,
    /// The validation file among the TSV files.
    pub tsv_validation: &'static str,
    /// The text columns of the Parquet files.
    pub hub_text: TextColumns,
    /// The validation split of the Parquet files.
    pub hub_validation: &'static str,
    /// The classes, in the order of the hub's numbers; none for a number to predict.
    pub classes: &'static [&'static str],
    /// The same as the TSV files spell them.
    pub tsv_classes: &'static [&'static str],
}

const DIGITS: &[&str] = &["0", "1"];
const ENTAILMENT: &[&str] = &["entailment", "not_entailment"];
const NLI: &[&str] = &["entailment", "neutral", "contradiction"];
const SENTENCES: TextColumns = ("sentence1", Some("sentence2"));

/// What most of the tasks share.
const USUAL: TaskFacts = TaskFacts {
    task: TaskName::Rte,
    name: "rte",
    folder: "RTE",
    metric: Metric::Accuracy,
    tsv_text: SENTENCES,
    tsv_label: "label",
    tsv_header: None,
    tsv_skips_short_rows: false,
    tsv_validation: "dev.tsv",
    hub_text: SENTENCES,
    hub_validation: "validation",
    classes: ENTAILMENT,
    tsv_classes: ENTAILMENT,
};

/// The rows, in the order of the variants.
pub const TASKS: &[TaskFacts] = &[
    TaskFacts {
        task: TaskName::Cola,
        name: "cola",
        folder: "CoLA",
        metric: Metric::Matthews,
        tsv_text: ("sentence", None),
        tsv_header: Some(&["source", "label", "mark", "sentence"]),
        hub_text: ("sentence", None),
        classes: &["unacceptable", "acceptable"],
        tsv_classes: DIGITS,
        ..USUAL
    },
    TaskFacts {
        task: TaskName::Sst2,
        name: "sst2",
        folder: "SST-2",
        tsv_text: ("sentence", None),
        hub_text: ("sentence", None),
        classes: &["negative", "positive"],
        tsv_classes: DIGITS,
        ..USUAL
    },
    TaskFacts {
        task: TaskName::Mrpc,
        name: "mrpc",
        folder: "MRPC",
        tsv_text: ("#1 String", Some("#2 String")),
        tsv_label: "Quality",
        classes: &["not_equivalent", "equivalent"],
        tsv_classes: DIGITS,
        ..USUAL
    },
    TaskFacts {
        task: TaskName::Stsb,
        name: "stsb",
        folder: "STS-B",
        metric: Metric::Spearman,
        tsv_label: "score",
        classes: &[],
        tsv_classes: &[],
        ..USUAL
    },
    TaskFacts {
        task: TaskName::Qqp,
        name: "qqp",
        folder: "QQP",
        tsv_text: ("question1", Some("question2")),
        tsv_label: "is_duplicate",
        tsv_skips_short_rows: true,
        hub_text: ("question1", Some("question2")),
        classes: &["not_duplicate", "duplicate"],
        tsv_classes: DIGITS,
        ..USUAL
    },
    TaskFacts {
        task: TaskName::Mnli,
        name: "mnli",
        folder: "MNLI",
        tsv_label: "gold_label",
        tsv_validation: "dev_matched.tsv",
        hub_text: ("premise", Some("hypothesis")),
        hub_validation: "validation_matched",
        classes: NLI,
        tsv_classes: NLI,
        ..USUAL
    },
    TaskFacts {
        task: TaskName::Qnli,
        name: "qnli",
        folder: "QNLI",
        tsv_text: ("question", Some("sentence")),
        hub_text: ("question", Some("sentence")),
        ..USUAL
    },
    USUAL,
];

/// The user-defined task.
const CUSTOM: &str = "custom";

impl TaskFacts {
    /// Whether a number is predicted.
    pub fn is_regression(&self) -> bool {
        self.classes.is_empty()
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

    /// The default metric; `is_regression` is read for a user-defined task only.
    pub fn metric(self, is_regression: bool) -> Metric {
        match self.facts() {
            Some(facts) => facts.metric,
            None if is_regression => Metric::Spearman,
            None => Metric::Accuracy,
        }
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

/// The file extensions of a user-defined task.
pub const FILE_ENDINGS: [&str; 4] = ["jsonl", "csv", "tsv", "parquet"];

/// The extensions in a sentence: `.jsonl, .csv, .tsv or .parquet`.
pub fn file_endings() -> String {
    let [others @ .., last] = FILE_ENDINGS.map(|ending| format!(".{ending}"));
    format!("{} or {last}", others.join(", "))
}

/// A validation metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Metric {
    /// The share of correct answers.
    Accuracy,
    /// F1: of class 1 with two classes, the mean over classes (macro) with more.
    F1,
    /// Matthews correlation.
    Matthews,
    /// Pearson correlation.
    Pearson,
    /// Spearman rank correlation.
    Spearman,
}

/// The facts about a metric. Its largest value is 1.
#[derive(Clone, Copy, Debug)]
pub struct MetricFacts {
    /// Which metric.
    pub metric: Metric,
    /// Its name in manifests and results.
    pub name: &'static str,
    /// Its name in sentences.
    pub label: &'static str,
    /// Its smallest value.
    pub least: f64,
    /// Whether it judges numbers rather than classes.
    pub is_for_regression: bool,
}

/// The rows, in the order of the variants.
pub const METRICS: [MetricFacts; 5] = [
    MetricFacts {
        metric: Metric::Accuracy,
        name: "Accuracy",
        label: "accuracy",
        least: 0.0,
        is_for_regression: false,
    },
    MetricFacts {
        metric: Metric::F1,
        name: "F1",
        label: "F1",
        least: 0.0,
        is_for_regression: false,
    },
    MetricFacts {
        metric: Metric::Matthews,
        name: "Matthews",
        label: "Matthews correlation",
        least: -1.0,
        is_for_regression: false,
    },
    MetricFacts {
        metric: Metric::Pearson,
        name: "Pearson",
        label: "Pearson correlation",
        least: -1.0,
        is_for_regression: true,
    },
    MetricFacts {
        metric: Metric::Spearman,
        name: "Spearman",
        label: "Spearman correlation",
        least: -1.0,
        is_for_regression: true,
    },
];

/// The largest value of every metric.
pub const METRIC_MOST: f64 = 1.0;

impl Metric {
    /// The metric's row.
    pub fn facts(self) -> &'static MetricFacts {
        &METRICS[self as usize]
    }

    /// The metric's name in words.
    pub fn label(self) -> &'static str {
        self.facts().label
    }

    /// Its values.
    pub fn range(self) -> std::ops::RangeInclusive<f64> {
        self.facts().least..=METRIC_MOST
    }

    /// The values that some metric may have.
    pub fn any_range() -> std::ops::RangeInclusive<f64> {
        let least = METRICS.iter().map(|facts| facts.least);
        least.fold(METRIC_MOST, f64::min)..=METRIC_MOST
    }

    /// Whether the metric judges numbers rather than classes.
    pub fn is_for_regression(self) -> bool {
        self.facts().is_for_regression
    }

    /// The metrics that fit, in a sentence: `Accuracy, F1 or Matthews`.
    pub fn fitting(is_regression: bool) -> String {
        let fitting = METRICS
            .iter()
            .filter(|facts| facts.is_for_regression == is_regression);
        let names: Vec<&str> = fitting.map(|facts| facts.name).collect();
        match names.split_last() {
            Some((last, [])) => (*last).to_owned(),
            Some((last, others)) => format!("{} or {last}", others.join(", ")),
            None => String::new(),
        }
    }
}

impl Named for Metric {
    const ALL: &'static [Self] = &{
        let mut all = [Self::Accuracy; METRICS.len()];
        let mut row = 0;
        while row < METRICS.len() {
            all[row] = METRICS[row].metric;
            row += 1;
        }
        all
    };

    fn as_str(self) -> &'static str {
        self.facts().name
    }
}

written_by_name!(Metric);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_stands_at_its_tasks_place() {
        for (place, row) in TASKS.iter().enumerate() {
            assert_eq!(row.task as usize, place, "{}", row.name);
            assert_eq!(row.classes.len(), row.tsv_classes.len(), "{}", row.name);
            let is_regression = row.is_regression();
            assert_eq!(
                row.metric.is_for_regression(),
                is_regression,
                "{}",
                row.name
            );
        }
        assert_eq!(TaskName::Custom as usize, TASKS.len());
        assert_eq!(TaskName::Custom.as_str(), "custom");
        for (place, row) in METRICS.iter().enumerate() {
            assert_eq!(row.metric as usize, place, "{}", row.name);
        }
    }

    #[test]
    fn fitting_metrics_are_listed_in_a_sentence() {
        assert_eq!(Metric::fitting(false), "Accuracy, F1 or Matthews");
        assert_eq!(Metric::fitting(true), "Pearson or Spearman");
        assert_eq!(file_endings(), ".jsonl, .csv, .tsv or .parquet");
        assert_eq!(Metric::any_range(), -1.0..=1.0);
    }
}
