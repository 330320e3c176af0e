//! Tokenisers: what of their files is replaced, and what is said about files that do not fit.

use std::path::Path;

use crate::common::program::{program, text};
use crate::common::{configuration, small_model, small_request, small_tokenizer, small_trial};
use autopeft_trainer::encoder::architecture::SpecialTokens;
use autopeft_trainer::inspect::model_fingerprint;
use autopeft_trainer::tokenize::{Limits, TextEncoder, TokenizeError};
use serde_json::{Value, json};

const BERT: SpecialTokens = SpecialTokens {
    start: "[CLS]",
    end: "[SEP]",
    has_segments: true,
};
const LIMITS: Limits = Limits {
    special_tokens: Some(BERT),
    vocabulary: 40,
    positions: 24,
};

fn open(
    tokenizer: &Value,
    limits: Limits,
    max_length: usize,
    pairs: bool,
) -> Result<TextEncoder, TokenizeError> {
    open_with(tokenizer, None, limits, max_length, pairs)
}

/// The same beside a `tokenizer_config.json`.
fn open_with(
    tokenizer: &Value,
    settings: Option<&Value>,
    limits: Limits,
    max_length: usize,
    pairs: bool,
) -> Result<TextEncoder, TokenizeError> {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, content: &Value| {
        std::fs::write(folder.path().join(name), content.to_string()).expect("a file");
    };
    write("tokenizer.json", tokenizer);
    if let Some(settings) = settings {
        write("tokenizer_config.json", settings);
    }
    TextEncoder::open(folder.path(), limits, max_length, pairs)
}

fn ids(encoder: &TextEncoder, text: &str) -> Vec<i32> {
    encoder.encode(&[(text.into(), None)]).expect("tokens").ids
}

fn refused(tokenizer: &Value, limits: Limits, max_length: usize) -> String {
    match open(tokenizer, limits, max_length, true) {
        Ok(_) => panic!("the tokenizer was accepted"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn truncation_and_padding_of_the_file_are_replaced() {
    let mut tokenizer = small_tokenizer();
    tokenizer["truncation"] =
        json!({"direction": "Right", "max_length": 5, "strategy": "LongestFirst", "stride": 0});
    tokenizer["padding"] = json!({"strategy": {"Fixed": 9}, "direction": "Right",
        "pad_to_multiple_of": null, "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"});
    let encoder = open(&tokenizer, LIMITS, 8, false).expect("a tokenizer");
    let texts = [("w5".into(), None), ("w5 w6 w7 w8 w9 w10 w11".into(), None)];
    let encoded = encoder.encode(&texts).expect("tokens");
    assert_eq!(encoded.lengths, [3, 8]);
    assert_eq!(encoded.ids, [2, 5, 3, 2, 5, 6, 7, 8, 9, 10, 3]);
}

#[test]
fn the_longer_text_of_a_pair_is_cut_first() {
    let encoder = open(&small_tokenizer(), LIMITS, 9, true).expect("a tokenizer");
    let texts = [("w5 w6".into(), Some("w7 w8 w9 w10 w11 w12".into()))];
    let encoded = encoder.encode(&texts).expect("tokens");
    // [CLS] w5 w6 [SEP] w7 w8 w9 w10 [SEP]
    assert_eq!(encoded.ids, [2, 5, 6, 3, 7, 8, 9, 10, 3]);
    assert_eq!(encoded.types, [0, 0, 0, 0, 1, 1, 1, 1, 1]);
}

#[test]
fn a_tokenizer_that_does_not_fit_is_refused() {
    let few = Limits {
        vocabulary: 39,
        ..LIMITS
    };
    assert!(
        refused(&small_tokenizer(), few, 8)
            .contains("token ids up to 39, but the model's vocab_size is 39")
    );
    assert!(refused(&small_tokenizer(), LIMITS, 3).contains("at least 4 is needed"));
    assert!(refused(&small_tokenizer(), LIMITS, 25).contains("positions for 24 tokens"));
    assert!(refused(&json!({"version": "1.0"}), LIMITS, 8).contains("is not a tokenizer"));
    let missing = TextEncoder::open(Path::new("/no/model"), LIMITS, 8, false);
    let message = missing.expect_err("refused").to_string();
    assert!(
        message.starts_with("/no/model/tokenizer.json: "),
        "{message}"
    );
}

/// Pairs of letters are merged to words of two and of four.
fn byte_pairs(dropout: &Value) -> Value {
    let mut tokenizer = small_tokenizer();
    tokenizer["model"] = json!({
        "type": "BPE", "dropout": dropout, "unk_token": "[UNK]", "fuse_unk": false,
        "vocab": {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "a": 4, "b": 5, "ab": 6, "abab": 7},
        "merges": [["a", "b"], ["ab", "ab"]],
    });
    tokenizer
}

#[test]
fn a_tokenizer_that_draws_at_random_does_not() {
    let encode = |dropout: Value| {
        let encoder = open(&byte_pairs(&dropout), LIMITS, 24, false).expect("a tokenizer");
        let all: Vec<_> = (0..20)
            .map(|_| ids(&encoder, "abab abab ab a abab"))
            .collect();
        (all, encoder.notes().len())
    };
    let expected = vec![2, 7, 7, 6, 4, 7, 3];
    assert_eq!(encode(Value::Null), (vec![expected.clone(); 20], 0));
    assert_eq!(encode(json!(0.0)), (vec![expected.clone(); 20], 0));
    assert_eq!(encode(json!(0.5)), (vec![expected; 20], 1));

    let unigram = |alpha: Value| {
        let mut tokenizer = small_tokenizer();
        tokenizer["model"] = json!({
            "type": "Unigram", "unk_id": 1, "byte_fallback": false, "alpha": alpha, "nbest_size": 8,
            "vocab": [["[PAD]", 0.0], ["[UNK]", -9.0], ["[CLS]", 0.0], ["[SEP]", 0.0],
                ["a", -2.0], ["b", -2.0], ["ab", -1.0]],
        });
        let encoder = open(&tokenizer, LIMITS, 24, false).expect("a tokenizer");
        (0..20)
            .map(|_| ids(&encoder, "abab ab"))
            .collect::<Vec<_>>()
    };
    assert_eq!(unigram(json!(0.1)), unigram(Value::Null));
}

#[test]
fn a_text_that_does_not_begin_with_the_models_start_is_reported() {
    let mut tokenizer = small_tokenizer();
    let text = json!({"Sequence": {"id": "A", "type_id": 0}});
    let other = json!({"Sequence": {"id": "B", "type_id": 1}});
    let end = json!({"SpecialToken": {"id": "[SEP]", "type_id": 0}});
    tokenizer["post_processor"] = json!({
        "type": "TemplateProcessing", "single": [text, end], "pair": [text, end, other],
        "special_tokens": {"[SEP]": {"id": "[SEP]", "ids": [3], "tokens": ["[SEP]"]}},
    });
    let found = open(&tokenizer, LIMITS, 8, false).expect("a tokenizer");
    assert_eq!(ids(&found, "w5 w6"), [5, 6, 3]);
    assert_eq!(
        found.notes(),
        [
            "the tokenizer's post-processor does not put [CLS] before a text; the head reads the first token, whatever it is"
        ]
    );
}

#[test]
fn special_tokens_that_the_file_does_not_add_are_those_of_the_model() {
    for processor in [
        Value::Null,
        json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false, "use_regex": true}),
        json!({"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {}}),
        json!({"type": "Sequence", "processors": []}),
    ] {
        let mut tokenizer = small_tokenizer();
        tokenizer["post_processor"] = processor;
        let pair = |encoder: &TextEncoder| {
            let texts = [("w5 w6".into(), Some("w7".into()))];
            encoder.encode(&texts).expect("tokens")
        };
        let expected = open(&small_tokenizer(), LIMITS, 8, true).expect("a tokenizer");
        let found = open(&tokenizer, LIMITS, 8, true).expect("a tokenizer");
        assert_eq!(pair(&found), pair(&expected));
        assert_eq!(
            found.notes(),
            [
                "the tokenizer's post-processor adds no special tokens; [CLS] and [SEP] are added, as the model's own tokenizer does"
            ]
        );
        let single = open(&tokenizer, LIMITS, 8, false).expect("a tokenizer");
        assert_eq!(ids(&single, "w5 w6"), [2, 5, 6, 3]);
        assert_eq!(ids(&single, ""), [2, 3]);
        assert!(refused(&tokenizer, LIMITS, 3).contains("at least 4 is needed"));

        // RoBERTa's own: <s> A </s></s> B </s>, all of one segment.
        let vocabulary = tokenizer["model"]["vocab"].as_object_mut();
        let vocabulary = vocabulary.expect("a vocabulary");
        for (bert, roberta) in [("[CLS]", "<s>"), ("[SEP]", "</s>")] {
            let id = vocabulary.remove(bert).expect("a token");
            vocabulary.insert(roberta.into(), id);
        }
        let roberta = SpecialTokens {
            start: "<s>",
            end: "</s>",
            has_segments: false,
        };
        let of = |special_tokens| Limits {
            special_tokens,
            ..LIMITS
        };
        let found = pair(&open(&tokenizer, of(Some(roberta)), 8, true).expect("a tokenizer"));
        assert_eq!(found.ids, [2, 5, 6, 3, 3, 7, 3]);
        assert_eq!(found.types, [0; 7]);
        for (limits, problem) in [
            (LIMITS, "its vocabulary has no [CLS]"),
            (of(None), "the model's special tokens are not known"),
        ] {
            let message = refused(&tokenizer, limits, 8);
            let expected = format!("its post-processor adds no special tokens, and {problem};");
            assert!(message.contains(&expected), "{message}");
        }
        // By another name.
        let settings =
            json!({"cls_token": "<s>", "sep_token": {"content": "</s>", "lstrip": false}});
        let named = open_with(&tokenizer, Some(&settings), LIMITS, 8, false).expect("a tokenizer");
        assert_eq!(ids(&named, "w5"), [2, 5, 3]);
    }
}

/// Words of capital letters and of accents, under BERT's normalizer.
fn cased(lowercase: bool, strip_accents: &Value) -> Value {
    let mut tokenizer = small_tokenizer();
    tokenizer["normalizer"] = json!({"type": "BertNormalizer", "clean_text": true,
        "handle_chinese_chars": true, "strip_accents": strip_accents, "lowercase": lowercase});
    let vocabulary = tokenizer["model"]["vocab"].as_object_mut();
    let vocabulary = vocabulary.expect("a vocabulary");
    for (word, name) in [("w5", "a"), ("w6", "A"), ("w7", "á"), ("w8", "Á")] {
        let id = vocabulary.remove(word).expect("a word");
        vocabulary.insert(name.into(), id);
    }
    tokenizer
}

#[test]
fn settings_beside_the_tokenizer_are_followed_as_transformers_does() {
    let check = |tokenizer: Value, settings: Value, words: [i32; 4], noted: usize| {
        let mut nested = tokenizer.clone();
        nested["normalizer"] =
            json!({"type": "Sequence", "normalizers": [tokenizer["normalizer"]]});
        for tokenizer in [&tokenizer, &nested] {
            let encoder = open_with(tokenizer, Some(&settings), LIMITS, 8, false).expect("opens");
            assert_eq!(ids(&encoder, "a A á Á")[1..5], words, "{settings}");
            assert_eq!(
                encoder.notes().len(),
                noted,
                "{settings}: {:?}",
                encoder.notes()
            );
            assert_eq!(encoder.follows_settings(), noted > 0, "{settings}");
        }
    };
    let null = &Value::Null;
    let lowered = || cased(true, null);
    let same = json!({"do_lower_case": true, "strip_accents": null});
    check(lowered(), json!({}), [5, 5, 5, 5], 0);
    check(lowered(), same, [5, 5, 5, 5], 0);
    check(lowered(), json!({"do_lower_case": false}), [5, 6, 7, 8], 1);
    check(
        cased(false, null),
        json!({"do_lower_case": true}),
        [5, 5, 5, 5],
        1,
    );
    check(lowered(), json!({"strip_accents": false}), [5, 5, 7, 7], 1);
    let stripped = json!({"strip_accents": null});
    check(cased(true, &json!(false)), stripped, [5, 5, 5, 5], 1);
    let both = json!({"do_lower_case": false, "strip_accents": true});
    check(lowered(), both, [5, 6, 5, 6], 2);
    let general = json!({"do_lower_case": false, "tokenizer_class": "PreTrainedTokenizerFast"});
    check(lowered(), general, [5, 5, 5, 5], 0);

    let settings = json!({"do_lower_case": false});
    let encoder = open_with(&lowered(), Some(&settings), LIMITS, 8, false).expect("opens");
    assert_eq!(
        encoder.notes(),
        ["tokenizer_config.json has do_lower_case: false, which overrides tokenizer.json"]
    );
}

#[test]
fn the_first_words_space_is_as_the_settings_have_it() {
    let mut tokenizer = small_tokenizer();
    tokenizer["pre_tokenizer"] = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true});
    let vocabulary = tokenizer["model"]["vocab"].as_object_mut();
    let vocabulary = vocabulary.expect("a vocabulary");
    let id = vocabulary.remove("w6").expect("a word");
    vocabulary.insert("Ġw".into(), id);
    let id = vocabulary.remove("w7").expect("a word");
    vocabulary.insert("w".into(), id);
    for (settings, expected) in [
        (json!({}), [2, 7, 3]),
        (json!({"add_prefix_space": false}), [2, 7, 3]),
        (json!({"add_prefix_space": true}), [2, 6, 3]),
    ] {
        let encoder = open_with(&tokenizer, Some(&settings), LIMITS, 8, false).expect("opens");
        assert_eq!(ids(&encoder, "w"), expected, "{settings}");
    }
}

#[test]
fn settings_that_cannot_be_followed_are_told() {
    let mut tokenizer = cased(true, &Value::Null);
    tokenizer["normalizer"] = json!({"type": "Lowercase"});
    let settings = json!({"do_lower_case": false, "model_max_length": 6});
    let encoder = open_with(&tokenizer, Some(&settings), LIMITS, 8, false).expect("opens");
    assert_eq!(
        encoder.notes(),
        [
            "tokenizer_config.json has do_lower_case: false, but the normalizer of tokenizer.json takes precedence: texts are lower-cased",
            "spec.training.maxLength is 8, and tokenizer_config.json has model_max_length: 6; the model was not made for longer texts",
        ]
    );
    assert!(!encoder.follows_settings());
    let endless = json!({"model_max_length": 1e30, "added_tokens_decoder": {}});
    let encoder = open_with(&small_tokenizer(), Some(&endless), LIMITS, 8, false).expect("opens");
    assert!(encoder.notes().is_empty(), "{:?}", encoder.notes());
    for (settings, problem) in [
        (json!("a"), "invalid type"),
        (json!({"do_lower_case": "no"}), "expected a boolean"),
    ] {
        let error = open_with(&small_tokenizer(), Some(&settings), LIMITS, 8, false);
        let message = error.expect_err("refused").to_string();
        assert!(
            message.contains("tokenizer_config.json cannot be used: "),
            "{message}"
        );
        assert!(message.contains(problem), "{message}");
    }
}

#[test]
fn a_tokenizer_that_is_something_else_is_recognised() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tokenizer.json");
    let message = || {
        let error = TextEncoder::open(folder.path(), LIMITS, 8, false);
        error.expect_err("refused").to_string()
    };
    for (content, expected) in [
        (
            &b"version https://git-lfs.github.com/spec/v1\n"[..],
            "it is a Git LFS pointer",
        ),
        (b"<html>", "it is an HTML page"),
        (b"\x1f\x8b\x08", "it is compressed with gzip"),
        (b"", "it is empty"),
        (b"{\"version\": \"\xff\"}", "byte 14 is not UTF-8"),
    ] {
        std::fs::write(&path, content).expect("a file");
        assert!(message().contains(expected), "{}", message());
    }
    std::fs::remove_file(&path).expect("the file");
    std::os::unix::fs::symlink("nowhere", &path).expect("a link");
    assert!(
        message().contains("it is a symbolic link to nowhere"),
        "{}",
        message()
    );
    let marked = format!("\u{feff}{}", small_tokenizer());
    std::fs::remove_file(&path).expect("the link");
    std::fs::write(&path, marked).expect("a file");
    TextEncoder::open(folder.path(), LIMITS, 8, false).expect("a byte order mark does no harm");
}

#[test]
fn settings_are_part_of_a_models_fingerprint_where_they_are_followed() {
    let model = small_model("bert");
    let write = |name: &str, content: &Value| {
        std::fs::write(model.path().join(name), content.to_string()).expect("a file");
    };
    write("tokenizer.json", &cased(true, &Value::Null));
    let fingerprint = || {
        let encoder = TextEncoder::open(model.path(), LIMITS, 8, false).expect("a tokenizer");
        model_fingerprint(model.path(), &encoder).expect("a fingerprint")
    };
    let alone = fingerprint();
    write(
        "tokenizer_config.json",
        &json!({"do_lower_case": true, "strip_accents": null}),
    );
    assert_eq!(fingerprint(), alone);
    write("tokenizer_config.json", &json!({"do_lower_case": false}));
    let followed = fingerprint();
    assert_ne!(followed, alone);
    write(
        "tokenizer_config.json",
        &json!({"do_lower_case": false, "strip_accents": true}),
    );
    assert_ne!(fingerprint(), followed);
}

#[test]
fn an_inspection_says_what_should_be_known_of_model_and_data() {
    let folder = small_trial();
    let settings = folder.path().join("tokenizer_config.json");
    std::fs::write(settings, json!({"do_lower_case": true}).to_string()).expect("a file");
    let request = small_request(folder.path(), &configuration("0", 0, 0, 0), &[]);
    let file = folder.path().join("request.json");
    std::fs::write(&file, request.to_string()).expect("a request");
    let output = program()
        .args(["inspect", "--device", "cpu", "--request"])
        .arg(&file)
        .output();
    let said = text(&output.expect("the program starts").stderr);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 2, "{said}");
    assert!(
        lines[0].contains(
            "field \"label\": 2 classes were found, with their numbers of examples: \"high\" ("
        ),
        "{said}"
    );
    assert!(
        lines[1].starts_with("tokenizer_config.json has do_lower_case: true"),
        "{said}"
    );
}
