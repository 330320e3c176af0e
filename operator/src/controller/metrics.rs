//! Prometheus metrics: of the process, and of each search for as long as it exists. No trial and no
//! pod is a label.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use autopeft_crds::PeftSearch;
use autopeft_crds::status::PeftSearchStatus;
use prometheus::{
    Encoder, Gauge, GaugeVec, Histogram, HistogramOpts, IntCounterVec, IntGauge, Opts, Registry,
    TextEncoder,
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
    /// Calls that the API server refused or left unanswered, by verb.
    pub api_errors: IntCounterVec,
    /// Seconds that suggestions took.
    pub engine_seconds: Histogram,
    /// Whether this process leads.
    pub leads: IntGauge,
    /// Searches that cannot be read now.
    pub unreadable: IntGauge,
    searches: Searches,
    /// Namespace and name of every search that is shown.
    shown: Arc<Mutex<BTreeSet<(String, String)>>>,
}

/// The gauges of a search, by namespace and name.
#[derive(Clone, Debug)]
struct Searches {
    trials: GaugeVec,
    trials_wanted: GaugeVec,
    best_score: GaugeVec,
    front_size: GaugeVec,
    hypervolume: GaugeVec,
    train_seconds: GaugeVec,
    gpu_seconds: GaugeVec,
    surrogate_healthy: GaugeVec,
    degraded: GaugeVec,
    troubled: GaugeVec,
    finished: GaugeVec,
    failed: GaugeVec,
}

impl Searches {
    fn all(&self) -> [&GaugeVec; 12] {
        [
            &self.trials,
            &self.trials_wanted,
            &self.best_score,
            &self.front_size,
            &self.hypervolume,
            &self.train_seconds,
            &self.gpu_seconds,
            &self.surrogate_healthy,
            &self.degraded,
            &self.troubled,
            &self.finished,
            &self.failed,
        ]
    }
}

impl Metrics {
    /// All of them, at zero.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let gauge = |name: &str, help: &str, more: &[&str]| {
            let labels: Vec<&str> = ["namespace", "name"].iter().chain(more).copied().collect();
            let gauge = GaugeVec::new(Opts::new(name, help), &labels)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        let searches = Searches {
            trials: gauge(
                "autopeft_search_trials",
                "Trials of the search by state.",
                &["state"],
            )?,
            trials_wanted: gauge("autopeft_search_trials_wanted", "spec.maxTrials.", &[])?,
            best_score: gauge("autopeft_search_best_score", "The best score.", &[])?,
            front_size: gauge(
                "autopeft_search_front_size",
                "Configurations on the Pareto front.",
                &[],
            )?,
            hypervolume: gauge(
                "autopeft_search_hypervolume",
                "Hypervolume of the Pareto front: score times log10(1 + parameters).",
                &[],
            )?,
            train_seconds: gauge(
                "autopeft_search_train_seconds",
                "Training and validation of all trials in seconds.",
                &[],
            )?,
            gpu_seconds: gauge(
                "autopeft_search_gpu_seconds",
                "GPU seconds used by all attempts of all trials.",
                &[],
            )?,
            surrogate_healthy: gauge(
                "autopeft_search_surrogate_healthy",
                "1 if the latest fit of the surrogate is sound, 0 if it is not.",
                &[],
            )?,
            degraded: gauge(
                "autopeft_search_degraded",
                "1 if the condition Degraded is true.",
                &[],
            )?,
            troubled: gauge(
                "autopeft_search_troubled",
                "1 if the condition Degraded is true for a reason other than Queued and TrialsFailed.",
                &[],
            )?,
            finished: gauge(
                "autopeft_search_finished",
                "1 if the search has ended.",
                &[],
            )?,
            failed: gauge(
                "autopeft_search_failed",
                "1 if the search has ended without a front.",
                &[],
            )?,
        };
        let counters = |name: &str, help: &str, label: &str| {
            let counter = IntCounterVec::new(Opts::new(name, help), &[label])?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let histogram = |name: &str, help: &str, buckets: &[f64]| {
            let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
            let histogram = Histogram::with_opts(options)?;
            registry.register(Box::new(histogram.clone()))?;
            Ok::<_, prometheus::Error>(histogram)
        };
        let leads = IntGauge::new("autopeft_leader", "1 if this process leads, else 0.")?;
        registry.register(Box::new(leads.clone()))?;
        let unreadable = IntGauge::new(
            "autopeft_unreadable_searches",
            "PeftSearch objects that cannot be read.",
        )?;
        registry.register(Box::new(unreadable.clone()))?;
        Ok(Self {
            reconciles: counters(
                "autopeft_reconciles_total",
                "Reconciles by result.",
                "result",
            )?,
            reconcile_seconds: histogram(
                "autopeft_reconcile_seconds",
                "Duration of a reconcile in seconds.",
                &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 10.0],
            )?,
            api_errors: counters(
                "autopeft_api_errors_total",
                "Requests that the API server rejected or did not answer.",
                "verb",
            )?,
            engine_seconds: histogram(
                "autopeft_engine_seconds",
                "Time to compute a suggestion in seconds.",
                &[0.01, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0],
            )?,
            leads,
            unreadable,
            searches,
            shown: Arc::default(),
            registry,
        })
    }

    /// Counts a call that the API server refused or left unanswered.
    pub fn count_api_error(&self, verb: &str) {
        self.api_errors.with_label_values(&[verb]).inc();
    }

    /// Shows a search as its status has it.
    pub fn show(&self, search: &PeftSearch, status: &PeftSearchStatus) {
        let (namespace, name) = key(search);
        self.shown().insert((namespace.into(), name.into()));
        let set = |gauge: &GaugeVec, value: f64| {
            gauge.with_label_values(&[namespace, name]).set(value);
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
            (&self.searches.best_score, &status.best_score),
            (&self.searches.hypervolume, &status.hypervolume),
        ];
        for (gauge, value) in decimals {
            match value {
                Some(value) => set(gauge, value.get()),
                // An earlier search of this name may have had one.
                None => drop(gauge.remove_label_values(&[namespace, name])),
            }
        }
        let searches = &self.searches;
        set(&searches.trials_wanted, f64::from(search.spec.max_trials));
        set(&searches.front_size, f64::from(status.front_size));
        let seconds = status.ledger.iter().filter_map(|entry| entry.train_seconds);
        set(
            &searches.train_seconds,
            // The sum of nothing is -0.
            seconds.map(|value| value.get()).sum::<f64>() + 0.0,
        );
        let used = status.gpu_seconds_used.map_or(0.0, |value| value.get());
        set(&searches.gpu_seconds, used);
        let is = |kind: &str, wanted: &str| {
            let mut conditions = status.conditions.iter();
            conditions.any(|condition| condition.type_ == kind && condition.status == wanted)
        };
        let flag = |truth: bool| if truth { 1.0 } else { 0.0 };
        set(
            &searches.surrogate_healthy,
            flag(!is("SurrogateHealthy", "False")),
        );
        set(&searches.degraded, flag(is("Degraded", "True")));
        // A queue is waited for; trials that were given up stay so for the rest of the search.
        let is_troubled = status.conditions.iter().any(|condition| {
            condition.type_ == "Degraded"
                && condition.status == "True"
                && !["Queued", "TrialsFailed"].contains(&condition.reason.as_str())
        });
        set(&searches.troubled, flag(is_troubled));
        let is_over = status.completion_time.is_some();
        set(&searches.finished, flag(is_over));
        set(&searches.failed, flag(is_over && is("Succeeded", "False")));
    }

    fn shown(&self) -> MutexGuard<'_, BTreeSet<(String, String)>> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets every search that `is_there` does not know.
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
        for gauge in self.searches.all() {
            // What was never shown cannot be removed, and need not be.
            let _ = gauge.remove_label_values(&[namespace, name]);
        }
        for state in STATES {
            let _ = self
                .searches
                .trials
                .remove_label_values(&[namespace, name, state]);
        }
    }

    /// All of them, in Prometheus' text format.
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
