//! What to train next.
//!
//! A suggestion is a pure function of the problem (with its seed), the observations in their order, and the
//! set of pending configurations: the same inputs give the same bits. While there are fewer trials than the
//! initial design has, it is the next of that design; after that, it is the maximum of the acquisition
//! function over the space:
//!
//! 1. the surrogate is fitted to the encoded configurations and the scores, on its own scale
//!    (`surrogate`);
//! 2. the acquisition function is prepared over the observed and pending configurations (`acquisition`);
//! 3. it is maximised (`maximise`).
//!
//! Where a step fails, the choice is uniform among the configurations left, and the suggestion has the
//! reason. Several suggestions at once are made one after another, each pending for the next.
//!
//! *Infeasible configurations* have no score. They join the surrogate's data with the worst observed
//! score (the padding of Wakabayashi et al., npj Computational Materials 2022, "Bayesian optimization
//! with experimental failure"): the surrogate then predicts low scores near them, while a made-up value
//! beyond the data would stretch its scale. They are never on the front.

use autopeft_crds::PeftConfiguration;
use faer::Mat;
use rand::Rng;

use crate::acquisition::{Acquisition, Inputs};
use crate::initial::initial;
use crate::maximise::maximise;
use crate::objectives::pareto::Point;
use crate::problem::canonical_set::CanonicalSet;
use crate::problem::encoding::{Coordinate, encode};
use crate::problem::history::{History, InputError, TrainingData};
use crate::problem::results::{corner, reference_point};
use crate::problem::{Observation, Problem};
use crate::random::{Stream, generator};
use crate::surrogate::fit::fit_cancellable;
use crate::surrogate::gp::Gp;
use crate::surrogate::report::SurrogateReport;
use crate::surrogate::transform::Transform;

/// A configuration to train, and how it was chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Suggestion {
    /// Canonical, in the space and within the budget, neither observed nor pending.
    pub configuration: PeftConfiguration,
    /// How it was chosen.
    pub origin: Origin,
    /// The value of the acquisition function. That of NEHVI is the logarithm of the noisy expected
    /// hypervolume improvement, on the surrogate's scale.
    pub acquisition: Option<f64>,
    /// The surrogate's prediction.
    pub predicted: Option<Predicted>,
    /// 16 hexadecimal digits of everything that the suggestion was computed from.
    pub inputs_hash: String,
    /// The surrogate, if one was fitted or tried.
    pub surrogate: Option<SurrogateReport>,
}

/// How a configuration was chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// By the initial design.
    Initial,
    /// As the maximum of the acquisition function.
    Bayesian,
    /// Uniformly among the configurations left.
    Random {
        /// Why not by the acquisition function.
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

/// Why there is no suggestion.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SuggestError {
    /// No configuration is left to train.
    #[error(
        "all {configurations} configurations within the budget have been trained or are being trained"
    )]
    Exhausted {
        /// How many there are.
        configurations: u128,
    },
    /// Invalid inputs.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The caller cancelled it.
    #[error("the suggestion was cancelled")]
    Cancelled,
}

/// The next configuration to train.
pub fn suggest(
    problem: &Problem,
    observations: &[Observation],
    pending: &[PeftConfiguration],
) -> Result<Suggestion, SuggestError> {
    suggest_cancellable(problem, observations, pending, &|| false)
}

/// `suggest`, which ends with `Cancelled` soon after `cancelled` returns true. It does not otherwise
/// influence the suggestion.
pub fn suggest_cancellable(
    problem: &Problem,
    observations: &[Observation],
    pending: &[PeftConfiguration],
    cancelled: &dyn Fn() -> bool,
) -> Result<Suggestion, SuggestError> {
    let history = History::new(problem, observations, pending)?;
    let set = CanonicalSet::new(&problem.space, problem.max_parameters);
    let exhausted = || SuggestError::Exhausted {
        configurations: set.count(),
    };
    let suggestion = |configuration, origin| Suggestion {
        configuration,
        origin,
        acquisition: None,
        predicted: None,
        inputs_hash: history.hash(),
        surrogate: None,
    };
    if history.index < problem.settings.initial_trials {
        let next = initial(problem, &set, &history.used, history.index).ok_or_else(exhausted)?;
        return Ok(suggestion(next, Origin::Initial));
    }
    let mut generator = generator(problem.seed, Stream::Fallback, history.index);
    let fallback = set
        .draw_unused(&history.used, &mut generator)
        .ok_or_else(exhausted)?;
    let mut report = None;
    let found = bayesian(&history, &set, &mut report, cancelled);
    // A step that was cancelled looks like one that failed.
    if cancelled() {
        return Err(SuggestError::Cancelled);
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

/// The maximum of the acquisition function with its value and prediction, or why there is none.
fn bayesian(
    history: &History<'_>,
    set: &CanonicalSet,
    report: &mut Option<SurrogateReport>,
    cancelled: &dyn Fn() -> bool,
) -> Result<(PeftConfiguration, f64, Predicted), String> {
    let problem = history.problem;
    let settings = &problem.settings;
    let data = TrainingData::new(&history.observations).ok_or("no trial has a score yet")?;
    let reference = reference_point(problem, &history.observations)
        .ok_or("no trial within the budget has a score yet")?;

    let coordinates = Coordinate::of(&problem.space);
    let encoded =
        |configuration: &PeftConfiguration| encode(&problem.space, &coordinates, configuration);
    let transform = Transform::new(settings.score_transform, &data.scores);
    let models = surrogate(history, &data, &coordinates, &transform, report, cancelled)?;

    let corner = corner(&reference.point);
    let acquisition = (settings.acquisition.prepare)(Inputs {
        models,
        in_sample: &history.in_sample(encoded),
        reference: Point {
            score: transform.forward(corner.score),
            cost: corner.cost,
        },
        draws: settings.mc_samples,
        seed: generator(problem.seed, Stream::Acquisition, history.index).next_u32(),
    })
    .map_err(|error| error.to_string())?;

    let (chosen, value) = maximise(history, set, |configuration| {
        if cancelled() {
            return f64::NEG_INFINITY;
        }
        acquisition.value(&encoded(configuration), history.cost(configuration))
    })
    .ok_or("no configuration is expected to improve the front")?;
    let predicted = predict(acquisition.as_ref(), &encoded(&chosen), &transform)?;
    Ok((chosen, value, predicted))
}

/// The surrogate, fitted and conditioned on `data`: one Gaussian process per hyperparameter sample.
fn surrogate(
    history: &History<'_>,
    data: &TrainingData<'_>,
    coordinates: &[Coordinate],
    transform: &Transform,
    report: &mut Option<SurrogateReport>,
    cancelled: &dyn Fn() -> bool,
) -> Result<Vec<Gp>, String> {
    let problem = history.problem;
    let rows: Vec<Vec<f64>> = data
        .configurations
        .iter()
        .map(|configuration| encode(&problem.space, coordinates, configuration))
        .collect();
    let inputs = Mat::from_fn(rows.len(), coordinates.len(), |row, i| rows[row][i]);
    let values: Vec<f64> = data.scores.iter().map(|y| transform.forward(*y)).collect();
    let extra_noise: Option<Vec<f64>> = data.variances.as_ref().map(|variances| {
        let deviations = data.scores.iter().zip(variances);
        deviations
            .map(|(score, variance)| transform.forward_deviation(*score, variance.sqrt()).powi(2))
            .collect()
    });
    let extra_noise = extra_noise.as_deref();
    let fit = fit_cancellable(
        inputs.as_ref(),
        &values,
        extra_noise,
        &problem.settings.nuts,
        generator(problem.seed, Stream::Fit, history.index).next_u64(),
        cancelled,
    );
    let dimensions = coordinates.iter().map(|coordinate| coordinate.label());
    *report = Some(SurrogateReport::new(&fit, dimensions));
    if fit.samples.is_empty() {
        return Err(format!(
            "the surrogate has no fit ({})",
            fit.diagnostics.reasons.join("; ")
        ));
    }
    fit.condition(inputs.as_ref(), &values, extra_noise)
        .map_err(|error| format!("the surrogate cannot predict: {error}"))
}

/// The prediction at an encoded candidate, in the natural unit of the score.
fn predict(
    acquisition: &dyn Acquisition,
    input: &[f64],
    transform: &Transform,
) -> Result<Predicted, String> {
    let found = acquisition.predict(input);
    let predicted = Predicted {
        mean: transform.inverse(found.mean),
        deviation: transform.inverse_deviation(found.mean, found.variance.sqrt()),
    };
    if !(predicted.mean.is_finite() && predicted.deviation.is_finite()) {
        return Err("the prediction is not finite".to_owned());
    }
    Ok(predicted)
}
