//! To Hugging Face `peft` 0.21: LoRA, (IA)³, BitFit and a prefix in every layer, each alone, and LoRA with BitFit.
//!
//! The head is `modules_to_save`: transformers' head for BERT is the pooler and a dense layer, for RoBERTa both are in
//! the classifier; either computes what this project's does. `peft` has no BitFit: a `LoraConfig` may train
//! biases (`bias`), and without LoRA it has one of rank 1 that is 0. With a prefix, `peft` counts the positions of the
//! text's tokens from L; the table of positions is saved with its rows moved by L, which undoes that.

use std::collections::BTreeSet;

use autopeft_crds::Module;
use autopeft_crds::named::Named;
use autopeft_crds::options::{Ia3Site, Matrix};
use autopeft_crds::spec::TaskKind;
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};

use super::content::Content;
use super::python::{self, tensor_name};
use super::written::{CONFIG, DESCRIPTION, Written};
use super::{Base, InterchangeError, to_adapters};
use crate::adapter::{ModelShape, card};
use crate::backbone::{POSITIONS, moved_positions};
use crate::encoder::weights;
use crate::model::ModelError;
use crate::nn::NamedTensors;

pub(super) const WEIGHTS: &str = "adapter_model.safetensors";
/// The prefix of names under a model that `peft` has changed, and under one with a prefix.
pub(super) const CHANGED: &str = "base_model.model.";
pub(super) const UNCHANGED: &str = "base_model.";
pub(super) const PROMPT: &str = "prompt_embeddings";
const VERSION: &str = "0.21.0";

/// The files of an export.
pub(super) fn written(
    content: &Content,
    base: Option<Base<'_>>,
) -> Result<Written, InterchangeError> {
    let modules = content.modules();
    let (mut config, mut tensors) = match modules.as_slice() {
        [Module::Prefix] => prefix(content, base)?,
        [Module::Ia3] => ia3(content),
        [Module::Lora] | [Module::BitFit] | [Module::Lora, Module::BitFit] => lora(content)?,
        _ => return Err(refused(content, &modules)),
    };
    let root = if modules == [Module::Prefix] {
        UNCHANGED
    } else {
        CHANGED
    };
    let mut saved = head(content, root, &mut tensors)?;
    if tensors.iter().any(|(name, _)| name.ends_with(POSITIONS)) {
        saved.push("position_embeddings");
    }
    let of_model = content.description.base.as_ref();
    let is_choice = content.kind() == TaskKind::MultipleChoice;
    config["task_type"] = if is_choice {
        Value::Null
    } else {
        json!("SEQ_CLS")
    };
    config["modules_to_save"] = json!(saved);
    config["base_model_name_or_path"] = json!(of_model.map(|base| &base.name));
    config["inference_mode"] = json!(true);
    config["peft_version"] = json!(VERSION);
    let mut written = Written::default();
    written.json(CONFIG, &config);
    written.json(DESCRIPTION, &json!(content.description));
    let code = python::peft_code(content, content.outputs()?);
    let mut notes = Vec::new();
    if saved.contains(&"position_embeddings") {
        notes.push(format!(
            "Texts may have {} tokens fewer than the model has positions: the prefix counts, too.",
            content.size(Module::Prefix)
        ));
    }
    if modules == [Module::BitFit] {
        notes.push("What was trained are biases; the LoRA beside them is zero.".into());
    }
    written.card(card(
        &content.description,
        Some(python::exported("peft", &code, &notes)),
    ));
    written.safetensors(WEIGHTS, tensors);
    Ok(written)
}

/// The refusal of modules that `peft` does not have, or not together.
fn refused(content: &Content, modules: &[Module]) -> InterchangeError {
    let titles = |modules: &[Module]| {
        let titles = modules.iter().map(|module| module.facts().title);
        titles.collect::<Vec<_>>().join(" and ")
    };
    let known = [Module::Prefix, Module::Lora, Module::Ia3, Module::BitFit];
    let unknown: Vec<Module> = modules
        .iter()
        .filter(|module| !known.contains(module))
        .copied()
        .collect();
    let other = match to_adapters::refuse(content) {
        Ok(()) => "; --format adapters can",
        Err(_) => "",
    };
    InterchangeError::Refused(match (modules.is_empty(), unknown.is_empty()) {
        (true, _) => "the adapter has no modules, only a head; there is nothing that peft could load as an adapter".into(),
        (false, false) => format!("peft has no {}{other}", titles(&unknown)),
        (false, true) => format!("peft cannot have {} in one adapter{other}", titles(modules)),
    })
}

/// A pattern of the active layers' names, which `peft` matches as a whole.
fn layers(content: &Content) -> String {
    let numbers: Vec<String> = content.active().iter().map(ToString::to_string).collect();
    format!(r".*\.encoder\.layer\.({})\.", numbers.join("|"))
}

/// The name of a matrix of attention below its layer.
fn matrix_name(matrix: &str) -> String {
    match matrix {
        "output" => "attention.output.dense".into(),
        matrix => format!("attention.self.{matrix}"),
    }
}

fn lora(content: &Content) -> Result<(Value, NamedTensors), InterchangeError> {
    let description = &content.description;
    let options = &description.options.lora;
    let rank = content.size(Module::Lora);
    if description.options.gated && rank > 0 {
        return Err(InterchangeError::Refused(
            "peft has no gates for LoRA; --format adapters can".into(),
        ));
    }
    let matrices: BTreeSet<Matrix> = match rank {
        0 => [Matrix::Query].into(),
        _ => options.matrices.0.clone(),
    };
    let names: Vec<String> = matrices
        .iter()
        .map(|matrix| matrix_name(matrix.as_str()))
        .collect();
    let at = |layer: usize, rest: &str| {
        format!(
            "{CHANGED}{}.encoder.layer.{layer}.{rest}",
            content.architecture()
        )
    };
    let mut tensors = NamedTensors::new();
    for (layer, rest, tensor) in content.of_layers(tensor_name(Module::Lora)) {
        let (matrix, part) = rest.split_once('.').unwrap_or((rest, ""));
        let part = if part == "down" { "lora_A" } else { "lora_B" };
        let name = at(layer, &format!("{}.{part}.weight", matrix_name(matrix)));
        tensors.push((name, tensor.shallow_clone()));
    }
    if rank == 0 {
        for layer in content.active() {
            let zeros = |shape: [i64; 2]| Tensor::zeros(shape, (Kind::Float, Device::Cpu));
            let (inner, hidden) = (at(layer, &names[0]), content.hidden());
            tensors.push((format!("{inner}.lora_A.weight"), zeros([1, hidden])));
            tensors.push((format!("{inner}.lora_B.weight"), zeros([hidden, 1])));
        }
    }
    let has_biases = content.size(Module::BitFit) > 0;
    if has_biases {
        for (name, tensor) in &content.tensors {
            let Some((layer, rest)) = name
                .strip_prefix("backbone.encoder.layer.")
                .and_then(|name| name.split_once('.'))
            else {
                continue;
            };
            // The dense layers that LoRA wraps keep theirs below.
            let part = rest.strip_suffix(".bias").unwrap_or(rest);
            let below = if names.iter().any(|name| name == part) {
                ".base_layer"
            } else {
                ""
            };
            let name = format!(
                "{CHANGED}{}.encoder.layer.{layer}.{part}{below}.bias",
                content.architecture()
            );
            tensors.push((name, tensor.shallow_clone()));
        }
    }
    let rank = rank.max(1);
    let names: Vec<String> = names.iter().map(|name| name.replace('.', r"\.")).collect();
    let config = json!({
        "peft_type": "LORA", "r": rank, "lora_alpha": options.alpha, "use_rslora": options.rank_stabilized,
        "lora_dropout": 0.0, "bias": if has_biases { "all" } else { "none" }, "fan_in_fan_out": false,
        "init_lora_weights": true, "use_dora": false,
        "target_modules": format!("{}({})", layers(content), names.join("|")),
    });
    Ok((config, tensors))
}

fn ia3(content: &Content) -> (Value, NamedTensors) {
    // After the activation is before the second dense layer, whose input is scaled.
    let is_after = content.description.options.ia3.feed_forward == Ia3Site::AfterActivation;
    let dense = if is_after {
        "output.dense"
    } else {
        "intermediate.dense"
    };
    let tensors = content.of_layers(tensor_name(Module::Ia3)).into_iter();
    let tensors = tensors.map(|(layer, part, tensor)| {
        let (place, shape) = match part {
            "feed_forward" if is_after => (dense.to_owned(), [1, -1]),
            "feed_forward" => (dense.to_owned(), [-1, 1]),
            matrix => (matrix_name(matrix), [-1, 1]),
        };
        let name = format!(
            "{CHANGED}{}.encoder.layer.{layer}.{place}.ia3_l",
            content.architecture()
        );
        (name, tensor.view(shape))
    });
    let dense = dense.replace('.', r"\.");
    let at = layers(content);
    let feed_forward = if is_after {
        json!(format!("{at}{dense}"))
    } else {
        json!([])
    };
    let config = json!({
        "peft_type": "IA3", "target_modules": format!(r"{at}(attention\.self\.(key|value)|{dense})"),
        "feedforward_modules": feed_forward, "fan_in_fan_out": false, "init_ia3_weights": true,
    });
    (config, tensors.collect())
}

fn prefix(
    content: &Content,
    base: Option<Base<'_>>,
) -> Result<(Value, NamedTensors), InterchangeError> {
    let description = &content.description;
    let ModelShape {
        layers,
        hidden_size,
        attention_heads,
        ..
    } = &description.model;
    let refused = |why: &str| {
        Err(InterchangeError::Refused(format!(
            "peft {why}; --format adapters can"
        )))
    };
    if content.active().len() != *layers {
        return refused("has a prefix in every layer or in none, and this one is in some");
    }
    if description.options.gated {
        return refused("has no gates for a prefix");
    }
    if content.kind() == TaskKind::MultipleChoice {
        return refused("has no prefix for multiple choice");
    }
    let length = content.size(Module::Prefix);
    let mut tensors = vec![(
        PROMPT.to_owned(),
        content.tensor("prefix.key_values")?.shallow_clone(),
    )];
    // Where positions are counted from the prefix's length already, nothing is to be undone.
    if description.first_position != length {
        if description.first_position != 0 {
            return refused("counts positions from the prefix's length");
        }
        let Some(Base { folder, config }) = base else {
            return Err(InterchangeError::Refused(
                "give --model: peft counts the positions of a text after those of the prefix, and the model's table of positions is needed to undo that"
                    .into(),
            ));
        };
        let most = config.max_tokens - i64::from(length);
        if i64::from(description.training.max_length) > most {
            return refused(&format!(
                "counts the prefix among the model's {} positions: {most} are left, and texts may have {} tokens",
                config.max_tokens, description.training.max_length
            ));
        }
        let mut all = weights::read(folder, config).map_err(ModelError::from)?;
        let table = all.remove(POSITIONS).ok_or_else(|| {
            InterchangeError::Refused(format!("the model has no table of positions ({POSITIONS})"))
        })?;
        let moved = moved_positions(&table, config, -i64::from(length));
        let name = format!("{UNCHANGED}{}.{POSITIONS}", content.architecture());
        tensors.push((name, moved));
    }
    let config = json!({
        "peft_type": "PREFIX_TUNING", "num_virtual_tokens": length, "num_layers": layers,
        "num_attention_heads": attention_heads, "token_dim": hidden_size, "num_transformer_submodules": 1,
        "encoder_hidden_size": hidden_size, "prefix_projection": false,
    });
    Ok((config, tensors))
}

/// Adds the head's tensors, and gives the names of the modules that they are saved with.
fn head(
    content: &Content,
    root: &str,
    tensors: &mut NamedTensors,
) -> Result<Vec<&'static str>, InterchangeError> {
    let architecture = content.architecture();
    let in_classifier = architecture == "roberta" && content.kind() != TaskKind::MultipleChoice;
    let (dense, output, saved) = match in_classifier {
        true => (
            "classifier.dense".to_owned(),
            "classifier.out_proj",
            vec!["classifier"],
        ),
        false => (
            format!("{architecture}.pooler.dense"),
            "classifier",
            vec!["pooler", "classifier"],
        ),
    };
    for (own, name) in [("dense", dense.as_str()), ("output", output)] {
        for part in ["weight", "bias"] {
            let tensor = content.tensor(&format!("head.{own}.{part}"))?;
            tensors.push((format!("{root}{name}.{part}"), tensor.shallow_clone()));
        }
    }
    Ok(saved)
}
