//! What to train next.
//!
//! A suggestion is a pure function of the problem (with its seed), the observations in their
//! order, and the set of pending configurations: the same inputs give the same bits. It is the
//! next of the initial design while trials are fewer than that has, and then the maximum of the
//! acquisition over the space:
//!
//! 1. the scores, on the surrogate's scale, and the encoded configurations are fitted (`fit`);
//! 2. NEHVI is set up over what is observed and pending (`nehvi`);
//! 3. it is maximised by a local search from members of the front and from random configurations
//!    (`local_search`), or over all configurations where they are no more than the search may
//!    evaluate.
//!
//! Where a step fails, the choice is uniform among what is left, and the suggestion says why.
//! Several suggestions at once are made one after another, each pending for the next.
//!
//! *Infeasible configurations* have no score. They join the surrogate's data with the worst score
//! that was observed (the padding of Wakabayashi et al., npj Computational Materials 2022,
//! "Bayesian optimization with experimental failure"): the surrogate then expects little near
//! them, while a made-up value beyond the data would stretch its scale. They are never on the
//! front.

use std::collections::{BTreeSet, HashSet};

use autopeft_crds::PeftConfiguration;
use faer::Mat;
use rand::Rng;
use rand::seq::SliceRandom;

use crate::encoding::{Coordinate, encode};
use crate::fit::{Fit, Method, fit_unless};
use crate::initial::initial;
use crate::inputs_hash::inputs_hash;
use crate::local_search::{LocalSearch, Valued};
use crate::nehvi::{Baseline, Nehvi};
use crate::pareto::{Point, log_cost};
use crate::problem::{Observation, Outcome, Problem};
use crate::results::{corner, front, reference_point};
use crate::sampling::CanonicalSet;
use crate::stream::{Purpose, stream};
use crate::transform::Transform;

/// A configuration to train, and how it was come by.
#[derive(Clone, Debug, PartialEq)]
pub struct Suggestion {
    /// Canonical, in the space and within the budget, neither observed nor pending.
    pub configuration: PeftConfiguration,
    /// How it was chosen.
    pub origin: Origin,
    /// The logarithm of its noisy expected hypervolume improvement, on the surrogate's scale.
    pub acquisition: Option<f64>,
    /// What the surrogate expects.
    pub predicted: Option<Predicted>,
    /// 16 hexadecimal digits of everything that the suggestion was computed from.
    pub inputs_hash: String,
    /// The surrogate that it was chosen by, or that was tried.
    pub surrogate: Option<SurrogateReport>,
}

/// How a configuration was chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// By the initial design.
    Initial,
    /// As the maximum of the acquisition.
    Bayesian,
    /// Uniformly among what is left.
    Random {
        /// Why not by the acquisition.
        reason: String,
    },
}

/// A prediction of the noise-free score, in its natural unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Predicted {
    /// Its mean.
    pub mean: f64,
    /// Its standard deviation.
    pub deviation: f64,
}

/// How the surrogate was fitted, and what it found to matter.
#[derive(Clone, Debug, PartialEq)]
pub struct SurrogateReport {
    /// Where its hyperparameters come from.
    pub method: Method,
    /// Why a better method was given up; empty if none was.
    pub reasons: Vec<String>,
    /// Draws that diverged.
    pub divergences: usize,
    /// The largest split R-hat; 0 without draws.
    pub max_rhat: f64,
    /// The smallest effective sample size; 0 without draws.
    pub min_ess: f64,
    /// The inverse lengthscale of each free dimension, the median over hyperparameter samples:
    /// large where the dimension matters.
    pub relevance: Vec<(String, f64)>,
}

/// Why there is no suggestion.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SuggestError {
    /// Nothing is left to train.
    #[error(
        "all {configurations} configurations within the budget have been trained or are being trained"
    )]
    Exhausted {
        /// How many there are.
        configurations: u128,
    },
    /// A configuration of another space.
    #[error("{configuration} is not in the search space")]
    NotInSpace {
        /// The configuration.
        configuration: Box<PeftConfiguration>,
    },
    /// A number that is not finite, or a variance below 0.
    #[error("{0} must be finite, and a variance at least 0")]
    NotFinite(String),
    /// The caller said that it no longer wants one.
    #[error("the suggestion is no longer wanted")]
    Unwanted,
    /// A setting with which nothing can be computed.
    #[error("the setting {0} must be at least 1")]
    Setting(&'static str),
}

/// The next configuration to train.
pub fn suggest(
    problem: &Problem,
    observations: &[Observation],
    pending: &[PeftConfiguration],
) -> Result<Suggestion, SuggestError> {
    suggest_unless(problem, observations, pending, &|| false)
}

/// The same, given up soon after `unwanted` says that nobody waits for it any more. What it answers
/// before has no influence on the suggestion.
pub fn suggest_unless(
    problem: &Problem,
    observations: &[Observation],
    pending: &[PeftConfiguration],
    unwanted: &dyn Fn() -> bool,
) -> Result<Suggestion, SuggestError> {
    let past = Past::new(problem, observations, pending)?;
    let set = CanonicalSet::new(&problem.space, problem.max_parameters);
    let exhausted = || SuggestError::Exhausted {
        configurations: set.count(),
    };
    let suggestion = |configuration, origin| Suggestion {
        configuration,
        origin,
        acquisition: None,
        predicted: None,
        inputs_hash: past.hash(),
        surrogate: None,
    };
    if past.index < problem.settings.initial_trials {
        let next = initial(problem, &set, &past.used, past.index).ok_or_else(exhausted)?;
        return Ok(suggestion(next, Origin::Initial));
    }
    let mut generator = stream(problem.seed, Purpose::Fallback, past.index);
    let fallback = set
        .draw_unused(&past.used, &mut generator)
        .ok_or_else(exhausted)?;
    let mut report = None;
    let found = bayesian(&past, &set, &mut report, unwanted);
    // A step that was cut short looks like one that failed.
    if unwanted() {
        return Err(SuggestError::Unwanted);
    }
    match found {
        Ok((configuration, acquisition, predicted)) => Ok(Suggestion {
            acquisition: Some(acquisition),
            predicted: Some(predicted),
            surrogate: report,
            ..suggestion(configuration, Origin::Bayesian)
        }),
        Err(reason) => Ok(Suggestion {
            surrogate: report,
            ..suggestion(fallback, Origin::Random { reason })
        }),
    }
}

/// The inputs of a suggestion, checked.
struct Past<'a> {
    problem: &'a Problem,
    /// With canonical configurations.
    observations: Vec<Observation>,
    /// Canonical, not observed, in an order of their own.
    pending: BTreeSet<PeftConfiguration>,
    /// Canonical: observed or pending.
    used: HashSet<PeftConfiguration>,
    /// The number of the trial that is asked for.
    index: usize,
}

impl<'a> Past<'a> {
    fn new(
        problem: &'a Problem,
        observations: &[Observation],
        pending: &[PeftConfiguration],
    ) -> Result<Self, SuggestError> {
        let settings = &problem.settings;
        for (name, value) in [
            ("mc_samples", settings.mc_samples),
            ("restarts", settings.restarts),
            ("evaluations", settings.evaluations),
        ] {
            if value == 0 {
                return Err(SuggestError::Setting(name));
            }
        }
        let finite = |name: &str, value: Option<f64>| match value {
            Some(value) if !value.is_finite() => Err(SuggestError::NotFinite(name.to_owned())),
            _ => Ok(()),
        };
        finite("the bound on the score", problem.min_score)?;
        finite("the reference score", problem.reference.map(|r| r.score))?;
        // Its logarithm must be finite too.
        let parameters = problem.reference.map(|r| log_cost(r.parameters));
        finite("the reference cost", parameters)?;
        let canonical = |configuration: &PeftConfiguration| {
            let canonical = configuration.clone().canonical();
            if problem.space.contains(&canonical) {
                Ok(canonical)
            } else {
                Err(SuggestError::NotInSpace {
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
                    return Err(SuggestError::NotFinite(format!("observation {trial}")));
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

    fn hash(&self) -> String {
        let pending: Vec<&PeftConfiguration> = self.pending.iter().collect();
        inputs_hash(self.problem, &self.observations, &pending)
    }

    fn cost(&self, configuration: &PeftConfiguration) -> f64 {
        log_cost(configuration.parameters(self.problem.space.hidden_size) as f64)
    }

    /// What the front is made of: the scored and the pending configurations within the budget,
    /// each once.
    fn baseline(&self, encode: impl Fn(&PeftConfiguration) -> Vec<f64>) -> Vec<Baseline> {
        let scored = self
            .observations
            .iter()
            .filter(|observation| matches!(observation.outcome, Outcome::Scored { .. }))
            .map(|observation| &observation.configuration);
        let distinct: BTreeSet<&PeftConfiguration> = scored.chain(&self.pending).collect();
        let most = self.problem.max_parameters.unwrap_or(u64::MAX);
        let hidden_size = self.problem.space.hidden_size;
        distinct
            .into_iter()
            .filter(|configuration| configuration.parameters(hidden_size) <= most)
            .map(|configuration| Baseline {
                input: encode(configuration),
                cost: self.cost(configuration),
            })
            .collect()
    }
}

/// What the surrogate learns from, row by row.
struct Data<'a> {
    configurations: Vec<&'a PeftConfiguration>,
    /// In the natural unit.
    scores: Vec<f64>,
    /// The known variances, if any is known.
    variances: Option<Vec<f64>>,
}

impl<'a> Data<'a> {
    /// `None` if nothing has a score.
    fn new(observations: &'a [Observation]) -> Option<Self> {
        let score = |observation: &Observation| match observation.outcome {
            Outcome::Scored { score, .. } => Some(score),
            Outcome::Infeasible | Outcome::Abandoned => None,
        };
        let worst = observations
            .iter()
            .filter_map(score)
            .min_by(f64::total_cmp)?;
        let seen = || {
            observations
                .iter()
                .filter(|observation| observation.outcome != Outcome::Abandoned)
        };
        let variances: Vec<Option<f64>> = seen()
            .map(|observation| match observation.outcome {
                Outcome::Scored { noise_variance, .. } => noise_variance,
                Outcome::Infeasible | Outcome::Abandoned => None,
            })
            .collect();
        // A score that is made up, or whose variance is not known, is trusted no more than the others.
        let known: Vec<f64> = variances.iter().copied().flatten().collect();
        let mean = known.iter().sum::<f64>() / known.len().max(1) as f64;
        Some(Self {
            configurations: seen()
                .map(|observation| &observation.configuration)
                .collect(),
            scores: seen().map(|o| score(o).unwrap_or(worst)).collect(),
            variances: (!known.is_empty())
                .then(|| variances.iter().map(|v| v.unwrap_or(mean)).collect()),
        })
    }
}

/// The maximum of the acquisition with its value and prediction, or why there is none.
fn bayesian(
    past: &Past<'_>,
    set: &CanonicalSet,
    report: &mut Option<SurrogateReport>,
    unwanted: &dyn Fn() -> bool,
) -> Result<(PeftConfiguration, f64, Predicted), String> {
    let problem = past.problem;
    let settings = &problem.settings;
    let data = Data::new(&past.observations).ok_or("no trial has a score yet")?;
    let reference = reference_point(problem, &past.observations)
        .ok_or("no trial within the budget has a score yet")?;

    let coordinates = Coordinate::of(&problem.space);
    let encoded =
        |configuration: &PeftConfiguration| encode(&problem.space, &coordinates, configuration);
    let rows: Vec<Vec<f64>> = data.configurations.iter().map(|c| encoded(c)).collect();
    let inputs = Mat::from_fn(rows.len(), coordinates.len(), |row, i| rows[row][i]);
    let transform = Transform::new(settings.score_transform, &data.scores);
    let values: Vec<f64> = data.scores.iter().map(|y| transform.forward(*y)).collect();
    let extra_noise: Option<Vec<f64>> = data.variances.as_ref().map(|variances| {
        let deviations = data.scores.iter().zip(variances);
        deviations
            .map(|(score, variance)| transform.forward_deviation(*score, variance.sqrt()).powi(2))
            .collect()
    });

    let seed = stream(problem.seed, Purpose::Fit, past.index).next_u64();
    let extra_noise = extra_noise.as_deref();
    let fitted = fit_unless(
        inputs.as_ref(),
        &values,
        extra_noise,
        &settings.fit,
        seed,
        unwanted,
    );
    *report = Some(describe(&fitted, &coordinates));
    if fitted.samples.is_empty() {
        return Err(format!(
            "the surrogate has no fit ({})",
            fitted.diagnostics.reasons.join("; ")
        ));
    }
    let models = fitted
        .condition(inputs.as_ref(), &values, extra_noise)
        .map_err(|error| format!("the surrogate cannot predict: {error}"))?;

    let seed = stream(problem.seed, Purpose::Front, past.index).next_u32();
    let corner = corner(&reference.point);
    let acquisition = Nehvi::new(
        models,
        &past.baseline(encoded),
        Point {
            score: transform.forward(corner.score),
            cost: corner.cost,
        },
        settings.mc_samples,
        seed,
    )
    .map_err(|error| format!("the front cannot be drawn: {error}"))?;

    let (chosen, value) = maximise(past, set, |configuration| {
        if unwanted() {
            return f64::NEG_INFINITY;
        }
        acquisition.ln_value(&encoded(configuration), past.cost(configuration))
    })
    .ok_or("no configuration is expected to improve the front")?;
    let found = acquisition.predict(&encoded(&chosen));
    let predicted = Predicted {
        mean: transform.inverse(found.mean),
        deviation: transform.inverse_deviation(found.mean, found.variance.sqrt()),
    };
    if !(predicted.mean.is_finite() && predicted.deviation.is_finite()) {
        return Err("the prediction is not finite".to_owned());
    }
    Ok((chosen, value, predicted))
}

/// The best candidate that is neither observed nor pending; `None` if none has a finite value.
fn maximise(
    past: &Past<'_>,
    set: &CanonicalSet,
    value: impl FnMut(&PeftConfiguration) -> f64,
) -> Option<Valued> {
    let settings = &past.problem.settings;
    let mut search = LocalSearch::new(&past.problem.space, value);
    let may_evaluate = settings.restarts.saturating_mul(settings.evaluations);
    if set.count() <= may_evaluate as u128 {
        search.consider(
            set.iter()
                .filter(|candidate| !past.used.contains(candidate)),
        );
    } else {
        let mut generator = stream(past.problem.seed, Purpose::LocalSearch, past.index);
        // Half of the starts are members of the front, as far as it has them. Few changes lead
        // out of the empty model, so that it is no start.
        let mut starts: Vec<PeftConfiguration> = front(past.problem, &past.observations)
            .into_iter()
            .map(|point| point.configuration)
            .filter(|configuration| !configuration.is_empty_model())
            .collect();
        starts.shuffle(&mut generator);
        starts.truncate(settings.restarts.div_ceil(2));
        let mut passed_over = past.used.clone();
        passed_over.extend(PeftConfiguration::empty(past.problem.space.layers.len()));
        passed_over.extend(starts.iter().cloned());
        while starts.len() < settings.restarts
            && let Some(drawn) = set.draw_unused(&passed_over, &mut generator)
        {
            // A second climb from one start would know every value of its way.
            passed_over.insert(drawn.clone());
            starts.push(drawn);
        }
        for start in starts {
            search.climb(
                start,
                settings.evaluations,
                |neighbour| set.contains(neighbour),
                &mut generator,
            );
        }
    }
    search
        .winner(|candidate| !past.used.contains(candidate))
        .filter(|(_, value)| value.is_finite())
}

fn describe(fitted: &Fit, coordinates: &[Coordinate]) -> SurrogateReport {
    let relevance = coordinates.iter().enumerate().map(|(i, coordinate)| {
        let mut inverse_lengthscales: Vec<f64> = fitted
            .samples
            .iter()
            .map(|sample| sample.inverse_squared_lengthscales[i].sqrt())
            .collect();
        inverse_lengthscales.sort_by(f64::total_cmp);
        let n = inverse_lengthscales.len();
        let median = if n == 0 {
            0.0
        } else {
            0.5 * (inverse_lengthscales[(n - 1) / 2] + inverse_lengthscales[n / 2])
        };
        (coordinate.label(), median)
    });
    SurrogateReport {
        method: fitted.method,
        reasons: fitted.diagnostics.reasons.clone(),
        divergences: fitted.diagnostics.divergences,
        max_rhat: fitted.diagnostics.max_r_hat,
        min_ess: fitted.diagnostics.min_effective_sample_size,
        relevance: relevance.collect(),
    }
}
