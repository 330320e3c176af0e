//! A model's `tokenizer_config.json`, which is optional.

use std::io;
use std::path::Path;

use serde::{Deserialize, Deserializer};

use crate::files;

/// The file's name in a model's directory.
pub const SETTINGS_FILE: &str = "tokenizer_config.json";

/// The fields that affect tokens or their number.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Settings {
    /// The tokenizer's class in transformers.
    pub tokenizer_class: Option<String>,
    /// Whether texts are lower-cased.
    pub do_lower_case: Option<bool>,
    /// Whether accents are stripped; null means if texts are lower-cased.
    #[serde(default, deserialize_with = "given")]
    pub strip_accents: Option<Option<bool>>,
    /// Whether each Chinese character is a word.
    pub tokenize_chinese_chars: Option<bool>,
    /// Whether a text's first word is treated as if it followed a space.
    pub add_prefix_space: Option<bool>,
    /// The token before an example.
    pub cls_token: Option<Token>,
    /// The token after a text.
    pub sep_token: Option<Token>,
    /// The most tokens that the model was made for; a huge number if that is unknown.
    pub model_max_length: Option<f64>,
}

/// A token by its text, or described.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Token {
    /// Its text.
    Text(String),
    /// A description that holds its text.
    Described {
        /// Its text.
        content: String,
    },
}

impl Token {
    /// Its text.
    pub fn text(&self) -> &str {
        match self {
            Self::Text(text) | Self::Described { content: text } => text,
        }
    }
}

/// A field that is present but may be null.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<bool>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl Settings {
    /// Reads the file of a model's directory; the default if there is none.
    ///
    /// # Errors
    /// The file cannot be read, or is no JSON object with fields of the right types.
    pub fn read(model: &Path) -> io::Result<Self> {
        let path = model.join(SETTINGS_FILE);
        if path.symlink_metadata().is_err() {
            return Ok(Self::default());
        }
        // serde's own conversion makes a truncated file an error of the system, which would be retried.
        serde_json::from_str(&files::read_json(&path)?)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    /// A note if the model was made for fewer tokens than requested.
    pub fn shorter_than(&self, max_length: usize) -> Option<String> {
        let most = self.model_max_length?;
        (most < max_length as f64).then(|| {
            format!(
                "spec.training.maxLength is {max_length}, and {SETTINGS_FILE} has model_max_length: {most}; the model was not made for longer texts"
            )
        })
    }

    /// Whether transformers applies these where they contradict `tokenizer.json`: its generic classes use the latter
    /// unchanged.
    pub fn are_followed(&self) -> bool {
        !matches!(
            self.tokenizer_class.as_deref(),
            Some("PreTrainedTokenizerFast" | "TokenizersBackend")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_truncated_file_is_bad_input() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(SETTINGS_FILE);
        std::fs::write(path, "{\"do_lower_case\"").expect("a file");
        let error = Settings::read(folder.path()).expect_err("refused");
        assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
    }
}
