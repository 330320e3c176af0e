//! An encoder's shape and constants, from the `config.json` beside its weights.

use std::path::{Path, PathBuf};

use autopeft_crds::configuration::MAX_LAYERS;
use serde_json::{Map, Value};

use super::absent::{self, AbsentFile};

/// The file's name in a model's directory.
pub const CONFIG_FILE: &str = "config.json";

/// An architecture that is supported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// BERT and its distillations (MiniLM).
    Bert,
    /// RoBERTa: BERT with positions counted from the padding id, and one token type.
    Roberta,
}

impl Architecture {
    /// The name in `model_type`, and the prefix of the checkpoint's tensors.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bert => "bert",
            Self::Roberta => "roberta",
        }
    }
}

/// An encoder's shape and constants.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    /// Which architecture.
    pub architecture: Architecture,
    /// The number of word pieces.
    pub vocabulary_size: i64,
    /// H, the width of the residual stream.
    pub hidden_size: i64,
    /// L, the number of Transformer layers.
    pub layers: usize,
    /// Attention heads a layer; they divide H.
    pub heads: i64,
    /// The width between the two matrices of the feed-forward block.
    pub intermediate_size: i64,
    /// Rows of the position table.
    pub position_rows: i64,
    /// Rows of the token type table.
    pub token_types: i64,
    /// The padding id; RoBERTa counts its positions from it.
    pub pad_id: i64,
    /// The ε of every layer norm.
    pub layer_norm_eps: f64,
    /// Dropout after embeddings and dense layers, and in the head.
    pub hidden_dropout: f64,
    /// Dropout of attention probabilities.
    pub attention_dropout: f64,
}

/// Why a `config.json` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// There is no such file.
    #[error(transparent)]
    Absent(#[from] AbsentFile),
    /// The file cannot be read.
    #[error("{path}: cannot be read: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not a JSON object.
    #[error("{path}: is not a JSON object: {reason}")]
    Json {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A field is missing.
    #[error("{path}: field {field} is missing; expected {expected}")]
    Missing {
        /// The file.
        path: PathBuf,
        /// The field.
        field: &'static str,
        /// What would be right.
        expected: String,
    },
    /// A field has a value that is not supported or makes no sense.
    #[error("{path}: field {field} is {found}; expected {expected}")]
    Field {
        /// The file.
        path: PathBuf,
        /// The field.
        field: &'static str,
        /// What it says.
        found: String,
        /// What would be right.
        expected: String,
    },
}

impl ModelConfig {
    /// Reads `config.json` in a model's directory.
    ///
    /// # Errors
    /// The file is missing or not a JSON object, or a field is missing, malformed or names
    /// something that is not supported; the error names file and field.
    pub fn read(model: &Path) -> Result<Self, ConfigError> {
        absent::check(model, CONFIG_FILE)?;
        let path = model.join(CONFIG_FILE);
        let text = std::fs::read_to_string(&path).map_err(|source| ConfigError::Read {
            path: path.clone(),
            source,
        })?;
        Self::parse(&text, &path)
    }

    /// Reads the text of a `config.json`; `path` is named in errors.
    ///
    /// # Errors
    /// As `read`.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let object = serde_json::from_str::<Map<String, Value>>(text).map_err(|error| {
            ConfigError::Json {
                path: path.into(),
                reason: error.to_string(),
            }
        })?;
        let fields = Fields { path, object };
        let architecture = match fields.text("model_type", None)? {
            "bert" => Architecture::Bert,
            "roberta" => Architecture::Roberta,
            other => return Err(fields.wrong("model_type", other, "bert or roberta")),
        };
        fields.only("hidden_act", "gelu")?;
        fields.only("position_embedding_type", "absolute")?;
        if fields.object.get("is_decoder") == Some(&Value::Bool(true)) {
            return Err(fields.wrong("is_decoder", "true", "false: an encoder"));
        }
        // Where a field may be left out, the default is Hugging Face's for the architecture.
        let config = Self {
            architecture,
            vocabulary_size: fields.size("vocab_size", None)?,
            hidden_size: fields.size("hidden_size", None)?,
            layers: fields.size("num_hidden_layers", None)? as usize,
            heads: fields.size("num_attention_heads", None)?,
            intermediate_size: fields.size("intermediate_size", None)?,
            position_rows: fields.size("max_position_embeddings", Some(512))?,
            token_types: fields.size("type_vocab_size", Some(2))?,
            pad_id: fields.pad_id(architecture)?,
            layer_norm_eps: fields.number("layer_norm_eps", 1e-12, 0.0..=1.0)?,
            hidden_dropout: fields.number("hidden_dropout_prob", 0.1, 0.0..=0.999)?,
            attention_dropout: fields.number("attention_probs_dropout_prob", 0.1, 0.0..=0.999)?,
        };
        if config.layers > MAX_LAYERS {
            let expected = format!("at most {MAX_LAYERS}");
            return Err(fields.wrong("num_hidden_layers", config.layers, &expected));
        }
        if config.hidden_size % config.heads != 0 {
            let expected = format!("a divisor of hidden_size ({})", config.hidden_size);
            return Err(fields.wrong("num_attention_heads", config.heads, &expected));
        }
        if config.pad_id >= config.vocabulary_size {
            let expected = format!("below vocab_size ({})", config.vocabulary_size);
            return Err(fields.wrong("pad_token_id", config.pad_id, &expected));
        }
        if config.max_tokens() < 1 {
            let found = config.position_rows;
            return Err(fields.wrong("max_position_embeddings", found, "above pad_token_id + 1"));
        }
        Ok(config)
    }

    /// The longest text that has positions, in tokens. RoBERTa's first pad_id + 1 rows stand for
    /// no position.
    pub fn max_tokens(&self) -> i64 {
        match self.architecture {
            Architecture::Bert => self.position_rows,
            Architecture::Roberta => self.position_rows - self.pad_id - 1,
        }
    }

    /// The backbone's parameters, pooler included: the denominator of parameter percentages, as in
    /// AutoPEFT (arXiv:2301.12132, table 1). 109,482,240 for BERT-base.
    pub fn backbone_parameters(&self) -> u64 {
        let (h, i) = (self.hidden_size as u64, self.intermediate_size as u64);
        let norm = 2 * h;
        let rows = (self.vocabulary_size + self.position_rows + self.token_types) as u64;
        let embeddings = rows * h + norm;
        let attention = 4 * (h * h + h) + norm;
        let feed_forward = 2 * h * i + i + h + norm;
        let pooler = h * h + h;
        embeddings + self.layers as u64 * (attention + feed_forward) + pooler
    }
}

/// The object's fields, read with errors that name them.
struct Fields<'a> {
    path: &'a Path,
    object: Map<String, Value>,
}

impl Fields<'_> {
    fn wrong(
        &self,
        field: &'static str,
        found: impl std::fmt::Display,
        expected: &str,
    ) -> ConfigError {
        ConfigError::Field {
            path: self.path.into(),
            field,
            found: found.to_string(),
            expected: expected.into(),
        }
    }

    /// The field, or nothing where it is missing or null.
    fn get(&self, field: &str) -> Option<&Value> {
        self.object.get(field).filter(|value| !value.is_null())
    }

    fn missing(&self, field: &'static str, expected: &str) -> ConfigError {
        ConfigError::Missing {
            path: self.path.into(),
            field,
            expected: expected.into(),
        }
    }

    fn text<'b>(
        &'b self,
        field: &'static str,
        default: Option<&'b str>,
    ) -> Result<&'b str, ConfigError> {
        match self.get(field) {
            Some(Value::String(text)) => Ok(text),
            Some(other) => Err(self.wrong(field, other, "a text")),
            None => default.ok_or_else(|| self.missing(field, "bert or roberta")),
        }
    }

    /// A text field that has one supported value, which is also its default.
    fn only(&self, field: &'static str, supported: &'static str) -> Result<(), ConfigError> {
        match self.text(field, Some(supported))? {
            text if text == supported => Ok(()),
            other => Err(self.wrong(field, other, supported)),
        }
    }

    /// A positive whole number that is small enough for any tensor.
    fn size(&self, field: &'static str, default: Option<i64>) -> Result<i64, ConfigError> {
        const EXPECTED: &str = "a whole number from 1 to 10000000";
        let Some(value) = self.get(field) else {
            return default.ok_or_else(|| self.missing(field, EXPECTED));
        };
        value
            .as_i64()
            .filter(|size| (1..=10_000_000).contains(size))
            .ok_or_else(|| self.wrong(field, value, EXPECTED))
    }

    fn pad_id(&self, architecture: Architecture) -> Result<i64, ConfigError> {
        let Some(value) = self.get("pad_token_id") else {
            return Ok(i64::from(architecture == Architecture::Roberta));
        };
        value
            .as_i64()
            .filter(|id| *id >= 0)
            .ok_or_else(|| self.wrong("pad_token_id", value, "a whole number from 0"))
    }

    fn number(
        &self,
        field: &'static str,
        default: f64,
        range: std::ops::RangeInclusive<f64>,
    ) -> Result<f64, ConfigError> {
        let Some(value) = self.get(field) else {
            return Ok(default);
        };
        value
            .as_f64()
            .filter(|number| range.contains(number))
            .ok_or_else(|| {
                let expected = format!("a number from {} to {}", range.start(), range.end());
                self.wrong(field, value, &expected)
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(changes: &str) -> Result<ModelConfig, ConfigError> {
        let mut object = serde_json::json!({
            "model_type": "bert", "vocab_size": 30522, "hidden_size": 768, "num_hidden_layers": 12,
            "num_attention_heads": 12, "intermediate_size": 3072, "max_position_embeddings": 512,
            "type_vocab_size": 2, "pad_token_id": 0, "hidden_act": "gelu", "layer_norm_eps": 1e-12,
        });
        let changes: Map<String, Value> = serde_json::from_str(changes).expect("the test's JSON");
        for (field, value) in changes {
            object[field] = value;
        }
        ModelConfig::parse(&object.to_string(), Path::new("m/config.json"))
    }

    fn check_refused(changes: &str, message: &str) {
        let error = with(changes).expect_err("it is refused").to_string();
        assert_eq!(error, message);
    }

    #[test]
    fn parameter_counts_are_the_published_ones() {
        let count = |changes: &str| with(changes).expect("it is valid").backbone_parameters();
        assert_eq!(count("{}"), 109_482_240);
        let large = r#"{"hidden_size":1024,"num_hidden_layers":24,"num_attention_heads":16,"intermediate_size":4096}"#;
        assert_eq!(count(large), 335_141_888);
        let roberta = r#"{"model_type":"roberta","vocab_size":50265,"max_position_embeddings":514,"type_vocab_size":1,"pad_token_id":1}"#;
        assert_eq!(count(roberta), 124_645_632);
        let minilm = r#"{"hidden_size":384,"num_hidden_layers":6,"intermediate_size":1536}"#;
        assert_eq!(count(minilm), 22_713_216);
    }

    #[test]
    fn roberta_loses_two_positions_to_padding() {
        let roberta =
            with(r#"{"model_type":"roberta","max_position_embeddings":514,"pad_token_id":1}"#)
                .expect("it is valid");
        assert_eq!(roberta.max_tokens(), 512);
    }

    #[test]
    fn what_is_not_supported_is_refused_with_its_field() {
        check_refused(
            r#"{"model_type":"t5"}"#,
            "m/config.json: field model_type is t5; expected bert or roberta",
        );
        check_refused(
            r#"{"hidden_act":"relu"}"#,
            "m/config.json: field hidden_act is relu; expected gelu",
        );
        check_refused(
            r#"{"position_embedding_type":"relative_key"}"#,
            "m/config.json: field position_embedding_type is relative_key; expected absolute",
        );
        check_refused(
            r#"{"hidden_size":0}"#,
            "m/config.json: field hidden_size is 0; expected a whole number from 1 to 10000000",
        );
        check_refused(
            r#"{"hidden_size":null}"#,
            "m/config.json: field hidden_size is missing; expected a whole number from 1 to 10000000",
        );
        check_refused(
            r#"{"num_attention_heads":7}"#,
            "m/config.json: field num_attention_heads is 7; expected a divisor of hidden_size (768)",
        );
        check_refused(
            r#"{"hidden_dropout_prob":"much"}"#,
            "m/config.json: field hidden_dropout_prob is \"much\"; expected a number from 0 to 0.999",
        );
    }

    #[test]
    fn a_file_that_is_no_object_is_refused() {
        let error = ModelConfig::parse("[1", Path::new("m/config.json")).expect_err("refused");
        assert!(
            error
                .to_string()
                .starts_with("m/config.json: is not a JSON object")
        );
    }
}
