//! The trainer's pods: an allow-list, not a pod template, so that whoever may create a search gains no more
//! than a restricted pod in that namespace.

use std::collections::BTreeMap;

use kube_quantity::ParsedQuantity;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::source::ClaimSource;
use crate::limits;

/// The trainer's pods, in a cluster. `peft-operator run` does not read it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct TrainerSpec {
    /// The trainer's image; by default the one that the operator is configured with.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = limits::IMAGE.least, max = limits::IMAGE.most),
        regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._/:@-]*$")
    )]
    pub image: Option<String>,
    /// The resources of one trial, as request and as limit.
    pub resources: TrainerResources,
    /// Labels that a node must have.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = limits::NODE_LABELS))]
    pub node_selector: BTreeMap<String, String>,
    /// The tolerations of the pods.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = limits::TOLERATIONS))]
    pub tolerations: Vec<TrainerToleration>,
    /// The pods' priority class; system classes are rejected.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = limits::OBJECT_NAME.least, max = limits::OBJECT_NAME.most),
        regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
    )]
    pub priority_class_name: Option<String>,
    /// The pods' runtime class.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = limits::OBJECT_NAME.least, max = limits::OBJECT_NAME.most),
        regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
    )]
    pub runtime_class_name: Option<String>,
    /// Secrets in the same namespace for pulling the image.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = limits::PULL_SECRETS),
        inner(
            length(min = limits::OBJECT_NAME.least, max = limits::OBJECT_NAME.most),
            regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
        )
    )]
    pub image_pull_secrets: Vec<String>,
    /// The claim on which the adapter of every trial with a score is stored, as `trial-NUMBER` in the folder
    /// that `status.artifacts` names. The pods' group, 65532, must be able to write to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifacts_claim: Option<ClaimSource>,
    /// The Kueue queue: trials' Jobs are created suspended, and Kueue admits them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = limits::LABEL_VALUE),
        regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
    )]
    pub queue_name: Option<String>,
}

/// The resources of one trial, as request and as limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct TrainerResources {
    /// Cores, such as `2` or `500m`.
    #[schemars(
        length(min = limits::QUANTITY.least, max = limits::QUANTITY.most),
        regex(pattern = r"^[0-9]+(\.[0-9]{1,3}|m)?$")
    )]
    pub cpu: String,
    /// Memory, such as `4Gi`; at least `16Mi`.
    #[schemars(
        length(min = limits::QUANTITY.least, max = limits::QUANTITY.most),
        regex(pattern = r"^[1-9][0-9]*(Ki|Mi|Gi|Ti|k|M|G|T)?$")
    )]
    pub memory: String,
    /// Disk space for temporary files, such as `2Gi`; at least `1Mi`.
    #[schemars(
        length(min = limits::QUANTITY.least, max = limits::QUANTITY.most),
        regex(pattern = r"^[1-9][0-9]*(Ki|Mi|Gi|Ti|k|M|G|T)?$")
    )]
    pub ephemeral_storage: String,
    /// GPUs (`nvidia.com/gpu`); 0 trains on the CPU.
    #[schemars(range(min = limits::GPUS.least, max = limits::GPUS.most))]
    pub gpus: u32,
}

impl TrainerResources {
    /// The memory in bytes; `None` where it is no quantity.
    pub fn memory_bytes(&self) -> Option<f64> {
        ParsedQuantity::try_from(self.memory.as_str())
            .ok()?
            .to_bytes_f64()
    }
}

impl Default for TrainerResources {
    fn default() -> Self {
        Self {
            cpu: "2".into(),
            memory: "4Gi".into(),
            ephemeral_storage: "2Gi".into(),
            gpus: 0,
        }
    }
}

/// A toleration, in Kubernetes' own form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TrainerToleration {
    /// The taint's key. It is required: a toleration of every taint is rejected.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = limits::OBJECT_NAME.most))]
    pub key: String,
    /// `Exists` matches any value of the taint, `Equal` the given one. By default `Equal` if there is a
    /// value, else `Exists`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<TolerationOperator>,
    /// The taint's value; by default any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::LABEL_VALUE))]
    pub value: Option<String>,
    /// The taint's effect; by default any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<TaintEffect>,
    /// With effect `NoExecute`: how long a trial stays on a node after the taint is added; by default for
    /// ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = limits::TOLERATION_SECONDS.least, max = limits::TOLERATION_SECONDS.most))]
    pub toleration_seconds: Option<u64>,
}

/// How a toleration's value is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TolerationOperator {
    /// Any value.
    Exists,
    /// The given value.
    Equal,
}

impl TrainerToleration {
    /// The operator, or its default.
    pub fn operator(&self) -> TolerationOperator {
        self.operator.unwrap_or(if self.value.is_some() {
            TolerationOperator::Equal
        } else {
            TolerationOperator::Exists
        })
    }
}

impl TolerationOperator {
    /// As Kubernetes writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Exists => "Exists",
            Self::Equal => "Equal",
        }
    }
}

/// What a taint does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TaintEffect {
    /// New pods are not scheduled.
    NoSchedule,
    /// Other nodes are preferred.
    PreferNoSchedule,
    /// Running pods are evicted.
    NoExecute,
}

impl TaintEffect {
    /// As Kubernetes writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoSchedule => "NoSchedule",
            Self::PreferNoSchedule => "PreferNoSchedule",
            Self::NoExecute => "NoExecute",
        }
    }
}
