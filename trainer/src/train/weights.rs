//! Weights of the classes in the loss.

use autopeft_crds::spec::ClassWeights;

use crate::task::{Kind, Targets, TaskError};

/// The weight of each class, for the training examples of a trial.
///
/// # Errors
/// Weights and classes differ in number, or the task has no classes.
pub fn class_weights(
    spec: &ClassWeights,
    kind: &Kind,
    targets: &Targets,
) -> Result<Vec<f64>, TaskError> {
    let classes = kind.labels().len();
    let wrong = |problem: String| Err(TaskError::Weights(problem));
    if matches!(kind, Kind::Regression | Kind::MultipleChoice(_)) {
        return wrong("only for type: Classification or MultiLabel".into());
    }
    match (&spec.values, spec.balanced) {
        (Some(values), false) if values.len() == classes => {
            Ok(values.iter().map(|weight| weight.get()).collect())
        }
        (Some(values), false) => wrong(format!("{} weights for {classes} classes", values.len())),
        (None, true) => Ok(balanced(classes, targets)),
        _ => wrong("give either balanced: true or values".into()),
    }
}

/// As scikit-learn's `compute_class_weight`: n over the number of classes that occur and that of the class's examples.
/// Of sets, examples without the class over those with it. A class with nothing to balance has weight 1.
fn balanced(classes: usize, targets: &Targets) -> Vec<f64> {
    let mut counts = vec![0_usize; classes];
    let mut count = |class: &i64| counts[*class as usize] += 1;
    match targets {
        Targets::Classes(all) => all.iter().for_each(&mut count),
        Targets::Sets(sets) => sets.members.iter().flatten().for_each(&mut count),
        Targets::Numbers(_) => {}
    }
    let all = targets.len();
    let occurring = counts.iter().filter(|count| **count > 0).count();
    let weight = |with: usize| match targets {
        Targets::Sets(_) if with > 0 && with < all => (all - with) as f64 / with as f64,
        Targets::Classes(_) if with > 0 => all as f64 / (occurring * with) as f64,
        _ => 1.0,
    };
    counts.into_iter().map(weight).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::Sets;

    #[test]
    fn balanced_weights_are_those_of_scikit_learn() {
        // compute_class_weight("balanced", classes=[0, 1, 2], y=[0, 0, 0, 1, 2, 2])
        let targets = Targets::Classes(vec![0, 0, 0, 1, 2, 2]);
        assert_eq!(balanced(3, &targets), [2.0 / 3.0, 2.0, 1.0]);
        // A class without examples takes no part.
        let targets = Targets::Classes(vec![0, 0, 0, 2]);
        assert_eq!(balanced(3, &targets), [4.0 / 6.0, 1.0, 2.0]);
    }

    #[test]
    fn balanced_weights_of_sets_are_negatives_over_positives() {
        let members = vec![vec![0], vec![0, 1], vec![0], vec![]];
        let targets = Targets::Sets(Sets {
            classes: 3,
            members,
        });
        assert_eq!(balanced(3, &targets), [1.0 / 3.0, 3.0, 1.0]);
    }
}
