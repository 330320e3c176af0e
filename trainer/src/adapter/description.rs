//! The content of `adapter.json`.

use std::collections::BTreeMap;

use autopeft_crds::spec::{EvaluationSpec, FidelitySpec, Metric, Padding, TaskSpec, TrainingSpec};
use autopeft_crds::trial::Method;
use autopeft_crds::{ModuleOptions, PeftConfiguration, Shape};
use serde::{Deserialize, Serialize};

use crate::encoder::ModelConfig;
use crate::peft::Inserted;

/// The content of `adapter.json`. What 0.1.0 did not write may be missing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AdapterDescription {
    /// `ADAPTER_VERSION`.
    pub version: u32,
    /// The modules.
    pub configuration: PeftConfiguration,
    /// How they are built.
    #[serde(default, skip_serializing_if = "ModuleOptions::is_default")]
    pub options: ModuleOptions,
    /// Modules, or the whole model.
    pub method: Method,
    /// The model that the adapter belongs to.
    pub model: ModelShape,
    /// Which model that is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<BaseModel>,
    /// The number that the positions of a text's tokens are counted from: 0, but for a prefix of `peft`, which counts
    /// its own positions before.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub first_position: u32,
    /// The task that it was trained on.
    pub task: TaskSpec,
    /// The classes in the order of the head's outputs; empty for a regression.
    pub labels: Vec<String>,
    /// How texts become tokens, beside the model's own `tokenizer.json`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokenizer: Option<TokenizerUse>,
    /// How much training it had, and the number of validation examples.
    pub fidelity: FidelitySpec,
    /// The recipe, with the length that texts are truncated to and the seed of the samples.
    pub training: TrainingSpec,
    /// The metric of the score.
    pub metric: Metric,
    /// Where the score comes from, if not from the validation examples that chose the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluation: Option<EvaluationSpec>,
    /// The score of these weights; unknown for an adapter that another program trained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// The cost of the configuration, as a search counts it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
    /// What else was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured: Option<Measured>,
    /// The trial of a search that trained it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search: Option<SearchTrial>,
    /// The licence of these weights, by its identifier on the hub (`apache-2.0`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
    /// Versions of the software, by name.
    pub versions: BTreeMap<String, String>,
}

/// The pretrained model of an adapter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BaseModel {
    /// Its name on the hub, or that of its directory.
    pub name: String,
    /// Its revision on the hub.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// SHA-256 over its files, as an inspection has it.
    pub fingerprint: String,
    /// Its parameters, pooler included: the denominator of the parameter percentage.
    pub parameters: u64,
}

/// How texts become tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TokenizerUse {
    /// The most tokens of a text or a pair, special tokens included; the longer text of a pair is cut first, at its end.
    pub max_length: u32,
    /// What batches are padded to.
    pub padding: Padding,
    /// The token between texts that the task joins into one.
    pub separator: String,
    /// What is done differently from `tokenizer.json`, one sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// The cost of a configuration in its model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Cost {
    /// Parameters of the modules, biases, gates and head left out.
    pub parameters: u64,
    /// The same in percent of the model's.
    pub percent: f64,
}

/// What a training measured, beside its score.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Measured {
    /// Parameters that were trained, head and reparametrisation included.
    pub trained_parameters: u64,
    /// Parameters that the adapter adds at inference, biases included, head left out.
    pub deployed_parameters: u64,
    /// The epoch of these weights, from 1.
    pub best_epoch: u32,
    /// Examples that the metrics were measured on.
    pub validation_examples: u64,
    /// Every metric of the task at that epoch.
    pub metrics: BTreeMap<Metric, f64>,
}

/// A trial of a search.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SearchTrial {
    /// The UID of the search.
    pub uid: String,
    /// The trial's number.
    pub trial: u32,
}

/// The properties that a model must share with an adapter's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ModelShape {
    /// `bert` or `roberta`.
    pub architecture: String,
    /// L.
    pub layers: usize,
    /// H.
    pub hidden_size: i64,
    /// Attention heads a layer.
    pub attention_heads: i64,
    /// Word pieces.
    pub vocabulary_size: i64,
}

impl AdapterDescription {
    /// What is inserted into the model.
    pub fn inserted(&self) -> Inserted<'_> {
        Inserted {
            configuration: &self.configuration,
            options: &self.options,
            is_switched: false,
        }
    }

    /// The test file that gave the score, inside the task's directory.
    pub fn test_file(&self) -> Option<&str> {
        self.evaluation.as_ref()?.test_file.as_deref()
    }
}

impl From<&ModelConfig> for ModelShape {
    fn from(config: &ModelConfig) -> Self {
        Self {
            architecture: config.name.into(),
            layers: config.layers,
            hidden_size: config.hidden_size,
            attention_heads: config.heads,
            vocabulary_size: config.vocabulary_size,
        }
    }
}

impl Cost {
    /// The cost of modules, or, without them, of every weight.
    pub fn new(
        method: Method,
        configuration: &PeftConfiguration,
        options: &ModuleOptions,
        model: &ModelConfig,
    ) -> Self {
        let all = model.backbone_parameters();
        if method == Method::FullFineTuning {
            return Self {
                parameters: all,
                percent: 100.0,
            };
        }
        let shape = options.shape(Shape::from(model));
        Self {
            parameters: configuration.parameters(shape),
            percent: configuration.parameters_percent(shape, all),
        }
    }
}

impl BaseModel {
    /// A model by the text that names it in a request, `hf://owner/name@revision` or a directory.
    pub fn named(source: &str, fingerprint: String, parameters: u64) -> Self {
        let (name, revision) = match source.strip_prefix("hf://") {
            Some(name) => name
                .split_once('@')
                .map_or((name, None), |(name, revision)| (name, Some(revision))),
            None => {
                let folder = std::path::Path::new(source).file_name();
                (
                    folder.and_then(|name| name.to_str()).unwrap_or(source),
                    None,
                )
            }
        };
        Self {
            name: name.into(),
            revision: revision.map(Into::into),
            fingerprint,
            parameters,
        }
    }
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_has_its_name_on_the_hub_or_that_of_its_directory() {
        let named = |source| {
            let base = BaseModel::named(source, String::new(), 1);
            (base.name, base.revision)
        };
        let found = |name: &str, revision: Option<&str>| (name.into(), revision.map(Into::into));
        assert_eq!(named("hf://a/b@v1"), found("a/b", Some("v1")));
        assert_eq!(named("hf://bert"), found("bert", None));
        assert_eq!(named("/models/b/"), found("b", None));
        assert_eq!(named("b"), found("b", None));
    }
}
