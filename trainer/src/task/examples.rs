//! The examples of a task: texts and targets.

use std::borrow::Cow;

use autopeft_crds::spec::{Metric, TaskKind};

/// What a task predicts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One of these classes, in this order.
    Classification(Vec<String>),
    /// A number.
    Regression,
    /// One of several texts per example; the names of the choices, in order.
    MultipleChoice(Vec<String>),
    /// Any number of these classes.
    MultiLabel(Vec<String>),
}

impl Kind {
    /// C, the number of the model's outputs.
    pub fn outputs(&self) -> usize {
        match self {
            Self::Classification(labels) | Self::MultiLabel(labels) => labels.len(),
            Self::Regression | Self::MultipleChoice(_) => 1,
        }
    }

    /// The answers that a constant predictor may give.
    pub fn answers(&self) -> usize {
        self.labels().len().max(1)
    }

    /// The classes or choices, in order; none for a regression.
    pub fn labels(&self) -> &[String] {
        match self {
            Self::Classification(labels)
            | Self::MultipleChoice(labels)
            | Self::MultiLabel(labels) => labels,
            Self::Regression => &[],
        }
    }

    /// The kind of a task with these classes or choices.
    pub fn of(kind: TaskKind, labels: Vec<String>) -> Self {
        match kind {
            TaskKind::Classification => Self::Classification(labels),
            TaskKind::Regression => Self::Regression,
            TaskKind::MultipleChoice => Self::MultipleChoice(labels),
            TaskKind::MultiLabel => Self::MultiLabel(labels),
        }
    }
}

/// The targets of one file's examples, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Targets {
    /// Indices of classes.
    Classes(Vec<i64>),
    /// Numbers.
    Numbers(Vec<f64>),
    /// Sets of classes.
    Sets(Sets),
}

/// A set of classes per example.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sets {
    /// C.
    pub classes: usize,
    /// The indices of each example's classes.
    pub members: Vec<Vec<i64>>,
}

impl Targets {
    /// Their number.
    pub fn len(&self) -> usize {
        match self {
            Self::Classes(all) => all.len(),
            Self::Numbers(all) => all.len(),
            Self::Sets(sets) => sets.members.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The targets at some indices.
    fn at(&self, places: &[usize]) -> Self {
        match self {
            Self::Classes(all) => Self::Classes(places.iter().map(|place| all[*place]).collect()),
            Self::Numbers(all) => Self::Numbers(places.iter().map(|place| all[*place]).collect()),
            Self::Sets(sets) => Self::Sets(Sets {
                classes: sets.classes,
                members: places
                    .iter()
                    .map(|place| sets.members[*place].clone())
                    .collect(),
            }),
        }
    }
}

/// Stands for the tokenizer's separator token where `Examples::is_joined`.
pub const SEPARATOR: char = '\u{1e}';

/// The examples of one file.
#[derive(Clone, Debug, PartialEq)]
pub struct Examples {
    /// The text of each, with the second text of a pair; of multiple choice, as many for each as it has choices.
    pub texts: Vec<(String, Option<String>)>,
    /// Whether texts have `SEPARATOR` between their parts.
    pub is_joined: bool,
    /// The target of each.
    pub targets: Targets,
}

impl Examples {
    /// The number of examples.
    pub fn len(&self) -> usize {
        self.targets.len()
    }

    /// Always false: a file without examples is rejected.
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }

    /// The texts with a tokenizer's separator token between their parts.
    pub fn texts(&self, separator: &str) -> Cow<'_, [(String, Option<String>)]> {
        if !self.is_joined {
            return Cow::Borrowed(&self.texts);
        }
        let separated = |text: &String| text.replace(SEPARATOR, separator);
        let texts = self.texts.iter();
        texts
            .map(|(first, second)| (separated(first), second.as_ref().map(separated)))
            .collect()
    }

    /// The examples at some indices.
    #[must_use]
    pub fn at(&self, places: &[usize]) -> Self {
        let choices = self.texts.len() / self.len().max(1);
        let texts = places
            .iter()
            .flat_map(|place| &self.texts[place * choices..(place + 1) * choices]);
        Self {
            texts: texts.cloned().collect(),
            is_joined: self.is_joined,
            targets: self.targets.at(places),
        }
    }
}

/// A task with its training and validation examples.
#[derive(Clone, Debug, PartialEq)]
pub struct Task {
    /// What it predicts.
    pub kind: Kind,
    /// The metric that is the score.
    pub metric: Metric,
    /// The training examples.
    pub train: Examples,
    /// The validation examples.
    pub validation: Examples,
    /// What a user should know about the data, one sentence each.
    pub notes: Vec<String>,
}
