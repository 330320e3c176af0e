//! The closed-form improvement against integration, and NEHVI against BoTorch and against plain
//! Monte Carlo.

use autopeft_engine::acquisition::nehvi::Nehvi;
use autopeft_engine::acquisition::{
    Acquisition, AcquisitionError, FUNCTIONS, InSamplePoint, Inputs, Staircase,
};
use autopeft_engine::normal::{ln_tau, quantile, tau};
use autopeft_engine::objectives::hypervolume::hypervolume;
use autopeft_engine::objectives::pareto::Point;
use autopeft_engine::surrogate::gp::{Gp, Hyperparameters};
use faer::{Mat, Side};
use proptest::prelude::*;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    ln_tau: Vec<(f64, f64)>,
    nehvi: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    inputs: Vec<Vec<f64>>,
    values: Vec<f64>,
    pending: Vec<Vec<f64>>,
    candidates: Vec<Vec<f64>>,
    cost_weights: Vec<f64>,
    mean: f64,
    outputscale: f64,
    noise: f64,
    inverse_squared_lengthscales: Vec<f64>,
    reference: [f64; 2],
    nehvi: Vec<f64>,
    error: Vec<f64>,
    log_nehvi: Vec<f64>,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("../golden/search.json")).expect("the file parses")
}

impl Case {
    fn gp(&self) -> Gp {
        let hyperparameters = Hyperparameters {
            mean: self.mean,
            outputscale: self.outputscale,
            noise: self.noise,
            inverse_squared_lengthscales: self.inverse_squared_lengthscales.clone(),
        };
        let d = self.inputs[0].len();
        let inputs = Mat::from_fn(self.inputs.len(), d, |row, i| self.inputs[row][i]);
        Gp::new(hyperparameters, inputs.as_ref(), &self.values, None).expect("a process")
    }

    fn cost(&self, input: &[f64]) -> f64 {
        input
            .iter()
            .zip(&self.cost_weights)
            .map(|(x, w)| x * w)
            .sum()
    }

    fn in_sample(&self) -> Vec<InSamplePoint> {
        let points = self.inputs.iter().chain(&self.pending);
        points
            .map(|input| InSamplePoint {
                input: input.clone(),
                cost: self.cost(input),
            })
            .collect()
    }

    fn reference(&self) -> Point {
        Point {
            score: self.reference[0],
            cost: self.reference[1],
        }
    }

    fn nehvi(&self, draws: usize, seed: u32) -> Nehvi {
        Nehvi::new(Inputs {
            models: vec![self.gp()],
            in_sample: &self.in_sample(),
            reference: self.reference(),
            draws,
            seed,
        })
        .expect("an acquisition")
    }
}

#[test]
fn ln_tau_is_mpmaths_over_the_whole_range() {
    for (z, expected) in golden().ln_tau {
        let found = ln_tau(z);
        let error = (found - expected).abs();
        assert!(
            error < 1e-11 * (1.0 + expected.abs()),
            "{z}: {found}, {expected}"
        );
        if z > -38.0 {
            assert!((tau(z) / expected.exp() - 1.0).abs() < 1e-10, "{z}");
        }
    }
}

#[test]
fn nehvi_agrees_with_botorch() {
    for case in golden().nehvi {
        // Averaged over scramblings, so that what is left is BoTorch's own error.
        let seeds = 16;
        let acquisitions: Vec<Nehvi> = (0..seeds).map(|seed| case.nehvi(1024, seed)).collect();
        for (i, candidate) in case.candidates.iter().enumerate() {
            let each: Vec<f64> = acquisitions
                .iter()
                .map(|nehvi| nehvi.value(candidate, case.cost(candidate)).exp())
                .collect();
            let found = each.iter().sum::<f64>() / f64::from(seeds);
            let spread = each.iter().map(|v| (v - found).powi(2)).sum::<f64>();
            let own = (spread / f64::from(seeds * (seeds - 1))).sqrt();
            let allowed = 5.0 * (case.error[i].powi(2) + own.powi(2)).sqrt() + 5e-6;
            assert!(
                (found - case.nehvi[i]).abs() < allowed,
                "candidate {i}: {found}, BoTorch {} ± {}",
                case.nehvi[i],
                case.error[i]
            );
            // The smoothed log form, where BoTorch's draws of the candidate see an improvement.
            if case.nehvi[i] > 1e-2 {
                assert!((found.ln() - case.log_nehvi[i]).abs() < 0.06);
            }
        }
    }
}

/// The definition: joint draws of baseline and candidate, and a difference of two hypervolumes.
fn naive(case: &Case, candidate: &[f64], draws: usize, generator: &mut ChaCha8Rng) -> (f64, f64) {
    let mut points = case.in_sample();
    points.push(InSamplePoint {
        input: candidate.to_vec(),
        cost: case.cost(candidate),
    });
    let p = points.len();
    let inputs = Mat::from_fn(p, candidate.len(), |row, i| points[row].input[i]);
    let (mean, mut covariance) = case.gp().joint(inputs.as_ref());
    for i in 0..p {
        covariance[(i, i)] += 1e-9;
    }
    let factor = covariance.llt(Side::Lower).expect("positive definite");
    let (mut sum, mut squares) = (0.0, 0.0);
    for _ in 0..draws {
        let normals: Vec<f64> = (0..p)
            .map(|_| quantile(generator.random_range(1e-12..1.0)))
            .collect();
        let drawn: Vec<Point> = (0..p)
            .map(|i| Point {
                score: mean[i]
                    + (0..=i)
                        .map(|j| factor.L()[(i, j)] * normals[j])
                        .sum::<f64>(),
                cost: points[i].cost,
            })
            .collect();
        let gain =
            hypervolume(&drawn, case.reference()) - hypervolume(&drawn[..p - 1], case.reference());
        sum += gain;
        squares += gain * gain;
    }
    let average = sum / draws as f64;
    (
        average,
        ((squares / draws as f64 - average * average) / draws as f64).sqrt(),
    )
}

#[test]
fn nehvi_agrees_with_the_definition() {
    let mut generator = ChaCha8Rng::seed_from_u64(5);
    for case in golden().nehvi {
        let nehvi = case.nehvi(4096, 9);
        for candidate in &case.candidates {
            let (expected, error) = naive(&case, candidate, 40_000, &mut generator);
            let found = nehvi.value(candidate, case.cost(candidate)).exp();
            assert!(
                (found - expected).abs() < 5.0 * error + 0.005 * expected + 2e-6,
                "{found}, {expected} ± {error}"
            );
        }
    }
}

#[test]
fn several_models_average() {
    let cases = golden().nehvi;
    let [first, .., second] = &cases[..] else {
        panic!("at least two cases");
    };
    let make = |models| {
        Nehvi::new(Inputs {
            models,
            in_sample: &first.in_sample(),
            reference: first.reference(),
            draws: 4096,
            seed: 1,
        })
        .expect("an acquisition")
    };
    let candidate = &first.candidates[1];
    let value = |gps| make(gps).value(candidate, first.cost(candidate)).exp();
    let apart = 0.5 * (value(vec![first.gp()]) + value(vec![second.gp()]));
    let together = value(vec![first.gp(), second.gp()]);
    assert!((together / apart - 1.0).abs() < 0.01, "{together}, {apart}");
}

#[test]
fn hopeless_candidates_still_rank() {
    let case = &golden().nehvi[2];
    let mut far = case.in_sample();
    // A pending point that costs nothing, and a reference far above anything plausible.
    far.truncate(3);
    for score in [50.0, 1e3, 1e6] {
        let reference = Point { score, cost: 5.3 };
        let nehvi = Nehvi::new(Inputs {
            models: vec![case.gp()],
            in_sample: &far,
            reference,
            draws: 64,
            seed: 0,
        })
        .expect("an acquisition");
        let values: Vec<f64> = case
            .candidates
            .iter()
            .map(|candidate| nehvi.value(candidate, case.cost(candidate)))
            .collect();
        assert!(values.iter().all(|value| !value.is_nan()), "{values:?}");
        let finite: Vec<f64> = values
            .into_iter()
            .filter(|value| value.is_finite())
            .collect();
        assert!(
            finite.len() >= 4 && finite.iter().all(|value| *value < -700.0),
            "{finite:?}"
        );
        assert!(
            finite.windows(2).any(|pair| pair[0] != pair[1]),
            "flat: {finite:?}"
        );
    }
}

#[test]
fn points_on_no_front_are_pruned() {
    let case = &golden().nehvi[2];
    let sizes = case.nehvi(128, 0).kept_points();
    assert!(
        sizes[0] > 0 && sizes[0] < case.in_sample().len(),
        "{sizes:?}"
    );
    let beyond = Nehvi::new(Inputs {
        models: vec![case.gp()],
        in_sample: &case.in_sample(),
        reference: Point {
            score: 0.0,
            cost: -1.0,
        },
        draws: 16,
        seed: 0,
    })
    .expect("an acquisition");
    assert_eq!(beyond.kept_points(), [0]);
    assert_eq!(beyond.value(&case.candidates[0], 0.0), f64::NEG_INFINITY);
}

proptest! {
    #[test]
    fn the_closed_form_is_the_integral(
        steps in prop::collection::vec((0.01..1.0, 0.01..1.0), 0..6),
        cost in -0.5..4.0, mean in -2.0..4.0, deviation in 0.05..2.0,
    ) {
        let (mut at, mut height) = (0.0, 0.0);
        let (mut costs, mut heights) = (Vec::new(), Vec::new());
        for (width, rise) in steps {
            at += width;
            height += rise;
            costs.push(at);
            heights.push(height);
        }
        let reference = Point { score: 0.0, cost: at + 0.5 };
        let stairs = Staircase { costs: &costs, heights: &heights, reference };
        let front: Vec<Point> = costs
            .iter()
            .zip(&heights)
            .map(|(cost, score)| Point { cost: *cost, score: *score })
            .collect();
        // The midpoint rule on the improvement itself, by quantiles of the score.
        let n = 20_000;
        let before = hypervolume(&front, reference);
        let numeric = (0..n)
            .step_by(20)
            .map(|i| {
                let z = quantile((f64::from(i) + 10.0) / f64::from(n));
                let mut with = front.clone();
                with.push(Point { cost, score: mean + deviation * z });
                hypervolume(&with, reference) - before
            })
            .sum::<f64>() / f64::from(n / 20);
        let closed = stairs.expected_improvement(cost, mean, deviation);
        prop_assert!((closed - numeric).abs() < 6e-3 * deviation * 4.0, "{} and {}", closed, numeric);
        let ln = stairs.ln_expected_improvement(cost, mean, deviation);
        if closed > 0.0 {
            prop_assert!((ln - closed.ln()).abs() < 1e-9);
        } else {
            prop_assert_eq!(cost >= reference.cost, ln == f64::NEG_INFINITY);
        }
    }
}

#[test]
fn without_a_model_there_is_no_acquisition() {
    let reference = Point {
        score: 0.0,
        cost: 1.0,
    };
    for function in FUNCTIONS {
        let none = (function.prepare)(Inputs {
            models: Vec::new(),
            in_sample: &[],
            reference,
            draws: 8,
            seed: 0,
        });
        assert_eq!(none.err(), Some(AcquisitionError::NoModel), "{function:?}");
    }
}
