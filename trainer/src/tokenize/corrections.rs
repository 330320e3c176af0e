//! Corrections of a `tokenizer.json`, so that a text always has the tokens that the model's own tokenizer gives it. A
//! note reports each correction that changes tokens.

use tokenizers::models::ModelWrapper;
use tokenizers::normalizers::NormalizerWrapper;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::processors::roberta::RobertaProcessing;
use tokenizers::processors::template::{SpecialToken, TemplateProcessing};
use tokenizers::{PostProcessor, PostProcessorWrapper, Tokenizer};

use super::settings::{SETTINGS_FILE, Settings};
use crate::encoder::architecture::SpecialTokens;

/// Disables randomness: dropout of BPE's merges, sampling of Unigram's pieces.
pub(super) fn disable_sampling(tokenizer: &mut Tokenizer) -> Option<String> {
    let mut model = tokenizer.get_model().clone();
    let name = match &mut model {
        ModelWrapper::BPE(bpe) if bpe.dropout.is_some_and(|rate| rate > 0.0) => {
            bpe.dropout = None;
            "dropout"
        }
        ModelWrapper::Unigram(unigram) if unigram.alpha.is_some_and(|alpha| alpha != 0.0) => {
            (unigram.alpha, unigram.nbest_size) = (None, None);
            "sampling (alpha)"
        }
        _ => return None,
    };
    tokenizer.with_model(model);
    Some(format!(
        "the tokenizer's {name} is disabled, so that a text always has the same tokens"
    ))
}

/// Adds the special tokens of the model's own tokenizer if the file's post-processor adds none.
///
/// # Errors
/// Why they cannot be added, as the end of a sentence about the file.
pub(super) fn add_special_tokens(
    tokenizer: &mut Tokenizer,
    own: Option<SpecialTokens>,
    settings: &Settings,
    pairs: bool,
) -> Result<Option<String>, String> {
    let added = tokenizer
        .get_post_processor()
        .map_or(0, |processor| processor.added_tokens(pairs));
    let start_of = |own: SpecialTokens| {
        let token = settings.cls_token.as_ref();
        token.map_or(own.start, |token| token.text())
    };
    if added > 0 {
        return Ok(own.and_then(|own| other_start(tokenizer, start_of(own))));
    }
    let own = own.ok_or("the model's special tokens are not known")?;
    let start = start_of(own);
    let end = settings
        .sep_token
        .as_ref()
        .map_or(own.end, |token| token.text());
    let with_id = |token: &str| match tokenizer.token_to_id(token) {
        Some(id) => Ok((token.to_owned(), id)),
        None => Err(format!("its vocabulary has no {token}")),
    };
    let (first, last) = (with_id(start)?, with_id(end)?);
    let processor: PostProcessorWrapper = if own.has_segments {
        with_segments(first, last)?.into()
    } else {
        RobertaProcessing::new(last, first)
            .trim_offsets(true)
            .add_prefix_space(false)
            .into()
    };
    let note = format!(
        "the tokenizer's post-processor adds no special tokens; {start} and {end} are added, as the model's own tokenizer does"
    );
    tokenizer.with_post_processor(Some(processor));
    Ok(Some(note))
}

/// A note if a text does not begin with the token that the head reads.
fn other_start(tokenizer: &Tokenizer, start: &str) -> Option<String> {
    let encoding = tokenizer.encode("", true).ok()?;
    let first = encoding.get_tokens().first()?;
    (first != start).then(|| {
        format!(
            "the tokenizer's post-processor does not put {start} before a text; the head reads the first token, whatever it is"
        )
    })
}

/// `[CLS] A [SEP]` and `[CLS] A [SEP] B [SEP]`, B's segment being 1. The template has
/// placeholders: a token's text may contain the template's syntax.
fn with_segments(first: (String, u32), last: (String, u32)) -> Result<TemplateProcessing, String> {
    let special = |(text, id): &(String, u32), name: &str| {
        SpecialToken::new(name.into(), vec![*id], vec![text.clone()])
            .map_err(|error| error.to_string())
    };
    TemplateProcessing::builder()
        .try_single("CLS $A SEP")
        .and_then(|builder| builder.try_pair("CLS:0 $A:0 SEP:0 $B:1 SEP:1"))
        .map_err(|error| error.to_string())?
        .special_tokens(vec![special(&first, "CLS")?, special(&last, "SEP")?])
        .build()
        .map_err(|error| error.to_string())
}

/// The effect of the settings.
#[derive(Debug, Default)]
pub(super) struct Followed {
    /// Whether texts may have other tokens than with `tokenizer.json` alone.
    pub(super) is_changed: bool,
    pub(super) notes: Vec<String>,
}

/// Applies the settings where they contradict the file, as transformers does.
///
/// # Errors
/// The library's message about the tokenizer's added tokens, which it reads again.
pub(super) fn apply(
    tokenizer: &mut Tokenizer,
    settings: &Settings,
) -> tokenizers::Result<Followed> {
    let mut notes = Vec::new();
    if !settings.are_followed() {
        return Ok(Followed::default());
    }
    let followed = |field: &str, value: String| {
        format!("{SETTINGS_FILE} has {field}: {value}, which overrides tokenizer.json")
    };
    let mut normalizer = tokenizer.get_normalizer().cloned();
    for (field, value) in normalizer
        .as_mut()
        .map(|normalizer| normalize(normalizer, settings))
        .unwrap_or_default()
    {
        notes.push(followed(field, value));
    }
    if !notes.is_empty() {
        tokenizer.with_normalizer(normalizer)?;
    }
    let mut splitter = tokenizer.get_pre_tokenizer().cloned();
    if let (Some(PreTokenizerWrapper::ByteLevel(bytes)), Some(wanted)) =
        (&mut splitter, settings.add_prefix_space)
        && bytes.add_prefix_space != wanted
    {
        bytes.add_prefix_space = wanted;
        notes.push(followed("add_prefix_space", wanted.to_string()));
        tokenizer.with_pre_tokenizer(splitter);
    }
    let is_changed = !notes.is_empty();
    let lowers = tokenizer.get_normalizer().is_some_and(lowers);
    if let Some(wanted) = settings.do_lower_case.filter(|wanted| *wanted != lowers) {
        let done = if lowers { "are" } else { "are not" };
        notes.push(format!(
            "{SETTINGS_FILE} has do_lower_case: {wanted}, but the normalizer of tokenizer.json takes precedence: texts {done} lower-cased"
        ));
    }
    Ok(Followed { is_changed, notes })
}

/// Sets the settings' values in each BERT normalizer; returns the fields that differed, and their values.
fn normalize(
    normalizer: &mut NormalizerWrapper,
    settings: &Settings,
) -> Vec<(&'static str, String)> {
    let mut changed = Vec::new();
    match normalizer {
        NormalizerWrapper::Sequence(sequence) => {
            for part in sequence.as_mut() {
                changed.extend(normalize(part, settings));
            }
        }
        NormalizerWrapper::BertNormalizer(bert) => {
            if let Some(wanted) = settings
                .do_lower_case
                .filter(|wanted| *wanted != bert.lowercase)
            {
                bert.lowercase = wanted;
                changed.push(("do_lower_case", wanted.to_string()));
            }
            if let Some(wanted) = settings.strip_accents {
                // If unset, it equals `lowercase`.
                let strips = |strip: Option<bool>| strip.unwrap_or(bert.lowercase);
                if strips(wanted) != strips(bert.strip_accents) {
                    let value = wanted.map_or("null".into(), |wanted| wanted.to_string());
                    changed.push(("strip_accents", value));
                }
                bert.strip_accents = wanted;
            }
            if let Some(wanted) = settings
                .tokenize_chinese_chars
                .filter(|wanted| *wanted != bert.handle_chinese_chars)
            {
                bert.handle_chinese_chars = wanted;
                changed.push(("tokenize_chinese_chars", wanted.to_string()));
            }
        }
        _ => {}
    }
    changed
}

/// Whether a normalizer lower-cases.
fn lowers(normalizer: &NormalizerWrapper) -> bool {
    match normalizer {
        NormalizerWrapper::Lowercase(_) => true,
        NormalizerWrapper::BertNormalizer(bert) => bert.lowercase,
        NormalizerWrapper::Sequence(sequence) => sequence.as_ref().iter().any(lowers),
        _ => false,
    }
}
