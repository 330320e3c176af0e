//! Adapter checkpoints: written by a training, read by an evaluation.
//!
//! A checkpoint is a directory of two files. `adapter.safetensors` has the trainable tensors under
//! `Model::trainable`'s names, in float32, with the prefix in its ejected form
//! (`prefix.key_values`): predictions are the same, and the file is as small as the adapter.
//! `adapter.json` has everything needed to use them besides the pretrained model.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use autopeft_crds::spec::{FidelitySpec, Metric, TaskSpec, TrainingSpec};
use autopeft_crds::trial::Method;
use autopeft_crds::{ModuleOptions, PeftConfiguration};
use serde::{Deserialize, Serialize};

use crate::encoder::ModelConfig;
use crate::files;
use crate::model::{Backbone, Model, ModelError};
use crate::peft::Inserted;
use crate::tensor_file::{self, TensorFile, TensorFileError};

/// The description's file name.
pub const DESCRIPTION_FILE: &str = "adapter.json";
/// The tensors' file name.
pub const TENSORS_FILE: &str = "adapter.safetensors";
/// The version of the format.
pub const ADAPTER_VERSION: u32 = 1;

/// The content of `adapter.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AdapterDescription {
    /// `ADAPTER_VERSION`.
    pub version: u32,
    /// The modules.
    pub configuration: PeftConfiguration,
    /// How they are built.
    #[serde(default, skip_serializing_if = "ModuleOptions::is_default")]
    pub options: ModuleOptions,
    /// Modules, or the whole model.
    pub method: Method,
    /// The model that the adapter belongs to.
    pub model: ModelShape,
    /// The task that it was trained on.
    pub task: TaskSpec,
    /// The classes in the order of the head's outputs; empty for a regression.
    pub labels: Vec<String>,
    /// How much training it had, and the number of validation examples.
    pub fidelity: FidelitySpec,
    /// The recipe, with the length that texts are truncated to and the seed of the samples.
    pub training: TrainingSpec,
    /// The metric of the score.
    pub metric: Metric,
    /// The validation score of these weights.
    pub score: f64,
    /// Versions of the software, by name.
    pub versions: BTreeMap<String, String>,
}

impl AdapterDescription {
    /// What is inserted into the model.
    pub fn inserted(&self) -> Inserted<'_> {
        Inserted {
            configuration: &self.configuration,
            options: &self.options,
        }
    }
}

/// The properties that a model must share with an adapter's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ModelShape {
    /// `bert` or `roberta`.
    pub architecture: String,
    /// L.
    pub layers: usize,
    /// H.
    pub hidden_size: i64,
    /// Attention heads a layer.
    pub attention_heads: i64,
    /// Word pieces.
    pub vocabulary_size: i64,
}

impl From<&ModelConfig> for ModelShape {
    fn from(config: &ModelConfig) -> Self {
        Self {
            architecture: config.name.into(),
            layers: config.layers,
            hidden_size: config.hidden_size,
            attention_heads: config.heads,
            vocabulary_size: config.vocabulary_size,
        }
    }
}

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
    #[error("{path}: cannot be written: {source}")]
    Write {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
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
        let path = directory.join(DESCRIPTION_FILE);
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

    /// The trained model: the adapter on a backbone that was loaded for the description's method,
    /// with a head of `outputs` outputs. Its prefix is ejected.
    ///
    /// # Errors
    /// The backbone has another shape than the adapter's, or the tensors cannot be read or do not
    /// fit; the error names what differs.
    pub fn attach(&self, backbone: &Backbone, outputs: i64) -> Result<Model, AdapterError> {
        self.check_shape(&ModelShape::from(backbone.config()))?;
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
/// The write is atomic: it is written beside its place and renamed. Directory and files
/// have the modes that the umask leaves.
///
/// # Errors
/// The place cannot be written, the disk is full, or something else is there.
pub fn save(
    model: &Model,
    description: &AdapterDescription,
    directory: &Path,
    overwrite: bool,
) -> Result<(), AdapterError> {
    let failed = |path: &Path| {
        let path = path.to_path_buf();
        move |source| AdapterError::Write { path, source }
    };
    let replaces = check_place(directory, overwrite)?;
    // Removed if anything below fails.
    let new = beside(directory)?;
    let tensors = new.path().join(TENSORS_FILE);
    tensor_file::write(&tensors, &model.deployable())?;
    std::fs::File::open(&tensors)
        .and_then(|file| file.sync_all())
        .map_err(failed(&tensors))?;
    let text = serde_json::to_string_pretty(description)
        .map_err(|error| failed(directory)(error.into()))?;
    let description = new.path().join(DESCRIPTION_FILE);
    std::fs::File::create(&description)
        .and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.write_all(b"\n")?;
            file.sync_all()
        })
        .map_err(failed(&description))?;
    // safetensors makes its file readable by the owner only; this one has the mode of the umask.
    std::fs::metadata(&description)
        .and_then(|made| std::fs::set_permissions(&tensors, made.permissions()))
        .map_err(failed(&tensors))?;
    // Held until the new one is in place, and removed then.
    let old = beside(directory)?;
    if replaces {
        std::fs::rename(directory, old.path()).map_err(failed(directory))?;
    }
    std::fs::rename(new.path(), directory).map_err(failed(directory))?;
    // It was renamed: there is nothing left to remove.
    let _ = new.keep();
    Ok(())
}

/// A temporary directory beside `directory`, whose missing parents are created.
fn beside(directory: &Path) -> Result<tempfile::TempDir, AdapterError> {
    let parent = match directory.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    std::fs::create_dir_all(parent)
        .and_then(|()| {
            tempfile::Builder::new()
                .prefix(".adapter-")
                .permissions(std::fs::Permissions::from_mode(0o777))
                .tempdir_in(parent)
        })
        .map_err(|source| AdapterError::Write {
            path: parent.into(),
            source,
        })
}

/// Checks, before training, that an adapter can be saved into `directory`.
///
/// # Errors
/// An adapter is there and may not be replaced, something else is there, or nothing can be written.
pub fn prepare_place(directory: &Path, overwrite: bool) -> Result<(), AdapterError> {
    check_place(directory, overwrite)?;
    beside(directory).map(drop)
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
            return Err(AdapterError::Write {
                path: directory.into(),
                source,
            });
        }
    };
    let mut found = false;
    for entry in entries {
        let name = entry
            .map_err(|source| AdapterError::Read {
                path: directory.into(),
                source,
            })?
            .file_name();
        if name != DESCRIPTION_FILE && name != TENSORS_FILE {
            return Err(AdapterError::Occupied {
                path: directory.into(),
            });
        }
        found = true;
    }
    Ok(found)
}
