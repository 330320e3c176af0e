//! From Hugging Face `peft`: LoRA, with biases or without, (IA)³ and prefix tuning, with the head of a model for
//! sequence classification or multiple choice.
//!
//! The tensors of the file say what is where; the configuration is checked for what they do not say.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use autopeft_crds::Module;
use autopeft_crds::named::Named;
use autopeft_crds::options::{Ia3Site, Matrices, Matrix};
use tch::{Device, Kind, Tensor};

use super::fields::Fields;
use super::parts::{Parts, pooler};
use super::to_peft::{CHANGED, PROMPT, UNCHANGED, WEIGHTS};
use super::{Base, Imported, InterchangeError, Library, torch_file};
use crate::backbone::{POSITIONS, moved_positions};
use crate::encoder::weights;
use crate::model::ModelError;

const OLD_WEIGHTS: &str = "adapter_model.bin";

/// Fields that say nothing about predictions.
const SILENT: [&str; 13] = [
    "peft_type",
    "task_type",
    "base_model_name_or_path",
    "revision",
    "inference_mode",
    "peft_version",
    "auto_mapping",
    "modules_to_save",
    "megatron_core",
    "target_modules",
    "layers_to_transform",
    "layers_pattern",
    "exclude_modules",
];

/// Tensors by their names without the prefixes of `peft` and of the architecture.
type Tensors = BTreeMap<String, Tensor>;

/// Reads a directory of `peft`.
pub(super) fn read(
    directory: &Path,
    config: Fields,
    base: Base<'_>,
) -> Result<Imported, InterchangeError> {
    let mut tensors = tensors(directory, base)?;
    let mut parts = Parts::new(directory.into());
    let outputs = head(&mut parts, &mut tensors, base)?;
    match config.text("peft_type") {
        "LORA" => lora(&config, &mut parts, &mut tensors, base)?,
        "IA3" => ia3(&config, &mut parts, &mut tensors, base)?,
        "PREFIX_TUNING" => prefix(&config, &mut parts, &mut tensors, base)?,
        _ => return Err(config.wrong("peft_type", "LORA, IA3 or PREFIX_TUNING")),
    }
    if let Some(name) = tensors.keys().next() {
        return Err(parts.refused(format!(
            "its tensor {name} belongs to nothing that this program has"
        )));
    }
    let (inserted, tensors) = parts.finish(base.config.layers)?;
    Ok(Imported {
        library: Library::Peft,
        inserted,
        tensors,
        labels: Vec::new(),
        outputs,
        description: None,
    })
}

fn tensors(directory: &Path, base: Base<'_>) -> Result<Tensors, InterchangeError> {
    let all = torch_file::either(directory, WEIGHTS, OLD_WEIGHTS)?;
    let architecture = format!("{}.", base.config.name);
    let plain = |name: String| {
        let rest = name
            .strip_prefix(CHANGED)
            .or(name.strip_prefix(UNCHANGED))
            .unwrap_or(&name);
        rest.strip_prefix(architecture.as_str())
            .unwrap_or(rest)
            .to_owned()
    };
    let all = all.into_iter().map(|(name, tensor)| (plain(name), tensor));
    // With biases, the frozen originals of the head are saved, too.
    let is_kept =
        |name: &str| !name.contains(".original_module.") && !name.contains(".modules_to_save.");
    Ok(all.filter(|(name, _)| is_kept(name)).collect())
}

/// Takes the head; gives the number of its outputs.
fn head(parts: &mut Parts, tensors: &mut Tensors, base: Base<'_>) -> Result<i64, InterchangeError> {
    let mut dense = |name: &str| {
        let [weight, bias] =
            ["weight", "bias"].map(|part| tensors.remove(&format!("{name}.{part}")));
        weight.zip(bias)
    };
    let pooled = dense("pooler.dense");
    let in_classifier = dense("classifier.dense").zip(dense("classifier.out_proj"));
    let (inner, output) = match (in_classifier, dense("classifier")) {
        (Some((inner, output)), None) => (Some(inner), Some(output)),
        // A pooler that was not saved is the base model's own.
        (_, output) => (pooled.or_else(|| pooler(base)), output),
    };
    let Some(output) = output else {
        return Err(parts.refused(
            "it has no head; this program expects that of AutoModelForSequenceClassification or AutoModelForMultipleChoice",
        ));
    };
    let Some(inner) = inner else {
        return Err(parts.refused(
            "its head reads the pooler, which neither the adapter nor the base model's file has",
        ));
    };
    parts.head(inner, output, base)
}

/// The layer and the rest of a name in the encoder's layers.
fn of_layer(name: &str) -> Option<(usize, &str)> {
    let (layer, rest) = name.strip_prefix("encoder.layer.")?.split_once('.')?;
    Some((layer.parse().ok()?, rest))
}

fn matrix(place: &str) -> Option<Matrix> {
    match place {
        "attention.output.dense" => Some(Matrix::Output),
        place => Matrix::from_name(place.strip_prefix("attention.self.")?),
    }
}

fn lora(
    config: &Fields,
    parts: &mut Parts,
    tensors: &mut Tensors,
    base: Base<'_>,
) -> Result<(), InterchangeError> {
    check_lora(config)?;
    let hidden = base.config.hidden_size;
    let rank = config.whole("r")?;
    let mut places: BTreeMap<usize, BTreeSet<Matrix>> = BTreeMap::new();
    let names: Vec<String> = tensors
        .keys()
        .filter(|name| name.ends_with(".lora_A.weight"))
        .cloned()
        .collect();
    let mut updates = Vec::new();
    for name in names {
        let place = name.trim_end_matches(".lora_A.weight");
        let found = of_layer(place).and_then(|(layer, place)| Some((layer, matrix(place)?)));
        let Some((layer, matrix)) = found else {
            return Err(parts.refused(format!(
                "it has LoRA on {place}; this program has it on attention's query, key, value and output"
            )));
        };
        let up = tensors.remove(&format!("{place}.lora_B.weight"));
        if let (Some(down), Some(up)) = (tensors.remove(&name), up)
            && down.size() == [i64::from(rank), hidden]
            && up.size() == [hidden, i64::from(rank)]
        {
            places.entry(layer).or_default().insert(matrix);
            updates.push((layer, matrix, down, up));
        } else {
            return Err(parts.refused(format!(
                "its LoRA on {place} does not have rank {rank} and width {hidden}"
            )));
        }
    }
    let biases = !matches!(config.text("bias"), "" | "none");
    let is_zero = updates
        .iter()
        .all(|(.., up)| up.count_nonzero(None).int64_value(&[]) == 0);
    let layers: BTreeSet<usize> = places.keys().copied().collect();
    if !(biases && is_zero) {
        let matrices = places.values().next().cloned().unwrap_or_default();
        if places.values().any(|other| *other != matrices) {
            return Err(
                parts.refused("its LoRA is on other matrices in some layers than in others")
            );
        }
        parts.options.lora.matrices = Matrices(matrices);
        parts.module(Module::Lora, rank.into(), layers.clone())?;
        let factor = parts.scale_lora(
            config.number("lora_alpha")?,
            rank,
            config.is_true("use_rslora"),
        );
        for (layer, matrix, down, up) in updates {
            let at = format!("layer.{layer}.lora.{}", matrix.as_str());
            parts.push(format!("{at}.down"), down);
            parts.push(format!("{at}.up"), up * factor);
        }
    }
    match biases {
        true => bit_fit(parts, tensors, layers, base),
        false => Ok(()),
    }
}

/// Refuses what a configuration of LoRA says that its tensors do not.
fn check_lora(config: &Fields) -> Result<(), InterchangeError> {
    let known = [
        "r",
        "lora_alpha",
        "use_rslora",
        "lora_dropout",
        "bias",
        "init_lora_weights",
        "qalora_group_size",
    ];
    config.nothing_but(&[SILENT.as_slice(), &known].concat())?;
    // Other ways of initialising change the model's own weights, too.
    let initialised = config.get("init_lora_weights");
    if !initialised.is_none_or(|value| value.is_boolean() || value == "gaussian") {
        return Err(config.wrong("init_lora_weights", "true, false or gaussian"));
    }
    Ok(())
}

/// Takes biases: those of the active layers are trained, and the model's own where the file has none; others must be the
/// model's own.
fn bit_fit(
    parts: &mut Parts,
    tensors: &mut Tensors,
    layers: BTreeSet<usize>,
    base: Base<'_>,
) -> Result<(), InterchangeError> {
    let own = weights::read(base.folder, base.config).map_err(ModelError::from)?;
    for (name, _) in base.config.architecture.tensors() {
        let Some(original) = own.get(&name).filter(|_| name.ends_with("bias")) else {
            continue;
        };
        let wrapped = name.replacen(".bias", ".base_layer.bias", 1);
        let found = tensors.remove(&name).or(tensors.remove(&wrapped));
        let is_active = of_layer(&name).is_some_and(|(layer, _)| layers.contains(&layer));
        match found {
            Some(bias) if bias.size() != original.size() => {
                return Err(parts.refused(format!(
                    "its tensor {name} has another shape than the model's"
                )));
            }
            Some(bias) if !is_active && bias != *original => {
                return Err(parts.refused(format!(
                    "it trains {name}; this program trains the biases of the layers that have modules"
                )));
            }
            found if is_active => {
                let bias = found.unwrap_or_else(|| original.shallow_clone());
                parts.push(format!("backbone.{name}"), bias);
            }
            _ => {}
        }
    }
    parts.module(Module::BitFit, 1, layers)
}

fn ia3(
    config: &Fields,
    parts: &mut Parts,
    tensors: &mut Tensors,
    base: Base<'_>,
) -> Result<(), InterchangeError> {
    config.nothing_but(
        &[
            SILENT.as_slice(),
            &["feedforward_modules", "init_ia3_weights"],
        ]
        .concat(),
    )?;
    let names: Vec<String> = tensors
        .keys()
        .filter(|name| name.ends_with(".ia3_l"))
        .cloned()
        .collect();
    let mut found: BTreeMap<usize, BTreeMap<&'static str, Tensor>> = BTreeMap::new();
    let mut sites = BTreeSet::new();
    for name in names {
        let Some(tensor) = tensors.remove(&name) else {
            continue;
        };
        let place = name.trim_end_matches(".ia3_l");
        // A layer's input is scaled by a row, its output by a column.
        let is_input = tensor.size().first() == Some(&1) && tensor.size().get(1) != Some(&1);
        let part = match of_layer(place) {
            Some((layer, "attention.self.key")) if !is_input => (layer, "key"),
            Some((layer, "attention.self.value")) if !is_input => (layer, "value"),
            Some((layer, "attention.output.dense")) if is_input => (layer, "context"),
            Some((layer, "output.dense")) if is_input => (layer, "after"),
            Some((layer, "intermediate.dense")) if !is_input => (layer, "before"),
            _ => {
                return Err(parts.refused(format!(
                    "it scales {place}; this program has (IA)³ on keys, values and the feed-forward block's activation"
                )));
            }
        };
        sites.insert(part.1);
        found
            .entry(part.0)
            .or_default()
            .insert(part.1, tensor.flatten(0, -1));
    }
    if sites.contains("after") && sites.contains("before") {
        return Err(parts.refused(
            "its (IA)³ scales the feed-forward block both before and after the activation",
        ));
    }
    if sites.contains("before") {
        parts.options.ia3.feed_forward = Ia3Site::BeforeActivation;
    }
    parts.module(Module::Ia3, 1, found.keys().copied().collect())?;
    let (hidden, inner) = (base.config.hidden_size, base.config.feed_forward_size);
    for (layer, mut vectors) in found {
        let mut vector = |name: &str, width: i64| {
            let ones = || Tensor::ones([width], (Kind::Float, Device::Cpu));
            let found = vectors.remove(name);
            found.map_or_else(
                || Some(ones()),
                |vector| (vector.size() == [width]).then_some(vector),
            )
        };
        // The scale of attention's result is one of its values: both are sums over the same tokens.
        let value = vector("value", hidden).zip(vector("context", hidden));
        let feed_forward = vector("after", inner).zip(vector("before", inner));
        let (Some(key), Some((value, context)), Some((after, before))) =
            (vector("key", hidden), value, feed_forward)
        else {
            return Err(parts.refused("its (IA)³ has other widths than the model"));
        };
        let at = |name: &str| format!("layer.{layer}.ia3.{name}");
        parts.push(at("key"), key);
        parts.push(at("value"), value * context);
        parts.push(at("feed_forward"), after * before);
    }
    Ok(())
}

fn prefix(
    config: &Fields,
    parts: &mut Parts,
    tensors: &mut Tensors,
    base: Base<'_>,
) -> Result<(), InterchangeError> {
    let known = [
        "num_virtual_tokens",
        "num_layers",
        "num_attention_heads",
        "token_dim",
        "num_transformer_submodules",
        "encoder_hidden_size",
        "prefix_projection",
        "init_weights",
    ];
    config.nothing_but(&[SILENT.as_slice(), &known].concat())?;
    let (layers, hidden) = (base.config.layers as i64, base.config.hidden_size);
    config.only("num_layers", 0, layers)?;
    config.only("token_dim", 0, hidden)?;
    config.only("num_attention_heads", 0, base.config.heads)?;
    config.only("num_transformer_submodules", 1, 1)?;
    let length = config.whole("num_virtual_tokens")?;
    let key_values = tensors.remove(PROMPT);
    let Some(key_values) =
        key_values.filter(|found| found.size() == [i64::from(length), 2 * layers * hidden])
    else {
        return Err(parts.refused(format!(
            "it has no {PROMPT} of the shape that its configuration says"
        )));
    };
    parts.push("prefix.key_values".into(), key_values);
    parts.first_position = length;
    if let Some(table) = tensors.remove(POSITIONS) {
        let own = weights::read(base.folder, base.config).map_err(ModelError::from)?;
        let own = own.get(POSITIONS).filter(|own| own.size() == table.size());
        // The rows of the prefix's own positions are never read.
        let moved = own.map(|own| moved_positions(own, base.config, -i64::from(length)));
        let is_moved = moved.is_some_and(|moved| {
            let back = |table: &Tensor| moved_positions(table, base.config, length.into());
            back(&moved) == back(&table)
        });
        if !is_moved {
            return Err(parts
                .refused("it trains the model's table of positions, which this program does not"));
        }
        parts.first_position = 0;
    }
    parts.module(
        Module::Prefix,
        length.into(),
        (0..base.config.layers).collect(),
    )
}
