//! What a trial that succeeded measured, as its result document has it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::configuration::LayerMask;
use crate::spec::{EarlyStop, Metric};

/// What a trial that succeeded measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TrialMeasurements {
    /// The score: the task's metric, in its natural unit, at the best epoch.
    pub score: f64,
    /// Which metric the score is.
    pub metric: Metric,
    /// The score that chose the epoch, where other examples than those of `score` did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selection_score: Option<f64>,
    /// Every metric on the examples of `score`, where they are others than those of `epochs`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metrics: BTreeMap<Metric, f64>,
    /// The epoch of the best score, from 1; 0 for the model before training, where no epoch was finite.
    pub best_epoch: u32,
    /// Which condition of `earlyStopping` has stopped the training, where one has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped_early: Option<EarlyStop>,
    /// One entry per trained epoch, in order. Where they would not fit into the document, the oldest are left
    /// out, never the best.
    pub epochs: Vec<EpochMeasurements>,
    /// The layers that the method has chosen, where it chooses: the others have no modules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selected_layers: Option<LayerMask>,
    /// Parameters that were trained, head and reparametrisation included.
    pub trained_parameters: u64,
    /// Parameters that an adapter adds at inference, biases included, head left out.
    pub deployed_parameters: u64,
    /// Seconds of training and validation, loading left out.
    pub train_seconds: f64,
    /// Seconds from the start of the process, or from the end of the trial before in the same run.
    pub total_seconds: f64,
    /// The process's peak memory, bytes, without GPU memory.
    pub peak_memory_bytes: u64,
    /// `cpu` or `cuda:0`.
    pub device: String,
    /// `float32` or `bfloat16`.
    pub precision: String,
    /// Optimiser steps taken.
    pub steps: u64,
    /// Examples that the score was measured on.
    pub validation_examples: u64,
    /// The seeds of the streams, by name (`init`, `order`, `dropout`, `sample`).
    pub seeds: BTreeMap<String, u64>,
    /// Versions of the software, by name (`peft-trainer`, `libtorch`).
    pub versions: BTreeMap<String, String>,
}

impl TrialMeasurements {
    /// Every metric on the examples of the score.
    pub fn metrics_of_the_score(&self) -> Option<&BTreeMap<Metric, f64>> {
        if !self.metrics.is_empty() {
            return Some(&self.metrics);
        }
        // A document never leaves out the best epoch.
        let mut epochs = self.epochs.iter();
        let best = epochs.find(|epoch| epoch.epoch == self.best_epoch);
        best.map(|best| &best.metrics)
    }
}

/// One epoch of a trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EpochMeasurements {
    /// The epoch, from 1; 0 before training.
    pub epoch: u32,
    /// The mean training loss; none before training.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss: Option<f64>,
    /// Every metric that fits the task.
    pub metrics: BTreeMap<Metric, f64>,
}
