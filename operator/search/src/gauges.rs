//! The metrics of a search: one gauge per row. No I/O.

use autopeft_crds::PeftSearch;
use autopeft_crds::status::{LedgerEntry, PeftSearchStatus, TrialCounts, TrialState};

use crate::object;
use crate::promotion;
use crate::request;

/// A gauge of a search.
#[derive(Clone, Copy, Debug)]
pub struct Gauge {
    /// Its name among the metrics.
    pub name: &'static str,
    /// What it is, in one sentence.
    pub help: &'static str,
    /// Its value, where there is one; of the search and the status that it is about to have.
    pub value: fn(&PeftSearch, &PeftSearchStatus) -> Option<f64>,
}

/// A gauge of a search by the states of trials.
#[derive(Clone, Copy, Debug)]
pub struct StateGauge {
    /// Its name among the metrics.
    pub name: &'static str,
    /// What it is, in one sentence.
    pub help: &'static str,
    /// The trials in one of `STATES`, where there may be any.
    pub value: fn(&PeftSearch, &PeftSearchStatus, &str) -> Option<f64>,
}

/// The states of a trial as metrics name them.
pub const STATES: [&str; 4] = ["running", "succeeded", "infeasible", "failed"];

/// The gauges with a value a search and state.
pub const STATE_GAUGES: [StateGauge; 3] = [
    StateGauge {
        name: "autopeft_search_trials",
        help: "Trials of the search by state.",
        value: |_, status, state| Some(f64::from(in_state(&status.trials, state))),
    },
    StateGauge {
        name: "autopeft_search_promotions",
        help: "Trainings in full that the spec asks for, by state.",
        value: |search, status, state| {
            search.spec.promotion.as_ref()?;
            let promotions = promotion::current(&search.spec, &status.ledger, None);
            Some(those_in(state, &promotions))
        },
    },
    StateGauge {
        name: "autopeft_search_transfers",
        help: "Trainings on other tasks that the spec asks for, by state.",
        value: |search, status, state| {
            search.spec.transfer.as_ref()?;
            let others = request::others(&search.spec).iter();
            let counts = others.map(|other| {
                let found = promotion::current(&search.spec, &status.ledger, Some(other));
                those_in(state, &found)
            });
            // The empty sum is -0.
            Some(counts.sum::<f64>() + 0.0)
        },
    },
];

/// The gauges with one value a search.
pub const GAUGES: [Gauge; 14] = [
    Gauge {
        name: "autopeft_search_trials_wanted",
        help: "spec.maxTrials.",
        value: |search, _| Some(f64::from(search.spec.max_trials)),
    },
    Gauge {
        name: "autopeft_search_best_score",
        help: "The best score.",
        value: |_, status| status.best_score.map(|score| score.get()),
    },
    Gauge {
        name: "autopeft_search_front_size",
        help: "Configurations on the Pareto front.",
        value: |_, status| Some(f64::from(status.front_size)),
    },
    Gauge {
        name: "autopeft_search_hypervolume",
        help: "Hypervolume of the Pareto front: score times log10(1 + parameters).",
        value: |_, status| status.hypervolume.map(|volume| volume.get()),
    },
    Gauge {
        name: "autopeft_search_train_seconds",
        help: "Training and validation of all trials in seconds.",
        value: |_, status| {
            let seconds = status.ledger.iter().filter_map(|entry| entry.train_seconds);
            // The empty sum is -0.
            Some(seconds.map(|value| value.get()).sum::<f64>() + 0.0)
        },
    },
    Gauge {
        name: "autopeft_search_gpu_seconds",
        help: "GPU seconds used by all attempts of all trials.",
        value: |_, status| Some(status.gpu_seconds_used.map_or(0.0, |value| value.get())),
    },
    Gauge {
        name: "autopeft_search_surrogate_healthy",
        help: "1 if the latest fit of the surrogate is sound, 0 if it is not.",
        value: |_, status| flag(!is(status, "SurrogateHealthy", "False")),
    },
    Gauge {
        name: "autopeft_search_degraded",
        help: "1 if the condition Degraded is true.",
        value: |_, status| flag(is(status, "Degraded", "True")),
    },
    Gauge {
        name: "autopeft_search_troubled",
        help: "1 if the condition Degraded is true for a reason other than Queued and TrialsFailed.",
        value: |_, status| flag(is_troubled(status)),
    },
    Gauge {
        name: "autopeft_search_finished",
        help: "1 if the search has ended.",
        value: |_, status| flag(status.completion_time.is_some()),
    },
    Gauge {
        name: "autopeft_search_failed",
        help: "1 if the search has ended without a front.",
        value: |_, status| {
            flag(status.completion_time.is_some() && is(status, "Succeeded", "False"))
        },
    },
    Gauge {
        name: "autopeft_search_rank_correlation",
        help: "Kendall's tau of the search's scores and those of training in full.",
        value: |_, status| Some(status.rank_correlation.as_ref()?.kendall_tau.get()),
    },
    Gauge {
        name: "autopeft_search_recommended_score",
        help: "Mean score of the configuration that is recommended within the largest budget.",
        value: |_, status| Some(status.recommended.last()?.mean.get()),
    },
    Gauge {
        name: "autopeft_search_recommended_parameters_percent",
        help: "Its trainable parameters in percent of the backbone's.",
        value: |_, status| Some(status.recommended.last()?.parameters_percent.get()),
    },
];

fn those_in(state: &str, entries: &[&LedgerEntry]) -> f64 {
    let found = entries.iter().filter(|entry| state_of(entry) == state);
    found.count() as f64
}

fn in_state(trials: &TrialCounts, state: &str) -> u32 {
    match state {
        "running" => trials.running,
        "succeeded" => trials.succeeded,
        "infeasible" => trials.infeasible,
        _ => trials.failed,
    }
}

fn state_of(entry: &LedgerEntry) -> &'static str {
    match entry.state {
        TrialState::Planned => "running",
        TrialState::Succeeded => "succeeded",
        TrialState::Infeasible => "infeasible",
        TrialState::Failed => "failed",
    }
}

fn flag(truth: bool) -> Option<f64> {
    Some(if truth { 1.0 } else { 0.0 })
}

fn is(status: &PeftSearchStatus, kind: &str, wanted: &str) -> bool {
    object::find(&status.conditions, kind).is_some_and(|condition| condition.status == wanted)
}

/// A queue is normal, and failed trials stay failed until the search ends.
fn is_troubled(status: &PeftSearchStatus) -> bool {
    object::find(&status.conditions, "Degraded").is_some_and(|condition| {
        condition.status == "True"
            && !["Queued", "TrialsFailed"].contains(&condition.reason.as_str())
    })
}
