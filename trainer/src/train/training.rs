//! The training loop: epochs of shuffled batches, a validation after each, the best one kept.
//!
//! The recipe is that of AutoPEFT (arXiv:2301.12132; docs/trainer.md, "Recipe"): AdamW with linear decay and
//! clipping, validation after every epoch, early stopping after `patience` epochs that are not strictly
//! better, and the best epoch's parameters restored. Regression targets are not scaled.
//!
//! `training.earlyStopping` adds conditions that stop it (`guards.rs`).
//!
//! A step does not wait for the device. The loss is read, and checked to be finite, every `LOOK_EVERY` steps.

use std::time::Instant;

use autopeft_crds::LayerMask;
use autopeft_crds::spec::{EarlyStop, Metric};
use autopeft_crds::trial::{EpochMeasurements, Method};
use rand::RngExt;
use rand::rngs::Xoshiro256PlusPlus;
use tch::{TchError, Tensor};

use super::batches::Group;
use super::data::Data;
use super::guards::Guards;
use super::loss::loss;
use super::optimizer::AdamW;
use super::recipe::Recipe;
use super::schedule::Schedule;
use super::seeds::generator;
use super::validation::{ValidationError, score};
use crate::device;
use crate::model::Model;
use crate::reason::sentence;

/// Steps between two reads of the loss.
const LOOK_EVERY: u64 = 25;

/// Why training ended early.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The loss is NaN or infinite.
    #[error(
        "the training loss is not finite after step {step} of epoch {epoch}; a smaller spec.training.learningRate may help"
    )]
    Loss {
        /// The epoch, from 1.
        epoch: u32,
        /// The step, from 1.
        step: u64,
    },
    /// A prediction is NaN or infinite.
    #[error(
        "a prediction is not finite after epoch {epoch}; a smaller spec.training.learningRate may help"
    )]
    Prediction {
        /// The epoch, from 1; 0 before training.
        epoch: u32,
    },
    /// The score's metric was not measured.
    #[error("the validation has no {}; its metrics are those of another kind of task", .0.label())]
    NoMetric(Metric),
    /// An error of libtorch.
    #[error("{}", sentence(.0))]
    Torch(#[from] TchError),
}

impl TrainError {
    fn is_not_finite(&self) -> bool {
        matches!(self, Self::Loss { .. } | Self::Prediction { .. })
    }
}

/// The result of training.
#[derive(Clone, Debug, PartialEq)]
pub struct Trained {
    /// The best score.
    pub score: f64,
    /// Its epoch, from 1; 0 for the model before training, where no epoch was finite.
    pub best_epoch: u32,
    /// Which guard has stopped it.
    pub stopped_early: Option<EarlyStop>,
    /// Every epoch.
    pub epochs: Vec<EpochMeasurements>,
    /// Optimiser steps.
    pub steps: u64,
    /// Tokens trained on, without padding.
    pub tokens: u64,
    /// Seconds of training and validation.
    pub seconds: f64,
}

/// Receives the progress of training.
pub trait Observer {
    /// This many of all steps are done; `loss` is the mean since the start of the epoch.
    fn steps(&mut self, epoch: u32, done: u64, all: u64, loss: f64);
    /// The method has chosen the layers that have modules; their training begins.
    fn selected(&mut self, _layers: &LayerMask) {}
    /// An epoch has ended.
    fn epoch(&mut self, measured: &EpochMeasurements, is_best: bool, seconds: f64);
}

/// Trains a model and leaves it with the parameters of its best epoch.
pub fn train(
    model: &Model,
    data: &Data,
    recipe: &Recipe,
    observer: &mut dyn Observer,
) -> Result<Trained, TrainError> {
    let started = Instant::now();
    let device = model.device();
    let batching = recipe.batching();
    let examples = data.train.lengths().len();
    let schedule = Schedule::new(
        recipe.training.learning_rate.get(),
        recipe
            .fidelity
            .steps(examples as u64, batching.batch_size as u64),
        recipe.training.warmup_percent,
    );
    let mut steps = Steps {
        model,
        data,
        optimizer: optimizer(model, recipe)?,
        schedule,
        drops: (recipe.method == Method::LayerDrop).then(|| generator(recipe.seeds.dropout)),
    };
    let mut order = generator(recipe.seeds.order);
    // 53 bits: never negative as i64.
    tch::manual_seed(recipe.seeds.dropout as i64);

    let mut trained = Trained {
        score: f64::NEG_INFINITY,
        best_epoch: 0,
        stopped_early: None,
        epochs: Vec::new(),
        steps: 0,
        tokens: 0,
        seconds: 0.0,
    };
    let mut guards = Guards::new(recipe.training.early_stopping.as_ref());
    // The model before training is the result where no epoch is finite.
    let start = guards.not_finite.then(|| steps.optimizer.snapshot());
    let mut best: Option<Tensor> = start.transpose()?;
    for epoch in 1..=recipe.fidelity.epochs {
        let epoch_started = Instant::now();
        let mut groups = batching.shuffled(data.train.lengths(), &mut order);
        // With a fraction of the steps, training may end within an epoch.
        groups.truncate((steps.schedule.steps() - trained.steps) as usize);
        let loss = steps.epoch(epoch, &groups, &mut trained, observer);
        let validated = match loss.and_then(|loss| validated(model, data, epoch, Some(loss))) {
            Err(error) if guards.not_finite && error.is_not_finite() => {
                trained.stopped_early = Some(EarlyStop::NotFinite);
                break;
            }
            validated => validated?,
        };
        let is_best = validated.score > trained.score;
        if is_best {
            trained.score = validated.score;
            trained.best_epoch = epoch;
            best = Some(steps.optimizer.snapshot()?);
        }
        device::synchronize(device);
        let seconds = epoch_started.elapsed().as_secs_f64();
        observer.epoch(&validated.epoch, is_best, seconds);
        trained.epochs.push(validated.epoch);
        let is_patient = epoch - trained.best_epoch < recipe.training.patience;
        if !is_patient || trained.steps == steps.schedule.steps() {
            break;
        }
        trained.stopped_early = guards.count(validated.is_constant);
        if trained.stopped_early.is_some() {
            break;
        }
    }
    steps.finish(best, &mut trained, observer)?;
    trained.seconds = started.elapsed().as_secs_f64();
    Ok(trained)
}

/// The optimiser of a model's trained tensors.
fn optimizer(model: &Model, recipe: &Recipe) -> Result<AdamW, TchError> {
    let decay = recipe.training.weight_decay.get();
    let peak = recipe.training.learning_rate.get();
    AdamW::new(
        model.trainable(),
        decay,
        |name| model.is_decayed(name),
        |name| Model::own_rate(name).map(|rate| rate / peak),
    )
}

/// An epoch that was validated.
struct ValidatedEpoch {
    epoch: EpochMeasurements,
    score: f64,
    is_constant: bool,
}

/// Validates a model after an epoch of this mean loss, or before training.
fn validated(
    model: &Model,
    data: &Data,
    epoch: u32,
    loss: Option<f64>,
) -> Result<ValidatedEpoch, TrainError> {
    let validated = data.validation.validate(&model.evaluator());
    let validated = validated.map_err(|problem| after(problem, epoch))?;
    let score = score(&validated.metrics, data.metric).map_err(|problem| after(problem, epoch))?;
    Ok(ValidatedEpoch {
        epoch: EpochMeasurements {
            epoch,
            loss,
            metrics: validated.metrics,
        },
        score,
        is_constant: validated.is_constant,
    })
}

/// The steps of one training.
struct Steps<'a> {
    model: &'a Model,
    data: &'a Data,
    optimizer: AdamW,
    schedule: Schedule,
    /// Draws how many of the first layers a step goes without, where it does.
    drops: Option<Xoshiro256PlusPlus>,
}

impl Steps<'_> {
    /// One step per group; returns the mean loss.
    fn epoch(
        &mut self,
        epoch: u32,
        groups: &[Group],
        trained: &mut Trained,
        observer: &mut dyn Observer,
    ) -> Result<f64, TrainError> {
        let all = self.schedule.steps();
        let mut losses = Losses::default();
        for group in self.data.train.place(groups)? {
            let first = self.first_layer();
            let loss = loss(self.model, self.data, &group, first)?;
            let rate = self.schedule.rate(trained.steps);
            self.optimizer.step(&loss, rate)?;
            losses.add(&loss)?;
            trained.steps += 1;
            if trained.steps.is_multiple_of(LOOK_EVERY) {
                let mean = losses.mean(epoch, trained.steps)?;
                observer.steps(epoch, trained.steps, all, mean);
            }
        }
        trained.tokens += tokens(groups, self.data.train.tokens());
        losses.mean(epoch, trained.steps)
    }

    /// Leaves the model with the parameters of its best epoch. Where there is none, they are those before training, which
    /// are then validated.
    fn finish(
        &mut self,
        best: Option<Tensor>,
        trained: &mut Trained,
        observer: &mut dyn Observer,
    ) -> Result<(), TrainError> {
        // Steps that were not finite have changed the model after its last epoch.
        let has_changed = trained.best_epoch as usize != trained.epochs.len()
            || trained.stopped_early == Some(EarlyStop::NotFinite);
        if let Some(best) = best.filter(|_| has_changed) {
            self.optimizer.restore(&best)?;
        }
        if trained.best_epoch == 0 {
            let begun = Instant::now();
            let untrained = validated(self.model, self.data, 0, None)?;
            trained.score = untrained.score;
            observer.epoch(&untrained.epoch, true, begun.elapsed().as_secs_f64());
            trained.epochs.push(untrained.epoch);
        }
        Ok(())
    }

    /// The first layer whose modules a step trains: 0, or uniform over all layers but the last (AdapterDrop,
    /// robust; 0 to 10 of 12 layers).
    fn first_layer(&mut self) -> usize {
        let last = self.model.config().layers.saturating_sub(2);
        let drops = self.drops.as_mut();
        drops.map_or(0, |random| random.random_range(0..=last))
    }
}

/// The sum of an epoch's losses, on the device.
#[derive(Default)]
struct Losses {
    sum: Option<Tensor>,
    count: u64,
}

impl Losses {
    fn add(&mut self, loss: &Tensor) -> Result<(), TchError> {
        let loss = loss.f_detach()?;
        self.sum = Some(match self.sum.take() {
            Some(sum) => sum.f_add(&loss)?,
            None => loss,
        });
        self.count += 1;
        Ok(())
    }

    fn mean(&self, epoch: u32, step: u64) -> Result<f64, TrainError> {
        let Some(sum) = &self.sum else {
            return Ok(0.0);
        };
        let mean = sum.f_double_value(&[])? / self.count as f64;
        if mean.is_finite() {
            Ok(mean)
        } else {
            Err(TrainError::Loss { epoch, step })
        }
    }
}

fn tokens(groups: &[Group], tokens: &[usize]) -> u64 {
    let rows = groups.iter().flat_map(|group| &group.rows);
    rows.map(|row| tokens[*row as usize] as u64).sum()
}

/// Adds the epoch to a validation error.
fn after(problem: ValidationError, epoch: u32) -> TrainError {
    match problem {
        ValidationError::NotFinite => TrainError::Prediction { epoch },
        ValidationError::NoMetric(metric) => TrainError::NoMetric(metric),
        ValidationError::Torch(error) => TrainError::Torch(error),
    }
}
