//! An acquisition function that the engine does not have, added as docs/extending.md says: a type that
//! implements `Acquisition`, and its row. Besides, what every acquisition function must hold.

use std::collections::HashSet;

use autopeft_engine::acquisition::nehvi::NEHVI;
use autopeft_engine::acquisition::{
    Acquisition, AcquisitionError, AcquisitionFunction, FUNCTIONS, Inputs,
};
use autopeft_engine::surrogate::gp::{Gp, Prediction};
use autopeft_engine::{Origin, Problem, Settings, suggest};

use crate::searches::{base, check, history, problem};

/// Pure exploration: the standard deviation of the score (MacKay, Neural Computation 1992).
struct Uncertainty(Vec<Gp>);

static UNCERTAINTY: AcquisitionFunction = AcquisitionFunction {
    name: "uncertainty",
    prepare: |inputs: Inputs<'_>| {
        if inputs.models.is_empty() {
            return Err(AcquisitionError::NoModel);
        }
        Ok(Box::new(Uncertainty(inputs.models)))
    },
};

impl Acquisition for Uncertainty {
    fn value(&self, input: &[f64], _: f64) -> f64 {
        self.predict(input).variance.sqrt()
    }

    fn predict(&self, input: &[f64]) -> Prediction {
        let predictions: Vec<Prediction> = self.0.iter().map(|gp| gp.predict(input)).collect();
        Prediction::mixture(&predictions)
    }
}

fn by(acquisition: &'static AcquisitionFunction) -> Problem {
    let problem = problem(base());
    Problem {
        settings: Settings {
            acquisition,
            ..problem.settings
        },
        ..problem
    }
}

#[test]
fn every_acquisition_function_makes_usable_suggestions_of_the_same_bits() {
    let observations = history(&by(&NEHVI), 9);
    let used = observations
        .iter()
        .map(|observation| observation.configuration.clone())
        .collect();
    let (mut names, mut hashes) = (HashSet::new(), HashSet::new());
    for function in FUNCTIONS.into_iter().chain([&UNCERTAINTY]) {
        let problem = by(function);
        let next = suggest(&problem, &observations, &[]).expect("a suggestion");
        assert_eq!(next.origin, Origin::Bayesian, "{function:?}");
        check(&problem, &next, &used);
        let again = suggest(&problem, &observations, &[]).expect("a suggestion");
        assert_eq!(next, again, "{function:?}");
        assert!(names.insert(function.name), "two are called {function:?}");
        assert!(hashes.insert(next.inputs_hash), "{function:?}");
    }
}

#[test]
fn an_acquisition_function_chooses_by_its_own_value() {
    let observations = history(&by(&NEHVI), 9);
    let next = suggest(&by(&UNCERTAINTY), &observations, &[]).expect("a suggestion");
    let deviation = next.acquisition.expect("a value");
    let other = suggest(&by(&NEHVI), &observations, &[]).expect("a suggestion");
    assert!(deviation > 0.0);
    // The scale of the surrogate is linear in the score here, so that deviations compare.
    let widest = next.predicted.expect("a prediction").deviation;
    let chosen = other.predicted.expect("a prediction").deviation;
    assert!(widest >= chosen, "{widest} and {chosen}");
}
