//! To `adapters` 1.3 (AdapterHub).
//!
//! A union of modules is one adapter with its head. The serial with the parallel adapter is a set-up of several: the
//! library has no union of two bottlenecks at one place, but its AdapterFusion adds up what both compute if all its
//! weights are equal: with a query of zeros each has the weight ½, which a doubled scaling makes up for.

use autopeft_crds::Module;
use autopeft_crds::named::Named;
use autopeft_crds::options::{Ia3Site, Matrix};
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};

use super::bottleneck::{BOTTLENECKS, Bottleneck};
use super::content::Content;
use super::python::{self, NAME, VERSION, described, layers_left_out};
use super::written::{CONFIG, DESCRIPTION, Written};
use super::{InterchangeError, head};
use crate::adapter::card;
use crate::nn::NamedTensors;

/// The file of a set-up of several adapters.
pub(super) const SETUP: &str = "adapter_setup.json";
/// The names of both bottlenecks in a set-up.
pub(super) const PARALLEL: &str = "autopeft-parallel";
pub(super) const SERIAL: &str = "autopeft-serial";
pub(super) const WEIGHTS: &str = "pytorch_adapter.bin";
const FUSION_CONFIG: &str = "adapter_fusion_config.json";
const FUSION_WEIGHTS: &str = "pytorch_model_adapter_fusion.bin";

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
        head::write(content, &format!("{NAME}/"), &mut written)?;
    } else {
        for row in BOTTLENECKS.iter().filter(|row| has(row.module)) {
            others.add(content, row.module, 1.0)?;
        }
        if others.configs.is_empty() {
            return Err(InterchangeError::Refused(
                "the adapter has no modules, only a head; there is nothing that adapters could load as an adapter"
                    .into(),
            ));
        }
        others.write(content, "", &mut written);
        head::write(content, "", &mut written)?;
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
        Module::AdaMix,
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
    let bottlenecks = BOTTLENECKS.iter().filter(|row| has(row.module));
    let bottlenecks: Vec<Module> = bottlenecks.map(|row| row.module).collect();
    if bottlenecks.len() > 1 && bottlenecks != [Module::SerialAdapter, Module::ParallelAdapter] {
        let titles: Vec<&str> = bottlenecks
            .iter()
            .map(|module| module.facts().title)
            .collect();
        return refused(
            &titles.join(" together with "),
            "its unions have one bottleneck at a place",
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
        self.configs.push(configuration(content, module, times));
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

/// The library's configuration of a module.
fn configuration(content: &Content, module: Module, times: f64) -> Value {
    let options = &content.description.options;
    let size = content.size(module);
    let leave_out = layers_left_out(content);
    if let Some(row) = Bottleneck::of(module) {
        let gated = options.gated && module == Module::SerialAdapter;
        return row.config(content.hidden(), size, times, gated, &leave_out);
    }
    match module {
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
    }
}

/// A module's tensors under the library's names.
fn of_layers(content: &Content, module: Module, adapter: &str) -> NamedTensors {
    let architecture = content.architecture();
    let tensors = content.of_layers(python::tensor_name(module)).into_iter();
    let named = tensors.map(|(layer, rest, tensor)| {
        let name = name_in_layer(module, rest, adapter);
        let tensor = match module {
            Module::Ia3 => tensor.view([-1, 1]),
            _ => tensor.shallow_clone(),
        };
        (
            format!("{architecture}.encoder.layer.{layer}.{name}"),
            tensor,
        )
    });
    named.collect()
}

/// The library's name of a module's tensor below its layer.
fn name_in_layer(module: Module, rest: &str, adapter: &str) -> String {
    if Bottleneck::of(module).is_some() {
        let down = rest.replacen("down.", "adapter_down.0.", 1);
        let rest = down.replacen("up.", "adapter_up.", 1);
        return format!("output.adapters.{adapter}.{rest}");
    }
    let (matrix, part) = rest.split_once('.').unwrap_or((rest, "lora_B"));
    let part = match part {
        "down" => "lora_A",
        "up" => "lora_B",
        other => other,
    };
    match matrix {
        "feed_forward" => format!("intermediate.dense.loras.{adapter}.{part}"),
        matrix => format!("attention.self.{matrix}.loras.{adapter}.{part}"),
    }
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
