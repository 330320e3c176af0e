//! Adapter checkpoints: written by a training, read by an evaluation.
//!
//! A checkpoint is a directory of three files. `adapter.safetensors` has the trainable tensors under
//! `Model::trainable`'s names, in float32, with the prefix in its ejected form
//! (`prefix.key_values`): predictions are the same, and the file is as small as the adapter.
//! `adapter.json` has everything needed to use them besides the pretrained model, and `README.md` is a model card.

mod card;
mod description;
pub mod place;

use std::path::{Path, PathBuf};

use place::{WriteError, as_others, beside, put, write_text};

pub use card::{CARD_FILE, Exported, card};
pub use description::{
    AdapterDescription, BaseModel, Cost, Measured, ModelShape, SearchTrial, TokenizerUse,
};

use crate::files;
use crate::model::{Backbone, Model, ModelError};
use crate::nn::NamedTensors;
use crate::tensor_file::{self, TensorFile, TensorFileError};

/// The description's file name.
pub const DESCRIPTION_FILE: &str = "adapter.json";
/// The tensors' file name.
pub const TENSORS_FILE: &str = "adapter.safetensors";
/// The version of the format.
pub const ADAPTER_VERSION: u32 = 1;

/// Why an adapter cannot be saved, read or used.
#[derive(Debug, thiserror::Error)]
pub enum AdapterError {
    /// `adapter.json` or the directory cannot be read.
    #[error("{path}: cannot be read: {source}; an adapter is a directory that train --out made")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// `adapter.json` is invalid.
    #[error("{path}: is not a valid adapter description: {reason}")]
    Description {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The checkpoint was made by another version.
    #[error("{path}: field version is {found}; this program reads {ADAPTER_VERSION}")]
    Version {
        /// The file.
        path: PathBuf,
        /// What it says.
        found: u32,
    },
    /// The tensors cannot be read, do not fit or cannot be written.
    #[error(transparent)]
    Tensors(#[from] TensorFileError),
    /// The adapter belongs to another model.
    #[error("{path}: the adapter is for a model with {field} {expected}; this one has {found}")]
    OtherModel {
        /// The file.
        path: PathBuf,
        /// The field of `model` that differs.
        field: &'static str,
        /// What the adapter needs.
        expected: String,
        /// What the model has.
        found: String,
    },
    /// The model cannot be built.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The directory cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The directory has an adapter already.
    #[error("{path}: already holds an adapter; name a new directory, or give --overwrite")]
    Exists {
        /// The directory.
        path: PathBuf,
    },
    /// The directory has something else.
    #[error("{path}: exists and does not hold an adapter; name a new directory")]
    Occupied {
        /// The directory.
        path: PathBuf,
    },
}

/// An adapter checkpoint whose description has been read.
#[derive(Debug)]
pub struct Adapter {
    directory: PathBuf,
    description: AdapterDescription,
}

impl Adapter {
    /// Reads the description of a checkpoint.
    ///
    /// # Errors
    /// `adapter.json` is missing, malformed or of another version.
    pub fn open(directory: &Path) -> Result<Self, AdapterError> {
        Self::open_as(directory, DESCRIPTION_FILE)
    }

    /// The same with a description of another name.
    ///
    /// # Errors
    /// As `open`.
    pub fn open_as(directory: &Path, file: &str) -> Result<Self, AdapterError> {
        let path = directory.join(file);
        let text = files::read_json(&path).map_err(|source| AdapterError::Read {
            path: path.clone(),
            source,
        })?;
        let invalid = |error: serde_json::Error| AdapterError::Description {
            path: path.clone(),
            reason: error.to_string(),
        };
        let value: serde_json::Value = serde_json::from_str(&text).map_err(invalid)?;
        if let Some(found) = value.get("version").and_then(serde_json::Value::as_u64)
            && found != u64::from(ADAPTER_VERSION)
        {
            let found = u32::try_from(found).unwrap_or(u32::MAX);
            return Err(AdapterError::Version { path, found });
        }
        Ok(Self {
            directory: directory.into(),
            description: serde_json::from_value(value).map_err(invalid)?,
        })
    }

    /// The content of `adapter.json`.
    pub fn description(&self) -> &AdapterDescription {
        &self.description
    }

    /// All its tensors by their names, float32 on the CPU.
    ///
    /// # Errors
    /// The file cannot be read, or has a value that is not finite.
    pub fn tensors(&self) -> Result<NamedTensors, AdapterError> {
        Ok(TensorFile::open(&self.directory.join(TENSORS_FILE))?.read_all()?)
    }

    /// The trained model: the adapter on a backbone that was loaded for the description's method,
    /// with a head of `outputs` outputs. Its prefix is ejected.
    ///
    /// # Errors
    /// The backbone has another shape than the adapter's, or the tensors cannot be read or do not
    /// fit; the error names what differs.
    pub fn attach(&self, backbone: &Backbone, outputs: i64) -> Result<Model, AdapterError> {
        self.check_shape(&ModelShape::from(backbone.config()))?;
        let moved;
        let backbone = match self.description.first_position {
            0 => backbone,
            first => {
                moved = backbone.counted_from(first.into());
                &moved
            }
        };
        let mut model = Model::new(backbone, self.description.inserted(), outputs, 0)?;
        model.deploy();
        let mut file = TensorFile::open(&self.directory.join(TENSORS_FILE))?;
        for (name, mut tensor) in model.trainable() {
            let values = file.read(&name, &tensor.size())?;
            tch::no_grad(|| tensor.copy_(&values));
        }
        Ok(model)
    }

    fn check_shape(&self, found: &ModelShape) -> Result<(), AdapterError> {
        let ModelShape {
            architecture,
            layers,
            hidden_size,
            attention_heads,
            vocabulary_size,
        } = &self.description.model;
        let fields: [(&'static str, String, String); 5] = [
            (
                "architecture",
                architecture.clone(),
                found.architecture.clone(),
            ),
            ("layers", layers.to_string(), found.layers.to_string()),
            (
                "hiddenSize",
                hidden_size.to_string(),
                found.hidden_size.to_string(),
            ),
            (
                "attentionHeads",
                attention_heads.to_string(),
                found.attention_heads.to_string(),
            ),
            (
                "vocabularySize",
                vocabulary_size.to_string(),
                found.vocabulary_size.to_string(),
            ),
        ];
        match fields
            .into_iter()
            .find(|(_, expected, found)| expected != found)
        {
            None => Ok(()),
            Some((field, expected, found)) => Err(AdapterError::OtherModel {
                path: self.directory.join(DESCRIPTION_FILE),
                field,
                expected,
                found,
            }),
        }
    }
}

/// Writes a model's adapter into `directory`; with `overwrite`, in place of an adapter that is there.
/// The write is atomic: it is written beside its place and renamed.
///
/// # Errors
/// The place cannot be written, the disk is full, or something else is there.
pub fn save(
    model: &Model,
    description: &AdapterDescription,
    directory: &Path,
    overwrite: bool,
) -> Result<(), AdapterError> {
    save_tensors(&model.deployable(), description, directory, overwrite)
}

/// The same of tensors by their names in a checkpoint.
///
/// # Errors
/// As `save`.
pub fn save_tensors(
    tensors: &NamedTensors,
    description: &AdapterDescription,
    directory: &Path,
    overwrite: bool,
) -> Result<(), AdapterError> {
    let replaces = check_place(directory, overwrite)?;
    // Removed if anything below fails.
    let new = beside(directory)?;
    let at = |name: &str| new.path().join(name);
    let text = serde_json::to_string_pretty(description)
        .map_err(|error| place::failed(directory)(error.into()))?;
    write_text(&at(DESCRIPTION_FILE), &format!("{text}\n"))?;
    write_text(&at(CARD_FILE), &card(description, None))?;
    tensor_file::write(&at(TENSORS_FILE), tensors)?;
    as_others(&at(TENSORS_FILE), &at(DESCRIPTION_FILE))?;
    put(new, directory, replaces)?;
    Ok(())
}

/// Checks, before training, that an adapter can be saved into `directory`.
///
/// # Errors
/// An adapter is there and may not be replaced, something else is there, or nothing can be written.
pub fn prepare_place(directory: &Path, overwrite: bool) -> Result<(), AdapterError> {
    check_place(directory, overwrite)?;
    beside(directory)?;
    Ok(())
}

/// Whether an adapter would be replaced by one that is saved into `directory`.
///
/// # Errors
/// An adapter is there and may not be replaced, something else is there, or it cannot be read.
fn check_place(directory: &Path, overwrite: bool) -> Result<bool, AdapterError> {
    let path = directory.to_path_buf();
    match holds_an_adapter(directory)? {
        true if !overwrite => Err(AdapterError::Exists { path }),
        replaces => Ok(replaces),
    }
}

/// Whether the directory has an adapter and nothing else; false if it does not exist.
fn holds_an_adapter(directory: &Path) -> Result<bool, AdapterError> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(source) => {
            return Err(place::failed(directory)(source).into());
        }
    };
    let (mut found, mut has_card) = (false, false);
    for entry in entries {
        let name = entry
            .map_err(|source| AdapterError::Read {
                path: directory.into(),
                source,
            })?
            .file_name();
        if name == DESCRIPTION_FILE || name == TENSORS_FILE {
            found = true;
        } else if name == CARD_FILE {
            has_card = true;
        } else {
            return Err(AdapterError::Occupied {
                path: directory.into(),
            });
        }
    }
    if has_card && !found {
        return Err(AdapterError::Occupied {
            path: directory.into(),
        });
    }
    Ok(found)
}
