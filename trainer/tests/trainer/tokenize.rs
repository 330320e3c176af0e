//! Tokenisers: what of their files is replaced, and what is said about files that do not fit.

use std::path::Path;

use crate::common::small_tokenizer;
use autopeft_trainer::tokenize::{Limits, TextEncoder, TokenizeError};
use serde_json::{Value, json};

const LIMITS: Limits = Limits {
    vocabulary: 40,
    positions: 24,
};

fn open(
    tokenizer: &Value,
    limits: Limits,
    max_length: usize,
    pairs: bool,
) -> Result<TextEncoder, TokenizeError> {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("tokenizer.json"), tokenizer.to_string()).expect("a file");
    TextEncoder::open(folder.path(), limits, max_length, pairs)
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
