//! Made-up searches to compare.

use autopeft_crds::spec::BaselineName;
use autopeft_crds::status::{LedgerEntry, PromotedResult, Recommendation, SeedScore, TrialOrigin};
use autopeft_crds::{PeftConfiguration, PeftSearch};
use autopeft_search::compare::Given;

use crate::report::searches::{asked, configuration, decimal, entry, finished};

/// Searches, called by their names.
pub fn given(searches: impl IntoIterator<Item = PeftSearch>) -> Vec<Given> {
    let one = |search: PeftSearch| Given {
        origin: search.metadata.name.clone().expect("a name"),
        search,
    };
    searches.into_iter().map(one).collect()
}

/// A search without baselines. Its trials depend on the seed and the number of trials.
pub fn search(name: &str, seed: u64, trials: u32, initial: u32) -> PeftSearch {
    let mut search = asked(name, trials as usize);
    search.spec.algorithm.seed = seed;
    search.spec.algorithm.initial_trials = initial;
    search.spec.training.seed = seed;
    let mut status = finished(name, trials, 0.1 + 0.05 * seed as f64)
        .status
        .expect("a status");
    status.ledger.truncate(trials as usize);
    status.baselines.clear();
    search.status = Some(status);
    search
}

/// Trials by parameters and score; infeasible without one.
pub fn scored(trials: &[(u64, Option<f64>)]) -> Vec<LedgerEntry> {
    let one = |(trial, (parameters, score)): (usize, &(u64, Option<f64>))| {
        let mut entry = entry(
            u32::try_from(trial).expect("few"),
            configuration("111111", 1, 0, 0),
        );
        entry.parameters = *parameters;
        entry.score = score.map(decimal);
        if score.is_none() {
            entry.state = autopeft_crds::TrialState::Infeasible;
        }
        entry
    };
    trials.iter().enumerate().map(one).collect()
}

/// A configuration trained in full with two seeds.
pub fn promoted(trial: u32, mean: f64) -> PromotedResult {
    let configuration = configuration("011011", 24, 0, 6);
    let parameters = configuration.parameters(384);
    PromotedResult {
        trial: Some(trial),
        baseline: None,
        configuration,
        parameters,
        parameters_percent: decimal(100.0 * parameters as f64 / 22_713_216.0),
        fewest_parameters: None,
        search_score: None,
        mean: Some(decimal(mean)),
        standard_deviation: Some(decimal(0.01)),
        train_seconds: Some(decimal(90.0)),
        progress: "2/2".into(),
        seeds: (0..2u32)
            .map(|seed| SeedScore {
                seed: 43 + u64::from(seed),
                trial: 30 + seed,
                score: decimal(mean),
                selection_score: None,
            })
            .collect(),
    }
}

fn with_baselines(mut search: PeftSearch) -> PeftSearch {
    let status = search.status.as_mut().expect("a status");
    let layers: [(BaselineName, PeftConfiguration, f64); 3] = [
        (
            BaselineName::SerialAdapter,
            configuration("111111", 24, 0, 0),
            0.71,
        ),
        (
            BaselineName::AdapterDrop,
            configuration("001111", 24, 0, 0),
            0.7,
        ),
        (
            BaselineName::AdaptableAdapters,
            configuration("000101", 24, 0, 0),
            0.69,
        ),
    ];
    for (name, configuration, score) in layers {
        let mut entry = entry(
            u32::try_from(status.ledger.len()).expect("few"),
            configuration,
        );
        entry.origin = TrialOrigin::Baseline;
        entry.baseline = Some(name);
        entry.score = Some(decimal(score));
        entry.train_seconds = Some(decimal(11.0));
        status.ledger.push(entry);
    }
    search
}

/// Two seeds of a Bayesian and of a random search, one in a smaller space; two with baselines, one with trainings in
/// full.
pub fn study() -> Vec<Given> {
    let mut in_full = with_baselines(search("bayes-1", 1, 20, 8));
    in_full.spec.promotion = Some(Default::default());
    let status = in_full.status.as_mut().expect("a status");
    let best = promoted(3, 0.78);
    status.recommended = vec![Recommendation {
        budget: decimal(1.0),
        trial: Some(3),
        baseline: None,
        parameters: best.parameters,
        parameters_percent: best.parameters_percent,
        mean: decimal(0.78),
        best_mean: decimal(0.78),
        standard_error: None,
        best_trial: 30,
    }];
    let tuned = PromotedResult {
        trial: None,
        baseline: Some(BaselineName::FullFineTuning),
        configuration: PeftConfiguration::empty(6).expect("layers"),
        parameters: 22_713_216,
        parameters_percent: decimal(100.0),
        train_seconds: Some(decimal(300.0)),
        ..promoted(0, 0.8)
    };
    status.promoted = vec![best, tuned];
    let mut small = search("sa-layers", 1, 16, 8);
    small.spec.search_space = serde_json::from_value(serde_json::json!({
        "dimensions": [{"name": "layers"}, {"name": "serialAdapter"}],
    }))
    .expect("a space");
    given([
        in_full,
        search("bayes-2", 2, 24, 8),
        with_baselines(search("random-1", 1, 20, 20)),
        search("random-2", 3, 22, 22),
        small,
    ])
}
