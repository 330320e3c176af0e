//! Adapters of Python's libraries: a checkpoint becomes a directory that `peft` or `adapters` loads, and theirs becomes a
//! checkpoint. Predictions are the same; what a library cannot express is refused.
//!
//! `pickle` and `torch_file` are PyTorch's file format, `to_*` and `from_*` the two libraries, `bottleneck` and `head`
//! parts of `adapters`.

mod bottleneck;
mod content;
mod fields;
mod from_adapters;
mod from_peft;
mod head;
mod parts;
mod pickle;
mod python;
mod to_adapters;
mod to_peft;
mod torch_file;
mod written;

use std::path::{Path, PathBuf};

pub use content::Content;

use crate::adapter::place::WriteError;
use crate::adapter::{AdapterDescription, AdapterError};
use crate::encoder::ModelConfig;
use crate::model::ModelError;
use crate::nn::NamedTensors;
use crate::tensor_file::TensorFileError;

/// A library of Python.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Library {
    /// Hugging Face `peft` 0.21.
    Peft,
    /// AdapterHub's `adapters` 1.3.
    Adapters,
}

impl Library {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Peft => "peft",
            Self::Adapters => "adapters",
        }
    }
}

/// Why an adapter cannot be exported or imported.
#[derive(Debug, thiserror::Error)]
pub enum InterchangeError {
    /// The adapter cannot be read.
    #[error(transparent)]
    Adapter(#[from] AdapterError),
    /// A file of tensors cannot be read or written.
    #[error(transparent)]
    Tensors(#[from] TensorFileError),
    /// A file cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The base model cannot be read.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// There is something in the way.
    #[error("{0}: exists; name a new directory")]
    Occupied(PathBuf),
    /// A library cannot express it.
    #[error("{0}")]
    Refused(String),
    /// It is not an adapter of a library.
    #[error("{path}: {reason}")]
    Foreign {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// A base model with its directory.
#[derive(Clone, Copy, Debug)]
pub struct Base<'a> {
    /// The directory.
    pub folder: &'a Path,
    /// Its shape.
    pub config: &'a ModelConfig,
}

/// Writes an adapter as a directory of a library. The base model is needed for a prefix in `peft` alone.
///
/// # Errors
/// The library cannot express it, the directory exists, or it cannot be written; then nothing is written.
pub fn export(
    content: &Content,
    library: Library,
    base: Option<Base<'_>>,
    directory: &Path,
) -> Result<(), InterchangeError> {
    if let Some(base) = base {
        content.check_model(base.config)?;
    }
    let written = match library {
        Library::Peft => to_peft::written(content, base)?,
        Library::Adapters => to_adapters::written(content)?,
    };
    written.put(directory)
}

/// What an adapter of a library says; the rest of a description is the caller's.
#[derive(Debug)]
pub struct Imported {
    /// The library.
    pub library: Library,
    /// The modules, how they are built, and what positions are counted from.
    pub inserted: Inserted,
    /// The tensors by their names in a checkpoint.
    pub tensors: NamedTensors,
    /// The classes that the library's head names, in order.
    pub labels: Vec<String>,
    /// Outputs of the head.
    pub outputs: i64,
    /// The description that was exported with it.
    pub description: Option<AdapterDescription>,
}

impl Imported {
    /// Puts the head's outputs into another order: those of these numbers.
    pub fn order_outputs(&mut self, order: &[usize]) {
        let order: Vec<i64> = order.iter().map(|place| *place as i64).collect();
        let order = tch::Tensor::from_slice(&order);
        for (name, tensor) in &mut self.tensors {
            if name.starts_with("head.output.") {
                *tensor = tensor.index_select(0, &order);
            }
        }
    }
}

/// What is inserted into the model.
#[derive(Clone, Debug, PartialEq)]
pub struct Inserted {
    /// Layers and sizes.
    pub configuration: autopeft_crds::PeftConfiguration,
    /// How modules are built.
    pub options: autopeft_crds::ModuleOptions,
    /// As `AdapterDescription::first_position`.
    pub first_position: u32,
}

/// Reads a directory of a library, whichever it is.
///
/// # Errors
/// It is of neither, or has something that this program does not do.
pub fn import(directory: &Path, base: Base<'_>) -> Result<Imported, InterchangeError> {
    let mut imported = if directory.join(to_adapters::SETUP).is_file() {
        from_adapters::setup(directory, base)?
    } else {
        let config = fields::Fields::read(&directory.join(written::CONFIG))?;
        match config.get("peft_type") {
            Some(_) => from_peft::read(directory, config, base)?,
            None => from_adapters::single(directory, config, base)?,
        }
    };
    imported.description = content::exported_description(directory)?;
    Ok(imported)
}
