//! To `adapters` 1.3 (AdapterHub).
//!
//! A union of modules is one adapter with its head. The serial with the parallel adapter is a set-up of several: the
//! library has no union of two bottlenecks at one place, but its AdapterFusion adds up what both compute if all its
//! weights are equal: with a query of zeros each has the weight ½, which a doubled scaling makes up for.

use autopeft_crds::Module;
use autopeft_crds::named::Named;
use autopeft_crds::options::{Ia3Site, Matrix};
use autopeft_crds::spec::TaskKind;
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};

use super::InterchangeError;
use super::content::Content;
use super::python::{self, layers_left_out};
use super::written::{CONFIG, DESCRIPTION, Written};
use crate::adapter::card;
use crate::nn::NamedTensors;

/// The file of a set-up of several adapters.
pub(super) const SETUP: &str = "adapter_setup.json";
/// The adapter's name, and the head's.
pub(super) const NAME: &str = "autopeft";
/// The names of both bottlenecks in a set-up.
pub(super) const PARALLEL: &str = "autopeft-parallel";
pub(super) const SERIAL: &str = "autopeft-serial";
pub(super) const WEIGHTS: &str = "pytorch_adapter.bin";
pub(super) const HEAD_CONFIG: &str = "head_config.json";
pub(super) const HEAD_WEIGHTS: &str = "pytorch_model_head.bin";
const FUSION_CONFIG: &str = "adapter_fusion_config.json";
const FUSION_WEIGHTS: &str = "pytorch_model_adapter_fusion.bin";
const VERSION: &str = "adapters.1.3.0";
/// s of the parallel adapter.
pub(super) const PARALLEL_SCALE: f64 = 4.0;

/// The files of an export.
pub(super) fn written(content: &Content) -> Result<Written, InterchangeError> {
    refuse(content)?;
    let has = |module| content.size(module) > 0;
    let is_setup = has(Module::SerialAdapter) && has(Module::ParallelAdapter);
    let mut written = Written::default();
    let mut others = Part::new(NAME);
    for module in [Module::Prefix, Module::Lora, Module::Ia3] {
        if has(module) {
            others.add(content, module, 1.0)?;
        }
    }
    if is_setup {
        for (name, module) in [
            (PARALLEL, Module::ParallelAdapter),
            (SERIAL, Module::SerialAdapter),
        ] {
            let mut part = Part::new(name);
            part.add(content, module, 2.0)?;
            part.write(content, &format!("{name}/"), &mut written);
        }
        if !others.configs.is_empty() {
            others.write(content, &format!("{NAME}/"), &mut written);
        }
        fusion(content, &mut written);
        let setup = json!({
            "adapter_setup": composition(!others.configs.is_empty()),
            "head_setup": NAME,
            "version": VERSION,
        });
        written.json(SETUP, &setup);
        head(content, &format!("{NAME}/"), &mut written)?;
    } else {
        for module in [Module::SerialAdapter, Module::ParallelAdapter] {
            if has(module) {
                others.add(content, module, 1.0)?;
            }
        }
        if others.configs.is_empty() {
            return Err(InterchangeError::Refused(
                "the adapter has no modules, only a head; there is nothing that adapters could load as an adapter"
                    .into(),
            ));
        }
        others.write(content, "", &mut written);
        head(content, "", &mut written)?;
    }
    written.json(DESCRIPTION, &json!(content.description));
    let code = python::adapters_code(content, is_setup);
    written.card(card(
        &content.description,
        Some(python::exported("adapters", &code, &[])),
    ));
    Ok(written)
}

/// Refuses what the library cannot express.
pub(super) fn refuse(content: &Content) -> Result<(), InterchangeError> {
    let description = &content.description;
    let has = |module| content.size(module) > 0;
    let options = &description.options;
    let refused = |what: &str, why: &str| {
        Err(InterchangeError::Refused(format!(
            "adapters cannot express {what}: {why}"
        )))
    };
    let known = [
        Module::SerialAdapter,
        Module::ParallelAdapter,
        Module::Prefix,
        Module::Lora,
        Module::Ia3,
        Module::BitFit,
    ];
    if let Some(other) = content
        .modules()
        .iter()
        .find(|module| !known.contains(module))
    {
        return refused(other.facts().title, "it has no such module");
    }
    if has(Module::BitFit) {
        return refused(
            "BitFit",
            "it has no module for the model's own biases; --format peft can",
        );
    }
    if has(Module::Ia3) && options.ia3.feed_forward == Ia3Site::AfterActivation {
        return refused(
            "(IA)³ after the activation",
            "it scales before it; --format peft can, and so can an adapter that is trained with ia3.feedForward: BeforeActivation",
        );
    }
    if has(Module::Ia3) && has(Module::Lora) {
        return refused(
            "LoRA together with (IA)³",
            "its union has one of them per matrix",
        );
    }
    if has(Module::Lora) && options.lora.matrices.0.contains(&Matrix::Output) {
        return refused(
            "LoRA on attention's output matrix",
            "it has query, key and value; --format peft can",
        );
    }
    if options.gated && has(Module::SerialAdapter) && has(Module::ParallelAdapter) {
        return refused(
            "a gated serial adapter together with a parallel one",
            "its AdapterFusion leaves the gate out",
        );
    }
    if description.first_position > 0 {
        return refused(
            "a prefix that positions are counted from",
            "it counts the text's positions from 0; --format peft can",
        );
    }
    Ok(())
}

/// One adapter of the library: its configurations and its tensors.
struct Part {
    name: &'static str,
    configs: Vec<Value>,
    tensors: NamedTensors,
}

impl Part {
    fn new(name: &'static str) -> Self {
        Self {
            name,
            configs: Vec::new(),
            tensors: Vec::new(),
        }
    }

    /// Adds a module; `times` multiplies the output of a bottleneck.
    fn add(
        &mut self,
        content: &Content,
        module: Module,
        times: f64,
    ) -> Result<(), InterchangeError> {
        let options = &content.description.options;
        let size = content.size(module);
        let leave_out = layers_left_out(content);
        let config = match module {
            Module::SerialAdapter => bottleneck(size, content, false, times, options.gated),
            Module::ParallelAdapter => {
                bottleneck(size, content, true, PARALLEL_SCALE * times, false)
            }
            Module::Prefix => json!({
                "architecture": "prefix_tuning", "flat": true, "prefix_length": size, "bottleneck_size": 512,
                "non_linearity": "tanh", "dropout": 0.0, "encoder_prefix": true, "cross_prefix": false,
                "use_gating": options.gated, "shared_gating": true, "leave_out": leave_out,
            }),
            Module::Lora => {
                let matrices = options.lora.matrices.0.iter();
                let letters: Vec<&str> = matrices.map(|matrix| &matrix.as_str()[..1]).collect();
                json!({
                    "architecture": "lora", "selfattn_lora": true, "intermediate_lora": false, "output_lora": false,
                    "r": size, "alpha": options.lora.scale(size) * f64::from(size), "dropout": 0.0,
                    "attn_matrices": letters, "composition_mode": "add", "init_weights": "lora",
                    "use_gating": options.gated, "leave_out": leave_out,
                })
            }
            _ => json!({
                "architecture": "lora", "selfattn_lora": true, "intermediate_lora": true, "output_lora": false,
                "r": 1, "alpha": 1, "dropout": 0.0, "attn_matrices": ["k", "v"], "composition_mode": "scale",
                "init_weights": "ia3", "use_gating": false, "leave_out": leave_out,
            }),
        };
        self.configs.push(config);
        let tensors = match module {
            Module::Prefix => prefix(content, self.name)?,
            _ => of_layers(content, module, self.name),
        };
        self.tensors.extend(tensors);
        Ok(())
    }

    fn write(&self, content: &Content, folder: &str, written: &mut Written) {
        let config = match self.configs.as_slice() {
            [only] => only.clone(),
            several => json!({"architecture": "union", "configs": several}),
        };
        written.json(
            &format!("{folder}{CONFIG}"),
            &described(content, self.name, &[("config", config)]),
        );
        let tensors = self.tensors.iter();
        let tensors = tensors.map(|(name, tensor)| (name.clone(), tensor.shallow_clone()));
        written.torch(&format!("{folder}{WEIGHTS}"), tensors.collect());
    }
}

/// A configuration file's object.
fn described(content: &Content, name: &str, fields: &[(&str, Value)]) -> Value {
    let base = content.description.base.as_ref();
    let mut object = json!({
        "hidden_size": content.hidden(),
        "model_class": class(content.architecture()),
        "model_name": base.map(|base| &base.name),
        "model_type": content.architecture(),
        "name": name,
        "version": VERSION,
    });
    for (field, value) in fields {
        object[*field] = value.clone();
    }
    object
}

/// The class of `AutoAdapterModel` for an architecture.
pub(super) fn class(architecture: &str) -> String {
    match architecture {
        "roberta" => "RobertaAdapterModel".into(),
        _ => "BertAdapterModel".into(),
    }
}

fn bottleneck(size: u32, content: &Content, is_parallel: bool, scaling: f64, gated: bool) -> Value {
    json!({
        "mh_adapter": false, "output_adapter": true,
        "reduction_factor": reduction_factor(content.hidden(), size), "non_linearity": "relu",
        "original_ln_before": !is_parallel, "original_ln_after": true, "ln_before": false, "ln_after": false,
        "residual_before_ln": true, "adapter_residual_before_ln": false,
        "init_weights": if is_parallel { "mam_adapter" } else { "bert" },
        "is_parallel": is_parallel, "scaling": scaling, "use_gating": gated, "dropout": 0.0,
        "cross_adapter": false, "inv_adapter": null, "inv_adapter_reduction_factor": null,
        "phm_layer": false, "stochastic_depth": 0.0, "leave_out": layers_left_out(content),
    })
}

/// A factor that makes a bottleneck of D: the library rounds H over it down. H / D itself may come out just below.
fn reduction_factor(hidden: i64, size: u32) -> f64 {
    hidden as f64 / (f64::from(size) + 0.5)
}

fn of_layers(content: &Content, module: Module, adapter: &str) -> NamedTensors {
    let architecture = content.architecture();
    let at = |layer: usize, rest: String| format!("{architecture}.encoder.layer.{layer}.{rest}");
    let own = python::tensor_name(module);
    let tensors = content.of_layers(own).into_iter();
    let named = tensors.map(|(layer, rest, tensor)| {
        let place = match module {
            Module::SerialAdapter | Module::ParallelAdapter => {
                let rest =
                    rest.replacen("down.", "adapter_down.0.", 1)
                        .replacen("up.", "adapter_up.", 1);
                return (
                    at(layer, format!("output.adapters.{adapter}.{rest}")),
                    tensor.shallow_clone(),
                );
            }
            Module::Lora => {
                let (matrix, rest) = rest.split_once('.').unwrap_or((rest, ""));
                let rest = match rest {
                    "down" => "lora_A",
                    "up" => "lora_B",
                    gate => gate,
                };
                return (
                    at(
                        layer,
                        format!("attention.self.{matrix}.loras.{adapter}.{rest}"),
                    ),
                    tensor.shallow_clone(),
                );
            }
            _ => match rest {
                "feed_forward" => "intermediate.dense".to_owned(),
                matrix => format!("attention.self.{matrix}"),
            },
        };
        (
            at(layer, format!("{place}.loras.{adapter}.lora_B")),
            tensor.view([-1, 1]),
        )
    });
    named.collect()
}

fn prefix(content: &Content, adapter: &str) -> Result<NamedTensors, InterchangeError> {
    let architecture = content.architecture();
    let mut tensors = vec![(
        format!("{architecture}.prefix_tuning.prefix_tunings.{adapter}.self_prefix.control_trans"),
        content.tensor("prefix.key_values")?.flatten(0, -1),
    )];
    if content.description.options.gated {
        for (slot, layer) in content.active().into_iter().enumerate() {
            for part in ["weight", "bias"] {
                tensors.push((
                    format!(
                        "{architecture}.encoder.layer.{layer}.attention.self.prefix_tuning.prefix_gates.{adapter}.{part}"
                    ),
                    content.tensor(&format!("prefix.gate.{slot}.{part}"))?.shallow_clone(),
                ));
            }
        }
    }
    Ok(tensors)
}

fn head(content: &Content, folder: &str, written: &mut Written) -> Result<(), InterchangeError> {
    let outputs = content.outputs()?;
    let labels = &content.description.labels;
    let numbers = labels
        .iter()
        .enumerate()
        .map(|(number, label)| (label.clone(), json!(number)));
    let label2id = (!labels.is_empty()).then(|| Value::Object(numbers.collect()));
    let mut config = json!({
        "layers": 2, "activation_function": "tanh", "use_pooler": false, "dropout_prob": null, "label2id": label2id,
    });
    match content.kind() {
        TaskKind::MultipleChoice => {
            config["head_type"] = json!("multiple_choice");
            config["num_choices"] = json!(labels.len());
        }
        kind => {
            let is_set = kind == TaskKind::MultiLabel;
            config["head_type"] = json!(if is_set {
                "multilabel_classification"
            } else {
                "classification"
            });
            config["num_labels"] = json!(outputs);
            config["bias"] = json!(true);
        }
    }
    written.json(
        &format!("{folder}{HEAD_CONFIG}"),
        &described(content, NAME, &[("config", config)]),
    );
    let mut tensors = NamedTensors::new();
    for (own, place) in [("dense", 1), ("output", 4)] {
        for part in ["weight", "bias"] {
            let tensor = content.tensor(&format!("head.{own}.{part}"))?;
            tensors.push((
                format!("heads.{NAME}.{place}.{part}"),
                tensor.shallow_clone(),
            ));
        }
    }
    written.torch(&format!("{folder}{HEAD_WEIGHTS}"), tensors);
    Ok(())
}

/// The composition of the adapters of a set-up.
pub(super) fn composition(has_others: bool) -> Value {
    let single = |name: &str| json!({"type": "single", "children": [name]});
    // The parallel adapter reads the layer's input where it stands in a stack.
    let fuse = json!({
        "type": "Fuse",
        "children": [{"type": "Stack", "children": [single(PARALLEL)]}, single(SERIAL)],
    });
    match has_others {
        true => json!({"type": "Stack", "children": [single(NAME), fuse]}),
        false => fuse,
    }
}

/// An AdapterFusion whose weights are equal.
fn fusion(content: &Content, written: &mut Written) {
    let name = format!("{PARALLEL},{SERIAL}");
    let config = json!({
        "query": true, "key": false, "value": false, "query_before_ln": false, "regularization": false,
        "residual_before": false, "temperature": false, "value_before_softmax": true, "value_initialized": false,
        "dropout_prob": null,
    });
    let fields = [
        ("config", config),
        ("adapter_names", json!([PARALLEL, SERIAL])),
    ];
    written.json(
        &format!("{name}/{FUSION_CONFIG}"),
        &described(content, &name, &fields),
    );
    let (architecture, hidden) = (content.architecture(), content.hidden());
    let zero = Tensor::zeros([1], (Kind::Float, Device::Cpu));
    let mut tensors = NamedTensors::new();
    for layer in 0..content.description.model.layers {
        let at = format!(
            "{architecture}.encoder.layer.{layer}.output.adapter_fusion_layer.{name}.query"
        );
        tensors.push((format!("{at}.weight"), zero.expand([hidden, hidden], false)));
        tensors.push((format!("{at}.bias"), zero.expand([hidden], false)));
    }
    written.torch(&format!("{name}/{FUSION_WEIGHTS}"), tensors);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// For every width and size the library's `int(H // factor)` is the size.
    #[test]
    fn a_reduction_factor_gives_exactly_the_size() {
        for hidden in [16, 312, 384, 768, 1000, 1024] {
            for size in 1..=8192 {
                let factor = reduction_factor(hidden, size);
                let found = (hidden as f64).div_euclid(factor);
                assert_eq!(found, f64::from(size), "{hidden}");
            }
        }
    }
}
