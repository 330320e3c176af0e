//! What a library cannot express is refused in one sentence, and nothing is written.

use autopeft_trainer::interchange::Library;
use serde_json::{Value, json};

use super::{Case, backbone, base_model, checkpoint};
use crate::common::program::{run, text};
use crate::common::*;

fn refusal(
    sizes: Value,
    options: Value,
    layers: &'static str,
    library: Library,
    with_model: bool,
) -> String {
    let _guard = among_others();
    let place = tempfile::tempdir().expect("a folder");
    let model = place.path().join("bert");
    base_model(&model, "bert");
    let base = backbone(&model);
    let case = Case::new(&json!({"layers": layers, "sizes": sizes, "options": options}));
    let own = place.path().join("own");
    checkpoint(
        &case,
        layers,
        &base,
        &own,
        &golden("encoders.json")["bert"]["batch"],
    );
    let out = place.path().join("out");
    let format = library.name();
    let (own, out_text, model) = (
        own.to_string_lossy(),
        out.to_string_lossy(),
        model.to_string_lossy(),
    );
    let mut arguments = vec!["export", &own, "--format", format, "--out", &out_text];
    if with_model {
        arguments.extend(["--model", &model]);
    }
    let output = run(&arguments);
    assert_eq!(output.status.code(), Some(2));
    assert!(!out.exists(), "nothing is written");
    let said = text(&output.stderr);
    said.trim().trim_start_matches("peft-trainer: ").to_owned()
}

#[test]
fn what_peft_cannot_express_is_refused() {
    let said = |sizes, options| refusal(sizes, options, "101", Library::Peft, true);
    assert_eq!(
        said(json!({"serialAdapter": 3, "prefix": 2}), json!({})),
        "peft has no serial adapter; --format adapters can"
    );
    assert_eq!(
        said(json!({"prefix": 2, "lora": 2}), json!({})),
        "peft cannot have prefix and LoRA in one adapter; --format adapters can"
    );
    assert_eq!(
        said(json!({"ia3": 1, "lora": 2}), json!({})),
        "peft cannot have LoRA and (IA)³ in one adapter"
    );
    assert_eq!(
        said(json!({"prefix": 2}), json!({})),
        "peft has a prefix in every layer or in none, and this one is in some; --format adapters can"
    );
    assert_eq!(
        said(json!({"lora": 2}), json!({"gated": true})),
        "peft has no gates for LoRA; --format adapters can"
    );
    let said = |options| refusal(json!({"prefix": 17}), options, "111", Library::Peft, true);
    assert_eq!(
        said(json!({})),
        "peft counts the prefix among the model's 24 positions: 7 are left, and texts may have 8 tokens; --format adapters can"
    );
    let said = refusal(json!({"prefix": 2}), json!({}), "111", Library::Peft, false);
    assert!(said.starts_with("give --model: peft counts"), "{said}");
}

#[test]
fn what_adapters_cannot_express_is_refused() {
    let said = |sizes, options| refusal(sizes, options, "101", Library::Adapters, false);
    let check = |sizes: Value, options: Value, what: &str| {
        let said = said(sizes, options);
        assert!(
            said.starts_with(&format!("adapters cannot express {what}: ")),
            "{said}"
        );
    };
    check(json!({"bitFit": 1}), json!({}), "BitFit");
    check(json!({"ia3": 1}), json!({}), "(IA)³ after the activation");
    check(
        json!({"ia3": 1, "lora": 2}),
        json!({"ia3": {"feedForward": "BeforeActivation"}}),
        "LoRA together with (IA)³",
    );
    check(
        json!({"lora": 2}),
        json!({"lora": {"matrices": ["query", "output"], "alpha": 8, "rankStabilized": false}}),
        "LoRA on attention's output matrix",
    );
    check(
        json!({"serialAdapter": 2, "parallelAdapter": 2}),
        json!({"gated": true}),
        "a gated serial adapter together with a parallel one",
    );
}
