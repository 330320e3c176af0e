//! Prometheus metrics: of the process, and of each search for as long as it exists. No trial and no
//! pod is a label.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use autopeft_crds::PeftSearch;
use autopeft_crds::status::PeftSearchStatus;
use autopeft_search::gauges::{GAUGES, STATE_GAUGES, STATES};
use prometheus::{
    Encoder, GaugeVec, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts,
    Registry, TextEncoder, core::Collector,
};

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

/// The gauges of a search, by namespace and name.
#[derive(Clone, Debug)]
struct Searches {
    /// In the order of `STATE_GAUGES`, by state too.
    by_state: Vec<GaugeVec>,
    /// In the order of `GAUGES`.
    gauges: Vec<GaugeVec>,
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
        let gauges = GAUGES.map(|of| gauge(of.name, of.help, &["namespace", "name"]));
        let states = ["namespace", "name", "state"];
        let by_state = STATE_GAUGES.map(|of| gauge(of.name, of.help, &states));
        Ok(Self {
            searches: Searches {
                by_state: by_state.into_iter().collect::<Result<_, _>>()?,
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
        for (of, gauge) in STATE_GAUGES.iter().zip(&self.searches.by_state) {
            for state in STATES {
                let value = (of.value)(search, status, state);
                set(gauge, &[namespace, name, state], value);
            }
        }
        for (of, gauge) in GAUGES.iter().zip(&self.searches.gauges) {
            set(gauge, &[namespace, name], (of.value)(search, status));
        }
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
            set(gauge, &[namespace, name], None);
        }
        for gauge in &self.searches.by_state {
            let states = STATES.iter();
            states.for_each(|state| set(gauge, &[namespace, name, state], None));
        }
    }

    /// All metrics in Prometheus' text format.
    pub fn text(&self) -> Result<String, prometheus::Error> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

/// Sets a series, or removes the one that an earlier search of this name may have set.
fn set(gauge: &GaugeVec, labels: &[&str], value: Option<f64>) {
    match value {
        Some(value) => gauge.with_label_values(labels).set(value),
        None => drop(gauge.remove_label_values(labels)),
    }
}

fn key(search: &PeftSearch) -> (&str, &str) {
    let metadata = &search.metadata;
    (
        metadata.namespace.as_deref().unwrap_or_default(),
        metadata.name.as_deref().unwrap_or_default(),
    )
}
