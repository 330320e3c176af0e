//! `PeftSearch`: what a user writes, and the status beside it.

use kube_core::Resource;
use kube_derive::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::limits;
use crate::methods::{BaselineName, BaselineRecipe};
use crate::space::SearchSpaceSpec;
use crate::spec::{
    AlgorithmSpec, ConvergenceSpec, FidelitySpec, ModelSpec, ObjectiveName, ObjectiveSpec,
    PromotionSpec, TaskSpec, TrainerSpec, TrainingSpec, TransferSpec, defaults,
};
use crate::status::{LEDGER, PeftSearchStatus};

/// A search for parameter-efficient fine-tuning configurations of one model on one task.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "autopeft.dev",
    version = "v1alpha1",
    kind = "PeftSearch",
    plural = "peftsearches",
    shortname = "psearch",
    category = "autopeft",
    namespaced,
    status = "PeftSearchStatus",
    derive = "PartialEq",
    crates(kube_core = "::kube_core"),
    doc = "A multi-objective search for parameter-efficient fine-tuning (PEFT) configurations: task score against trainable parameters.",
    printcolumn = r#"{"name":"Succeeded","type":"string","jsonPath":".status.conditions[?(@.type==\"Succeeded\")].status"}"#,
    printcolumn = r#"{"name":"Reason","type":"string","jsonPath":".status.conditions[?(@.type==\"Succeeded\")].reason"}"#,
    printcolumn = r#"{"name":"Degraded","type":"string","jsonPath":".status.conditions[?(@.type==\"Degraded\")].status"}"#,
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
    #[schemars(length(max = ObjectiveName::COUNT), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub objectives: Vec<ObjectiveSpec>,
    /// How configurations are chosen.
    #[serde(default)]
    pub algorithm: AlgorithmSpec,
    /// The number of configurations to train, initial design included.
    #[serde(default = "defaults::max_trials")]
    #[schemars(range(min = limits::TRIALS.least, max = limits::TRIALS.most))]
    pub max_trials: u32,
    /// How many trials run at the same time.
    #[serde(default = "defaults::parallelism")]
    #[schemars(range(min = limits::PARALLELISM.least, max = limits::PARALLELISM.most))]
    pub parallelism: u32,
    /// The search fails when more than this many trials have failed. Trials whose configuration cannot be
    /// trained count only while no trial has a score.
    #[serde(default = "defaults::max_failed_trials")]
    #[schemars(range(min = limits::FAILED_TRIALS.least, max = limits::FAILED_TRIALS.most))]
    pub max_failed_trials: u32,
    /// How often a trial is retried after a failure that its configuration did not cause (a killed process, a
    /// lost node).
    #[serde(default = "defaults::max_retries")]
    #[schemars(range(min = limits::RETRIES.least, max = limits::RETRIES.most))]
    pub max_retries: u32,
    /// Numbers of trials to try again, each once and as a trial of its own: trials of the search and trainings in
    /// full that are infeasible because they ran out of memory or exceeded `trialDeadlineSeconds`, after that limit
    /// was raised, and trainings on another task whose data could not be used. They do not count against `maxTrials`;
    /// other numbers have no effect.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = limits::RETRIED_TRIALS.most), inner(range(min = 0, max = LEDGER - 1)), extend("x-kubernetes-list-type" = "set"))]
    pub retry_trials: Vec<u32>,
    /// The search ends after this many seconds, with what it has found. Running trials are stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = limits::DEADLINE_SECONDS.least, max = limits::DEADLINE_SECONDS.most))]
    pub active_deadline_seconds: Option<u64>,
    /// A trial is stopped after this many seconds and recorded as infeasible; the search then avoids similar
    /// configurations.
    #[serde(default = "defaults::trial_deadline_seconds")]
    #[schemars(range(min = limits::DEADLINE_SECONDS.least, max = limits::DEADLINE_SECONDS.most))]
    pub trial_deadline_seconds: u64,
    /// No trial starts once this many GPU seconds are used. Running trials finish, and the search then ends
    /// with what it has found. A GPU second is one GPU held by a trial's container for one second, whatever
    /// the trial's result; on one machine, only trials with a score count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = limits::GPU_SECONDS.least, max = limits::GPU_SECONDS.most))]
    pub max_gpu_seconds: Option<u64>,
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
    #[schemars(length(max = BaselineName::COUNT), extend("x-kubernetes-list-type" = "set"))]
    pub baselines: Vec<BaselineName>,
    /// How baselines are trained: by the search's recipe (`training`), by default, or each by the one that it
    /// was published with. Fidelity is the search's in both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline_recipe: Option<BaselineRecipe>,
    /// Training in full after the search, over several seeds: gives what the search found its final scores, compares
    /// them with baselines, and recommends a configuration. It may be added once the search has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promotion: Option<PromotionSpec>,
    /// Training of what `promotion` trains on other tasks too, with the same epochs, seeds and baselines: how far a
    /// configuration that was found on one task serves others. It may be added once the search has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transfer: Option<TransferSpec>,
    /// The trainer's pods, in a cluster.
    #[serde(default, skip_serializing_if = "is_default")]
    pub trainer: TrainerSpec,
    /// The object is deleted this many seconds after the search has ended; by default never. Its scores are
    /// deleted with it, and nothing else records which adapter on `trainer.artifactsClaim` has which score:
    /// save `kubectl get psearch NAME -o yaml` first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = limits::TTL_SECONDS.least, max = limits::TTL_SECONDS.most))]
    pub ttl_seconds_after_finished: Option<u64>,
}

fn is_default(trainer: &TrainerSpec) -> bool {
    *trainer == TrainerSpec::default()
}

/// The `apiVersion` of a manifest.
pub fn api_version() -> String {
    PeftSearch::api_version(&()).into_owned()
}

/// The `kind` of a manifest.
pub fn kind() -> String {
    PeftSearch::kind(&()).into_owned()
}
