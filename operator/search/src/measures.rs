//! Measures of the ledger's scores: the front, its hypervolume, convergence. No I/O.

use autopeft_crds::PeftSearchSpec;
use autopeft_crds::spec::ConvergenceSpec;
use autopeft_crds::status::{FrontMember, LedgerEntry, ReferencePoint, TrialPurpose};
use autopeft_crds::trial::{ConstantScore, Inspection};
use autopeft_crds::{Decimal, SearchSpace};
use autopeft_engine::{FrontPoint, Observation, Outcome, Problem, Reference};

use crate::ask;
use crate::ledger::Ledger;

/// The parameter budgets, in percent of the backbone's, for which the best score is reported.
pub const BUDGETS: [f64; 3] = [0.1, 1.0, 10.0];

/// The spec, resolved against the model.
#[derive(Clone, Debug, PartialEq)]
pub struct Subject {
    /// The spec.
    pub spec: PeftSearchSpec,
    /// The model and the data.
    pub model: Inspection,
    /// The engine's view of both.
    pub problem: Problem,
}

impl Subject {
    /// Resolves a spec against a model.
    pub fn new(spec: &PeftSearchSpec, space: &SearchSpace, model: &Inspection) -> Self {
        Self {
            spec: spec.clone(),
            model: model.clone(),
            problem: ask::problem(spec, space, model),
        }
    }

    /// Parameters in percent of the backbone's.
    pub fn percent(&self, parameters: f64) -> Option<Decimal> {
        let percent = 100.0 * parameters / self.model.backbone_parameters as f64;
        Decimal::new(six_decimals(percent)).ok()
    }
}

/// The measures of the trials with a score.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measures {
    /// The best score.
    pub best_score: Option<Decimal>,
    /// The whole front, fewest parameters first.
    pub front: Vec<FrontMember>,
    /// The hypervolume of the front.
    pub hypervolume: Option<Decimal>,
    /// The reference point.
    pub reference: Option<ReferencePoint>,
    /// Whether a trial is better than the reference point in both objectives.
    pub dominated: bool,
}

/// The problem with the reference point that progress is measured against, and from how many trials that one
/// was inferred. A point that is not given is inferred once, when the initial design (or the search) has
/// ended, and then kept, so that the hypervolume never falls because the point moves. `None` before.
fn scale(subject: &Subject, ledger: &Ledger) -> Option<(Problem, Option<u32>)> {
    let problem = &subject.problem;
    if problem.reference.is_some() {
        return Some((problem.clone(), None));
    }
    let metric = subject.spec.task.score_metric();
    // Also those that were tried again: what was known when the point was inferred never changes.
    let trials = ledger.entries().iter();
    let mut known: Vec<Observation> = trials
        .filter(|entry| entry.purpose() == TrialPurpose::Search)
        .map_while(|entry| ask::observation(entry, metric))
        .collect();
    let mut least = problem.settings.initial_trials.max(1);
    if ledger.conclusion().is_some() && known.len() < least {
        known = observed(subject, ledger).1;
        least = known.len();
    }
    (least..=known.len()).find_map(|count| {
        let found = autopeft_engine::reference_point(problem, &known[..count])?;
        let fixed = Problem {
            reference: Some(found.point),
            ..problem.clone()
        };
        Some((fixed, u32::try_from(count).ok()))
    })
}

/// Measures a search.
pub fn measure(subject: &Subject, ledger: &Ledger) -> Measures {
    let (entries, observations) = observed(subject, ledger);
    let scale = scale(subject, ledger);
    let reference = scale.as_ref().and_then(|(problem, trials)| {
        let reference = autopeft_engine::reference_point(problem, &observations)?;
        Some((reference, *trials))
    });
    let volume = scale
        .as_ref()
        .map(|(problem, _)| autopeft_engine::hypervolume(problem, &observations));
    Measures {
        best_score: entries
            .iter()
            .filter_map(|entry| entry.score)
            .max_by(|left, right| left.get().total_cmp(&right.get())),
        front: autopeft_engine::front(&subject.problem, &observations)
            .into_iter()
            .filter_map(|point| member(point, &entries, subject))
            .collect(),
        // Convergence is judged by the trace below.
        hypervolume: volume.and_then(|volume| Decimal::new(six_decimals(volume)).ok()),
        reference: reference.and_then(|(reference, trials)| point(reference, trials, subject)),
        dominated: reference.is_some_and(|(reference, _)| reference.dominated),
    }
}

/// The constant predictor's score, if no trial scores more. `None` if one does, if none has a score, or if
/// the constant score is unknown.
pub fn unbeaten_constant(subject: &Subject, best: Option<Decimal>) -> Option<Decimal> {
    let ConstantScore { metric, score } = subject.model.constant_score.as_ref()?;
    let is_comparable = *metric == subject.spec.task.score_metric();
    (is_comparable && best?.get() <= score.get()).then_some(*score)
}

/// Whether a trial by itself is better than the reference point that the spec gives, in both
/// objectives.
pub fn beats_reference(subject: &Subject, entry: &LedgerEntry) -> bool {
    let metric = subject.spec.task.score_metric();
    let problem = &subject.problem;
    problem.reference.is_some()
        && ask::observation(entry, metric)
            .and_then(|observation| autopeft_engine::reference_point(problem, &[observation]))
            .is_some_and(|reference| reference.dominated)
}

/// Whether the hypervolume has grown by less than the tolerance over the last trials, the initial design left
/// out. Both values are against the same reference point.
pub fn has_converged(subject: &Subject, ledger: &Ledger) -> bool {
    let Some(ConvergenceSpec { trials, tolerance }) = &subject.spec.convergence else {
        return false;
    };
    let initial = subject.problem.settings.initial_trials;
    let window = *trials as usize;
    let (_, mut observations) = observed(subject, ledger);
    // A failed trial says nothing about the front.
    observations.retain(|observation| observation.outcome != Outcome::Failed);
    if observations.len() < initial.saturating_add(window) {
        return false;
    }
    let Some((problem, _)) = scale(subject, ledger) else {
        return false;
    };
    let trace = autopeft_engine::hypervolume_trace(&problem, &observations);
    let (Some(now), Some(before)) = (
        trace.last(),
        trace
            .len()
            .checked_sub(window + 1)
            .map(|index| trace[index]),
    ) else {
        return false;
    };
    *now > 0.0 && now - before < tolerance.get() * now
}

/// The hypervolume after each trial that has a result; none while there is no reference point.
pub fn trace(subject: &Subject, ledger: &Ledger) -> Vec<(u32, f64)> {
    let Some((problem, _)) = scale(subject, ledger) else {
        return Vec::new();
    };
    let (entries, observations) = observed(subject, ledger);
    let trace = autopeft_engine::hypervolume_trace(&problem, &observations);
    entries.iter().map(|entry| entry.trial).zip(trace).collect()
}

/// At most so many points of a front, both ends among them; a single one is the best.
pub fn spread(front: Vec<FrontMember>, most: usize) -> Vec<FrontMember> {
    if front.len() <= most {
        return front;
    }
    let last = front.len() - 1;
    match most {
        0 | 1 => front.into_iter().skip(last).take(most).collect(),
        _ => (0..most)
            .map(|step| front[step * last / (most - 1)].clone())
            .collect(),
    }
}

/// The finished trials, as the engine sees them.
fn observed<'a>(subject: &Subject, ledger: &'a Ledger) -> (Vec<&'a LedgerEntry>, Vec<Observation>) {
    let metric = subject.spec.task.score_metric();
    ledger
        .search_trials()
        .filter_map(|entry| Some((entry, ask::observation(entry, metric)?)))
        .unzip()
}

fn member(point: FrontPoint, entries: &[&LedgerEntry], subject: &Subject) -> Option<FrontMember> {
    let FrontPoint {
        trial,
        configuration,
        score,
        parameters,
    } = point;
    let entry = entries.get(trial)?;
    Some(FrontMember {
        trial: entry.trial,
        configuration,
        score: Decimal::new(score).ok()?,
        metrics: entry.metrics.clone(),
        parameters,
        parameters_percent: subject.percent(parameters as f64)?,
    })
}

/// Rounding for people.
fn six_decimals(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

fn point(reference: Reference, trials: Option<u32>, subject: &Subject) -> Option<ReferencePoint> {
    Some(ReferencePoint {
        inferred_from_trials: trials,
        score: Decimal::new(reference.point.score).ok()?,
        parameters_percent: subject.percent(reference.point.parameters)?,
    })
}
