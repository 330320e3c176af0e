//! Every bound, once: the schema, the rules, the command line and the trainer read them from here.

use std::fmt;

use crate::modules::MODULES;

/// A range of whole numbers, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Whole {
    /// The smallest.
    pub least: u64,
    /// The largest.
    pub most: u64,
}

impl Whole {
    const fn new(least: u64, most: u64) -> Self {
        Self { least, most }
    }

    /// Whether a number is in the range.
    pub fn contains(self, number: u64) -> bool {
        (self.least..=self.most).contains(&number)
    }
}

/// `1 to 4096`.
impl fmt::Display for Whole {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} to {}", self.least, self.most)
    }
}

/// A range of real numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Real {
    /// The lower end.
    pub least: f64,
    /// Whether the lower end is excluded.
    pub is_above_least: bool,
    /// The largest.
    pub most: f64,
}

impl Real {
    const fn new(least: f64, most: f64) -> Self {
        Self {
            least,
            is_above_least: false,
            most,
        }
    }

    /// Whether a number is in the range; NaN never is.
    pub fn contains(self, number: f64) -> bool {
        let is_low_enough = number <= self.most;
        is_low_enough && (number > self.least || number == self.least && !self.is_above_least)
    }

    /// The range as CEL, for a numeric expression.
    pub fn cel(self, number: &str) -> String {
        let over = if self.is_above_least { ">" } else { ">=" };
        let Self { least, most, .. } = self;
        format!("{number} {over} {least:?} && {number} <= {most:?}")
    }
}

/// `from 0 to 1`, `above 0 and at most 1`.
impl fmt::Display for Real {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_above_least {
            write!(formatter, "above {} and at most {}", self.least, self.most)
        } else {
            write!(formatter, "from {} to {}", self.least, self.most)
        }
    }
}

/// Trials of a search. With 500 the status stays under 600 kB.
pub const TRIALS: Whole = Whole::new(1, 500);
/// Trials of a search, its promotions and transfers together: with 1200 bytes each, as many as an object holds.
pub const ENTRIES: Whole = Whole::new(1, OBJECT_BYTES / ENTRY_BYTES);
/// Promotions and transfers of a search.
pub const FOLLOW_UPS: Whole = Whole::new(0, ENTRIES.most);
/// The size of an object, bytes of JSON, from which on no trial is added: etcd's request limit is 1.5 MiB.
pub const OBJECT_BYTES: u64 = 1_000_000;
/// What a trial adds to it at most, where it has no long message.
pub const ENTRY_BYTES: u64 = 1_200;
/// Configurations of the search that are promoted.
pub const PROMOTED_CONFIGURATIONS: Whole = Whole::new(1, FRONT);
/// Seeds of a promoted configuration.
pub const PROMOTION_SEEDS: Whole = Whole::new(1, 50);
/// Characters of a test file's path: each training in full keeps it.
pub const TEST_FILE: Whole = Whole::new(1, 256);
/// The share of the training examples that choose the epoch, percent.
pub const SELECTION_PERCENT: Whole = Whole::new(1, 50);
/// Other tasks on which promoted configurations are trained.
pub const TRANSFER_TASKS: Whole = Whole::new(1, 16);
/// Characters of such a task's name.
pub const TRANSFER_NAME: Whole = Whole::new(1, 63);
/// The description of such a task, bytes of JSON: the request of the inspection, which Kubernetes limits to 256 kB, has
/// each, and each of its trainings keeps it.
pub const TRANSFER_TASK_BYTES: u64 = 8_000;
/// Budgets of trainable parameters.
pub const BUDGETS: u64 = 16;
/// Trials at the same time.
pub const PARALLELISM: Whole = Whole::new(1, 64);
/// Failed trials that a search tolerates.
pub const FAILED_TRIALS: Whole = Whole::new(0, TRIALS.most);
/// Retries of a trial.
pub const RETRIES: Whole = Whole::new(0, 10);
/// Trials of a search that are tried again after a limit was raised.
pub const RETRIED_TRIALS: Whole = Whole::new(0, TRIALS.most);
/// Deadlines, seconds: at most 30 days.
pub const DEADLINE_SECONDS: Whole = Whole::new(1, 30 * 86_400);
/// GPU seconds: as many as `PARALLELISM` trials can use until the latest deadline.
pub const GPU_SECONDS: Whole = Whole::new(1, PARALLELISM.most * DEADLINE_SECONDS.most);
/// Seconds until an ended search is deleted: at most 365 days.
pub const TTL_SECONDS: Whole = Whole::new(0, 365 * 86_400);
/// The window of the convergence test, trials.
pub const CONVERGENCE_TRIALS: Whole = TRIALS;
/// The least share by which the hypervolume grows.
pub const TOLERANCE: Real = Real::new(0.0, 1.0);
/// Seeds: what JSON carries exactly.
pub const SEED: Whole = Whole::new(0, 1 << 53);

/// Warm-up steps of the sampler.
pub const NUTS_WARMUP: Whole = Whole::new(16, 4096);
/// Steps of the sampler after warm-up.
pub const NUTS_SAMPLES: Whole = Whole::new(1, 4096);
/// One in this many steps is kept as a sample.
pub const NUTS_THINNING: Whole = NUTS_SAMPLES;
/// Tree depths of the sampler.
pub const NUTS_TREE_DEPTH: Whole = Whole::new(1, 12);
/// The most samples of the surrogate's hyperparameters that are kept: with 500 trials each takes
/// megabytes.
pub const KEPT_SAMPLES: u64 = 64;
/// Quasi-Monte Carlo samples of the noisy front.
pub const MONTE_CARLO_SAMPLES: Whole = Whole::new(1, 4096);
/// The most draws of the front, over all kept samples. With 500 trials of pure noise these take half a
/// gigabyte.
pub const FRONT_DRAWS: u64 = 65_536;
/// Starting points of the local search.
pub const RESTARTS: Whole = Whole::new(1, 100);
/// Acquisition evaluations per starting point.
pub const EVALUATIONS: Whole = Whole::new(1, 10_000);

/// Passes over the training set.
pub const EPOCHS: Whole = Whole::new(1, 1000);
/// Shares in percent, above zero.
pub const STEPS_PERCENT: Whole = Whole::new(1, 100);
/// Examples of a sample.
pub const EXAMPLES: Whole = Whole::new(1, u32::MAX as u64);
/// Peak learning rates.
pub const LEARNING_RATE: Real = Real {
    least: 0.0,
    is_above_least: true,
    most: 1.0,
};
/// Weight decay.
pub const WEIGHT_DECAY: Real = Real::new(0.0, 1.0);
/// Examples per step.
pub const BATCH_SIZE: Whole = Whole::new(1, 4096);
/// Tokens per example: two texts need both special tokens and a token each.
pub const TOKENS: Whole = Whole::new(4, 4096);
/// The warm-up of the learning rate, in percent of the steps.
pub const WARMUP_PERCENT: Whole = Whole::new(0, 100);
/// Epochs without a better score.
pub const PATIENCE: Whole = Whole::new(1, 1000);

/// Matrices of attention that LoRA updates.
pub const LORA_MATRICES: Whole = Whole::new(1, 4);
/// α of LoRA.
pub const LORA_ALPHA: Whole = Whole::new(1, 1024);

/// The width of the prefix's network; 0 for none.
pub const PREFIX_WIDTH: Whole = Whole::new(0, 8192);

/// Transformer layers of a model.
pub const LAYERS: Whole = Whole::new(1, 64);
/// Sizes of a module.
pub const MODULE_SIZE: Whole = Whole::new(0, 8192);
/// A module that is on or off.
pub const SWITCH: Whole = Whole::new(0, 1);
/// Sizes to choose from.
pub const SIZES: Whole = Whole::new(1, 64);
/// Dimensions of a search space: the layers and the modules.
pub const DIMENSIONS: Whole = Whole::new(1, 1 + MODULES.len() as u64);
/// Bounds and references on the parameters, in percent of the backbone's.
pub const PARAMETERS_PERCENT: Real = Real::new(0.0, 10_000.0);

/// Columns of text.
pub const TEXT_COLUMNS: Whole = Whole::new(1, 2);
/// Choices of an example.
pub const CHOICES: Whole = Whole::new(2, 16);
/// Characters between the classes of an example.
pub const DELIMITER: Whole = Whole::new(1, 8);
/// A class's weight in the loss.
pub const CLASS_WEIGHT: Real = Real::new(1e-6, 1e6);
/// Classes of a task.
pub const CLASSES: Whole = Whole::new(2, 256);
/// Characters of a column's or a class's name.
pub const COLUMN_NAME: Whole = Whole::new(1, 256);

/// GPUs of a trial.
pub const GPUS: Whole = Whole::new(0, 1);
/// CPU threads of a trainer.
pub const THREADS: Whole = Whole::new(1, 512);
/// The least memory with which a trainer starts, MiB.
pub const MEMORY_MIB: u32 = 16;
/// The least disk space for temporary files, MiB.
pub const STORAGE_MIB: u32 = 1;

/// Characters of a search's name: the names of its trials' Jobs begin with it.
pub const SEARCH_NAME: u64 = 46;
/// Characters of an object's name.
pub const OBJECT_NAME: Whole = Whole::new(1, 253);
/// Characters of a label's value.
pub const LABEL_VALUE: u64 = 63;
/// Characters of an image's reference.
pub const IMAGE: Whole = Whole::new(1, 512);
/// Characters of a path inside a source.
pub const INNER_PATH: Whole = Whole::new(1, 1024);
/// Characters of a path of this machine.
pub const PATH: Whole = Whole::new(1, 4096);
/// Characters of a hub repository or revision.
pub const HUB_NAME: Whole = Whole::new(1, 200);
/// Characters of a quantity, such as `4Gi`.
pub const QUANTITY: Whole = Whole::new(1, 16);
/// Labels that a node must have.
pub const NODE_LABELS: u64 = 16;
/// Taints that are tolerated.
pub const TOLERATIONS: u64 = 16;
/// Seconds for which a taint is tolerated: at most 365 days.
pub const TOLERATION_SECONDS: Whole = TTL_SECONDS;
/// Secrets of an image's registry.
pub const PULL_SECRETS: u64 = 8;

/// Characters of a message in a result or in the status.
pub const MESSAGE: usize = 512;
/// Points of the front in the status.
pub const FRONT: u64 = 64;
