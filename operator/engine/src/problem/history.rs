//! The inputs of a suggestion, checked, and the data for the surrogate and the acquisition function.

use std::collections::{BTreeSet, HashSet};

use autopeft_crds::PeftConfiguration;

use super::inputs_hash::inputs_hash;
use super::{Observation, Outcome, Problem};
use crate::acquisition::InSamplePoint;
use crate::objectives::pareto::log_cost;

/// Why the inputs are invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// A configuration of another space.
    #[error("{configuration} is not in the search space")]
    NotInSpace {
        /// The configuration.
        configuration: Box<PeftConfiguration>,
    },
    /// A number that is not finite, or a variance below 0.
    #[error("{0} must be finite, and a variance at least 0")]
    NotFinite(String),
    /// A setting of 0.
    #[error("the setting {0} must be at least 1")]
    Setting(&'static str),
}

/// The problem and its trials so far.
pub(crate) struct History<'a> {
    pub(crate) problem: &'a Problem,
    /// In canonical form.
    pub(crate) observations: Vec<Observation>,
    /// Canonical, not observed, in an order that does not depend on the caller's.
    pending: BTreeSet<PeftConfiguration>,
    /// Canonical: observed or pending.
    pub(crate) used: HashSet<PeftConfiguration>,
    /// The number of trials so far, which is the index of the next.
    pub(crate) index: usize,
}

impl<'a> History<'a> {
    pub(crate) fn new(
        problem: &'a Problem,
        observations: &[Observation],
        pending: &[PeftConfiguration],
    ) -> Result<Self, InputError> {
        check(problem)?;
        let canonical = |configuration: &PeftConfiguration| {
            let canonical = configuration.clone().canonical();
            if problem.space.contains(&canonical) {
                Ok(canonical)
            } else {
                Err(InputError::NotInSpace {
                    configuration: Box::new(canonical),
                })
            }
        };
        let observations = observations
            .iter()
            .enumerate()
            .map(|(trial, observation)| {
                if let Outcome::Scored {
                    score,
                    noise_variance,
                } = observation.outcome
                    && !(score.is_finite()
                        && noise_variance.is_none_or(|v| v.is_finite() && v >= 0.0))
                {
                    return Err(InputError::NotFinite(format!("observation {trial}")));
                }
                Ok(Observation {
                    configuration: canonical(&observation.configuration)?,
                    outcome: observation.outcome,
                })
            })
            .collect::<Result<Vec<_>, _>>()?;
        let observed = observations.iter().map(|o| o.configuration.clone());
        let mut used: HashSet<PeftConfiguration> = observed.collect();
        let index = observations.len() + pending.len();
        let pending = pending
            .iter()
            .map(canonical)
            .collect::<Result<BTreeSet<_>, _>>()?;
        let pending: BTreeSet<_> = pending
            .into_iter()
            .filter(|configuration| !used.contains(configuration))
            .collect();
        used.extend(pending.iter().cloned());
        Ok(Self {
            problem,
            observations,
            pending,
            used,
            index,
        })
    }

    /// 16 hexadecimal digits of the problem and the trials.
    pub(crate) fn hash(&self) -> String {
        let pending: Vec<&PeftConfiguration> = self.pending.iter().collect();
        inputs_hash(self.problem, &self.observations, &pending)
    }

    /// The cost of a configuration, log10(1 + parameters).
    pub(crate) fn cost(&self, configuration: &PeftConfiguration) -> f64 {
        log_cost(configuration.parameters(self.problem.space.shape) as f64)
    }

    /// The scored and the pending configurations within the budget, each once.
    pub(crate) fn in_sample(
        &self,
        encode: impl Fn(&PeftConfiguration) -> Vec<f64>,
    ) -> Vec<InSamplePoint> {
        let scored = self
            .observations
            .iter()
            .filter(|observation| matches!(observation.outcome, Outcome::Scored { .. }))
            .map(|observation| &observation.configuration);
        let distinct: BTreeSet<&PeftConfiguration> = scored.chain(&self.pending).collect();
        let most = self.problem.max_parameters.unwrap_or(u64::MAX);
        let shape = self.problem.space.shape;
        distinct
            .into_iter()
            .filter(|configuration| configuration.parameters(shape) <= most)
            .map(|configuration| InSamplePoint {
                input: encode(configuration),
                cost: self.cost(configuration),
            })
            .collect()
    }
}

/// Rejects settings of 0 and numbers that are not finite.
fn check(problem: &Problem) -> Result<(), InputError> {
    let settings = &problem.settings;
    for (name, value) in [
        ("mc_samples", settings.mc_samples),
        ("restarts", settings.restarts),
        ("evaluations", settings.evaluations),
    ] {
        if value == 0 {
            return Err(InputError::Setting(name));
        }
    }
    for (name, value) in [
        ("the bound on the score", problem.min_score),
        ("the reference score", problem.reference.map(|r| r.score)),
        // Its logarithm must be finite too.
        (
            "the reference cost",
            problem.reference.map(|r| log_cost(r.parameters)),
        ),
    ] {
        if value.is_some_and(|value| !value.is_finite()) {
            return Err(InputError::NotFinite(name.to_owned()));
        }
    }
    Ok(())
}

/// What the surrogate is fitted to, row by row.
pub(crate) struct TrainingData<'a> {
    pub(crate) configurations: Vec<&'a PeftConfiguration>,
    /// In their natural unit.
    pub(crate) scores: Vec<f64>,
    /// The known variances of the scores, if any is known.
    pub(crate) variances: Option<Vec<f64>>,
}

impl<'a> TrainingData<'a> {
    /// `None` if no observation has a score.
    pub(crate) fn new(observations: &'a [Observation]) -> Option<Self> {
        let score = |observation: &Observation| match observation.outcome {
            Outcome::Scored { score, .. } => Some(score),
            Outcome::Infeasible | Outcome::Failed => None,
        };
        let worst = observations
            .iter()
            .filter_map(score)
            .min_by(f64::total_cmp)?;
        let rows = || {
            observations
                .iter()
                .filter(|observation| observation.outcome != Outcome::Failed)
        };
        let variances: Vec<Option<f64>> = rows()
            .map(|observation| match observation.outcome {
                Outcome::Scored { noise_variance, .. } => noise_variance,
                Outcome::Infeasible | Outcome::Failed => None,
            })
            .collect();
        // A padded score, or one of unknown variance, is trusted no more than the others.
        let known: Vec<f64> = variances.iter().copied().flatten().collect();
        let mean = known.iter().sum::<f64>() / known.len().max(1) as f64;
        Some(Self {
            configurations: rows()
                .map(|observation| &observation.configuration)
                .collect(),
            scores: rows().map(|o| score(o).unwrap_or(worst)).collect(),
            variances: (!known.is_empty())
                .then(|| variances.iter().map(|v| v.unwrap_or(mean)).collect()),
        })
    }
}
