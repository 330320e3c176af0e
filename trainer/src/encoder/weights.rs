//! An encoder's weights, from the `model.safetensors` of a Hugging Face checkpoint.
//!
//! Names differ between checkpoints: with the architecture's prefix or without, layer norms as
//! `weight` and `bias` or as `gamma` and `beta`. Pooler, heads and position ids are not used.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use tch::Tensor;

use super::absent::{self, AbsentFile, WEIGHTS_FILE};
use super::architecture::ModelConfig;
use crate::tensor_file::{TensorFile, TensorFileError};

/// Why an encoder's weights cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// There is no such file.
    #[error(transparent)]
    Absent(#[from] AbsentFile),
    /// It cannot be read, or lacks a tensor that fits.
    #[error(transparent)]
    File(#[from] TensorFileError),
    /// It is of another depth than `config.json` tells.
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
/// The file is missing, cut short or garbled, holds another number of layers, lacks a tensor, or
/// holds one of another shape or number format or with a value that is not finite; the error names
/// file and tensor. Nothing is ever written.
pub fn read(model: &Path, config: &ModelConfig) -> Result<HashMap<String, Tensor>, WeightsError> {
    absent::check(model, WEIGHTS_FILE)?;
    let path = model.join(WEIGHTS_FILE);
    let mut file = TensorFile::open(&path)?;
    let stored: HashMap<String, String> = file
        .names()
        .into_iter()
        .map(|name| (plain_name(&name, config), name))
        .collect();
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
    config
        .architecture
        .tensors()
        .into_iter()
        .map(|(name, shape)| {
            let stored_name = stored.get(&name).unwrap_or(&name);
            let tensor = file.read(stored_name, &shape)?;
            Ok((name, tensor))
        })
        .collect()
}

/// The layer that a tensor belongs to, from 0.
fn layer(name: &str) -> Option<usize> {
    let (layer, _) = name.strip_prefix("encoder.layer.")?.split_once('.')?;
    layer.parse().ok()
}

/// A checkpoint's name in the spelling of `Architecture::tensors`.
fn plain_name(stored: &str, config: &ModelConfig) -> String {
    let name = stored
        .strip_prefix(config.name)
        .and_then(|rest| rest.strip_prefix('.'))
        .unwrap_or(stored);
    match name.rsplit_once(".LayerNorm.") {
        Some((norm, "gamma")) => format!("{norm}.LayerNorm.weight"),
        Some((norm, "beta")) => format!("{norm}.LayerNorm.bias"),
        _ => name.to_owned(),
    }
}
