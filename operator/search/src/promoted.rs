//! What training in full found: final scores, how far the search's scores can be trusted, and the configuration to
//! take. No I/O, no clock.
//!
//! The rule of a recommendation: of the configurations within the budget whose trainings all have a score, the best
//! mean is found, and its standard error, s/√n. Those within one standard error of the best mean cannot be told from
//! it; the one with the fewest parameters is taken (Breiman et al., Classification and Regression Trees, 1984, 3.4.3).

use autopeft_crds::spec::{PromotionSpec, TransferTask};
use autopeft_crds::status::{
    LedgerEntry, PromotedResult, RankCorrelation, Recommendation, SeedScore,
};
use autopeft_crds::{Decimal, PeftSearchSpec};
use autopeft_engine::rank;

use crate::ledger::Ledger;
use crate::measures::{BUDGETS, Subject};
use crate::promotion;
use crate::request;

/// What a status says of training in full.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// Each configuration and baseline, fewest parameters first.
    pub promoted: Vec<PromotedResult>,
    /// How well the search's scores rank configurations.
    pub rank_correlation: Option<RankCorrelation>,
    /// The configuration to take within each budget.
    pub recommended: Vec<Recommendation>,
}

/// The answer so far.
pub fn answer(subject: &Subject, ledger: &Ledger) -> Answer {
    let Some(promotion) = &subject.spec.promotion else {
        return Answer::default();
    };
    let promoted = results(subject, promotion, ledger, None);
    Answer {
        rank_correlation: rank_correlation(&promoted),
        recommended: recommended(promotion, &promoted),
        promoted,
    }
}

/// The rank correlation in a sentence, without its full stop.
pub fn told(found: &RankCorrelation) -> String {
    let interval = found.lower.zip(found.upper).map_or_else(
        || "too few for a confidence interval".to_owned(),
        |(lower, upper)| {
            let (lower, upper) = (lower.get(), upper.get());
            format!("95 % confidence interval {lower:.2} to {upper:.2}")
        },
    );
    format!(
        "Kendall's tau of the search's scores and those of training in full: {:.2} over {} configurations, {interval}",
        found.kendall_tau.get(),
        found.configurations
    )
}

/// How many trainings in full have ended of those that are planned, in words.
pub fn progress(spec: &PeftSearchSpec, ledger: &Ledger) -> Option<String> {
    let told = |planned: &[&LedgerEntry], what: &str| {
        let ended = planned.iter().filter(|entry| entry.state.is_final());
        let (ended, planned) = (ended.count(), planned.len());
        (planned > 0).then(|| format!("{ended} of {planned} trainings {what} have ended"))
    };
    let current = |other| promotion::current(spec, ledger.entries(), other);
    let others = request::others(spec).iter();
    let on_others: Vec<&LedgerEntry> = others.flat_map(|other| current(Some(other))).collect();
    let parts = [
        told(&current(None), "in full"),
        told(&on_others, "on other tasks"),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// The results of trainings in full, fewest parameters first: on the task of the search, or on another one of its
/// transfer.
pub(crate) fn results(
    subject: &Subject,
    promotion: &PromotionSpec,
    ledger: &Ledger,
    other: Option<&TransferTask>,
) -> Vec<PromotedResult> {
    let mut groups: Vec<Vec<&LedgerEntry>> = Vec::new();
    for entry in promotion::current(&subject.spec, ledger.entries(), other) {
        let what = |entry: &LedgerEntry| (entry.of_trial, entry.baseline);
        let of_the_same = groups.iter_mut().find(|group| {
            group
                .first()
                .is_some_and(|first| what(first) == what(entry))
        });
        match of_the_same {
            Some(group) => group.push(entry),
            None => groups.push(vec![entry]),
        }
    }
    let results = groups
        .iter()
        .filter_map(|group| result(subject, promotion, ledger, group));
    let mut results: Vec<PromotedResult> = results.collect();
    results.sort_by_key(|result| result.parameters);
    results
}

/// The result of the trainings of one configuration.
fn result(
    subject: &Subject,
    promotion: &PromotionSpec,
    ledger: &Ledger,
    group: &[&LedgerEntry],
) -> Option<PromotedResult> {
    let first = group.first()?;
    // A method that chooses its layers may choose others with each seed.
    let scored = group.iter().filter(|entry| entry.score.is_some());
    let best = scored.clone().rev().max_by(|left, right| {
        let of = |entry: &LedgerEntry| entry.score.map_or(f64::NAN, Decimal::get);
        of(left).total_cmp(&of(right))
    });
    let parameters = scored.map(|entry| entry.parameters);
    let most = parameters.clone().max().unwrap_or(first.parameters);
    let fewest = parameters.min().unwrap_or(first.parameters);
    let seeds: Vec<SeedScore> = group
        .iter()
        .filter_map(|entry| {
            Some(SeedScore {
                seed: entry.terms.as_ref()?.seed?,
                trial: entry.trial,
                score: entry.score?,
                selection_score: entry.selection_score,
            })
        })
        .collect();
    let ended = group.iter().filter(|entry| entry.state.is_final()).count();
    let seconds: Vec<f64> = group
        .iter()
        .filter_map(|entry| Some(entry.train_seconds?.get()))
        .collect();
    let (mean, deviation) = moments(&seeds);
    let rounded = |value: Option<f64>| Some(Decimal::new(value?).ok()?.rounded());
    Some(PromotedResult {
        trial: first.of_trial,
        baseline: first.baseline,
        configuration: best.unwrap_or(first).trained_configuration(),
        parameters: most,
        parameters_percent: subject.percent(most as f64)?,
        fewest_parameters: (fewest < most).then_some(fewest),
        search_score: first.of_trial.and_then(|trial| ledger.entry(trial)?.score),
        mean: rounded(mean),
        standard_deviation: rounded(deviation),
        train_seconds: rounded(average(&seconds)),
        progress: format!("{ended}/{}", promotion.seeds),
        seeds,
    })
}

/// The mean of some numbers.
pub(crate) fn average(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The mean of the scores, and their standard deviation (n − 1).
fn moments(seeds: &[SeedScore]) -> (Option<f64>, Option<f64>) {
    let scores: Vec<f64> = seeds.iter().map(|seed| seed.score.get()).collect();
    let mean = average(&scores);
    let deviation = mean.filter(|_| scores.len() > 1).map(|mean| {
        let squares = scores.iter().map(|score| (score - mean).powi(2));
        (squares.sum::<f64>() / (scores.len() - 1) as f64).sqrt()
    });
    (mean, deviation)
}

/// The rank correlation over the configurations of the search with a score by training in full.
fn rank_correlation(promoted: &[PromotedResult]) -> Option<RankCorrelation> {
    let of_search = promoted.iter().filter(|result| result.trial.is_some());
    let (low, full): (Vec<f64>, Vec<f64>) = of_search
        .filter_map(|result| Some((result.search_score?.get(), moments(&result.seeds).0?)))
        .unzip();
    let tau = rank::kendall_tau(&low, &full)?;
    let interval = rank::kendall_interval(tau, low.len());
    let decimal = |value: f64| Decimal::new(value).ok().map(Decimal::rounded);
    Some(RankCorrelation {
        configurations: u32::try_from(low.len()).ok()?,
        kendall_tau: decimal(tau)?,
        lower: interval.and_then(|interval| decimal(interval.0)),
        upper: interval.and_then(|interval| decimal(interval.1)),
    })
}

/// The recommendation within each budget that has a candidate.
fn recommended(promotion: &PromotionSpec, promoted: &[PromotedResult]) -> Vec<Recommendation> {
    let complete = complete(promotion, promoted);
    let mut recommended = Vec::new();
    let mut before = 0;
    for budget in budgets(promotion) {
        let candidates = candidates(budget, &complete);
        // A usual budget that lets in no more than the one before says nothing new.
        let is_given = !promotion.budgets.is_empty();
        if is_given || candidates.len() > before {
            before = candidates.len();
            recommended.extend(recommend(budget, &candidates));
        }
    }
    recommended
}

/// The results with a score from each seed. A configuration of which a training failed has no fair mean.
pub fn complete<'a>(
    promotion: &PromotionSpec,
    promoted: &'a [PromotedResult],
) -> Vec<&'a PromotedResult> {
    let results = promoted.iter();
    results
        .filter(|result| result.seeds.len() == promotion.seeds as usize)
        .collect()
}

/// The recommendation within a budget, of these results, fewest parameters first; `None` where the budget is too small
/// for each of them.
pub fn within(budget: Decimal, complete: &[&PromotedResult]) -> Option<Recommendation> {
    recommend(budget, &candidates(budget, complete))
}

fn candidates<'a>(budget: Decimal, complete: &[&'a PromotedResult]) -> Vec<&'a PromotedResult> {
    let results = complete.iter().copied();
    results
        .filter(|result| result.parameters_percent.get() <= budget.get())
        .collect()
}

/// The given budgets in ascending order, or the usual ones.
fn budgets(promotion: &PromotionSpec) -> Vec<Decimal> {
    if promotion.budgets.is_empty() {
        let usual = BUDGETS.into_iter().chain([100.0]);
        return usual
            .filter_map(|budget| Decimal::new(budget).ok())
            .collect();
    }
    let mut given = promotion.budgets.clone();
    given.sort_by(|left, right| left.get().total_cmp(&right.get()));
    given
}

/// What to take of these, fewest parameters first.
fn recommend(budget: Decimal, candidates: &[&PromotedResult]) -> Option<Recommendation> {
    let measured = candidates.iter().filter_map(|result| {
        let (mean, deviation) = moments(&result.seeds);
        let error = deviation.map(|deviation| deviation / (result.seeds.len() as f64).sqrt());
        Some((*result, mean?, error))
    });
    let measured: Vec<(&PromotedResult, f64, Option<f64>)> = measured.collect();
    // Of equal means the one with the fewest parameters, which comes first.
    let (_, best, error) = *measured
        .iter()
        .rev()
        .max_by(|left, right| left.1.total_cmp(&right.1))?;
    let least = best - error.unwrap_or(0.0);
    let good_enough = measured.iter().filter(|(_, mean, _)| *mean >= least);
    let fewest = good_enough
        .clone()
        .map(|(result, ..)| result.parameters)
        .min()?;
    let (taken, mean, _) = *good_enough
        .filter(|(result, ..)| result.parameters == fewest)
        .max_by(|left, right| left.1.total_cmp(&right.1))?;
    let luckiest = taken.seeds.iter().rev();
    let luckiest = luckiest.max_by(|left, right| left.score.get().total_cmp(&right.score.get()))?;
    let rounded = |value: f64| Decimal::new(value).ok().map(Decimal::rounded);
    Some(Recommendation {
        budget,
        trial: taken.trial,
        baseline: taken.baseline,
        parameters: taken.parameters,
        parameters_percent: taken.parameters_percent,
        mean: rounded(mean)?,
        best_mean: rounded(best)?,
        standard_error: error.and_then(rounded),
        best_trial: luckiest.trial,
    })
}
