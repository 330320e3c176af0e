//! Validation metrics.
//!
//! An undefined metric is 0, never NaN: F1 of a class that occurs neither in predictions nor in targets, correlations of
//! constant predictions. A constant predictor has learned nothing. Otherwise the values equal scikit-learn's and SciPy's
//! (`tests/golden/metrics.py`).

use std::collections::BTreeMap;

use autopeft_crds::spec::Metric;
use statrs::statistics::{Data, OrderStatistics, RankTieBreaker, Statistics};

/// The predictions for the examples of a data set, in the order of its targets.
#[derive(Clone, Debug, PartialEq)]
pub enum Predictions {
    /// Classes, and their number.
    Classes {
        /// The class of each example.
        predicted: Vec<i64>,
        /// C.
        count: usize,
    },
    /// The choice of each example.
    Choices(Vec<i64>),
    /// Numbers; they are finite.
    Numbers(Vec<f64>),
    /// The indices of each example's classes.
    Sets(Vec<Vec<i64>>),
}

/// Every metric that fits; none if targets and predictions are not of the same kind.
pub fn all(predictions: &Predictions, targets: &crate::task::Targets) -> BTreeMap<Metric, f64> {
    use crate::task::Targets;
    match (predictions, targets) {
        (Predictions::Classes { predicted, count }, Targets::Classes(truth)) => {
            let table = Confusion::new(predicted, truth, *count);
            [
                (Metric::Accuracy, table.accuracy()),
                (Metric::F1, table.f1()),
                (Metric::Matthews, table.matthews()),
                (Metric::MacroF1, table.macro_f1()),
                // Every wrong answer is a false positive and a false negative.
                (Metric::MicroF1, table.accuracy()),
            ]
            .into()
        }
        (Predictions::Choices(predicted), Targets::Classes(truth)) => {
            let right = predicted.iter().zip(truth).filter(|(a, b)| a == b).count();
            let accuracy = ratio(right as f64, truth.len() as f64);
            [(Metric::Accuracy, accuracy)].into()
        }
        (Predictions::Numbers(predicted), Targets::Numbers(truth)) => [
            (Metric::Pearson, pearson(predicted, truth)),
            (Metric::Spearman, spearman(predicted, truth)),
        ]
        .into(),
        (Predictions::Sets(predicted), Targets::Sets(truth)) => of_sets(predicted, truth),
        _ => BTreeMap::new(),
    }
}

/// The range of constant numbers, in ranges of the targets.
const CONSTANT_RANGE: f64 = 1e-3;

/// Whether every example got the same prediction, though their targets differ. Numbers are the same if their range is at
/// most a thousandth of the targets' range.
pub fn is_constant(predictions: &Predictions, targets: &crate::task::Targets) -> bool {
    use crate::task::Targets;
    let range = |numbers: &[f64]| {
        let most = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        most - numbers.iter().copied().fold(f64::INFINITY, f64::min)
    };
    match (predictions, targets) {
        (
            Predictions::Classes { predicted, .. } | Predictions::Choices(predicted),
            Targets::Classes(truth),
        ) => all_same(predicted) && !all_same(truth),
        (Predictions::Numbers(predicted), Targets::Numbers(truth)) => {
            !all_same(truth) && range(predicted) <= CONSTANT_RANGE * range(truth)
        }
        (Predictions::Sets(predicted), Targets::Sets(truth)) => {
            all_same(predicted) && !all_same(&truth.members)
        }
        _ => false,
    }
}

fn all_same<T: PartialEq>(values: &[T]) -> bool {
    values.windows(2).all(|pair| pair[0] == pair[1])
}

/// Macro-F1 over all classes, micro-F1 over all pairs of example and class, and the share of exact sets.
fn of_sets(predicted: &[Vec<i64>], truth: &crate::task::Sets) -> BTreeMap<Metric, f64> {
    // Per class: both, predicted, true.
    let mut counts = vec![[0.0; 3]; truth.classes];
    let mut exact = 0.0;
    for (predicted, truth) in predicted.iter().zip(&truth.members) {
        exact += f64::from(u8::from(predicted == truth));
        for class in predicted {
            counts[*class as usize][1] += 1.0;
            if truth.contains(class) {
                counts[*class as usize][0] += 1.0;
            }
        }
        for class in truth {
            counts[*class as usize][2] += 1.0;
        }
    }
    let total = counts.iter().fold([0.0; 3], |[a, b, c], count| {
        [a + count[0], b + count[1], c + count[2]]
    });
    let sum: f64 = counts.iter().map(f1).sum();
    [
        (Metric::MacroF1, ratio(sum, counts.len() as f64)),
        (Metric::MicroF1, f1(&total)),
        (
            Metric::SubsetAccuracy,
            ratio(exact, truth.members.len() as f64),
        ),
    ]
    .into()
}

/// The best value of each metric for a constant predictor; of sets, for a constant predictor of the most frequent
/// classes, of however many, or of the most frequent set.
pub fn constant(targets: &crate::task::Targets, classes: usize) -> BTreeMap<Metric, f64> {
    use crate::task::Targets;
    let constants: Vec<Predictions> = match targets {
        Targets::Classes(truth) => (0..classes as i64)
            .map(|class| Predictions::Classes {
                predicted: vec![class; truth.len()],
                count: classes,
            })
            .collect(),
        Targets::Numbers(truth) => vec![Predictions::Numbers(vec![0.0; truth.len()])],
        Targets::Sets(truth) => constant_sets(truth)
            .into_iter()
            .map(|set| Predictions::Sets(vec![set; truth.members.len()]))
            .collect(),
    };
    let mut best = BTreeMap::new();
    for predictions in &constants {
        for (metric, value) in all(predictions, targets) {
            let so_far = best.entry(metric).or_insert(value);
            *so_far = value.max(*so_far);
        }
    }
    best
}

fn constant_sets(truth: &crate::task::Sets) -> Vec<Vec<i64>> {
    let mut counts = vec![0_usize; truth.classes];
    let mut sets: BTreeMap<&Vec<i64>, usize> = BTreeMap::new();
    for set in &truth.members {
        *sets.entry(set).or_default() += 1;
        for class in set {
            counts[*class as usize] += 1;
        }
    }
    let mut frequent: Vec<i64> = (0..truth.classes as i64).collect();
    frequent.sort_by_key(|class| std::cmp::Reverse(counts[*class as usize]));
    let mut found: Vec<Vec<i64>> = (0..=frequent.len())
        .map(|count| {
            let mut set = frequent[..count].to_vec();
            set.sort_unstable();
            set
        })
        .collect();
    let usual = sets.into_iter().max_by_key(|(_, count)| *count);
    found.extend(usual.map(|(set, _)| set.clone()));
    found
}

/// The confusion matrix: how often class `row` was predicted as class `column`.
struct Confusion {
    counts: Vec<f64>,
    classes: usize,
}

impl Confusion {
    fn new(predicted: &[i64], truth: &[i64], classes: usize) -> Self {
        let mut counts = vec![0.0; classes * classes];
        for (predicted, truth) in predicted.iter().zip(truth) {
            counts[*truth as usize * classes + *predicted as usize] += 1.0;
        }
        Self { counts, classes }
    }

    fn at(&self, truth: usize, predicted: usize) -> f64 {
        self.counts[truth * self.classes + predicted]
    }

    fn truly(&self, class: usize) -> f64 {
        (0..self.classes).map(|other| self.at(class, other)).sum()
    }

    fn predicted(&self, class: usize) -> f64 {
        (0..self.classes).map(|other| self.at(other, class)).sum()
    }

    fn right(&self) -> f64 {
        (0..self.classes).map(|class| self.at(class, class)).sum()
    }

    fn total(&self) -> f64 {
        self.counts.iter().sum()
    }

    fn accuracy(&self) -> f64 {
        ratio(self.right(), self.total())
    }

    /// Of class 1 with two classes; else the mean over classes.
    fn f1(&self) -> f64 {
        if self.classes == 2 {
            self.f1_of(1)
        } else {
            self.macro_f1()
        }
    }

    fn f1_of(&self, class: usize) -> f64 {
        f1(&[
            self.at(class, class),
            self.predicted(class),
            self.truly(class),
        ])
    }

    /// The mean over the classes that occur in the truth or in the predictions.
    fn macro_f1(&self) -> f64 {
        let occurring: Vec<usize> = (0..self.classes)
            .filter(|class| self.truly(*class) + self.predicted(*class) > 0.0)
            .collect();
        ratio(
            occurring.iter().map(|class| self.f1_of(*class)).sum(),
            occurring.len() as f64,
        )
    }

    /// The correlation of truth and prediction over K classes (Gorodkin's R_K, which is Matthews'
    /// coefficient for two).
    fn matthews(&self) -> f64 {
        let total = self.total();
        let (mut crossed, mut truly, mut predicted) = (0.0, 0.0, 0.0);
        for class in 0..self.classes {
            let (t, p) = (self.truly(class), self.predicted(class));
            crossed += t * p;
            truly += t * t;
            predicted += p * p;
        }
        let covariance = self.right() * total - crossed;
        let spread = ((total * total - truly) * (total * total - predicted)).sqrt();
        ratio(covariance, spread)
    }
}

/// F1 from how often a class is predicted and true, predicted, and true.
fn f1([both, predicted, truly]: &[f64; 3]) -> f64 {
    ratio(2.0 * both, predicted + truly)
}

fn ratio(part: f64, whole: f64) -> f64 {
    if whole == 0.0 { 0.0 } else { part / whole }
}

/// Pearson's correlation; 0 where either side is constant.
fn pearson(a: &[f64], b: &[f64]) -> f64 {
    let constant = |values: &[f64]| values.iter().all(|value| *value == values[0]);
    if a.len() < 2 || constant(a) || constant(b) {
        return 0.0;
    }
    let spread = a.std_dev() * b.std_dev();
    // Rounding may take a perfect correlation beyond 1.
    ratio(a.covariance(b), spread).clamp(-1.0, 1.0)
}

/// Spearman's correlation: Pearson's of the ranks, equal values sharing their mean rank.
fn spearman(a: &[f64], b: &[f64]) -> f64 {
    pearson(&ranks(a), &ranks(b))
}

fn ranks(values: &[f64]) -> Vec<f64> {
    Data::new(values.to_vec()).ranks(RankTieBreaker::Average)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::Targets;

    fn classes(predicted: &[i64], truth: &[i64], count: usize) -> BTreeMap<Metric, f64> {
        let predictions = Predictions::Classes {
            predicted: predicted.to_vec(),
            count,
        };
        all(&predictions, &Targets::Classes(truth.to_vec()))
    }

    fn numbers(predicted: &[f64], truth: &[f64]) -> BTreeMap<Metric, f64> {
        let predictions = Predictions::Numbers(predicted.to_vec());
        all(&predictions, &Targets::Numbers(truth.to_vec()))
    }

    #[test]
    fn constant_predictions_score_zero_where_a_metric_is_undefined() {
        let table = classes(&[0, 0, 0, 0], &[0, 1, 0, 1], 2);
        assert_eq!(table[&Metric::Accuracy], 0.5);
        assert_eq!(table[&Metric::F1], 0.0);
        assert_eq!(table[&Metric::Matthews], 0.0);
        for metric in numbers(&[0.1, 0.1, 0.1], &[1.0, 2.0, 3.0]).values() {
            assert_eq!(*metric, 0.0);
        }
    }

    #[test]
    fn a_constant_answer_scores_as_the_best_class_would() {
        let best = constant(&Targets::Classes(vec![1, 1, 0, 1, 2]), 3);
        assert_eq!(best[&Metric::Accuracy], 0.6);
        // Of class 1: 3 of 5 right, precision 0.6, recall 1; the other two classes have 0.
        assert!((best[&Metric::F1] - 0.75 / 3.0).abs() < 1e-12);
        assert_eq!(best[&Metric::Matthews], 0.0);
        // MRPC's validation examples: 279 of 408 are equivalent.
        let truth = [vec![1; 279], vec![0; 129]].concat();
        let best = constant(&Targets::Classes(truth), 2);
        assert!((best[&Metric::F1] - 2.0 * 279.0 / (279.0 + 408.0)).abs() < 1e-12);
        let best = constant(&Targets::Numbers(vec![0.1, 0.4, 0.2]), 1);
        assert!(best.values().all(|value| *value == 0.0));
    }

    #[test]
    fn a_perfect_model_scores_one() {
        assert!(
            classes(&[2, 0, 1], &[2, 0, 1], 3)
                .values()
                .all(|m| *m == 1.0)
        );
        let truth = [0.3, 0.1, 0.7, 0.7];
        for (metric, value) in numbers(&truth, &truth) {
            assert!((value - 1.0).abs() < 1e-12, "{metric:?} {value}");
        }
    }
}
