//! Where a model and a task's data come from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::defaults;
use crate::limits;

/// The pretrained encoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ModelSpec {
    /// A directory in Hugging Face layout: `config.json`, `model.safetensors`, `tokenizer.json`.
    /// BERT and RoBERTa architectures are supported.
    pub source: Source,
}

/// Where files come from: exactly one of `path`, `claim`, `image` and `hub`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Source {
    /// A directory on this machine, for `peft-operator run` only. A relative path is taken from
    /// the manifest's directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = limits::PATH.least, max = limits::PATH.most))]
    pub path: Option<String>,
    /// A directory on a PersistentVolumeClaim. `peft-operator run` takes the claim's directory
    /// from `--claim NAME=DIR`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<ClaimSource>,
    /// A directory of an OCI image or artifact, mounted by the kubelet (an image volume). The cluster's
    /// nodes must support it: Kubernetes 1.35 with a container runtime that does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageSource>,
    /// A repository of the Hugging Face hub, downloaded by the trainer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hub: Option<HubSource>,
}

/// A directory on a PersistentVolumeClaim of the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClaimSource {
    /// The claim's name.
    #[schemars(
        length(min = limits::OBJECT_NAME.least, max = limits::OBJECT_NAME.most),
        regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
    )]
    pub name: String,
    /// The directory inside the claim, relative and without `..`; the claim's root by default.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = limits::INNER_PATH.most))]
    pub path: String,
}

/// A directory of an OCI image or artifact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ImageSource {
    /// The image, preferably by digest. It is pulled with the trainer's `imagePullSecrets`.
    #[schemars(
        length(min = limits::IMAGE.least, max = limits::IMAGE.most),
        regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._/:@-]*$")
    )]
    pub reference: String,
    /// The directory inside the image, relative and without `..`; its root by default.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = limits::INNER_PATH.most))]
    pub path: String,
}

/// A repository of the Hugging Face hub.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HubSource {
    /// `owner/name`, or a bare name such as `bert-base-uncased`.
    #[schemars(
        length(min = limits::HUB_NAME.least, max = limits::HUB_NAME.most),
        regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?$")
    )]
    pub repository: String,
    /// A branch, tag or commit.
    #[serde(default = "defaults::revision")]
    #[schemars(
        length(min = limits::HUB_NAME.least, max = limits::HUB_NAME.most),
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
        length(min = limits::OBJECT_NAME.least, max = limits::OBJECT_NAME.most),
        regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
    )]
    pub name: String,
    /// The key inside it.
    #[schemars(length(min = limits::OBJECT_NAME.least, max = limits::OBJECT_NAME.most), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub key: String,
}
