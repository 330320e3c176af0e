//! Masks, the canonical form and the hash.

use autopeft_crds::{LayerMask, PeftConfiguration};
use proptest::prelude::*;

fn configuration() -> impl Strategy<Value = PeftConfiguration> {
    ("[01]{1,24}", 0..3_u32, 0..3_u32, 0..3_u32).prop_map(|(layers, sa, pa, prefix)| {
        PeftConfiguration {
            layers: layers.parse().expect("a mask"),
            serial_adapter: sa,
            parallel_adapter: pa,
            prefix,
        }
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
