//! `PeftSearchSpec`: what a user writes. Defaults are the paper's.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::decimal::Decimal;
use crate::space::SearchSpaceSpec;
use crate::status::PeftSearchStatus;

/// A search for parameter-efficient fine-tuning configurations of one model on one task.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "autopeft.dev",
    version = "v1alpha1",
    kind = "PeftSearch",
    plural = "peftsearches",
    shortname = "psearch",
    namespaced,
    status = "PeftSearchStatus",
    derive = "PartialEq",
    doc = "A multi-objective search for parameter-efficient fine-tuning (PEFT) configurations: task score against trainable parameters.",
    printcolumn = r#"{"name":"Succeeded","type":"string","jsonPath":".status.conditions[?(@.type==\"Succeeded\")].status"}"#,
    printcolumn = r#"{"name":"Reason","type":"string","jsonPath":".status.conditions[?(@.type==\"Succeeded\")].reason"}"#,
    printcolumn = r#"{"name":"Trials","type":"string","jsonPath":".status.trials.progress"}"#,
    printcolumn = r#"{"name":"Running","type":"integer","jsonPath":".status.trials.running"}"#,
    printcolumn = r#"{"name":"Best","type":"string","jsonPath":".status.bestScore"}"#,
    printcolumn = r#"{"name":"Front","type":"integer","jsonPath":".status.frontSize"}"#,
    printcolumn = r#"{"name":"Hypervolume","type":"string","jsonPath":".status.hypervolume"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PeftSearchSpec {
    /// The pretrained encoder.
    pub model: ModelSpec,
    /// The task it is fine-tuned on.
    pub task: TaskSpec,
    /// The configurations to choose from.
    #[serde(default)]
    pub search_space: SearchSpaceSpec,
    /// What is optimised: the task score (maximised) and the trainable parameters (minimised). An
    /// entry gives a bound or a reference point; an objective that is not listed has neither.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 2), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub objectives: Vec<ObjectiveSpec>,
    /// How the search chooses.
    #[serde(default)]
    pub algorithm: AlgorithmSpec,
    /// The number of configurations to train, initial design included.
    #[serde(default = "defaults::max_trials")]
    #[schemars(range(min = 1, max = 500))]
    pub max_trials: u32,
    /// How many trials run at the same time.
    #[serde(default = "defaults::parallelism")]
    #[schemars(range(min = 1, max = 64))]
    pub parallelism: u32,
    /// The search ends as failed when more trials than this have failed. Trials whose configuration
    /// cannot be trained count only while no trial has a score.
    #[serde(default = "defaults::max_failed_trials")]
    #[schemars(range(min = 0, max = 500))]
    pub max_failed_trials: u32,
    /// How often a trial is started again after a failure that is not its configuration's fault (a
    /// killed process, a lost node).
    #[serde(default = "defaults::max_retries")]
    #[schemars(range(min = 0, max = 10))]
    pub max_retries: u32,
    /// The search ends after this many seconds, with what it has found. Running trials are stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 2_592_000))]
    pub active_deadline_seconds: Option<u64>,
    /// One trial is stopped and counted as failed after this many seconds.
    #[serde(default = "defaults::trial_deadline_seconds")]
    #[schemars(range(min = 1, max = 2_592_000))]
    pub trial_deadline_seconds: u64,
    /// End early when the hypervolume no longer grows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub convergence: Option<ConvergenceSpec>,
    /// Start no new trial while true. Running trials finish.
    #[serde(default)]
    pub suspend: bool,
    /// How much training a search trial gets.
    #[serde(default)]
    pub fidelity: FidelitySpec,
    /// The training recipe.
    #[serde(default)]
    pub training: TrainingSpec,
    /// Well-known methods trained beside the search, at the same fidelity, for comparison. The
    /// surrogate does not see them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4), extend("x-kubernetes-list-type" = "set"))]
    pub baselines: Vec<BaselineName>,
}

/// The pretrained encoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ModelSpec {
    /// A directory in Hugging Face layout: `config.json`, `model.safetensors`, `tokenizer.json`.
    /// BERT and RoBERTa architectures are supported.
    pub source: Source,
}

/// Where files come from: exactly one of `path`, `claim` and `hub`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "[has(self.path), has(self.claim), has(self.hub)].filter(x, x).size() == 1",
    "message": "give exactly one of path, claim and hub"
}]))]
pub struct Source {
    /// A directory on this machine, for `peft-operator run` only. A relative path is taken from
    /// the manifest's directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub path: Option<String>,
    /// A directory on a PersistentVolumeClaim. `peft-operator run` takes the claim's directory
    /// from `--claim NAME=DIR`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<ClaimSource>,
    /// A repository of the Hugging Face hub, fetched by the trainer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hub: Option<HubSource>,
}

/// A directory on a PersistentVolumeClaim of the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClaimSource {
    /// The claim's name.
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
    )]
    pub name: String,
    /// The directory inside the claim, relative and without `..`; the claim's root by default.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 1024), extend("x-kubernetes-validations" = [{
        "rule": "!self.startsWith('/') && !self.split('/').exists(part, part == '..')",
        "message": "a path inside a claim is relative and has no .."
    }]))]
    pub path: String,
}

/// A repository of the Hugging Face hub.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HubSource {
    /// `owner/name`.
    #[schemars(
        length(min = 1, max = 200),
        regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?$")
    )]
    pub repository: String,
    /// A branch, tag or commit.
    #[serde(default = "defaults::revision")]
    #[schemars(
        length(min = 1, max = 200),
        regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._/-]*$")
    )]
    pub revision: String,
    /// The Secret key that holds the access token. `peft-operator run` reads the environment
    /// variable HF_TOKEN instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_secret_ref: Option<SecretKeyRef>,
}

/// A key of a Secret in the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretKeyRef {
    /// The Secret's name.
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
    )]
    pub name: String,
    /// The key inside it.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub key: String,
}

/// The tasks that are known by name, and `custom`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum TaskName {
    /// Corpus of Linguistic Acceptability: one sentence, Matthews correlation.
    #[serde(rename = "cola")]
    Cola,
    /// Stanford Sentiment Treebank: one sentence, accuracy.
    #[serde(rename = "sst2")]
    Sst2,
    /// Microsoft Research Paraphrase Corpus: two sentences, accuracy.
    #[serde(rename = "mrpc")]
    Mrpc,
    /// Semantic Textual Similarity benchmark: two sentences, regression, Spearman correlation.
    #[serde(rename = "stsb")]
    Stsb,
    /// Quora Question Pairs: two questions, accuracy.
    #[serde(rename = "qqp")]
    Qqp,
    /// Multi-Genre Natural Language Inference: two sentences, accuracy on the matched split.
    #[serde(rename = "mnli")]
    Mnli,
    /// Question NLI: a question and a sentence, accuracy.
    #[serde(rename = "qnli")]
    Qnli,
    /// Recognizing Textual Entailment: two sentences, accuracy.
    #[serde(rename = "rte")]
    Rte,
    /// Files of the user's own, described under `custom`.
    #[serde(rename = "custom")]
    Custom,
}

/// The task and its data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "(self.name == 'custom') == has(self.custom)",
    "message": "custom describes the files of the task named custom, and of no other"
}]))]
pub struct TaskSpec {
    /// A GLUE task, or `custom`.
    pub name: TaskName,
    /// The directory with the data: a GLUE task in its standard layout (`train.tsv` and `dev.tsv`,
    /// or the hub's parquet files), or the files that `custom` names.
    pub source: Source,
    /// The files, columns, labels and metric of a task of the user's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom: Option<CustomTask>,
    /// The metric that is the score; the task's own by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<Metric>,
}

/// A task of the user's own. Files end in `.jsonl`, `.csv` or `.tsv` and name their columns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CustomTask {
    /// Classification or regression.
    #[serde(rename = "type")]
    pub kind: CustomTaskType,
    /// The training file, relative to the source.
    #[serde(default = "defaults::train_file")]
    #[schemars(length(min = 1, max = 1024))]
    pub train_file: String,
    /// The validation file, relative to the source.
    #[serde(default = "defaults::validation_file")]
    #[schemars(length(min = 1, max = 1024))]
    pub validation_file: String,
    /// One column with the text, or two for a pair of texts.
    #[schemars(length(min = 1, max = 2), inner(length(min = 1, max = 256)))]
    pub text_columns: Vec<String>,
    /// The column with the class or the number to predict.
    #[serde(default = "defaults::label_column")]
    #[schemars(length(min = 1, max = 256))]
    pub label_column: String,
    /// The classes, in order. Left out, the distinct values of the training file, sorted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 256), inner(length(min = 1, max = 256)))]
    pub labels: Option<Vec<String>>,
}

/// What a custom task predicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CustomTaskType {
    /// One of a list of classes; accuracy by default.
    Classification,
    /// A number; Spearman correlation by default.
    Regression,
}

/// A validation metric.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum Metric {
    /// The share of right answers, 0 to 1.
    Accuracy,
    /// F1: of class 1 with two classes, the mean over classes (macro) with more.
    F1,
    /// Matthews correlation, −1 to 1.
    Matthews,
    /// Pearson correlation, −1 to 1.
    Pearson,
    /// Spearman rank correlation, −1 to 1.
    Spearman,
}

/// The objectives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ObjectiveName {
    /// The task's validation metric, maximised.
    Score,
    /// Trainable parameters in percent of the backbone's, minimised; exact, head left out.
    TrainableParameters,
}

/// A bound or a reference point for one objective.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ObjectiveSpec {
    /// Which objective.
    pub name: ObjectiveName,
    /// The least score, or the most parameters (in percent of the backbone's) that are of use.
    /// A configuration over the parameter bound is never trained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound: Option<Decimal>,
    /// This objective's coordinate of the reference point of the hypervolume (a score, or percent).
    /// Left out for both, it is inferred from the front; give both or neither.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Decimal>,
}

/// How the search chooses configurations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct AlgorithmSpec {
    /// Every random choice of the search follows from this seed.
    #[schemars(range(min = 0, max = 9_007_199_254_740_992_u64))]
    pub seed: u64,
    /// The number of trials of the initial design, before the surrogate is asked.
    #[schemars(range(min = 1, max = 500))]
    pub initial_trials: u32,
    /// How the initial design is drawn.
    pub initial_design: InitialDesign,
    /// The surrogate's sampler.
    pub nuts: NutsSpec,
    /// The acquisition function.
    pub acquisition: AcquisitionSpec,
    /// The search for the acquisition's maximum.
    pub local_search: LocalSearchSpec,
}

/// How the initial design is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum InitialDesign {
    /// Uniform over the distinct configurations (the paper's).
    #[default]
    Random,
    /// A scrambled Sobol sequence.
    Sobol,
}

/// The settings of the No-U-Turn sampler that fits the surrogate (paper, appendix).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct NutsSpec {
    /// Warm-up steps.
    #[schemars(range(min = 16, max = 4096))]
    pub warmup: u32,
    /// Steps after warm-up.
    #[schemars(range(min = 1, max = 4096))]
    pub samples: u32,
    /// Every how many of them one is kept.
    #[schemars(range(min = 1, max = 4096))]
    pub thinning: u32,
    /// The largest tree depth.
    #[schemars(range(min = 1, max = 12))]
    pub max_tree_depth: u32,
}

/// The settings of the noisy expected hypervolume improvement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct AcquisitionSpec {
    /// Quasi-Monte Carlo samples of the noisy front.
    #[schemars(range(min = 1, max = 4096))]
    pub monte_carlo_samples: u32,
    /// How scores are scaled for the surrogate.
    pub score_scale: ScoreScale,
}

/// How scores are scaled for the surrogate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ScoreScale {
    /// Mean 0, deviation 1.
    #[default]
    Standardized,
    /// A normal copula on mid-ranks: robust where a few trials diverge.
    Copula,
}

/// The settings of the local search for the acquisition's maximum.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct LocalSearchSpec {
    /// Starting points.
    #[schemars(range(min = 1, max = 100))]
    pub restarts: u32,
    /// Acquisition evaluations per starting point.
    #[schemars(range(min = 1, max = 10_000))]
    pub evaluations: u32,
}

/// When the search has converged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConvergenceSpec {
    /// The number of finished trials, after the initial design, to look back on.
    #[schemars(range(min = 1, max = 500))]
    pub trials: u32,
    /// The search ends when the hypervolume has grown by less than this share over them.
    #[serde(default = "defaults::tolerance")]
    pub tolerance: Decimal,
}

/// How much training a search trial gets. Whatever it is, the learning rate runs through its
/// complete schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct FidelitySpec {
    /// Passes over the training set.
    #[schemars(range(min = 1, max = 1000))]
    pub epochs: u32,
    /// The share of the steps that is taken, in percent.
    #[schemars(range(min = 1, max = 100))]
    pub steps_percent: u32,
    /// Train on a sample of this many examples, the same one for every trial.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub train_examples: Option<u32>,
    /// Validate on a sample of this many examples, the same one for every trial.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub validation_examples: Option<u32>,
}

/// The training recipe (paper, section 4; AdamW with linear decay and gradient clipping at 1).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct TrainingSpec {
    /// The peak learning rate.
    pub learning_rate: Decimal,
    /// Examples per step.
    #[schemars(range(min = 1, max = 4096))]
    pub batch_size: u32,
    /// Tokens per example, special tokens included; longer texts are cut, the longest first.
    #[schemars(range(min = 4, max = 4096))]
    pub max_length: u32,
    /// Pad to the longest example of a batch, or to `maxLength` as the authors did.
    pub padding: Padding,
    /// Weight decay of AdamW; biases and layer norms are left out of it.
    pub weight_decay: Decimal,
    /// The share of the steps over which the learning rate rises, in percent.
    #[schemars(range(min = 0, max = 100))]
    pub warmup_percent: u32,
    /// Number format of the frozen part.
    pub precision: Precision,
    /// Stop after this many epochs without a better score.
    #[schemars(range(min = 1, max = 1000))]
    pub patience: u32,
    /// Seed of initialisation, order and dropout, each in a stream of its own.
    #[schemars(range(min = 0, max = 9_007_199_254_740_992_u64))]
    pub seed: u64,
}

/// How batches are padded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Padding {
    /// To the longest example of the batch, with examples of like length put together.
    #[default]
    Longest,
    /// To `maxLength`.
    MaxLength,
}

/// Number format of the frozen part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Precision {
    /// BFloat16 on a GPU that has it, Float32 elsewhere.
    #[default]
    Auto,
    /// 32-bit floats.
    Float32,
    /// 16-bit brain floats; trained parameters and the optimiser stay in 32 bits.
    BFloat16,
}

/// Methods trained beside the search for comparison.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum BaselineName {
    /// Every weight of the model, learning rate 2e-5.
    FullFineTuning,
    /// A serial adapter of bottleneck H/16 in every layer.
    SerialAdapter,
    /// A parallel adapter of bottleneck H/2 in every layer.
    ParallelAdapter,
    /// A prefix of 10 positions in every layer.
    Prefix,
}

impl Default for AlgorithmSpec {
    fn default() -> Self {
        Self {
            seed: 42,
            initial_trials: 100,
            initial_design: InitialDesign::default(),
            nuts: NutsSpec::default(),
            acquisition: AcquisitionSpec::default(),
            local_search: LocalSearchSpec::default(),
        }
    }
}

impl Default for NutsSpec {
    fn default() -> Self {
        Self {
            warmup: 256,
            samples: 128,
            thinning: 16,
            max_tree_depth: 6,
        }
    }
}

impl Default for AcquisitionSpec {
    fn default() -> Self {
        Self {
            monte_carlo_samples: 128,
            score_scale: ScoreScale::default(),
        }
    }
}

impl Default for LocalSearchSpec {
    fn default() -> Self {
        Self {
            restarts: 10,
            evaluations: 100,
        }
    }
}

impl Default for FidelitySpec {
    fn default() -> Self {
        Self {
            epochs: 1,
            steps_percent: 100,
            train_examples: None,
            validation_examples: None,
        }
    }
}

impl Default for TrainingSpec {
    fn default() -> Self {
        Self {
            learning_rate: defaults::learning_rate(),
            batch_size: 32,
            max_length: 128,
            padding: Padding::default(),
            weight_decay: defaults::zero(),
            warmup_percent: 0,
            precision: Precision::default(),
            patience: 10,
            seed: 42,
        }
    }
}

impl TaskName {
    /// The name as a manifest spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cola => "cola",
            Self::Sst2 => "sst2",
            Self::Mrpc => "mrpc",
            Self::Stsb => "stsb",
            Self::Qqp => "qqp",
            Self::Mnli => "mnli",
            Self::Qnli => "qnli",
            Self::Rte => "rte",
            Self::Custom => "custom",
        }
    }
}

impl TaskSpec {
    /// The metric that is the score: the manifest's, or the task's own (trainer.md, section 3).
    pub fn score_metric(&self) -> Metric {
        self.metric.unwrap_or(match self.name {
            TaskName::Cola => Metric::Matthews,
            TaskName::Stsb => Metric::Spearman,
            TaskName::Custom if self.is_regression() => Metric::Spearman,
            _ => Metric::Accuracy,
        })
    }

    /// Whether the task predicts a number.
    pub fn is_regression(&self) -> bool {
        match &self.custom {
            Some(custom) => custom.kind == CustomTaskType::Regression,
            None => self.name == TaskName::Stsb,
        }
    }
}

impl Metric {
    /// The metric's name in words.
    pub fn label(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::F1 => "F1",
            Self::Matthews => "Matthews correlation",
            Self::Pearson => "Pearson correlation",
            Self::Spearman => "Spearman correlation",
        }
    }

    /// Whether the metric judges numbers rather than classes.
    pub fn is_for_regression(self) -> bool {
        matches!(self, Self::Pearson | Self::Spearman)
    }
}

impl BaselineName {
    /// The learning rate that the method needs in place of the recipe's.
    pub fn learning_rate(self) -> Option<Decimal> {
        (self == Self::FullFineTuning).then(defaults::full_fine_tuning_learning_rate)
    }
}

mod defaults {
    use crate::decimal::Decimal;

    /// A constant of this file; none of them is out of `Decimal`'s range.
    fn constant(text: &str) -> Decimal {
        text.parse()
            .unwrap_or_else(|error| unreachable!("default value: {error}"))
    }

    pub(super) fn max_trials() -> u32 {
        200
    }
    pub(super) fn parallelism() -> u32 {
        1
    }
    pub(super) fn max_failed_trials() -> u32 {
        20
    }
    pub(super) fn max_retries() -> u32 {
        2
    }
    pub(super) fn trial_deadline_seconds() -> u64 {
        86_400
    }
    pub(super) fn revision() -> String {
        "main".into()
    }
    pub(super) fn train_file() -> String {
        "train.jsonl".into()
    }
    pub(super) fn validation_file() -> String {
        "validation.jsonl".into()
    }
    pub(super) fn label_column() -> String {
        "label".into()
    }
    pub(super) fn tolerance() -> Decimal {
        constant("0.001")
    }
    pub(super) fn learning_rate() -> Decimal {
        constant("0.0001")
    }
    pub(super) fn full_fine_tuning_learning_rate() -> Decimal {
        constant("0.00002")
    }
    pub(super) fn zero() -> Decimal {
        constant("0")
    }
}
