//! On which other tasks promoted configurations are trained.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::limits;
use crate::promotion::EvaluationSpec;
use crate::spec::TaskSpec;

/// Training of what is promoted on other tasks, in the same way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TransferSpec {
    /// The tasks, in the order in which they are trained.
    #[schemars(length(min = limits::TRANSFER_TASKS.least, max = limits::TRANSFER_TASKS.most), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub tasks: Vec<TransferTask>,
}

/// Another task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TransferTask {
    /// What reports call it, such as `mrpc`. Another name changes nothing else.
    #[schemars(length(min = limits::TRANSFER_NAME.least, max = limits::TRANSFER_NAME.most))]
    pub name: String,
    /// The task and its data, as in `spec.task`.
    pub task: TaskSpec,
    /// Where its scores come from; by default as `promotion.evaluation` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluation: Option<EvaluationSpec>,
}

impl TransferSpec {
    /// The field of the task at a place of the list.
    pub fn field(index: usize) -> String {
        format!("spec.transfer.tasks[{index}]")
    }
}
