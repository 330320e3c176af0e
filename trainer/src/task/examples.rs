//! The examples of a task: texts and targets.

use autopeft_crds::spec::Metric;

/// What a task predicts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One of these classes, in this order.
    Classification(Vec<String>),
    /// A number.
    Regression,
}

impl Kind {
    /// C, the number of the model's outputs.
    pub fn outputs(&self) -> usize {
        match self {
            Self::Classification(labels) => labels.len(),
            Self::Regression => 1,
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
}

impl Targets {
    /// The targets at some indices.
    fn at(&self, places: &[usize]) -> Self {
        match self {
            Self::Classes(all) => Self::Classes(places.iter().map(|place| all[*place]).collect()),
            Self::Numbers(all) => Self::Numbers(places.iter().map(|place| all[*place]).collect()),
        }
    }
}

/// The examples of one file.
#[derive(Clone, Debug, PartialEq)]
pub struct Examples {
    /// The text of each, with the second text of a pair.
    pub texts: Vec<(String, Option<String>)>,
    /// The target of each.
    pub targets: Targets,
}

impl Examples {
    /// The number of examples.
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// Always false: a file without examples is rejected.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// The examples at some indices.
    #[must_use]
    pub fn at(&self, places: &[usize]) -> Self {
        Self {
            texts: places
                .iter()
                .map(|place| self.texts[*place].clone())
                .collect(),
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
