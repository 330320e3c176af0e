//! What a library cannot express is refused in one sentence, and nothing is written.

use autopeft_trainer::encoder::ModelConfig;
use autopeft_trainer::interchange::{Base, Content, Library, export, import};
use serde_json::{Value, json};

use super::{Case, backbone, base_model, checkpoint};
use crate::common::program::{run, text};
use crate::common::*;

const CONFIG: &str = "adapter_config.json";
const HEAD: &str = "head_config.json";

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

#[test]
fn full_fine_tuning_is_no_adapter() {
    let _guard = among_others();
    let place = tempfile::tempdir().expect("a folder");
    let model = place.path().join("bert");
    base_model(&model, "bert");
    let base = backbone(&model);
    let case = Case::new(&json!({"layers": "111", "sizes": {"lora": 2}}));
    let own = place.path().join("own");
    checkpoint(
        &case,
        "111",
        &base,
        &own,
        &golden("encoders.json")["bert"]["batch"],
    );
    let text = std::fs::read_to_string(own.join("adapter.json")).expect("a description");
    let text = text.replace("\"Peft\"", "\"FullFineTuning\"");
    std::fs::write(own.join("adapter.json"), text).expect("a file");
    let error = Content::read(&own).expect_err("refused");
    assert!(
        error
            .to_string()
            .starts_with("full fine-tuning changes every weight"),
        "{error}"
    );
}

/// Why an export of all three layers is not imported any more, after a change of one of its files.
fn changed(sizes: &Value, library: Library, file: &str, change: &dyn Fn(&mut Value)) -> String {
    let _guard = among_others();
    let place = tempfile::tempdir().expect("a folder");
    let at = |name: &str| place.path().join(name);
    let (model, own, out) = (at("bert"), at("own"), at("out"));
    base_model(&model, "bert");
    let base = backbone(&model);
    let case = Case::new(&json!({"layers": "111", "sizes": sizes}));
    let batch = &golden("encoders.json")["bert"]["batch"];
    checkpoint(&case, "111", &base, &own, batch);
    let content = Content::read(&own).expect("an adapter");
    let base = Base {
        folder: &model,
        config: base.config(),
    };
    export(&content, library, Some(base), &out).expect("it is exported");
    let text = std::fs::read_to_string(out.join(file)).expect("a file");
    let mut value: Value = serde_json::from_str(&text).expect("JSON");
    change(&mut value);
    std::fs::write(out.join(file), value.to_string()).expect("a file");
    import(&out, base).expect_err("refused").to_string()
}

#[test]
fn what_this_program_does_not_do_is_not_imported_from_peft() {
    for (module, field, value, expected) in [
        ("lora", "use_dora", json!(true), "field use_dora is true"),
        (
            "lora",
            "rank_pattern",
            json!({"query": 4}),
            "field rank_pattern is",
        ),
        (
            "lora",
            "init_lora_weights",
            json!("pissa"),
            "field init_lora_weights is",
        ),
        ("lora", "r", json!(3), "does not have rank 3"),
        (
            "lora",
            "peft_type",
            json!("LOHA"),
            "field peft_type is \"LOHA\"",
        ),
        ("prefix", "num_layers", json!(2), "field num_layers is 2"),
        (
            "ia3",
            "fan_in_fan_out",
            json!(true),
            "field fan_in_fan_out is true",
        ),
    ] {
        let sizes = json!({module: if module == "ia3" { 1 } else { 2 }});
        let set = |config: &mut Value| config[field] = value.clone();
        let said = changed(&sizes, Library::Peft, "adapter_config.json", &set);
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn what_this_program_does_not_do_is_not_imported_from_adapters() {
    for (file, field, value, expected) in [
        (
            CONFIG,
            "/config/configs/1/mh_adapter",
            json!(true),
            "field mh_adapter is true",
        ),
        (
            CONFIG,
            "/config/configs/1/non_linearity",
            json!("swish"),
            "field non_linearity is",
        ),
        (
            CONFIG,
            "/config/configs/1/leave_out",
            json!([0]),
            "is in other layers than its other modules",
        ),
        (
            CONFIG,
            "/config/configs/0/use_gating",
            json!(true),
            "has no tensor",
        ),
        (
            CONFIG,
            "/config/configs/0/architecture",
            json!("reft"),
            "field architecture is \"reft\"",
        ),
        (
            CONFIG,
            "/model_type",
            json!("roberta"),
            "field model_type is",
        ),
        (
            HEAD,
            "/config/head_type",
            json!("tagging"),
            "field head_type is \"tagging\"",
        ),
        (HEAD, "/config/layers", json!(1), "field layers is 1"),
    ] {
        let set = |config: &mut Value| *config.pointer_mut(field).expect("a field") = value.clone();
        let sizes = json!({"serialAdapter": 2, "prefix": 1});
        let said = changed(&sizes, Library::Adapters, file, &set);
        assert!(said.contains(expected), "{said}");
    }
    let both = json!({"serialAdapter": 2, "parallelAdapter": 2});
    let other = |config: &mut Value| config["adapter_setup"]["type"] = json!("Parallel");
    let said = changed(&both, Library::Adapters, "adapter_setup.json", &other);
    assert!(said.contains("is another composition"), "{said}");
}

#[test]
fn an_empty_directory_is_not_an_adapter() {
    let place = tempfile::tempdir().expect("a folder");
    base_model(place.path(), "bert");
    let config = ModelConfig::read(place.path()).expect("a configuration");
    let base = Base {
        folder: place.path(),
        config: &config,
    };
    let said = import(place.path(), base).expect_err("refused").to_string();
    assert!(
        said.contains("adapter_config.json: cannot be read"),
        "{said}"
    );
}
