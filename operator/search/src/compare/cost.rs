//! What a search cost, beside a training in full.

use autopeft_crds::spec::{BaselineName, FidelitySpec, TrainingSpec};
use autopeft_crds::status::{LedgerEntry, TrialPurpose};
use autopeft_crds::trial::Inspection;
use autopeft_crds::{Decimal, PeftSearchSpec, PeftSearchStatus};

use crate::promoted::average;

/// What the trials of a search cost; baselines and trainings in full are left out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cost {
    /// Trials with a measured time.
    pub trials: usize,
    /// The steps of those trials as planned; a training that was stopped early took fewer.
    pub steps: u64,
    /// Their seconds of training and validation.
    pub seconds: f64,
    /// The GPU seconds of all attempts of all trials, where GPUs were used.
    pub gpu_seconds: Option<f64>,
    /// What it is measured by.
    pub full: Option<FullTraining>,
}

/// One training of every weight, or of a configuration, that a search can be measured by.
#[derive(Clone, Debug, PartialEq)]
pub struct FullTraining {
    /// What was trained, in a few words.
    pub what: String,
    /// Steps as planned.
    pub steps: u64,
    /// The mean seconds of training and validation.
    pub seconds: f64,
}

impl Cost {
    pub(super) fn of(spec: &PeftSearchSpec, status: &PeftSearchStatus, model: &Inspection) -> Self {
        let trials = || {
            let entries = status.ledger.iter();
            entries.filter(|entry| entry.purpose() == TrialPurpose::Search)
        };
        let seconds: Vec<f64> = trials().filter_map(seconds).collect();
        let gpu: Vec<f64> = trials()
            .filter_map(|entry| Some(entry.gpu_seconds?.get()))
            .filter(|seconds| *seconds > 0.0)
            .collect();
        let of_each = steps(&spec.fidelity, &spec.training, model);
        Self {
            trials: seconds.len(),
            steps: of_each * seconds.len() as u64,
            seconds: seconds.iter().sum(),
            gpu_seconds: (!gpu.is_empty()).then(|| gpu.iter().sum()),
            full: full(spec, status, model),
        }
    }

    /// The search in trainings in full, by seconds.
    pub fn in_full_trainings(&self) -> Option<f64> {
        ratio(self.seconds, self.full.as_ref()?.seconds)
    }

    /// One trial in percent of a training in full, by seconds.
    pub fn trial_percent(&self) -> Option<f64> {
        let mean = ratio(self.seconds, self.trials as f64)?;
        ratio(100.0 * mean, self.full.as_ref()?.seconds)
    }

    /// One trial in percent of a training in full, by steps.
    pub fn trial_percent_of_steps(&self) -> Option<f64> {
        let mean = ratio(self.steps as f64, self.trials as f64)?;
        ratio(100.0 * mean, self.full.as_ref()?.steps as f64)
    }
}

fn ratio(part: f64, whole: f64) -> Option<f64> {
    (part > 0.0 && whole > 0.0).then(|| part / whole)
}

fn seconds(entry: &LedgerEntry) -> Option<f64> {
    entry
        .train_seconds
        .map(Decimal::get)
        .filter(|seconds| *seconds > 0.0)
}

fn steps(fidelity: &FidelitySpec, training: &TrainingSpec, model: &Inspection) -> u64 {
    let examples = fidelity.trained_on(model.train_examples);
    fidelity.steps(examples, training.batch_size.into())
}

/// Full fine-tuning with all epochs, where `promotion` trained it; else the mean of the configurations that it trained;
/// else full fine-tuning at the fidelity of the search.
fn full(
    spec: &PeftSearchSpec,
    status: &PeftSearchStatus,
    model: &Inspection,
) -> Option<FullTraining> {
    let is_fine_tuning = |name: Option<BaselineName>| name == Some(BaselineName::FullFineTuning);
    let promotion = spec.promotion.as_ref();
    let in_full = promotion.and_then(|promotion| {
        let timed = |wanted: fn(Option<BaselineName>) -> bool| {
            let results = status.promoted.iter();
            let of_kind = results.filter(move |result| wanted(result.baseline));
            let seconds = of_kind.filter_map(|result| Some(result.train_seconds?.get()));
            average(&seconds.collect::<Vec<f64>>())
        };
        let every_weight = timed(is_fine_tuning);
        let (seconds, what) = match every_weight {
            Some(seconds) => (seconds, "full fine-tuning"),
            None => (
                timed(|name| name.is_none())?,
                "a configuration trained in full",
            ),
        };
        let training = training_of(spec, every_weight.is_some());
        Some(FullTraining {
            what: format!("{what}, {}", epochs(promotion.epochs)),
            steps: steps(&promotion.fidelity(), &training, model),
            seconds,
        })
    });
    in_full.or_else(|| {
        let of_baseline = |entry: &&LedgerEntry| {
            entry.purpose() == TrialPurpose::Baseline && is_fine_tuning(entry.baseline)
        };
        let entry = status.ledger.iter().find(of_baseline)?;
        Some(FullTraining {
            what: "full fine-tuning at the fidelity of the search".into(),
            steps: steps(&spec.fidelity, &training_of(spec, true), model),
            seconds: seconds(entry)?,
        })
    })
}

fn epochs(count: u32) -> String {
    match count {
        1 => "1 epoch".into(),
        count => format!("{count} epochs"),
    }
}

/// How full fine-tuning, or a configuration, is trained.
fn training_of(spec: &PeftSearchSpec, is_fine_tuning: bool) -> TrainingSpec {
    if is_fine_tuning {
        let recipe = spec.baseline_recipe.unwrap_or_default();
        return BaselineName::FullFineTuning.training(&spec.training, recipe);
    }
    spec.training.clone()
}
