//! What a model's `tokenizer_config.json` says beside its `tokenizer.json`; the file may be left out.

use std::io;
use std::path::Path;

use serde::{Deserialize, Deserializer};

use crate::files;

/// The file's name in a model's directory.
pub const SETTINGS_FILE: &str = "tokenizer_config.json";

/// The fields that have a say in which tokens a text is, or how many it may be.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Settings {
    /// The class of transformers that reads the tokenizer.
    pub tokenizer_class: Option<String>,
    /// Whether texts are lower-cased.
    pub do_lower_case: Option<bool>,
    /// Whether accents are taken off; null is whether texts are lower-cased.
    #[serde(default, deserialize_with = "given")]
    pub strip_accents: Option<Option<bool>>,
    /// Whether each Chinese character is a word.
    pub tokenize_chinese_chars: Option<bool>,
    /// Whether a text's first word is as one after a space.
    pub add_prefix_space: Option<bool>,
    /// The token before an example.
    pub cls_token: Option<Token>,
    /// The token after a text.
    pub sep_token: Option<Token>,
    /// The most tokens that the model was made for; absurdly many where nobody has said.
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

/// A field that is there, which may be null.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<bool>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl Settings {
    /// Reads them from a model's directory; nothing is said where there is no such file.
    ///
    /// # Errors
    /// The file cannot be read, or is no JSON object with fields of the right types.
    pub fn read(model: &Path) -> io::Result<Self> {
        let path = model.join(SETTINGS_FILE);
        if path.symlink_metadata().is_err() {
            return Ok(Self::default());
        }
        serde_json::from_str(&files::read_json(&path)?).map_err(io::Error::from)
    }

    /// A note where the model was made for fewer tokens than are asked for.
    pub fn shorter_than(&self, max_length: usize) -> Option<String> {
        let most = self.model_max_length?;
        (most < max_length as f64).then(|| {
            format!(
                "spec.training.maxLength is {max_length}, and {SETTINGS_FILE} has model_max_length: {most}; the model was not made for longer texts"
            )
        })
    }

    /// Whether transformers follows these where they contradict `tokenizer.json`: its general
    /// classes take the latter as it is.
    pub fn are_followed(&self) -> bool {
        !matches!(
            self.tokenizer_class.as_deref(),
            Some("PreTrainedTokenizerFast" | "TokenizersBackend")
        )
    }
}
