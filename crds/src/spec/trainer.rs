//! The pods that train: an allow-list, not a pod template, so that whoever may create a search gains
//! nothing more than a restricted pod in that namespace.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::source::ClaimSource;
use crate::limits;

/// The pods that train, in a cluster. `peft-operator run` does not read it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct TrainerSpec {
    /// The trainer's image; the operator's own choice where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = limits::IMAGE.least, max = limits::IMAGE.most),
        regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._/:@-]*$")
    )]
    pub image: Option<String>,
    /// What one trial is given, as request and as limit.
    pub resources: TrainerResources,
    /// Labels that a node must have.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = limits::NODE_LABELS))]
    pub node_selector: BTreeMap<String, String>,
    /// Taints that trials may be scheduled in spite of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = limits::TOLERATIONS))]
    pub tolerations: Vec<TrainerToleration>,
    /// The pods' priority class; the system's classes are refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = limits::OBJECT_NAME.least, max = limits::OBJECT_NAME.most),
        regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
    )]
    pub priority_class_name: Option<String>,
    /// The container runtime's class.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = limits::OBJECT_NAME.least, max = limits::OBJECT_NAME.most),
        regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
    )]
    pub runtime_class_name: Option<String>,
    /// Secrets of the same namespace with which the image is pulled.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = limits::PULL_SECRETS),
        inner(
            length(min = limits::OBJECT_NAME.least, max = limits::OBJECT_NAME.most),
            regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
        )
    )]
    pub image_pull_secrets: Vec<String>,
    /// A claim on which the adapter of every trial with a score is kept, in the folder `trial-NUMBER`
    /// of the one that `status.artifacts` names. The pods' group, 65532, must be able to write it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifacts_claim: Option<ClaimSource>,
    /// Kueue's queue: trials then start suspended, and Kueue admits them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = limits::LABEL_VALUE),
        regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
    )]
    pub queue_name: Option<String>,
}

/// What one trial is given, as request and as limit.
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
    /// Room for temporary files, such as `2Gi`; at least `1Mi`.
    #[schemars(
        length(min = limits::QUANTITY.least, max = limits::QUANTITY.most),
        regex(pattern = r"^[1-9][0-9]*(Ki|Mi|Gi|Ti|k|M|G|T)?$")
    )]
    pub ephemeral_storage: String,
    /// GPUs (`nvidia.com/gpu`); 0 trains on the processor.
    #[schemars(range(min = limits::GPUS.least, max = limits::GPUS.most))]
    pub gpus: u32,
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

/// A taint that trials may be scheduled in spite of, in Kubernetes' own form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TrainerToleration {
    /// The taint's key; every taint at once cannot be tolerated.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = limits::OBJECT_NAME.most))]
    pub key: String,
    /// `Exists` for any value of the taint, `Equal` for the one that is given. Left out, it is `Equal`
    /// where there is a value, else `Exists`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<TolerationOperator>,
    /// The taint's value; any where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::LABEL_VALUE))]
    pub value: Option<String>,
    /// The taint's effect; any where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<TaintEffect>,
    /// With effect `NoExecute`: how long a trial stays on a node that gets the taint; for ever where it
    /// is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = limits::TOLERATION_SECONDS.least, max = limits::TOLERATION_SECONDS.most))]
    pub toleration_seconds: Option<u64>,
}

/// How a toleration's value is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TolerationOperator {
    /// Any value.
    Exists,
    /// The value that is given.
    Equal,
}

impl TrainerToleration {
    /// The operator, where none is written too.
    pub fn operator(&self) -> TolerationOperator {
        self.operator.unwrap_or(if self.value.is_some() {
            TolerationOperator::Equal
        } else {
            TolerationOperator::Exists
        })
    }
}

impl TolerationOperator {
    /// The word of Kubernetes.
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
    /// Nothing new is scheduled.
    NoSchedule,
    /// Other nodes come first.
    PreferNoSchedule,
    /// What runs is evicted.
    NoExecute,
}

impl TaintEffect {
    /// The word of Kubernetes.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoSchedule => "NoSchedule",
            Self::PreferNoSchedule => "PreferNoSchedule",
            Self::NoExecute => "NoExecute",
        }
    }
}
