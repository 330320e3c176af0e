//! Asks the engine for the next configuration: from spec and ledger to the engine's types, and from its
//! suggestion to a planned trial. No I/O.
//!
//! Observations and pending trials are given in the order of planning, so that a suggestion does not depend
//! on the order in which results arrived. A failed trial counts and is not suggested again, but is not in the
//! surrogate's data.

use autopeft_crds::PeftSearchSpec;
use autopeft_crds::limits::MESSAGE;
use autopeft_crds::space::SearchSpace;
use autopeft_crds::spec::{
    AlgorithmSpec, InitialDesign, Metric, NutsSpec, ObjectiveName, ObjectiveSpec, ScoreScale,
};
use autopeft_crds::status::{
    DimensionRelevance, LedgerEntry, SurrogateStatus, TrialOrigin, TrialState,
};
use autopeft_crds::trial::Inspection;
use autopeft_crds::{Decimal, PeftConfiguration};
use autopeft_engine::acquisition::nehvi::NEHVI;
use autopeft_engine::{
    FitMethod, NutsSettings, Observation, Origin, Outcome, Problem, ReferencePoint, ScoreTransform,
    Settings, SuggestError, Suggestion, SurrogateReport,
};

use crate::ledger::{Ledger, Planned};

/// Why the engine failed.
#[derive(Debug, thiserror::Error)]
#[error("the engine cannot suggest a configuration: {0}")]
pub struct AskError(#[from] SuggestError);

/// The engine's suggestion, if any is left.
#[derive(Clone, Debug, PartialEq)]
pub enum Asked {
    /// What to train next.
    Suggestion(Box<Planned>),
    /// No configuration is left.
    Exhausted,
}

/// The engine's view of a search, without its trials.
pub fn problem(spec: &PeftSearchSpec, space: &SearchSpace, model: &Inspection) -> Problem {
    let AlgorithmSpec {
        seed,
        initial_trials,
        initial_design,
        nuts,
        acquisition,
        local_search,
    } = &spec.algorithm;
    let NutsSpec {
        warmup,
        samples,
        thinning,
        max_tree_depth,
    } = nuts;
    let find = |wanted: ObjectiveName| spec.objectives.iter().find(|entry| entry.name == wanted);
    let bound = |entry: Option<&ObjectiveSpec>| entry.and_then(|entry| entry.bound);
    let referred = |entry: Option<&ObjectiveSpec>| entry.and_then(|entry| entry.reference);
    let parameters = |percent: Decimal| percent.get() / 100.0 * model.backbone_parameters as f64;
    let (score, cost) = (
        find(ObjectiveName::Score),
        find(ObjectiveName::TrainableParameters),
    );
    Problem {
        space: space.clone(),
        settings: Settings {
            initial_trials: *initial_trials as usize,
            initial_design: match initial_design {
                InitialDesign::Random => autopeft_engine::InitialDesign::Random,
                InitialDesign::Sobol => autopeft_engine::InitialDesign::Sobol,
            },
            nuts: NutsSettings {
                warmup: *warmup as usize,
                samples: *samples as usize,
                thinning: *thinning as usize,
                max_tree_depth: *max_tree_depth,
            },
            mc_samples: acquisition.monte_carlo_samples as usize,
            restarts: local_search.restarts as usize,
            evaluations: local_search.evaluations as usize,
            score_transform: match acquisition.score_scale {
                ScoreScale::Standardized => ScoreTransform::Standardise,
                ScoreScale::Copula => ScoreTransform::Copula,
            },
            acquisition: &NEHVI,
        },
        seed: *seed,
        max_parameters: bound(cost).map(|percent| parameters(percent).floor() as u64),
        min_score: bound(score).map(Decimal::get),
        reference: referred(score)
            .zip(referred(cost))
            .map(|(score, percent)| ReferencePoint {
                score: score.get(),
                parameters: parameters(percent),
            }),
    }
}

/// A trial as the engine sees it; `None` while it has no result.
pub fn observation(entry: &LedgerEntry, metric: Metric) -> Option<Observation> {
    let outcome = match entry.state {
        TrialState::Succeeded => {
            let score = entry.score?.get();
            Outcome::Scored {
                score,
                noise_variance: validation_noise(score, metric, entry.validation_examples),
            }
        }
        TrialState::Infeasible => Outcome::Infeasible,
        TrialState::Failed => Outcome::Failed,
        TrialState::Planned => return None,
    };
    Some(Observation {
        configuration: entry.configuration.clone(),
        outcome,
    })
}

/// The variance of a score that comes from the finite validation set, where it is known: p(1 − p)/n for an
/// accuracy p on n examples, with p at least one example away from 0 and 1.
fn validation_noise(score: f64, metric: Metric, examples: Option<u64>) -> Option<f64> {
    let examples = examples.filter(|examples| *examples > 1)? as f64;
    (metric == Metric::Accuracy).then(|| {
        let share = score.clamp(1.0 / examples, 1.0 - 1.0 / examples);
        share * (1.0 - share) / examples
    })
}

/// Asks for the next trial of a search whose score is `metric`; fails with `SuggestError::Cancelled` soon
/// after `cancelled` returns true.
pub fn ask(
    problem: &Problem,
    metric: Metric,
    ledger: &Ledger,
    cancelled: &dyn Fn() -> bool,
) -> Result<Asked, AskError> {
    let mut observations = Vec::new();
    let mut pending: Vec<PeftConfiguration> = Vec::new();
    // The initial design depends on the configurations chosen before, not on their results, so that it can be
    // drawn ahead of them.
    let draws = ledger.search_trials().count() < problem.settings.initial_trials;
    for entry in ledger.search_trials() {
        match observation(entry, metric).filter(|_| !draws) {
            Some(observation) => observations.push(observation),
            None => pending.push(entry.configuration.clone()),
        }
    }
    match autopeft_engine::suggest_cancellable(problem, &observations, &pending, cancelled) {
        Ok(suggestion) => Ok(Asked::Suggestion(Box::new(planned(
            suggestion, problem, ledger,
        )))),
        Err(SuggestError::Exhausted { configurations: _ }) => Ok(Asked::Exhausted),
        Err(error) => Err(error.into()),
    }
}

fn planned(suggestion: Suggestion, problem: &Problem, ledger: &Ledger) -> Planned {
    let Suggestion {
        configuration,
        origin,
        acquisition,
        predicted,
        inputs_hash,
        surrogate,
    } = suggestion;
    let decimal = |value: f64| Decimal::new(value).ok();
    let (origin, reason) = match origin {
        Origin::Initial => (TrialOrigin::Initial, None),
        Origin::Bayesian => (TrialOrigin::Bayesian, None),
        Origin::Random { reason } => (TrialOrigin::Random, Some(reason)),
    };
    Planned {
        trial: ledger.next_trial(),
        parameters: configuration.parameters(problem.space.shape),
        configuration,
        origin,
        baseline: None,
        of_trial: None,
        terms: None,
        basis: ledger.events(),
        inputs_hash,
        acquisition: acquisition.and_then(decimal),
        predicted_mean: predicted.and_then(|predicted| decimal(predicted.mean)),
        predicted_deviation: predicted.and_then(|predicted| decimal(predicted.deviation)),
        surrogate: match (surrogate, reason) {
            (Some(report), reason) => Some(surrogate_status(report, reason)),
            (None, Some(reason)) => Some(not_fitted(&reason)),
            (None, None) => None,
        },
    }
}

fn surrogate_status(report: SurrogateReport, random: Option<String>) -> SurrogateStatus {
    let SurrogateReport {
        method,
        reasons,
        divergences,
        max_r_hat,
        min_effective_sample_size,
        relevance,
    } = report;
    let reasons: Vec<String> = reasons.into_iter().chain(random).collect();
    let by_sampler = |value: f64| {
        Decimal::new(value)
            .ok()
            .filter(|_| method == FitMethod::Nuts)
    };
    SurrogateStatus {
        method: method.as_str().to_owned(),
        reason: (!reasons.is_empty()).then(|| shortened(&reasons.join("; "))),
        divergences: u32::try_from(divergences).unwrap_or(u32::MAX),
        max_r_hat: by_sampler(max_r_hat),
        min_effective_samples: by_sampler(min_effective_sample_size),
        relevance: relevance
            .into_iter()
            .filter_map(|(dimension, value)| {
                let value = Decimal::new(value).ok()?;
                Some(DimensionRelevance { dimension, value })
            })
            .collect(),
    }
}

/// The status where there was nothing to fit the surrogate to.
fn not_fitted(reason: &str) -> SurrogateStatus {
    SurrogateStatus {
        method: FitMethod::None.as_str().to_owned(),
        reason: Some(shortened(reason)),
        divergences: 0,
        max_r_hat: None,
        min_effective_samples: None,
        relevance: Vec::new(),
    }
}

/// Truncated to what the status may hold.
fn shortened(text: &str) -> String {
    text.chars().take(MESSAGE).collect()
}
