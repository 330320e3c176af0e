//! The kinds of task, and the validation metrics: a row each.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::decimal::Decimal;
use crate::named::{Named, written_by_name};

/// What a task predicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TaskKind {
    /// One of a list of classes; accuracy by default.
    Classification,
    /// A number; Spearman correlation by default.
    Regression,
    /// Which of several texts of the same example is right; accuracy by default.
    MultipleChoice,
    /// Any number of a list of classes; micro-F1 by default.
    MultiLabel,
}

impl TaskKind {
    /// The metric that is the score where nothing else is given.
    pub fn metric(self) -> Metric {
        match self {
            Self::Classification | Self::MultipleChoice => Metric::Accuracy,
            Self::Regression => Metric::Spearman,
            Self::MultiLabel => Metric::MicroF1,
        }
    }

    /// The kind in a sentence.
    pub fn label(self) -> &'static str {
        match self {
            Self::Classification => "classification",
            Self::Regression => "regression",
            Self::MultipleChoice => "multiple-choice",
            Self::MultiLabel => "multi-label",
        }
    }
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
    /// The mean of F1 over classes.
    MacroF1,
    /// F1 over all pairs of example and class together; with one class per example it is the accuracy.
    MicroF1,
    /// The share of examples whose predicted set of classes is exactly right.
    SubsetAccuracy,
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
    /// The kinds of task that it fits.
    pub kinds: &'static [TaskKind],
}

const CLASSES: &[TaskKind] = &[TaskKind::Classification];
const CLASSES_OR_SETS: &[TaskKind] = &[TaskKind::Classification, TaskKind::MultiLabel];
const NUMBERS: &[TaskKind] = &[TaskKind::Regression];

/// The rows, in the order of the variants.
pub const METRICS: [MetricFacts; 8] = [
    MetricFacts {
        metric: Metric::Accuracy,
        name: "Accuracy",
        label: "accuracy",
        least: 0.0,
        kinds: &[TaskKind::Classification, TaskKind::MultipleChoice],
    },
    MetricFacts {
        metric: Metric::F1,
        name: "F1",
        label: "F1",
        least: 0.0,
        kinds: CLASSES,
    },
    MetricFacts {
        metric: Metric::Matthews,
        name: "Matthews",
        label: "Matthews correlation",
        least: -1.0,
        kinds: CLASSES,
    },
    MetricFacts {
        metric: Metric::Pearson,
        name: "Pearson",
        label: "Pearson correlation",
        least: -1.0,
        kinds: NUMBERS,
    },
    MetricFacts {
        metric: Metric::Spearman,
        name: "Spearman",
        label: "Spearman correlation",
        least: -1.0,
        kinds: NUMBERS,
    },
    MetricFacts {
        metric: Metric::MacroF1,
        name: "MacroF1",
        label: "macro-F1",
        least: 0.0,
        kinds: CLASSES_OR_SETS,
    },
    MetricFacts {
        metric: Metric::MicroF1,
        name: "MicroF1",
        label: "micro-F1",
        least: 0.0,
        kinds: CLASSES_OR_SETS,
    },
    MetricFacts {
        metric: Metric::SubsetAccuracy,
        name: "SubsetAccuracy",
        label: "subset accuracy",
        least: 0.0,
        kinds: &[TaskKind::MultiLabel],
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

    /// Whether the metric fits a kind of task.
    pub fn fits(self, kind: TaskKind) -> bool {
        self.facts().kinds.contains(&kind)
    }

    /// The metrics that fit, in a sentence: `Pearson or Spearman`.
    pub fn fitting(kind: TaskKind) -> String {
        let fitting = METRICS.iter().filter(|facts| facts.metric.fits(kind));
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

/// The values of validation metrics beside the score, four decimals.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MetricValues(BTreeMap<Metric, Decimal>);

impl MetricValues {
    /// Those of `measured` that are not the score.
    pub fn beside(score: Metric, measured: &BTreeMap<Metric, f64>) -> Self {
        let others = measured.iter().filter(|(metric, _)| **metric != score);
        let rounded = others.filter_map(|(metric, value)| {
            let value = Decimal::new((value * 1e4).round() / 1e4).ok()?;
            Some((*metric, value))
        });
        Self(rounded.collect())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One value.
    pub fn get(&self, metric: Metric) -> Option<Decimal> {
        self.0.get(&metric).copied()
    }

    /// All values, in the order of the metrics.
    pub fn iter(&self) -> impl Iterator<Item = (Metric, Decimal)> + '_ {
        self.0.iter().map(|(metric, value)| (*metric, *value))
    }
}

impl JsonSchema for MetricValues {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "MetricValues".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let value = generator.subschema_for::<Decimal>();
        schemars::json_schema!({
            "type": "object",
            "additionalProperties": value,
            "maxProperties": METRICS.len(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_stands_at_its_metrics_place() {
        for (place, row) in METRICS.iter().enumerate() {
            assert_eq!(row.metric as usize, place, "{}", row.name);
        }
        assert_eq!(Metric::any_range(), -1.0..=1.0);
    }

    #[test]
    fn fitting_metrics_are_listed_in_a_sentence() {
        let of = Metric::fitting;
        assert_eq!(
            of(TaskKind::Classification),
            "Accuracy, F1, Matthews, MacroF1 or MicroF1"
        );
        assert_eq!(of(TaskKind::Regression), "Pearson or Spearman");
        assert_eq!(of(TaskKind::MultipleChoice), "Accuracy");
        assert_eq!(
            of(TaskKind::MultiLabel),
            "MacroF1, MicroF1 or SubsetAccuracy"
        );
        for kind in [
            TaskKind::Classification,
            TaskKind::Regression,
            TaskKind::MultipleChoice,
            TaskKind::MultiLabel,
        ] {
            assert!(kind.metric().fits(kind));
        }
    }
}
