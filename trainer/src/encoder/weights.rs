//! An encoder's weights, from the `model.safetensors` of a Hugging Face checkpoint.
//!
//! Names differ between checkpoints: with the architecture's prefix or without, below the names of
//! wrappers of the model when it was saved, layer norms as `weight` and `bias` or as `gamma` and
//! `beta`. Pooler, heads and position ids are not used.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use tch::Tensor;

use super::architecture::{Expected, ModelConfig};
use super::missing::{self, MissingFile, WEIGHTS_FILE};
use crate::tensor_file::{TensorFile, TensorFileError};

/// Names of wrappers, which occur in any order and depth: data parallelism, `torch.compile`, FSDP and activation
/// checkpoints, PEFT, sentence-transformers, Lightning modules and custom trainers.
const WRAPPERS: [&str; 13] = [
    "module",
    "_orig_mod",
    "_fsdp_wrapped_module",
    "_checkpoint_wrapped_module",
    "_forward_module",
    "base_model",
    "model",
    "0",
    "auto_model",
    "transformer_model",
    "backbone",
    "net",
    "network",
];

/// The most names of a file that a message shows.
const SHOWN_NAMES: usize = 4;

/// Why an encoder's weights cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// There is no such file.
    #[error(transparent)]
    Absent(#[from] MissingFile),
    /// It cannot be read, or a tensor does not fit.
    #[error(transparent)]
    File(#[from] TensorFileError),
    /// A tensor is missing; with names that may explain why.
    #[error(
        "{}: tensor {tensor} is missing; {}; expected are the names of a {architecture} checkpoint",
        path.display(),
        there(names, *.more)
    )]
    Names {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// Some of the names that the file has.
        names: Vec<String>,
        /// The number of further names.
        more: usize,
        /// The architecture by `config.json`.
        architecture: &'static str,
    },
    /// Two of its tensors have the same name without their wrappers' names.
    #[error(
        "{}: tensors {} and {} both are the encoder's {tensor}; save the one encoder that is meant",
        path.display(),
        names[0],
        names[1]
    )]
    Twice {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// Their names in the file.
        names: [String; 2],
    },
    /// Its depth differs from that of `config.json`.
    #[error(
        "{}: holds {found} layers, and field num_hidden_layers of config.json beside it is {expected}; they are not of the same model",
        path.display()
    )]
    Layers {
        /// The file.
        path: PathBuf,
        /// Layers in the file.
        found: usize,
        /// Layers by `config.json`.
        expected: usize,
    },
}

/// Reads the encoder's tensors as float32 on the CPU, by their names without prefix.
///
/// # Errors
/// The file is missing, cut short or garbled, holds another number of layers, lacks a tensor, has
/// one twice, or holds one of another shape or number format or with a value that is not finite; the error names
/// file and tensor. Nothing is ever written.
pub fn read(model: &Path, config: &ModelConfig) -> Result<HashMap<String, Tensor>, WeightsError> {
    missing::check(model, WEIGHTS_FILE)?;
    let path = model.join(WEIGHTS_FILE);
    let mut file = TensorFile::open(&path)?;
    let expected = config.architecture.tensors();
    let stored = stored_names(&file, config, &expected, &path)?;
    let found = stored.keys().filter_map(|name| layer(name)).max();
    if let Some(found) = found.map(|last| last + 1)
        && found != config.layers
    {
        return Err(WeightsError::Layers {
            path,
            found,
            expected: config.layers,
        });
    }
    expected
        .iter()
        .map(|(name, shape)| {
            let Some(stored_name) = stored.get(name) else {
                return Err(missing(name, &expected, &stored, &path, config.name));
            };
            let tensor = file.read(stored_name, shape)?;
            Ok((name.clone(), tensor))
        })
        .collect()
}

/// The names in the file by their spelling in `Architecture::tensors`.
fn stored_names(
    file: &TensorFile,
    config: &ModelConfig,
    expected: &[Expected],
    path: &Path,
) -> Result<HashMap<String, String>, WeightsError> {
    let mut stored: HashMap<String, String> = HashMap::new();
    for name in file.names() {
        let plain = plain_name(&name, config);
        let other = stored.insert(plain.clone(), name.clone());
        let is_used = expected.iter().any(|(name, _)| *name == plain);
        if let (Some(other), true) = (other, is_used) {
            let mut names = [other, name];
            names.sort_unstable();
            return Err(WeightsError::Twice {
                path: path.into(),
                tensor: plain,
                names,
            });
        }
    }
    Ok(stored)
}

/// The error for a missing tensor, with similar names: those with the same ending or of the same layer, or any if the
/// file has nothing of an encoder.
fn missing(
    tensor: &str,
    expected: &[Expected],
    stored: &HashMap<String, String>,
    path: &Path,
    architecture: &'static str,
) -> WeightsError {
    let parent = tensor.rsplit_once('.').map_or(tensor, |(parent, _)| parent);
    let is_alike = |(plain, _): &(&String, &String)| {
        let below = plain
            .strip_prefix(parent)
            .is_some_and(|rest| rest.starts_with('.'));
        plain.ends_with(tensor) || below && !expected.iter().any(|(name, _)| name == *plain)
    };
    let alike: Vec<&String> = stored
        .iter()
        .filter(is_alike)
        .map(|(_, name)| name)
        .collect();
    let has_others = expected.iter().any(|(name, _)| stored.contains_key(name));
    let shown = match (alike.is_empty(), has_others) {
        (false, _) => alike,
        (true, false) => stored.values().collect(),
        (true, true) => {
            return WeightsError::File(TensorFileError::Missing {
                path: path.into(),
                tensor: tensor.into(),
            });
        }
    };
    let mut names: Vec<String> = shown.into_iter().cloned().collect();
    names.sort_unstable();
    let more = names.len().saturating_sub(SHOWN_NAMES);
    names.truncate(SHOWN_NAMES);
    WeightsError::Names {
        path: path.into(),
        tensor: tensor.into(),
        names,
        more,
        architecture,
    }
}

/// The names that a message shows.
fn there(names: &[String], more: usize) -> String {
    match (names.is_empty(), more) {
        (true, _) => "the file has no tensors".into(),
        (false, 0) => format!("the file has {}", names.join(", ")),
        (false, more) => format!("the file has {} and {more} more", names.join(", ")),
    }
}

/// The layer that a tensor belongs to, from 0.
fn layer(name: &str) -> Option<usize> {
    let (layer, _) = name.strip_prefix("encoder.layer.")?.split_once('.')?;
    layer.parse().ok()
}

/// A checkpoint's name in the spelling of `Architecture::tensors`.
fn plain_name(stored: &str, config: &ModelConfig) -> String {
    let mut name = stored;
    while let Some((first, rest)) = name.split_once('.')
        && (first == config.name || WRAPPERS.contains(&first))
    {
        name = rest;
    }
    match name.rsplit_once(".LayerNorm.") {
        Some((norm, "gamma")) => format!("{norm}.LayerNorm.weight"),
        Some((norm, "beta")) => format!("{norm}.LayerNorm.bias"),
        _ => name.to_owned(),
    }
}
