//! Made-up searches of every size and state.

use autopeft_crds::PeftSearch;
use autopeft_crds::metrics::{Metric, MetricValues};
use autopeft_crds::spec::{BaselineName, EarlyStop};
use autopeft_crds::status::{
    BaselineResult, DimensionRelevance, FrontMember, ReferencePoint, SurrogateStatus, TrialCounts,
    TrialOrigin, TrialState,
};
use autopeft_crds::trial::{FailureReason, Inspection};
use autopeft_crds::{Decimal, LedgerEntry, Module, PeftConfiguration, PeftSearchStatus};

/// The backbone of all-MiniLM-L6-v2.
const BACKBONE: u64 = 22_713_216;
const HIDDEN: u32 = 384;
const SIZES: [u32; 10] = [0, 1, 3, 6, 12, 24, 48, 96, 192, 384];

/// A number as the API carries it.
pub fn decimal(value: f64) -> Decimal {
    Decimal::new(value).expect("a finite number")
}

/// A search that has been asked for and has no status.
pub fn asked(name: &str, max_trials: usize) -> PeftSearch {
    serde_json::from_value(serde_json::json!({
        "apiVersion": "autopeft.dev/v1alpha1",
        "kind": "PeftSearch",
        "metadata": { "name": name },
        "spec": {
            "model": { "source": { "claim": { "name": "autopeft", "path": "models/all-MiniLM-L6-v2" } } },
            "task": {
                "name": "custom",
                "source": { "claim": { "name": "autopeft", "path": "data/movie-reviews" } },
                "custom": { "type": "Classification", "textColumns": ["text"] }
            },
            "algorithm": { "initialTrials": 20 },
            "maxTrials": max_trials,
        },
    }))
    .expect("a manifest")
}

/// A search with `count` trials and three baselines, `spread` being how far scores lie apart. The same
/// arguments give the same search.
pub fn finished(name: &str, count: u32, spread: f64) -> PeftSearch {
    let mut draw = Draw(u64::from(count) + 1);
    let mut ledger: Vec<LedgerEntry> = (0..count)
        .map(|trial| trial_of(trial, count, spread, &mut draw))
        .collect();
    let mut baselines = Vec::new();
    for (name, serial, parallel, prefix) in [
        (BaselineName::SerialAdapter, 24, 0, 0),
        (BaselineName::ParallelAdapter, 0, 192, 0),
        (BaselineName::Prefix, 0, 0, 10),
    ] {
        let trial = u32::try_from(ledger.len()).expect("few");
        let mut entry = entry(trial, configuration("111111", serial, parallel, prefix));
        entry.origin = TrialOrigin::Baseline;
        entry.baseline = Some(name);
        entry.score = Some(measured(&entry.configuration, spread, &mut draw));
        baselines.push(BaselineResult {
            name,
            trial,
            score: entry.score.expect("just set"),
            metrics: entry.metrics.clone(),
            parameters: entry.parameters,
            parameters_percent: percent(entry.parameters),
        });
        ledger.push(entry);
    }
    with_ledger(asked(name, count as usize), ledger, baselines)
}

/// The search with the status that belongs to a ledger.
pub fn with_ledger(
    mut search: PeftSearch,
    ledger: Vec<LedgerEntry>,
    baselines: Vec<BaselineResult>,
) -> PeftSearch {
    let front = front(&ledger);
    let best = front
        .iter()
        .map(|member| member.score.get())
        .reduce(f64::max);
    let count = |state| {
        let found = ledger
            .iter()
            .filter(|entry| entry.origin != TrialOrigin::Baseline && entry.state == state);
        u32::try_from(found.count()).expect("few")
    };
    let trials = TrialCounts {
        progress: format!(
            "{}/{}",
            count(TrialState::Succeeded)
                + count(TrialState::Infeasible)
                + count(TrialState::Failed),
            search.spec.max_trials
        ),
        running: count(TrialState::Planned),
        succeeded: count(TrialState::Succeeded),
        infeasible: count(TrialState::Infeasible),
        failed: count(TrialState::Failed),
    };
    search.status = Some(PeftSearchStatus {
        inspection: Some(Inspection {
            architecture: "bert".into(),
            layers: 6,
            hidden_size: HIDDEN,
            feed_forward_size: None,
            backbone_parameters: BACKBONE,
            train_examples: 2000,
            validation_examples: 1000,
            model_fingerprint: None,
            data_fingerprint: None,
            others: Vec::new(),
            constant_score: None,
            spec_hash: None,
            other: Default::default(),
        }),
        trials,
        best_score: best.map(decimal),
        front_size: u32::try_from(front.len()).expect("few"),
        hypervolume: best.map(|best| decimal((best * 1.75).clamp(f64::MIN, f64::MAX))),
        reference_point: best.map(|_| ReferencePoint {
            inferred_from_trials: None,
            score: decimal(0.5),
            parameters_percent: decimal(31.25),
        }),
        pareto_front: front,
        baselines,
        surrogate: Some(surrogate()),
        ledger,
        ..PeftSearchStatus::default()
    });
    search
}

/// The hypervolume after each trial with a score: it grows, and less and less.
pub fn trace(search: &PeftSearch) -> Vec<(u32, f64)> {
    let ledger = search.status.iter().flat_map(|status| &status.ledger);
    let scored = ledger.filter(|entry| entry.score.is_some() && entry.baseline.is_none());
    scored
        .enumerate()
        .map(|(index, entry)| (entry.trial, 2.0 - 1.2 / (1.0 + (index / 3) as f64)))
        .collect()
}

/// A trial as it is planned.
pub fn entry(trial: u32, configuration: PeftConfiguration) -> LedgerEntry {
    let parameters = configuration.parameters(HIDDEN);
    LedgerEntry {
        selection_score: None,
        trial,
        configuration,
        origin: TrialOrigin::Initial,
        baseline: None,
        of_trial: None,
        terms: None,
        run: None,
        state: TrialState::Succeeded,
        attempt: 1,
        job_uid: None,
        failed_attempts: 0,
        inputs_hash: String::new(),
        acquisition: None,
        predicted_mean: None,
        predicted_deviation: None,
        parameters,
        score: None,
        metrics: MetricValues::default(),
        best_epoch: None,
        selected_layers: None,
        stopped_early: None,
        trained_parameters: None,
        deployed_parameters: None,
        train_seconds: None,
        gpu_seconds: None,
        peak_memory_bytes: None,
        validation_examples: None,
        reason: None,
        message: None,
        planned_at: None,
        finished_at: None,
        other: Default::default(),
    }
}

/// A configuration in canonical form.
pub fn configuration(layers: &str, serial: u32, parallel: u32, prefix: u32) -> PeftConfiguration {
    PeftConfiguration::new(
        layers.parse().expect("a mask"),
        &[
            (Module::SerialAdapter, serial),
            (Module::ParallelAdapter, parallel),
            (Module::Prefix, prefix),
        ],
    )
    .canonical()
}

fn trial_of(trial: u32, count: u32, spread: f64, draw: &mut Draw) -> LedgerEntry {
    let layers: String = (0..6)
        .map(|_| if draw.below(2) == 0 { '0' } else { '1' })
        .collect();
    let sizes: Vec<u32> = (0..3).map(|_| SIZES[draw.below(SIZES.len())]).collect();
    let chosen = if trial == 0 {
        configuration("000000", 0, 0, 0)
    } else {
        configuration(&layers, sizes[0], sizes[1], sizes[2])
    };
    let mut entry = entry(trial, chosen);
    entry.train_seconds = Some(decimal(8.0 + draw.unit() * 4.0));
    entry.trained_parameters = Some(entry.parameters + 770);
    entry.deployed_parameters = Some(entry.parameters);
    entry.validation_examples = Some(1000);
    entry.best_epoch = Some(1);
    let score = measured(&entry.configuration, spread, draw);
    if trial >= count / 3 {
        entry.origin = TrialOrigin::Bayesian;
        entry.predicted_mean = Some(decimal(score.get() + spread * 0.1 * (draw.unit() - 0.5)));
        entry.predicted_deviation = Some(decimal(spread * (0.02 + 0.04 * draw.unit())));
        entry.acquisition = Some(decimal(-3.0 - draw.unit()));
        entry.inputs_hash = format!("{:016x}", draw.next());
    }
    match trial {
        7 => {
            entry.state = TrialState::Infeasible;
            entry.reason = Some(FailureReason::NotFinite);
            entry.message = Some("the loss was NaN at step 31, epoch 1".into());
        }
        11 => {
            entry.state = TrialState::Failed;
            entry.reason = Some(FailureReason::Lost);
            entry.message = Some("killed by signal 9, three times".into());
        }
        _ => {
            entry.score = Some(score);
            let f1 = [(Metric::F1, score.get() - 0.01)].into();
            entry.metrics = MetricValues::beside(Metric::Accuracy, &f1);
            entry.stopped_early = (trial == 9).then_some(EarlyStop::ConstantPrediction);
        }
    }
    entry
}

/// Scores that grow with the parameters, with noise.
fn measured(configuration: &PeftConfiguration, spread: f64, draw: &mut Draw) -> Decimal {
    let growth = (1.0 + configuration.parameters(HIDDEN) as f64).log10() / 7.0;
    let noise = 0.35 * (draw.unit() + draw.unit() + draw.unit() - 1.5);
    decimal(0.7 + spread * ((growth + noise) * 1000.0).round() / 1000.0)
}

fn front(ledger: &[LedgerEntry]) -> Vec<FrontMember> {
    let scored = || {
        let trials = ledger.iter().filter(|entry| entry.baseline.is_none());
        trials.filter_map(|entry| Some((entry, entry.score?.get())))
    };
    let beaten = |entry: &LedgerEntry, score: f64| {
        scored().any(|(other, found)| {
            found >= score
                && other.parameters <= entry.parameters
                && (found > score
                    || other.parameters < entry.parameters
                    || other.trial < entry.trial)
        })
    };
    let mut front: Vec<FrontMember> = scored()
        .filter(|(entry, score)| !beaten(entry, *score))
        .map(|(entry, score)| FrontMember {
            trial: entry.trial,
            configuration: entry.configuration.clone(),
            score: decimal(score),
            metrics: entry.metrics.clone(),
            parameters: entry.parameters,
            parameters_percent: percent(entry.parameters),
        })
        .collect();
    front.sort_by_key(|member| member.parameters);
    front
}

fn percent(parameters: u64) -> Decimal {
    decimal(100.0 * parameters as f64 / BACKBONE as f64)
}

fn surrogate() -> SurrogateStatus {
    let names = (0..6).map(|layer| format!("layer {layer}"));
    let modules = ["serialAdapter", "parallelAdapter", "prefix"].map(str::to_owned);
    let values = [0.12, 0.05, 0.31, 0.9, 1.85, 2.4, 1.1, 3.2, 0.02];
    let relevance = names.chain(modules).zip(values);
    SurrogateStatus {
        method: "Nuts".into(),
        reason: None,
        divergences: 0,
        max_r_hat: Some(decimal(1.012)),
        min_effective_samples: Some(decimal(88.4)),
        relevance: relevance
            .map(|(dimension, value)| DimensionRelevance {
                dimension,
                value: decimal(value),
            })
            .collect(),
    }
}

/// Numbers that are the same on every run (splitmix64).
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.unit() * bound as f64) as usize
    }
}
