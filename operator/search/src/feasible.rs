//! Whether a search has anything to train: a configuration within the bound on the parameters. No I/O.

use autopeft_crds::spec::ObjectiveName;
use autopeft_crds::{Decimal, FieldError};

use crate::measures::Subject;

/// Rejects a bound that excludes every configuration of the space.
pub fn check(subject: &Subject) -> Result<(), FieldError> {
    let least = subject.problem.space.least_parameters();
    let of_cost = |name| name == ObjectiveName::TrainableParameters;
    let mut objectives = subject.spec.objectives.iter().enumerate();
    let entry = objectives.find(|(_, objective)| of_cost(objective.name));
    let bound = entry.and_then(|(index, objective)| Some((index, objective.bound?)));
    match (bound, subject.problem.max_parameters) {
        (Some((index, bound)), Some(most)) if most < least => {
            let share = 100.0 * least as f64 / subject.model.backbone_parameters as f64;
            let percent = format!("{share:.2e}").parse::<Decimal>();
            let percent = percent.map_or_else(|_| "?".into(), |percent| percent.to_string());
            Err(FieldError::new(
                format!("spec.objectives[{index}].bound"),
                format!(
                    "{bound} % of the backbone is {most} parameters, and the smallest configuration of the search space has {least} ({percent} %)"
                ),
                "raise the bound, or add smaller sizes to spec.searchSpace",
            ))
        }
        _ => Ok(()),
    }
}
