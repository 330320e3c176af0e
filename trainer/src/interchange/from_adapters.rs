//! From `adapters` (AdapterHub): an adapter with its head, a union of modules too, and the set-ups that this program
//! exports.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use autopeft_crds::Module;
use autopeft_crds::named::Named;
use autopeft_crds::options::{Ia3Site, Matrices, Matrix};
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};

use super::bottleneck::BOTTLENECKS;
use super::fields::Fields;
use super::parts::Parts;
use super::python::{NAME, tensor_name};
use super::to_adapters::{PARALLEL, SERIAL, SETUP, WEIGHTS, composition};
use super::written::CONFIG;
use super::{Base, Imported, InterchangeError, Library, head, torch_file};

const SAFE_WEIGHTS: &str = "adapter.safetensors";

/// Reads a directory with one adapter.
pub(super) fn single(
    directory: &Path,
    config: Fields,
    base: Base<'_>,
) -> Result<Imported, InterchangeError> {
    let mut parts = Parts::new(directory.into());
    adapter(directory, &config, &mut parts, base, 1.0)?;
    let (labels, outputs) = head::read(directory, &mut parts, base)?;
    finish(parts, base, labels, outputs)
}

/// Reads a set-up of several adapters, as `to_adapters` writes it.
pub(super) fn setup(directory: &Path, base: Base<'_>) -> Result<Imported, InterchangeError> {
    let found = Fields::read(&directory.join(SETUP))?;
    let has_others = directory.join(NAME).join(CONFIG).is_file();
    if found.get("adapter_setup") != Some(&composition(has_others)) {
        return Err(found.refused(
            "is another composition than this program exports; import an adapter, or a union, by itself",
        ));
    }
    let mut parts = Parts::new(directory.into());
    let fusion = directory.join(format!("{PARALLEL},{SERIAL}"));
    fusion_is_even(&fusion, &parts)?;
    // Its halves were doubled.
    let others = has_others.then_some((NAME, 1.0));
    for (name, times) in [(PARALLEL, 0.5), (SERIAL, 0.5)].into_iter().chain(others) {
        let folder = directory.join(name);
        let config = Fields::read(&folder.join(CONFIG))?;
        adapter(&folder, &config, &mut parts, base, times)?;
    }
    let (labels, outputs) = head::read(&directory.join(NAME), &mut parts, base)?;
    finish(parts, base, labels, outputs)
}

fn finish(
    parts: Parts,
    base: Base<'_>,
    labels: Vec<String>,
    outputs: i64,
) -> Result<Imported, InterchangeError> {
    let (inserted, tensors) = parts.finish(base.config.layers)?;
    Ok(Imported {
        library: Library::Adapters,
        inserted,
        tensors,
        labels,
        outputs,
        description: None,
    })
}

/// Refuses a fusion that was trained.
fn fusion_is_even(folder: &Path, parts: &Parts) -> Result<(), InterchangeError> {
    let tensors = torch_file::read(&folder.join("pytorch_model_adapter_fusion.bin"))?;
    let is_zero = |tensor: &Tensor| tensor.count_nonzero(None).int64_value(&[]) == 0;
    match tensors
        .iter()
        .all(|(name, tensor)| name.contains(".query.") && is_zero(tensor))
    {
        true => Ok(()),
        false => Err(parts.refused(
            "its AdapterFusion was trained; this program adds up what both adapters compute",
        )),
    }
}

/// An adapter that is being read: its tensors by their names without the architecture's prefix.
struct Reading<'a> {
    parts: &'a mut Parts,
    tensors: BTreeMap<String, Tensor>,
    base: Base<'a>,
    name: String,
    /// By which a bottleneck's output is multiplied.
    times: f64,
    /// Whether α of a LoRA by itself had no effect when it was trained.
    has_faulty_scale: bool,
}

/// Before 1.1.0, `adapters` scaled LoRA by 1 whatever its α was; since then it reads such a LoRA with α = r.
fn has_faulty_scale(version: &str) -> bool {
    let numbers = version.strip_prefix("adapters.").map(|version| {
        let mut numbers = version.split('.').map(|number| number.parse().unwrap_or(0));
        (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
    });
    numbers.is_some_and(|numbers: (u32, u32)| numbers < (1, 1))
}

fn adapter(
    folder: &Path,
    config: &Fields,
    parts: &mut Parts,
    base: Base<'_>,
    times: f64,
) -> Result<(), InterchangeError> {
    config.only("model_type", base.config.name, base.config.name)?;
    config.only(
        "hidden_size",
        base.config.hidden_size,
        base.config.hidden_size,
    )?;
    let prefix = format!("{}.", base.config.name);
    let all = torch_file::either(folder, SAFE_WEIGHTS, WEIGHTS)?.into_iter();
    let all = all.map(|(name, tensor)| match name.strip_prefix(prefix.as_str()) {
        Some(rest) => (rest.to_owned(), tensor),
        None => (name, tensor),
    });
    let mut reading = Reading {
        parts,
        tensors: all.collect(),
        base,
        name: config.text("name").to_owned(),
        times,
        has_faulty_scale: false,
    };
    let Some(own) = config.get("config") else {
        return Err(config.wrong("config", "an adapter's configuration"));
    };
    let own = config.inner(own)?;
    reading.has_faulty_scale = has_faulty_scale(config.text("version"));
    match own.text("architecture") {
        "union" => {
            let several = own.get("configs").and_then(Value::as_array);
            reading.has_faulty_scale = false;
            for one in several.map(Vec::as_slice).unwrap_or_default() {
                reading.module(&own.inner(one)?)?;
            }
        }
        _ => reading.module(&own)?,
    }
    // A prefix is saved once more for every layer that reads it.
    let is_copy = |name: &str| name.contains(".prefix_tuning.pool.");
    match reading.tensors.keys().find(|name| !is_copy(name)) {
        None => Ok(()),
        Some(name) => Err(config.refused(&format!(
            "has a tensor {name} that belongs to nothing this program has"
        ))),
    }
}

impl Reading<'_> {
    fn module(&mut self, config: &Fields) -> Result<(), InterchangeError> {
        match config.text("architecture") {
            "" => self.bottleneck(config),
            "prefix_tuning" => self.prefix(config),
            "lora" if config.text("composition_mode") == "scale" => self.ia3(config),
            "lora" => self.lora(config),
            _ => Err(config.wrong("architecture", "a bottleneck, prefix_tuning or lora")),
        }
    }

    /// The layers of a configuration.
    fn layers(&self, config: &Fields) -> BTreeSet<usize> {
        let left_out = config.get("leave_out").and_then(Value::as_array);
        let left_out: Vec<u64> = left_out
            .into_iter()
            .flatten()
            .filter_map(Value::as_u64)
            .collect();
        let all = 0..self.base.config.layers;
        all.filter(|layer| !left_out.contains(&(*layer as u64)))
            .collect()
    }

    fn take(&mut self, name: &str) -> Result<Tensor, InterchangeError> {
        let found = self.tensors.remove(name);
        found.ok_or_else(|| self.parts.refused(format!("it has no tensor {name}")))
    }

    /// A tensor of a known shape.
    fn shaped(&mut self, name: &str, shape: &[i64]) -> Result<Tensor, InterchangeError> {
        let tensor = self.take(name)?;
        match tensor.size() == shape {
            true => Ok(tensor),
            false => Err(self.parts.refused(format!(
                "its tensor {name} has shape {:?}; {shape:?} is expected",
                tensor.size()
            ))),
        }
    }

    /// Takes a gate's tensors.
    fn gate(&mut self, from: &str, to: &str) -> Result<(), InterchangeError> {
        let hidden = self.base.config.hidden_size;
        for (part, shape) in [("weight", vec![1, hidden]), ("bias", vec![1])] {
            let tensor = self.shaped(&format!("{from}.{part}"), &shape)?;
            self.parts.push(format!("{to}.{part}"), tensor);
        }
        Ok(())
    }

    fn bottleneck(&mut self, config: &Fields) -> Result<(), InterchangeError> {
        let (is_parallel, is_normed) = (
            config.is_true("is_parallel"),
            config.is_true("original_ln_before"),
        );
        let mut rows = BOTTLENECKS.iter();
        let row = rows.find(|row| (row.is_parallel, row.is_normed) == (is_parallel, is_normed));
        let Some(row) = row else {
            return Err(config.wrong("original_ln_before", &(!is_normed).to_string()));
        };
        for (field, usual, expected) in [
            ("mh_adapter", false, false),
            ("output_adapter", false, true),
            ("original_ln_after", true, true),
            ("ln_before", false, false),
            ("ln_after", false, false),
            ("phm_layer", false, false),
        ] {
            config.only(field, usual, expected)?;
        }
        config.only("non_linearity", "", row.activation)?;
        config.only("inv_adapter", Value::Null, Value::Null)?;
        if is_normed {
            config.only("residual_before_ln", true, true)?;
        }
        let gated = config.is_true("use_gating");
        let scaling = match config.get("scaling") {
            None => 1.0,
            Some(_) => config.number("scaling")?,
        };
        let (module, own) = (row.module, tensor_name(row.module));
        if module == Module::SerialAdapter {
            self.parts.gate(module, gated);
        } else if gated {
            return Err(config.wrong("use_gating", "false, but for the serial adapter"));
        }
        let factor = scaling * self.times / row.scale;
        let layers = self.layers(config);
        let hidden = self.base.config.hidden_size;
        let mut sizes = BTreeSet::new();
        for layer in &layers {
            let from = format!("encoder.layer.{layer}.output.adapters.{}", self.name);
            let to = format!("layer.{layer}.{own}");
            let down = self.take(&format!("{from}.adapter_down.0.weight"))?;
            let size = down.size()[0];
            sizes.insert(size);
            let down_bias = self.shaped(&format!("{from}.adapter_down.0.bias"), &[size])?;
            let up = self.shaped(&format!("{from}.adapter_up.weight"), &[hidden, size])?;
            let up_bias = self.shaped(&format!("{from}.adapter_up.bias"), &[hidden])?;
            self.parts.push(format!("{to}.down.weight"), down);
            self.parts.push(format!("{to}.down.bias"), down_bias);
            self.parts.push(format!("{to}.up.weight"), up * factor);
            self.parts.push(format!("{to}.up.bias"), up_bias * factor);
            if gated {
                self.gate(&format!("{from}.gate"), &format!("{to}.gate"))?;
            }
        }
        let size = self.one(&sizes, module)?;
        self.parts.module(module, size, layers)
    }

    /// The one size of a module.
    fn one(&self, sizes: &BTreeSet<i64>, module: Module) -> Result<i64, InterchangeError> {
        match sizes.len() {
            0 | 1 => Ok(sizes.first().copied().unwrap_or(0)),
            _ => Err(self.parts.refused(format!(
                "its {} has another size in some layers than in others",
                module.facts().title
            ))),
        }
    }

    fn prefix(&mut self, config: &Fields) -> Result<(), InterchangeError> {
        let gated = config.is_true("use_gating");
        config.only("encoder_prefix", true, true)?;
        config.only("shared_gating", true, true)?;
        self.parts.gate(Module::Prefix, gated);
        let length = i64::from(config.whole("prefix_length")?);
        let layers = self.layers(config);
        let hidden = self.base.config.hidden_size;
        let width = 2 * layers.len() as i64 * hidden;
        let at = format!("prefix_tuning.prefix_tunings.{}.self_prefix", self.name);
        let key_values = if config.is_true("flat") {
            self.shaped(&format!("{at}.control_trans"), &[length * width])?
                .view([length, width])
        } else {
            config.only("non_linearity", "tanh", "tanh")?;
            let embedding = self.shaped(&format!("{at}.wte.weight"), &[length, hidden])?;
            let mut dense = |place: u8| -> Result<(Tensor, Tensor), InterchangeError> {
                let weight = self.take(&format!("{at}.control_trans.{place}.weight"))?;
                Ok((
                    weight,
                    self.take(&format!("{at}.control_trans.{place}.bias"))?,
                ))
            };
            let (inner, inner_bias) = dense(0)?;
            let (outer, outer_bias) = dense(2)?;
            let fits = inner.size() == [outer.size()[1], hidden] && outer.size()[0] == width;
            if !fits || inner_bias.size() != inner.size()[..1] || outer_bias.size() != [width] {
                return Err(self
                    .parts
                    .refused("its prefix's network has other widths than its configuration says"));
            }
            embedding
                .linear(&inner, Some(&inner_bias))
                .tanh()
                .linear(&outer, Some(&outer_bias))
        };
        self.parts.push("prefix.key_values".into(), key_values);
        if gated {
            for (slot, layer) in layers.iter().enumerate() {
                let from = format!(
                    "encoder.layer.{layer}.attention.self.prefix_tuning.prefix_gates.{}",
                    self.name
                );
                self.gate(&from, &format!("prefix.gate.{slot}"))?;
            }
        }
        self.parts.module(Module::Prefix, length, layers)
    }

    fn lora(&mut self, config: &Fields) -> Result<(), InterchangeError> {
        for (field, usual, expected) in [
            ("selfattn_lora", true, true),
            ("intermediate_lora", false, false),
            ("output_lora", false, false),
            ("use_dora", false, false),
        ] {
            config.only(field, usual, expected)?;
        }
        config.only("vera_d", Value::Null, Value::Null)?;
        config.only("vera_b", Value::Null, Value::Null)?;
        let gated = config.is_true("use_gating");
        self.parts.gate(Module::Lora, gated);
        let letters = config
            .get("attn_matrices")
            .cloned()
            .unwrap_or(json!(["q", "v"]));
        let letters: Vec<&str> = letters
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let of_letter = |letter: &&str| match *letter {
            "q" => Some(Matrix::Query),
            "k" => Some(Matrix::Key),
            "v" => Some(Matrix::Value),
            _ => None,
        };
        let matrices: Option<BTreeSet<Matrix>> = letters.iter().map(of_letter).collect();
        let matrices = matrices.filter(|matrices| !matrices.is_empty());
        let matrices =
            matrices.ok_or_else(|| config.wrong("attn_matrices", "some of q, k and v"))?;
        let rank = config.whole("r")?;
        let factor = match self.has_faulty_scale {
            true => self.parts.scale_lora(rank.into(), rank, false),
            false => self.parts.scale_lora(config.number("alpha")?, rank, false),
        };
        let layers = self.layers(config);
        let hidden = self.base.config.hidden_size;
        for layer in &layers {
            for matrix in matrices.iter().map(|matrix| matrix.as_str()) {
                let from = format!(
                    "encoder.layer.{layer}.attention.self.{matrix}.loras.{}",
                    self.name
                );
                let to = format!("layer.{layer}.lora.{matrix}");
                let down = self.shaped(&format!("{from}.lora_A"), &[rank.into(), hidden])?;
                let up = self.shaped(&format!("{from}.lora_B"), &[hidden, rank.into()])?;
                self.parts.push(format!("{to}.down"), down);
                // Behind a gate there is no scale.
                self.parts
                    .push(format!("{to}.up"), if gated { up } else { up * factor });
                if gated {
                    self.gate(&format!("{from}.gate"), &format!("{to}.gate"))?;
                }
            }
        }
        self.parts.options.lora.matrices = Matrices(matrices);
        self.parts.module(Module::Lora, rank.into(), layers)
    }

    fn ia3(&mut self, config: &Fields) -> Result<(), InterchangeError> {
        config.only("selfattn_lora", true, true)?;
        config.only("output_lora", false, false)?;
        config.only("use_gating", false, false)?;
        config.only("r", 1, 1)?;
        config.only("alpha", 1, 1)?;
        self.parts.options.ia3.feed_forward = Ia3Site::BeforeActivation;
        let layers = self.layers(config);
        let (hidden, inner) = (
            self.base.config.hidden_size,
            self.base.config.feed_forward_size,
        );
        for layer in &layers {
            for (own, place, width) in [
                ("key", "attention.self.key", hidden),
                ("value", "attention.self.value", hidden),
                ("feed_forward", "intermediate.dense", inner),
            ] {
                let name = format!("encoder.layer.{layer}.{place}.loras.{}.lora_B", self.name);
                let scale = match self.tensors.contains_key(&name) {
                    true => self.shaped(&name, &[width, 1])?.flatten(0, -1),
                    false => Tensor::ones([width], (Kind::Float, Device::Cpu)),
                };
                self.parts.push(format!("layer.{layer}.ia3.{own}"), scale);
            }
        }
        self.parts.module(Module::Ia3, 1, layers)
    }
}
