//! The results of the trials so far: the Pareto front, its reference point and its hypervolume.
//!
//! Costs are compared and hypervolumes measured as log10(1 + parameters), scores in their natural
//! unit: a hypervolume of 0.5 is half a unit of score over one decade of parameters. Only scored
//! trials within both bounds count; scores that are not finite never do.

use autopeft_crds::PeftConfiguration;

use super::{Observation, Outcome, Problem, ReferencePoint};
use crate::objectives::hypervolume::hypervolume as area;
use crate::objectives::pareto::{self, Point, log_cost};
use crate::objectives::reference::infer;

/// A trial on the Pareto front.
#[derive(Clone, Debug, PartialEq)]
pub struct FrontPoint {
    /// Its position among the observations.
    pub trial: usize,
    /// What was trained, in canonical form.
    pub configuration: PeftConfiguration,
    /// Its score, in its natural unit.
    pub score: f64,
    /// Its exact cost.
    pub parameters: u64,
}

/// The reference point of the hypervolume, and its origin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reference {
    /// The point, its score at least the bound on the score.
    pub point: ReferencePoint,
    /// Whether it was inferred from the observations.
    pub inferred: bool,
    /// Whether an observation is better in both objectives. While none is, the hypervolume is 0.
    pub dominated: bool,
}

/// The scored trials that no other dominates, by ascending cost. Several configurations with equal
/// score and cost are all listed; one configuration is listed once, with its best score.
pub fn front(problem: &Problem, observations: &[Observation]) -> Vec<FrontPoint> {
    let candidates = candidates(problem, observations);
    let points: Vec<Point> = candidates.iter().map(|found| found.1).collect();
    let mut listed: Vec<FrontPoint> = Vec::new();
    for index in pareto::front(&points) {
        let (trial, point) = candidates[index];
        let configuration = observations[trial].configuration.clone().canonical();
        if !listed
            .iter()
            .any(|other| other.configuration == configuration)
        {
            listed.push(FrontPoint {
                trial,
                parameters: configuration.parameters(problem.space.shape),
                configuration,
                score: point.score,
            });
        }
    }
    listed
}

/// The reference point: the given one, or that inferred from the front (`objectives::reference`); `None`
/// if it is not given and nothing within the budget has a score.
pub fn reference_point(problem: &Problem, observations: &[Observation]) -> Option<Reference> {
    let points = points(problem, observations);
    let mut point = match problem.reference {
        Some(given) => given,
        None => {
            // While no trial reaches the bound on the score, the others at least give the range of costs.
            let all = affordable(problem, observations);
            let all: Vec<Point> = all.into_iter().map(|found| found.1).collect();
            let inferred = infer(if points.is_empty() { &all } else { &points })?;
            ReferencePoint {
                score: inferred.score,
                parameters: (inferred.cost * std::f64::consts::LN_10).exp_m1(),
            }
        }
    };
    if let Some(bound) = problem.min_score {
        point.score = point.score.max(bound);
    }
    let corner = corner(&point);
    Some(Reference {
        point,
        inferred: problem.reference.is_none(),
        dominated: points
            .iter()
            .any(|p| p.score > corner.score && p.cost < corner.cost),
    })
}

/// The hypervolume of the front against `reference_point`; 0 without one.
pub fn hypervolume(problem: &Problem, observations: &[Observation]) -> f64 {
    reference_point(problem, observations).map_or(0.0, |reference| {
        area(&points(problem, observations), corner(&reference.point))
    })
}

/// The hypervolume after each observation, all against the reference point of all observations,
/// so that the trace never falls.
pub fn hypervolume_trace(problem: &Problem, observations: &[Observation]) -> Vec<f64> {
    let Some(reference) = reference_point(problem, observations) else {
        return vec![0.0; observations.len()];
    };
    let candidates = candidates(problem, observations);
    (0..observations.len())
        .map(|trial| {
            let so_far: Vec<Point> = candidates
                .iter()
                .filter(|found| found.0 <= trial)
                .map(|found| found.1)
                .collect();
            area(&so_far, corner(&reference.point))
        })
        .collect()
}

/// The reference in the plane in which hypervolumes are measured.
pub(crate) fn corner(reference: &ReferencePoint) -> Point {
    Point {
        score: reference.score,
        cost: log_cost(reference.parameters),
    }
}

/// The scored trials within both bounds.
fn candidates(problem: &Problem, observations: &[Observation]) -> Vec<(usize, Point)> {
    let mut found = affordable(problem, observations);
    found.retain(|(_, point)| problem.min_score.is_none_or(|bound| point.score >= bound));
    found
}

fn points(problem: &Problem, observations: &[Observation]) -> Vec<Point> {
    let candidates = candidates(problem, observations);
    candidates.into_iter().map(|found| found.1).collect()
}

/// The scored trials within the budget of parameters.
fn affordable(problem: &Problem, observations: &[Observation]) -> Vec<(usize, Point)> {
    observations
        .iter()
        .enumerate()
        .filter_map(|(trial, observation)| {
            let Outcome::Scored { score, .. } = observation.outcome else {
                return None;
            };
            let parameters = observation.configuration.parameters(problem.space.shape);
            let within = problem.max_parameters.is_none_or(|most| parameters <= most);
            (within && score.is_finite()).then(|| {
                let cost = log_cost(parameters as f64);
                (trial, Point { score, cost })
            })
        })
        .collect()
}
