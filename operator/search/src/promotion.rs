//! What is trained in full after the search (`spec.promotion`), also on other tasks (`spec.transfer`): which
//! configurations, with which seeds, on which terms. No I/O, no clock.
//!
//! A training in full is told from others by what it trains and by its terms. Which of them exist is read from the
//! ledger, so that each is planned once; and where the spec changes, those on other terms are no longer counted. One
//! that is planned again, because it was withdrawn or a limit ended it, stands for those before.

use autopeft_crds::spec::{
    BaselineName, BaselineRecipe, PromotionCandidates, PromotionSpec, TransferTask,
};
use autopeft_crds::status::{
    FrontMember, LedgerEntry, TrialOrigin, TrialPurpose, TrialState, TrialTerms,
};
use autopeft_crds::trial::FailureReason;
use autopeft_crds::{Decimal, PeftConfiguration, PeftSearchSpec, limits};

use crate::ledger::{Ledger, Planned};
use crate::measures::{self, Subject};
use crate::request;
use crate::retries;

/// A training in full.
#[derive(Clone, Debug, PartialEq)]
pub struct Training {
    /// The trial of the search whose configuration it trains; none for a baseline.
    pub of_trial: Option<u32>,
    /// The baseline that it trains.
    pub baseline: Option<BaselineName>,
    /// The configuration.
    pub configuration: PeftConfiguration,
    /// Its exact cost.
    pub parameters: u64,
    /// How it is trained.
    pub terms: TrialTerms,
}

impl Training {
    /// On the task of the search, or on another one.
    fn origin(&self) -> TrialOrigin {
        match &self.terms.task {
            None => TrialOrigin::Promotion,
            Some(_) => TrialOrigin::Transfer,
        }
    }

    /// Whether an entry is of this training.
    fn is(&self, entry: &LedgerEntry) -> bool {
        entry.origin == self.origin()
            && entry.of_trial == self.of_trial
            && entry.baseline == self.baseline
            && entry.terms.as_deref() == Some(&self.terms)
    }

    /// The plan of this training.
    pub fn plan(&self, ledger: &Ledger) -> Planned {
        let origin = self.origin();
        let Self {
            of_trial,
            baseline,
            configuration,
            parameters,
            terms,
        } = self.clone();
        Planned {
            baseline,
            of_trial,
            terms: Some(Box::new(terms)),
            ..ledger.next_plan(origin, configuration, parameters)
        }
    }
}

/// The trainings in full that the spec asks for, all seeds of a configuration together: first those on the task of the
/// search, then those on each of the others. None while a trial of the search has no result: the front may still
/// change.
pub fn wanted(subject: &Subject, ledger: &Ledger) -> Vec<Training> {
    let Some(promotion) = &subject.spec.promotion else {
        return Vec::new();
    };
    if ledger.search_trials().any(|entry| !entry.state.is_final()) {
        return Vec::new();
    }
    let seeds = || seeds(subject.spec.training.seed, promotion.seeds);
    let of_trials = configurations(subject, promotion, ledger)
        .into_iter()
        .flat_map(|entry| seeds().map(move |seed| (entry, seed)))
        .map(|(entry, seed)| Training {
            of_trial: Some(entry.trial),
            baseline: None,
            configuration: entry.configuration.clone(),
            parameters: entry.parameters,
            terms: terms(&subject.spec, promotion, None, seed),
        });
    let of_baselines = promotion.baselines.iter().filter_map(|name| {
        let (configuration, parameters) = subject.model.baseline(*name)?;
        Some(seeds().map(move |seed| Training {
            of_trial: None,
            baseline: Some(*name),
            configuration: configuration.clone(),
            parameters,
            terms: terms(&subject.spec, promotion, Some(*name), seed),
        }))
    });
    let mut wanted: Vec<Training> = of_trials.chain(of_baselines.flatten()).collect();
    let on_the_task = wanted.clone();
    for other in request::others(&subject.spec) {
        let moved = on_the_task.iter().cloned().map(|training| Training {
            terms: on(training.terms, &subject.spec, other),
            ..training
        });
        wanted.extend(moved);
    }
    wanted
}

/// The terms of the same training on another task.
fn on(terms: TrialTerms, spec: &PeftSearchSpec, other: &TransferTask) -> TrialTerms {
    TrialTerms {
        evaluation: request::evaluation_of(spec, other).cloned(),
        task: Some(other.task.clone()),
        ..terms
    }
}

/// Whether a trial is trained in full, on the task of the search or on another one.
pub fn is_in_full(purpose: TrialPurpose) -> bool {
    matches!(purpose, TrialPurpose::Promotion | TrialPurpose::Transfer)
}

/// The first training without a trial, or whose last one is to be tried again.
pub fn missing<'a>(
    spec: &PeftSearchSpec,
    wanted: &'a [Training],
    ledger: &Ledger,
) -> Option<&'a Training> {
    let promotions = ledger.entries().iter();
    let promotions = promotions.filter(|entry| is_in_full(entry.purpose()));
    let promotions: Vec<&LedgerEntry> = promotions.collect();
    wanted.iter().find(|training| {
        let mut from_the_last = promotions.iter().rev();
        let last = from_the_last.find(|entry| training.is(entry));
        last.is_none_or(|last| is_tried_again(spec, last))
    })
}

/// Whether a training in full that has ended is tried again: it was withdrawn, or a limit or another task's data ended
/// it and the spec names it.
fn is_tried_again(spec: &PeftSearchSpec, entry: &LedgerEntry) -> bool {
    let is_named = spec.retry_trials.contains(&entry.trial);
    entry.reason == Some(FailureReason::Withdrawn) || (is_named && entry.may_be_named_again())
}

/// The trainings in full that the spec asks for, as far as they are planned, each by its last trial, in the order of
/// planning: on the task of the search, or on another one of its transfer. One of a configuration that later trials have
/// pushed off the front stays.
pub fn current<'a>(
    spec: &PeftSearchSpec,
    ledger: &'a [LedgerEntry],
    other: Option<&TransferTask>,
) -> Vec<&'a LedgerEntry> {
    let mut found: Vec<&LedgerEntry> = Vec::new();
    let what = |entry: &LedgerEntry| (entry.of_trial, entry.baseline);
    let current = |entry: &&LedgerEntry| is_current(spec, entry, other);
    for entry in ledger.iter().rev().filter(current) {
        let is_the_same =
            |later: &&LedgerEntry| what(later) == what(entry) && later.terms == entry.terms;
        if !found.iter().any(is_the_same) {
            found.push(entry);
        }
    }
    found.reverse();
    found
}

/// Trainings in full without a result that the spec no longer asks for, each with the field that does not.
pub fn withdrawn<'a>(
    spec: &'a PeftSearchSpec,
    ledger: &'a Ledger,
) -> impl Iterator<Item = (&'a LedgerEntry, &'static str)> {
    ledger.open().filter_map(move |entry| {
        let (field, is_wanted) = match entry.purpose() {
            TrialPurpose::Search | TrialPurpose::Baseline => return None,
            TrialPurpose::Promotion => ("spec.promotion", is_current(spec, entry, None)),
            TrialPurpose::Transfer => {
                let mut others = request::others(spec).iter();
                let is_wanted = others.any(|other| is_current(spec, entry, Some(other)));
                ("spec.transfer", is_wanted)
            }
        };
        (!is_wanted).then_some((entry, field))
    })
}

/// Whether an entry is a training in full on the terms of the spec: on the task of the search, or on another one.
fn is_current(spec: &PeftSearchSpec, entry: &LedgerEntry, other: Option<&TransferTask>) -> bool {
    let Some(promotion) = &spec.promotion else {
        return false;
    };
    let purpose = match other {
        None => TrialPurpose::Promotion,
        Some(_) => TrialPurpose::Transfer,
    };
    let is_named = |name| promotion.baselines.contains(&name);
    let asked_for = |seed| {
        let terms = terms(spec, promotion, entry.baseline, seed);
        match other {
            None => terms,
            Some(other) => on(terms, spec, other),
        }
    };
    let seed = entry.terms.as_ref().and_then(|terms| terms.seed);
    entry.purpose() == purpose
        && entry.baseline.is_none_or(is_named)
        && seed.is_some_and(|seed| {
            seeds(spec.training.seed, promotion.seeds).any(|wanted| wanted == seed)
                && entry.terms.as_deref() == Some(&asked_for(seed))
        })
}

/// So many seeds that follow the one of the search, which is not among them.
fn seeds(of_the_search: u64, count: u32) -> impl Iterator<Item = u64> {
    let all = limits::SEED.most + 1;
    (1..=u64::from(count)).map(move |offset| (of_the_search + offset) % all)
}

/// How a configuration or a baseline is trained in full.
fn terms(
    spec: &PeftSearchSpec,
    promotion: &PromotionSpec,
    baseline: Option<BaselineName>,
    seed: u64,
) -> TrialTerms {
    let is_published = spec.baseline_recipe == Some(BaselineRecipe::Published);
    let has_recipe = baseline.is_some() && is_published;
    let has_rate = has_recipe || baseline.and_then(BaselineName::learning_rate).is_some();
    TrialTerms {
        fidelity: Some(promotion.fidelity()),
        seed: Some(seed),
        learning_rate: promotion.learning_rate.filter(|_| !has_rate),
        patience: promotion.patience.filter(|_| !has_recipe),
        evaluation: promotion.evaluation.clone(),
        task: None,
    }
}

/// The trials of the search whose configurations are promoted, each once.
fn configurations<'a>(
    subject: &Subject,
    promotion: &PromotionSpec,
    ledger: &'a Ledger,
) -> Vec<&'a LedgerEntry> {
    let front = measures::measure(subject, ledger).front;
    let found = match promotion.candidates {
        PromotionCandidates::Front => {
            measures::spread(front, promotion.max_configurations as usize)
        }
        PromotionCandidates::BestWithinBudgets => best_within(&promotion.budgets, &front),
        PromotionCandidates::NamedTrials => Vec::new(),
    };
    let found = found.iter().map(|member| member.trial);
    let mut chosen: Vec<&LedgerEntry> = Vec::new();
    for trial in found.chain(promotion.trials.iter().copied()) {
        let mut scored = ledger.search_trials().filter(|entry| entry.score.is_some());
        if let Some(entry) = scored.find(|entry| entry.trial == trial)
            && !chosen.iter().any(|other| other.trial == trial)
        {
            chosen.push(entry);
        }
    }
    chosen
}

/// The best member of the front within each budget. A front's scores grow with its parameters.
fn best_within(budgets: &[Decimal], front: &[FrontMember]) -> Vec<FrontMember> {
    let best = |budget: &Decimal| {
        let mut within = front.iter().rev();
        within.find(|member| member.parameters_percent.get() <= budget.get())
    };
    budgets.iter().filter_map(best).cloned().collect()
}

/// What `spec.promotion.trials` names to no effect, in one sentence; asked once no trial of the search is open.
pub fn without_effect(spec: &PeftSearchSpec, ledger: &[LedgerEntry]) -> Option<String> {
    let named = spec
        .promotion
        .iter()
        .flat_map(|promotion| &promotion.trials);
    let parts: Vec<String> = named
        .filter_map(|number| {
            let found = ledger.iter().find(|entry| entry.trial == *number);
            let why = match found {
                None => "does not exist",
                Some(entry) if entry.purpose() != TrialPurpose::Search => {
                    "is not one of the search"
                }
                Some(entry) if entry.state == TrialState::Succeeded => return None,
                Some(_) => "has no score",
            };
            Some(format!("trial {number} {why}"))
        })
        .collect();
    let told = retries::listed(parts)?;
    Some(format!(
        "spec.promotion.trials names trials of the search that have a score, but {told}"
    ))
}
