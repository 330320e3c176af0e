//! Masks, the canonical form and the hash.

use autopeft_crds::{LayerMask, Module, PeftConfiguration};
use proptest::prelude::*;

fn configuration() -> impl Strategy<Value = PeftConfiguration> {
    ("[01]{1,24}", 0..3_u32, 0..3_u32, 0..3_u32).prop_map(|(layers, sa, pa, prefix)| {
        PeftConfiguration::new(
            layers.parse().expect("a mask"),
            &[
                (Module::SerialAdapter, sa),
                (Module::ParallelAdapter, pa),
                (Module::Prefix, prefix),
            ],
        )
    })
}

proptest! {
    #[test]
    fn the_canonical_form_is_one(configuration in configuration()) {
        let canonical = configuration.clone().canonical();
        prop_assert_eq!(&canonical.clone().canonical(), &canonical);
        prop_assert_eq!(canonical.hash(), configuration.hash());
        prop_assert_eq!(canonical.parameters(768), configuration.parameters(768));
        prop_assert_eq!(configuration.is_empty_model(), configuration.parameters(768) == 0);
    }

    #[test]
    fn json_reads_back_the_same(configuration in configuration()) {
        let text = serde_json::to_string(&configuration).expect("JSON");
        let back: PeftConfiguration = serde_json::from_str(&text).expect("its own JSON");
        prop_assert_eq!(back, configuration);
    }
}

#[test]
fn what_is_not_a_mask_is_refused() {
    for text in ["", "012", "1 1", "1*", &"1".repeat(65), "१"] {
        assert!(text.parse::<LayerMask>().is_err(), "{text:?} was accepted");
    }
    let mask: LayerMask = "0110".parse().expect("a mask");
    assert_eq!(mask.active(), 2);
    assert_eq!(mask.active_layers().collect::<Vec<_>>(), [1, 2]);
}

/// What 0.1.0 wrote and hashed (SHA-256 of `layers=…;serialAdapter=…;parallelAdapter=…;prefix=…`).
#[test]
fn the_written_form_and_the_hash_are_those_of_0_1_0() {
    for (text, hash, hashed) in [
        (
            r#"{"layers":"001100001110","serialAdapter":12,"parallelAdapter":96,"prefix":1}"#,
            "1168ce3ef4f515b0",
            "layers 001100001110, SA 12, PA 96, prefix 1",
        ),
        (
            r#"{"layers":"111111","serialAdapter":0,"parallelAdapter":8,"prefix":0}"#,
            "e30b04f6b5ae6ad3",
            "layers 111111, SA 0, PA 8, prefix 0",
        ),
        (
            r#"{"layers":"000000","serialAdapter":0,"parallelAdapter":0,"prefix":0}"#,
            "7f7d25fea0044a86",
            "layers 000000, SA 0, PA 0, prefix 0",
        ),
    ] {
        let read: PeftConfiguration = serde_json::from_str(text).expect("a configuration");
        assert_eq!(serde_json::to_string(&read).expect("JSON"), text);
        assert_eq!(read.hash(), hash, "{text}");
        assert_eq!(read.hashed_text(), hashed);
    }
}

#[test]
fn a_field_that_is_unknown_missing_or_there_twice_is_refused() {
    let whole = r#""layers":"01","serialAdapter":1,"parallelAdapter":0,"prefix":0"#;
    for (text, words) in [
        (format!("{{{whole},\"dora\":8}}"), "unknown field `dora`"),
        (
            format!("{{{whole},\"prefix\":0}}"),
            "duplicate field `prefix`",
        ),
        (
            whole.replace(r#","prefix":0"#, ""),
            "missing field `prefix`",
        ),
        (
            whole.replace(r#""layers":"01","#, ""),
            "missing field `layers`",
        ),
        (whole.replace(r#""prefix":0"#, r#""prefix":-1"#), "-1"),
    ] {
        let text = if text.starts_with('{') {
            text
        } else {
            format!("{{{text}}}")
        };
        let error = serde_json::from_str::<PeftConfiguration>(&text).expect_err(&text);
        assert!(error.to_string().contains(words), "{text}: {error}");
    }
}
