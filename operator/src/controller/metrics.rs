//! Prometheus metrics: of the process, and of each search for as long as it exists. No trial and no
//! pod is a label.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use autopeft_crds::PeftSearch;
use autopeft_crds::status::PeftSearchStatus;
use prometheus::{
    Encoder, Gauge, GaugeVec, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts,
    Registry, TextEncoder, core::Collector,
};

/// The states of `autopeft_search_trials`.
const STATES: [&str; 4] = ["running", "succeeded", "infeasible", "failed"];

/// Every metric.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,
    /// Reconciles, by how they ended: `ok` or `error`.
    pub reconciles: IntCounterVec,
    /// Duration of a reconcile in seconds.
    pub reconcile_seconds: Histogram,
    /// Requests that were rejected or not answered, by verb.
    pub api_errors: IntCounterVec,
    /// Time to compute a suggestion in seconds.
    pub engine_seconds: Histogram,
    /// Whether this process leads.
    pub leads: IntGauge,
    /// Searches that cannot be read.
    pub unreadable: IntGauge,
    /// Ledgers that another operator wrote to.
    pub rival_writes: IntCounter,
    searches: Searches,
    /// Namespace and name of every search with series.
    shown: Arc<Mutex<BTreeSet<(String, String)>>>,
}

/// A gauge of a search with one value.
#[derive(Clone, Copy)]
enum Of {
    TrialsWanted,
    BestScore,
    FrontSize,
    Hypervolume,
    TrainSeconds,
    GpuSeconds,
    SurrogateHealthy,
    Degraded,
    Troubled,
    Finished,
    Failed,
}

/// The gauges of a search in the order of `Of`: name and help.
const GAUGES: [(&str, &str); 11] = [
    ("autopeft_search_trials_wanted", "spec.maxTrials."),
    ("autopeft_search_best_score", "The best score."),
    (
        "autopeft_search_front_size",
        "Configurations on the Pareto front.",
    ),
    (
        "autopeft_search_hypervolume",
        "Hypervolume of the Pareto front: score times log10(1 + parameters).",
    ),
    (
        "autopeft_search_train_seconds",
        "Training and validation of all trials in seconds.",
    ),
    (
        "autopeft_search_gpu_seconds",
        "GPU seconds used by all attempts of all trials.",
    ),
    (
        "autopeft_search_surrogate_healthy",
        "1 if the latest fit of the surrogate is sound, 0 if it is not.",
    ),
    (
        "autopeft_search_degraded",
        "1 if the condition Degraded is true.",
    ),
    (
        "autopeft_search_troubled",
        "1 if the condition Degraded is true for a reason other than Queued and TrialsFailed.",
    ),
    ("autopeft_search_finished", "1 if the search has ended."),
    (
        "autopeft_search_failed",
        "1 if the search has ended without a front.",
    ),
];

/// The gauges of a search, by namespace and name.
#[derive(Clone, Debug)]
struct Searches {
    /// By state too.
    trials: GaugeVec,
    /// In the order of `Of`.
    gauges: Vec<GaugeVec>,
}

impl Searches {
    fn of(&self, of: Of) -> &GaugeVec {
        &self.gauges[of as usize]
    }
}

/// Registers a metric.
fn register<M: Collector + Clone + 'static>(
    registry: &Registry,
    metric: Result<M, prometheus::Error>,
) -> Result<M, prometheus::Error> {
    let metric = metric?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

impl Metrics {
    /// All metrics at zero.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let gauge = |name: &str, help: &str, labels: &[&str]| {
            register(&registry, GaugeVec::new(Opts::new(name, help), labels))
        };
        let counter = |name: &str, help: &str, label: &str| {
            register(
                &registry,
                IntCounterVec::new(Opts::new(name, help), &[label]),
            )
        };
        let seconds = |name: &str, help: &str, buckets: &[f64]| {
            let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
            register(&registry, Histogram::with_opts(options))
        };
        let number = |name: &str, help: &str| register(&registry, IntGauge::new(name, help));
        let gauges = GAUGES.map(|(name, help)| gauge(name, help, &["namespace", "name"]));
        Ok(Self {
            searches: Searches {
                trials: gauge(
                    "autopeft_search_trials",
                    "Trials of the search by state.",
                    &["namespace", "name", "state"],
                )?,
                gauges: gauges.into_iter().collect::<Result<_, _>>()?,
            },
            reconciles: counter(
                "autopeft_reconciles_total",
                "Reconciles by result.",
                "result",
            )?,
            reconcile_seconds: seconds(
                "autopeft_reconcile_seconds",
                "Duration of a reconcile in seconds.",
                &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 10.0],
            )?,
            api_errors: counter(
                "autopeft_api_errors_total",
                "Requests that the API server rejected or did not answer.",
                "verb",
            )?,
            engine_seconds: seconds(
                "autopeft_engine_seconds",
                "Time to compute a suggestion in seconds.",
                &[0.01, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0],
            )?,
            leads: number("autopeft_leader", "1 if this process leads, else 0.")?,
            unreadable: number(
                "autopeft_unreadable_searches",
                "PeftSearch objects that cannot be read.",
            )?,
            rival_writes: register(
                &registry,
                IntCounter::new(
                    "autopeft_rival_writes_total",
                    "Ledgers that another operator wrote to at the same time.",
                ),
            )?,
            shown: Arc::default(),
            registry,
        })
    }

    /// Counts a request that was rejected or not answered.
    pub fn count_api_error(&self, verb: &str) {
        self.api_errors.with_label_values(&[verb]).inc();
    }

    /// Sets the series of a search from its status.
    pub fn show(&self, search: &PeftSearch, status: &PeftSearchStatus) {
        let (namespace, name) = key(search);
        self.shown().insert((namespace.into(), name.into()));
        let gauge = |of: Of| self.searches.of(of);
        let set = |of: Of, value: f64| {
            gauge(of).with_label_values(&[namespace, name]).set(value);
        };
        let trials = &status.trials;
        let counts = [
            trials.running,
            trials.succeeded,
            trials.infeasible,
            trials.failed,
        ];
        for (state, count) in STATES.into_iter().zip(counts) {
            let gauge: Gauge = self
                .searches
                .trials
                .with_label_values(&[namespace, name, state]);
            gauge.set(f64::from(count));
        }
        let decimals = [
            (Of::BestScore, &status.best_score),
            (Of::Hypervolume, &status.hypervolume),
        ];
        for (of, value) in decimals {
            match value {
                Some(value) => set(of, value.get()),
                // An earlier search of this name may have set it.
                None => drop(gauge(of).remove_label_values(&[namespace, name])),
            }
        }
        set(Of::TrialsWanted, f64::from(search.spec.max_trials));
        set(Of::FrontSize, f64::from(status.front_size));
        let seconds = status.ledger.iter().filter_map(|entry| entry.train_seconds);
        set(
            Of::TrainSeconds,
            // The empty sum is -0.
            seconds.map(|value| value.get()).sum::<f64>() + 0.0,
        );
        let used = status.gpu_seconds_used.map_or(0.0, |value| value.get());
        set(Of::GpuSeconds, used);
        let is = |kind: &str, wanted: &str| {
            let mut conditions = status.conditions.iter();
            conditions.any(|condition| condition.type_ == kind && condition.status == wanted)
        };
        let flag = |truth: bool| if truth { 1.0 } else { 0.0 };
        set(Of::SurrogateHealthy, flag(!is("SurrogateHealthy", "False")));
        set(Of::Degraded, flag(is("Degraded", "True")));
        // A queue is normal, and failed trials stay failed until the search ends.
        let is_troubled = status.conditions.iter().any(|condition| {
            condition.type_ == "Degraded"
                && condition.status == "True"
                && !["Queued", "TrialsFailed"].contains(&condition.reason.as_str())
        });
        set(Of::Troubled, flag(is_troubled));
        let is_over = status.completion_time.is_some();
        set(Of::Finished, flag(is_over));
        set(Of::Failed, flag(is_over && is("Succeeded", "False")));
    }

    fn shown(&self) -> MutexGuard<'_, BTreeSet<(String, String)>> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes the series of every search for which `is_there` is false.
    pub fn keep(&self, is_there: impl Fn(&str, &str) -> bool) {
        self.shown().retain(|(namespace, name)| {
            let stays = is_there(namespace, name);
            if !stays {
                self.forget(namespace, name);
            }
            stays
        });
    }

    fn forget(&self, namespace: &str, name: &str) {
        for gauge in &self.searches.gauges {
            // An error means that there was no series.
            let _ = gauge.remove_label_values(&[namespace, name]);
        }
        for state in STATES {
            let _ = self
                .searches
                .trials
                .remove_label_values(&[namespace, name, state]);
        }
    }

    /// All metrics in Prometheus' text format.
    pub fn text(&self) -> Result<String, prometheus::Error> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

fn key(search: &PeftSearch) -> (&str, &str) {
    let metadata = &search.metadata;
    (
        metadata.namespace.as_deref().unwrap_or_default(),
        metadata.name.as_deref().unwrap_or_default(),
    )
}
