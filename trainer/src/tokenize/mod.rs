//! Texts to token ids, by the model's own `tokenizer.json`.
//!
//! The file's truncation and padding are always replaced: some files enable them with another length
//! (all-MiniLM-L6-v2's has both at 128). Special tokens and pairs are those of the file's post-processor; if it adds
//! none, those of the model's own tokenizer. `tokenizer_config.json` is applied where transformers applies it.

mod corrections;
mod settings;

use std::io;
use std::path::{Path, PathBuf};

pub use settings::SETTINGS_FILE;
use settings::{Settings, Token};

use crate::encoder::ModelConfig;
use crate::encoder::architecture::SpecialTokens;
use crate::files;
use tokenizers::{
    PostProcessor, Tokenizer, TruncationDirection, TruncationParams, TruncationStrategy,
};

/// Why texts cannot be tokenised.
#[derive(Debug, thiserror::Error)]
pub enum TokenizeError {
    /// The file is missing or cannot be read.
    #[error(
        "{}: {source}; a model's directory holds its fast tokenizer in this file (transformers: AutoTokenizer.from_pretrained(...).save_pretrained(...))",
        path.display()
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is not a tokenizer.
    #[error("{} is not a tokenizer: {problem}", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// What the parser says.
        problem: String,
    },
    /// `tokenizer_config.json` cannot be used.
    #[error("{} cannot be used: {source}; use the one that belongs to tokenizer.json, or none", path.display())]
    Settings {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No token would mark the start of an example, which the head reads.
    #[error(
        "{}: its post-processor adds no special tokens, and {problem}; save the tokenizer with its own (transformers: AutoTokenizer.from_pretrained(...).save_pretrained(...))",
        path.display()
    )]
    SpecialTokens {
        /// The file.
        path: PathBuf,
        /// Why the model's special tokens cannot be added.
        problem: String,
    },
    /// The tokenizer belongs to another model.
    #[error(
        "{} has token ids up to {largest}, but the model's vocab_size is {vocabulary}; they are not of the same model",
        path.display()
    )]
    Vocabulary {
        /// The file.
        path: PathBuf,
        /// The largest id.
        largest: u32,
        /// The rows of the model's embedding.
        vocabulary: i64,
    },
    /// There is no room for a token of text.
    #[error(
        "spec.training.maxLength is {max_length}; with {special} special tokens of this tokenizer, at least {} is needed",
        special + 1
    )]
    TooShort {
        /// What was asked for.
        max_length: usize,
        /// Special tokens of an example.
        special: usize,
    },
    /// The model has no positions for that many tokens.
    #[error("spec.training.maxLength is {max_length}; the model has positions for {most} tokens")]
    TooLong {
        /// What was asked for.
        max_length: usize,
        /// The model's limit.
        most: i64,
    },
    /// The tokenizer rejected a text.
    #[error("the tokenizer rejected example {example} ({text:?}…): {problem}")]
    Text {
        /// The example, from 1.
        example: usize,
        /// The start of its text.
        text: String,
        /// Why.
        problem: String,
    },
}

/// The limits of a model's input.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The special tokens of the architecture.
    pub special_tokens: Option<SpecialTokens>,
    /// Rows of the embedding.
    pub vocabulary: i64,
    /// The longest sequence.
    pub positions: i64,
}

impl Limits {
    /// The limits by a model's configuration.
    pub fn of(config: &ModelConfig) -> Self {
        Self {
            special_tokens: config.special_tokens,
            vocabulary: config.vocabulary_size,
            positions: config.max_tokens,
        }
    }
}

/// Token ids and segment ids of some examples, one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encoded {
    /// Token ids of all examples.
    pub ids: Vec<i32>,
    /// Segments of all tokens: 0 for the first text, 1 for the second if the model distinguishes them.
    pub types: Vec<i8>,
    /// Tokens of each example.
    pub lengths: Vec<usize>,
}

/// Tokenises texts.
#[derive(Debug)]
pub struct TextEncoder {
    tokenizer: Tokenizer,
    notes: Vec<String>,
    follows_settings: bool,
    separator: String,
}

impl TextEncoder {
    /// Reads `tokenizer.json` of a model's directory, for examples of one text or of two.
    pub fn open(
        model: &Path,
        limits: Limits,
        max_length: usize,
        pairs: bool,
    ) -> Result<Self, TokenizeError> {
        let path = model.join("tokenizer.json");
        let text = files::read_json(&path).map_err(|source| TokenizeError::Unreadable {
            path: path.clone(),
            source,
        })?;
        let broken = |problem: String| TokenizeError::Broken {
            path: path.clone(),
            problem,
        };
        let settings = Settings::read(model).map_err(|source| TokenizeError::Settings {
            path: model.join(SETTINGS_FILE),
            source,
        })?;
        let mut tokenizer =
            Tokenizer::from_bytes(text).map_err(|error| broken(error.to_string()))?;
        let largest = tokenizer.get_vocab(true).into_values().max();
        let largest = largest.ok_or_else(|| broken("its vocabulary is empty".into()))?;
        if i64::from(largest) >= limits.vocabulary {
            return Err(TokenizeError::Vocabulary {
                path,
                largest,
                vocabulary: limits.vocabulary,
            });
        }
        let mut notes: Vec<String> = corrections::disable_sampling(&mut tokenizer)
            .into_iter()
            .collect();
        let added = corrections::add_special_tokens(
            &mut tokenizer,
            limits.special_tokens,
            &settings,
            pairs,
        )
        .map_err(|problem| {
            let path = path.clone();
            TokenizeError::SpecialTokens { path, problem }
        })?;
        notes.extend(added);
        let followed = corrections::apply(&mut tokenizer, &settings)
            .map_err(|error| broken(error.to_string()))?;
        notes.extend(followed.notes);
        notes.extend(settings.shorter_than(max_length));
        check_length(&tokenizer, max_length, limits.positions, pairs)?;
        tokenizer
            .with_truncation(Some(TruncationParams {
                max_length,
                strategy: TruncationStrategy::LongestFirst,
                direction: TruncationDirection::Right,
                stride: 0,
            }))
            .map_err(|error| broken(error.to_string()))?;
        tokenizer.with_padding(None);
        Ok(Self {
            tokenizer,
            notes,
            follows_settings: followed.is_changed,
            separator: separator(&settings, limits.special_tokens),
        })
    }

    /// Notes for the user about the tokenizer, one sentence each.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Whether tokens depend on `tokenizer_config.json`, because it contradicts `tokenizer.json`.
    pub fn follows_settings(&self) -> bool {
        self.follows_settings
    }

    /// The token between texts, which the tokenizer recognises in a text; a space if the model has none.
    pub fn separator(&self) -> &str {
        &self.separator
    }

    /// The tokens of some examples.
    pub fn encode(&self, texts: &[(String, Option<String>)]) -> Result<Encoded, TokenizeError> {
        // A few thousand texts at a time: an encoding is far larger than its ids.
        const CHUNK: usize = 4096;
        let mut encoded = Encoded::default();
        for (chunk, texts) in texts.chunks(CHUNK).enumerate() {
            match self.batch(texts) {
                Ok(batch) => encoded.append(&batch),
                Err(_) => return Err(self.first_refused(texts, chunk * CHUNK)),
            }
        }
        Ok(encoded)
    }

    fn batch(
        &self,
        texts: &[(String, Option<String>)],
    ) -> tokenizers::Result<Vec<tokenizers::Encoding>> {
        // All examples of a task have the same number of texts.
        if texts.iter().all(|(_, second)| second.is_none()) {
            let single: Vec<&str> = texts.iter().map(|(first, _)| first.as_str()).collect();
            self.tokenizer.encode_batch_fast(single, true)
        } else {
            let pairs: Vec<(&str, &str)> = texts
                .iter()
                .map(|(first, second)| (first.as_str(), second.as_deref().unwrap_or_default()))
                .collect();
            self.tokenizer.encode_batch_fast(pairs, true)
        }
    }

    /// A batch's error does not say which text it is about.
    fn first_refused(&self, texts: &[(String, Option<String>)], before: usize) -> TokenizeError {
        for (place, text) in texts.iter().enumerate() {
            if let Err(error) = self.batch(std::slice::from_ref(text)) {
                return TokenizeError::Text {
                    example: before + place + 1,
                    text: text.0.chars().take(40).collect(),
                    problem: error.to_string(),
                };
            }
        }
        TokenizeError::Text {
            example: before + 1,
            text: String::new(),
            problem: "no single text is rejected, only all of them together".into(),
        }
    }
}

fn separator(settings: &Settings, special_tokens: Option<SpecialTokens>) -> String {
    let named = settings.sep_token.as_ref().map(Token::text);
    let own = special_tokens.map(|tokens| tokens.end);
    named.or(own).unwrap_or(" ").to_owned()
}

/// Checks that there is room for a token of text and a position for every token.
fn check_length(
    tokenizer: &Tokenizer,
    max_length: usize,
    positions: i64,
    pairs: bool,
) -> Result<(), TokenizeError> {
    let special = tokenizer
        .get_post_processor()
        .map_or(0, |processor| processor.added_tokens(pairs));
    if max_length <= special {
        return Err(TokenizeError::TooShort {
            max_length,
            special,
        });
    }
    if max_length as i64 > positions {
        return Err(TokenizeError::TooLong {
            max_length,
            most: positions,
        });
    }
    Ok(())
}

impl Encoded {
    fn append(&mut self, batch: &[tokenizers::Encoding]) {
        for encoding in batch {
            // Ids are below the model's vocabulary, segments are 0 or 1.
            self.ids
                .extend(encoding.get_ids().iter().map(|id| *id as i32));
            self.types
                .extend(encoding.get_type_ids().iter().map(|segment| *segment as i8));
            self.lengths.push(encoding.len());
        }
    }
}
