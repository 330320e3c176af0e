//! An encoder's shape and constants, from the `config.json` beside its weights.

use std::path::Path;

use super::architecture::{ArchitectureRow, ModelConfig};
use super::bert::BERT;
use super::fields::{ConfigError, Fields};
use super::missing::{self, CONFIG_FILE};
use super::roberta::ROBERTA;
use crate::files;

/// The architectures that are supported.
pub const ARCHITECTURES: &[ArchitectureRow] = &[BERT, ROBERTA];

impl ModelConfig {
    /// Reads `config.json` in a model's directory.
    ///
    /// # Errors
    /// The file is missing or not a JSON object, or a field is missing, malformed or names
    /// something that is not supported; the error names file and field.
    pub fn read(model: &Path) -> Result<Self, ConfigError> {
        Self::read_as(model, ARCHITECTURES)
    }

    /// The same, of these architectures.
    ///
    /// # Errors
    /// As `read`.
    pub fn read_as(model: &Path, architectures: &[ArchitectureRow]) -> Result<Self, ConfigError> {
        missing::check(model, CONFIG_FILE)?;
        let path = model.join(CONFIG_FILE);
        let text = files::read_json(&path).map_err(|source| ConfigError::Read {
            path: path.clone(),
            source,
        })?;
        parse(&text, &path, architectures)
    }

    /// Reads the text of a `config.json`; `path` is named in errors.
    ///
    /// # Errors
    /// As `read`.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        parse(text, path, ARCHITECTURES)
    }
}

fn parse(
    text: &str,
    path: &Path,
    architectures: &[ArchitectureRow],
) -> Result<ModelConfig, ConfigError> {
    let names: Vec<&str> = architectures.iter().map(|row| row.name).collect();
    let expected = names.join(" or ");
    let fields = Fields::parse(text, path)?;
    let name = fields.text("model_type", None, &expected)?;
    match architectures.iter().find(|row| row.name == name) {
        Some(row) => (row.read)(&fields),
        None => Err(fields.wrong("model_type", name, &expected)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value};

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
        assert_eq!(roberta.max_tokens, 512);
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
