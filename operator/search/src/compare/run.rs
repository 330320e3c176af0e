//! One search as a comparison sees it.

use autopeft_crds::space::{SearchSpace, SpaceError};
use autopeft_crds::spec::BaselineName;
use autopeft_crds::status::{LedgerEntry, PromotedResult, TrialPurpose, TrialState, search_trials};
use autopeft_crds::trial::Inspection;
use autopeft_crds::{Decimal, PeftConfiguration, PeftSearch, PeftSearchSpec, PeftSearchStatus};
use autopeft_engine::objectives::pareto::{self, Point, log_cost};

use super::cost::Cost;
use super::given::{CompareError, Given};
use crate::ask;

/// A configuration or a baseline with its score.
#[derive(Clone, Debug, PartialEq)]
pub struct Scored {
    /// The trial.
    pub trial: u32,
    /// What was trained.
    pub configuration: PeftConfiguration,
    /// Trainable parameters, head left out.
    pub parameters: u64,
    /// The same in percent of the backbone's.
    pub percent: f64,
    /// The score.
    pub score: f64,
}

impl Scored {
    fn of(entry: &LedgerEntry, backbone: u64) -> Option<Self> {
        let score = entry.score?.get();
        score.is_finite().then(|| Self {
            trial: entry.trial,
            configuration: entry.trained_configuration(),
            parameters: entry.parameters,
            percent: percent(entry.parameters, backbone),
            score,
        })
    }

    /// Its place in the plane in which hypervolumes are measured.
    pub fn point(&self) -> Point {
        Point {
            score: self.score,
            cost: log_cost(self.parameters as f64),
        }
    }
}

/// Parameters in percent of the backbone's.
pub(super) fn percent(parameters: u64, backbone: u64) -> f64 {
    100.0 * parameters as f64 / backbone as f64
}

/// A finished trial of the search, in the order of planning.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// Its number.
    pub trial: u32,
    /// What it scored; nothing where it has no score or is outside the bounds of the objectives.
    pub scored: Option<Scored>,
    /// The best score so far.
    pub best: Option<f64>,
    /// The hypervolume so far, against the reference point of the comparison.
    pub volume: f64,
}

/// A baseline's score in a search.
#[derive(Clone, Debug, PartialEq)]
pub struct Baseline {
    /// Which baseline.
    pub name: BaselineName,
    /// Its result.
    pub scored: Scored,
}

/// A configuration or a baseline that was trained in full.
#[derive(Clone, Debug, PartialEq)]
pub struct InFull {
    /// Which baseline, where it is one.
    pub baseline: Option<BaselineName>,
    /// Its trial in the search; the first training of a baseline. The score is the mean over the seeds.
    pub scored: Scored,
    /// The standard deviation over the seeds.
    pub deviation: Option<f64>,
    /// The number of seeds with a score.
    pub seeds: usize,
}

/// A configuration that a search ends with.
#[derive(Clone, Debug, PartialEq)]
pub struct Chosen {
    /// Why it is shown, in a few words.
    pub why: String,
    /// The configuration with its score: the mean of the trainings in full, where it is recommended by them.
    pub scored: Scored,
}

/// One search of a comparison.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// Its place among the searches that were given.
    pub place: usize,
    /// How it is called in the comparison.
    pub label: String,
    /// The seeds of the search and of the training.
    pub seeds: (u64, u64),
    /// The finished trials.
    pub trials: Vec<Trial>,
    /// The front, fewest parameters first.
    pub front: Vec<Scored>,
    /// The baselines with a score, at the fidelity of the search.
    pub baselines: Vec<Baseline>,
    /// What was trained in full and has a mean score, fewest parameters first.
    pub in_full: Vec<InFull>,
    /// The configurations to show.
    pub chosen: Vec<Chosen>,
    /// What it cost.
    pub cost: Cost,
}

/// A search that can be compared: it has been inspected and has a score.
pub(super) struct Subject<'a> {
    pub given: &'a Given,
    pub spec: &'a PeftSearchSpec,
    pub status: &'a PeftSearchStatus,
    pub model: &'a Inspection,
    pub space: SearchSpace,
}

impl<'a> Subject<'a> {
    /// Checks a search.
    pub(super) fn new(given: &'a Given) -> Result<Self, CompareError> {
        let no_trial = || CompareError::NoTrial(given.origin.clone());
        let spec = &given.search.spec;
        let status = given.search.status.as_ref().ok_or_else(no_trial)?;
        let model = status.inspection.as_ref().ok_or_else(no_trial)?;
        if model.backbone_parameters == 0 {
            return Err(CompareError::NoBackbone(given.origin.clone()));
        }
        let space = resolve(spec, model)
            .map_err(|error| CompareError::Space(given.origin.clone(), error))?;
        let subject = Self {
            given,
            spec,
            status,
            model,
            space,
        };
        if subject.trials().iter().all(|trial| trial.scored.is_none()) {
            return Err(no_trial());
        }
        Ok(subject)
    }

    /// The name of the object.
    pub(super) fn name(&self) -> &'a str {
        name(&self.given.search)
    }

    /// The search at its place under this name; `budget` in percent of the backbone's parameters.
    pub(super) fn run(&self, place: usize, label: String, budget: f64) -> Run {
        let trials = self.trials();
        let front = front(&trials);
        Run {
            place,
            label,
            seeds: (self.spec.algorithm.seed, self.spec.training.seed),
            baselines: self.baselines(),
            in_full: self.in_full(),
            chosen: self.chosen(&front, budget),
            cost: Cost::of(self.spec, self.status, self.model),
            front,
            trials,
        }
    }

    /// The finished trials. The hypervolume is 0 until `measure`.
    fn trials(&self) -> Vec<Trial> {
        let problem = ask::problem(self.spec, &self.space, self.model);
        let is_within = |scored: &Scored| {
            problem
                .max_parameters
                .is_none_or(|most| scored.parameters <= most)
                && problem.min_score.is_none_or(|least| scored.score >= least)
        };
        let mut best: Option<f64> = None;
        search_trials(&self.status.ledger)
            .filter(|entry| entry.state.is_final())
            .map(|entry| {
                let scored = Scored::of(entry, self.model.backbone_parameters).filter(is_within);
                let score = scored.as_ref().map(|scored| scored.score);
                best = best.into_iter().chain(score).reduce(f64::max);
                Trial {
                    trial: entry.trial,
                    scored,
                    best,
                    volume: 0.0,
                }
            })
            .collect()
    }

    fn baselines(&self) -> Vec<Baseline> {
        let entries = self.status.ledger.iter();
        entries
            .filter(|entry| {
                entry.purpose() == TrialPurpose::Baseline && entry.state == TrialState::Succeeded
            })
            .filter_map(|entry| {
                Some(Baseline {
                    name: entry.baseline?,
                    scored: Scored::of(entry, self.model.backbone_parameters)?,
                })
            })
            .collect()
    }

    fn in_full(&self) -> Vec<InFull> {
        let results = self.status.promoted.iter();
        results.filter_map(|result| self.mean_of(result)).collect()
    }

    fn mean_of(&self, result: &PromotedResult) -> Option<InFull> {
        let first = result.seeds.first()?.trial;
        Some(InFull {
            baseline: result.baseline,
            scored: Scored {
                trial: result.trial.unwrap_or(first),
                configuration: result.configuration.clone(),
                parameters: result.parameters,
                percent: percent(result.parameters, self.model.backbone_parameters),
                score: result.mean?.get(),
            },
            deviation: result.standard_deviation.map(Decimal::get),
            seeds: result.seeds.len(),
        })
    }

    /// What is recommended by trainings in full; without them the best within the budget, and the best of all.
    fn chosen(&self, front: &[Scored], budget: f64) -> Vec<Chosen> {
        let recommended = self.status.recommended.iter().filter_map(|taken| {
            let mut results = self.status.promoted.iter();
            let result = results
                .find(|result| (result.trial, result.baseline) == (taken.trial, taken.baseline))?;
            let what = taken.baseline.map_or_else(String::new, |name| {
                format!(": the baseline {}", name.facts().title)
            });
            Some(Chosen {
                why: format!("recommended within {} %{what}", taken.budget),
                scored: self.mean_of(result)?.scored,
            })
        });
        let mut chosen: Vec<Chosen> = recommended.collect();
        if chosen.is_empty() {
            let best = best_within(front, f64::INFINITY);
            let within = best_within(front, budget);
            if within != best {
                chosen.extend(within.map(|scored| Chosen {
                    why: format!("best within {budget} %"),
                    scored: scored.clone(),
                }));
            }
            chosen.extend(best.map(|scored| Chosen {
                why: "best".into(),
                scored: scored.clone(),
            }));
        }
        chosen
    }
}

fn resolve(spec: &PeftSearchSpec, model: &Inspection) -> Result<SearchSpace, SpaceError> {
    SearchSpace::resolve(&spec.search_space, model.layers as usize, model.shape())
}

/// The name of an object.
pub(super) fn name(search: &PeftSearch) -> &str {
    search.metadata.name.as_deref().unwrap_or("a search")
}

/// The trials that no other dominates, fewest parameters first. Of equal ones the first.
fn front(trials: &[Trial]) -> Vec<Scored> {
    let scored: Vec<&Scored> = trials
        .iter()
        .filter_map(|trial| trial.scored.as_ref())
        .collect();
    let points: Vec<Point> = scored.iter().map(|scored| scored.point()).collect();
    let mut front: Vec<Scored> = Vec::new();
    for index in pareto::front(&points) {
        let member = scored[index];
        let is_equal = |last: &Scored| last.point() == member.point();
        if !front.last().is_some_and(is_equal) {
            front.push(member.clone());
        }
    }
    front
}

/// The best of a front within a budget, in percent of the backbone's parameters. Along a front, scores rise.
pub(super) fn best_within(front: &[Scored], budget: f64) -> Option<&Scored> {
    front.iter().rev().find(|member| member.percent <= budget)
}
