//! What a search will cost, from short trainings of some of its configurations (`peft-operator estimate`). No I/O, no
//! clock.
//!
//! A training's seconds are taken as linear: `start + step · steps + validation · validated`, for each configuration of
//! its own. Three probes that differ in steps and in validated examples give the three.

use autopeft_crds::spec::{BaselineName, FidelitySpec, PromotionCandidates, PromotionSpec};
use autopeft_crds::status::{LedgerEntry, TrialState};
use autopeft_crds::trial::Inspection;
use autopeft_crds::{PeftSearchSpec, limits};

use crate::request;

/// The configurations of the search that are probed: the first ones of its initial design.
pub const CONFIGURATIONS: u32 = 3;
/// The probes of each: few steps, more steps, more validated examples.
pub const PROBES: usize = 3;
/// Batches that a probe trains on, an epoch.
const BATCHES: u32 = 2;
/// Epochs of the probe with more steps.
const EPOCHS: u32 = 3;
/// Validation examples of a probe, and of the one with more of them.
const VALIDATED: [u32; 2] = [32, 160];

/// The probes' specs: the search with its first configurations and every baseline, hardly trained.
pub fn probes(spec: &PeftSearchSpec) -> [PeftSearchSpec; PROBES] {
    let [few, more] = VALIDATED;
    [(1, few), (EPOCHS, few), (1, more)].map(|(epochs, validated)| {
        let mut probe = spec.clone();
        let promoted = spec
            .promotion
            .iter()
            .flat_map(|promotion| &promotion.baselines);
        for name in promoted {
            if !probe.baselines.contains(name) {
                probe.baselines.push(*name);
            }
        }
        probe.fidelity = FidelitySpec {
            epochs,
            steps_percent: 100,
            train_examples: Some(BATCHES * spec.training.batch_size),
            validation_examples: Some(validated),
        };
        probe.training.patience = limits::PATIENCE.most as u32;
        probe.training.early_stopping = None;
        probe.algorithm.initial_trials = CONFIGURATIONS;
        probe.max_trials = CONFIGURATIONS;
        probe.parallelism = 1;
        probe.retry_trials = Vec::new();
        probe.active_deadline_seconds = None;
        probe.max_gpu_seconds = None;
        probe.convergence = None;
        probe.suspend = false;
        probe.promotion = None;
        probe.transfer = None;
        probe
    })
}

/// The work of a training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Work {
    /// Optimiser steps.
    steps: u64,
    /// Validated examples, of all epochs.
    validated: u64,
}

impl Work {
    fn of(fidelity: &FidelitySpec, spec: &PeftSearchSpec, model: &Inspection) -> Self {
        let examples = fidelity.trained_on(model.train_examples);
        let validation = fidelity.validated_on(model.validation_examples);
        let batch_size = u64::from(spec.training.batch_size);
        let steps = fidelity.steps(examples, batch_size);
        let per_epoch = examples.div_ceil(batch_size).max(1);
        Self {
            steps,
            validated: steps.div_ceil(per_epoch) * validation,
        }
    }
}

/// The seconds of a configuration's trainings.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Pace {
    /// Before and after the training: starting, loading, recording.
    start: f64,
    /// A step.
    step: f64,
    /// A validated example.
    validation: f64,
}

impl Pace {
    /// From the seconds of three probes: the whole of each, and its training and validation alone.
    fn of(work: [Work; PROBES], whole: [f64; PROBES], trained: [f64; PROBES]) -> Self {
        let rate = |seconds: f64, count: u64| {
            if count == 0 {
                0.0
            } else {
                (seconds / count as f64).max(0.0)
            }
        };
        let [few, steps, validated] = work;
        let validation = rate(
            trained[2] - trained[0],
            validated.validated.saturating_sub(few.validated),
        );
        let more = steps.validated.saturating_sub(few.validated) as f64;
        let step = rate(
            trained[1] - trained[0] - validation * more,
            steps.steps.saturating_sub(few.steps),
        );
        let known = step * few.steps as f64 + validation * few.validated as f64;
        Self {
            start: (whole[0] - known).max(0.0),
            step,
            validation,
        }
    }

    fn seconds(&self, work: Work) -> f64 {
        self.start + self.step * work.steps as f64 + self.validation * work.validated as f64
    }
}

/// Trainings of one kind.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// What they are.
    pub what: String,
    /// Their number.
    pub trainings: u64,
    /// Optimiser steps of each.
    pub steps: u64,
    /// Seconds of each, its start included.
    pub seconds: f64,
}

impl Part {
    fn new(what: String, trainings: u64, work: Work, seconds: f64) -> Self {
        Self {
            what,
            trainings,
            steps: work.steps,
            seconds,
        }
    }

    /// Seconds of all, one after the other.
    pub fn total(&self) -> f64 {
        self.trainings as f64 * self.seconds
    }
}

/// What a search will cost.
#[derive(Clone, Debug, PartialEq)]
pub struct Estimate {
    /// The trainings. Those in full are counted without early stopping, so they are at most this many seconds.
    pub parts: Vec<Part>,
    /// The number of trainings that run at the same time.
    pub parallelism: u32,
    /// GPUs of a training; none if the probes ran without one.
    pub gpus: Option<u32>,
    /// Seconds of the probes' trainings.
    pub probed: f64,
}

impl Estimate {
    /// Seconds of all trainings, one after the other.
    pub fn total(&self) -> f64 {
        self.parts.iter().map(Part::total).sum()
    }
}

/// Why there is no estimate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EstimateError {
    /// A probe could not be trained.
    #[error("the probe of trial {trial} was not trained: {why}")]
    Failed {
        /// Its number.
        trial: u32,
        /// The reason.
        why: String,
    },
    /// A probe has no trial of the search.
    #[error("no trial of the search could be probed")]
    Nothing,
}

/// The estimate, from the ledgers of the probes.
pub fn estimate(
    spec: &PeftSearchSpec,
    model: &Inspection,
    ledgers: &[Vec<LedgerEntry>; PROBES],
) -> Result<Estimate, EstimateError> {
    let work = probes(spec).map(|probe| Work::of(&probe.fidelity, &probe, model));
    let mut searched = Vec::new();
    let mut baselines: Vec<(BaselineName, Pace)> = Vec::new();
    let mut probed = 0.0;
    let [first, ..] = ledgers;
    for entry in first {
        let mut whole = [0.0; PROBES];
        let mut trained = [0.0; PROBES];
        for (probe, ledger) in ledgers.iter().enumerate() {
            (whole[probe], trained[probe]) = seconds(ledger, entry.trial)?;
            probed += whole[probe];
        }
        let pace = Pace::of(work, whole, trained);
        match entry.baseline {
            Some(name) => baselines.push((name, pace)),
            None => searched.push(pace),
        }
    }
    if searched.is_empty() {
        return Err(EstimateError::Nothing);
    }
    // The probed configurations stand for all.
    let mean = |work: Work| {
        let all = searched.iter().map(|pace| pace.seconds(work));
        all.sum::<f64>() / searched.len() as f64
    };
    let of_baseline = |name: BaselineName, work: Work| {
        let found = baselines.iter().find(|(other, _)| *other == name);
        found.map_or_else(|| mean(work), |(_, pace)| pace.seconds(work))
    };
    let short = Work::of(&spec.fidelity, spec, model);
    let mut parts = vec![Part::new(
        "trials of the search".into(),
        spec.max_trials.into(),
        short,
        mean(short),
    )];
    parts.extend(spec.baselines.iter().map(|name| {
        let what = format!("baseline: {}", name.facts().title);
        Part::new(what, 1, short, of_baseline(*name, short))
    }));
    if let Some(promotion) = &spec.promotion {
        let full = Work::of(&promotion.fidelity(), spec, model);
        let others = request::others(spec).len() as u64;
        let baseline = |name| of_baseline(name, full);
        parts.extend(in_full(promotion, others, full, mean(full), baseline));
    }
    let on_gpu = first.iter().any(|entry| entry.gpu_seconds.is_some());
    Ok(Estimate {
        parts,
        parallelism: spec.parallelism,
        gpus: on_gpu.then_some(spec.trainer.resources.gpus.max(1)),
        probed,
    })
}

/// The trainings in full, of this work and a configuration's and a baseline's seconds, on the task of the search and on
/// so many others.
fn in_full(
    promotion: &PromotionSpec,
    others: u64,
    full: Work,
    mean: f64,
    of_baseline: impl Fn(BaselineName) -> f64,
) -> Vec<Part> {
    let seeds = u64::from(promotion.seeds);
    let configurations = configurations(promotion);
    let mut parts = vec![Part::new(
        format!("trained in full: at most {configurations} configurations"),
        configurations * seeds,
        full,
        mean,
    )];
    parts.extend(promotion.baselines.iter().map(|name| {
        let what = format!("trained in full: {}", name.facts().title);
        Part::new(what, seeds, full, of_baseline(*name))
    }));
    let trainings: u64 = parts.iter().map(|part| part.trainings).sum();
    if others > 0 && trainings > 0 {
        let seconds: f64 = parts.iter().map(Part::total).sum();
        // How many examples the other tasks have is not known here.
        parts.push(Part::new(
            format!("on other tasks, {others}, as if each had as many examples as spec.task"),
            others * trainings,
            full,
            seconds / trainings as f64,
        ));
    }
    parts
}

/// The most configurations that are trained in full.
fn configurations(promotion: &PromotionSpec) -> u64 {
    let found = match promotion.candidates {
        PromotionCandidates::Front => u64::from(promotion.max_configurations),
        PromotionCandidates::BestWithinBudgets => promotion.budgets.len() as u64,
        PromotionCandidates::NamedTrials => 0,
    };
    found + promotion.trials.len() as u64
}

/// The seconds of a probed trial, all and trained.
fn seconds(ledger: &[LedgerEntry], trial: u32) -> Result<(f64, f64), EstimateError> {
    let failed = |why: &str| EstimateError::Failed {
        trial,
        why: why.into(),
    };
    let entry = ledger.iter().find(|entry| entry.trial == trial);
    let entry = entry.ok_or_else(|| failed("the probe ended before it"))?;
    if entry.state != TrialState::Succeeded {
        return Err(failed(
            entry.message.as_deref().unwrap_or("it has no score"),
        ));
    }
    let trained = entry.train_seconds.map_or(0.0, |seconds| seconds.get());
    let whole = match (&entry.planned_at, &entry.finished_at) {
        (Some(planned), Some(finished)) => finished.0.duration_since(planned.0).as_secs_f64(),
        _ => trained,
    };
    Ok((whole.max(trained), trained))
}
