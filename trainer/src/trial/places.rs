//! The directories of a request's model and data.

use std::path::{Path, PathBuf};

use autopeft_crds::spec::{EvaluationSpec, TaskSpec};

use crate::fingerprint::{self, FingerprintError};
use crate::hub::{self, Holding, HubError};
use crate::task;
use crate::tokenize::SETTINGS_FILE;

/// The directories of a request's model and data.
#[derive(Debug)]
pub struct Places {
    /// The model.
    pub model: PathBuf,
    /// The data.
    pub data: PathBuf,
}

/// The files that a trial reads of a model's directory.
pub const MODEL_FILES: [&str; 3] = ["config.json", "tokenizer.json", "model.safetensors"];

impl Places {
    /// Resolves them, downloading those on the hub.
    pub fn find(
        model: &str,
        data: &str,
        task: &TaskSpec,
        evaluation: Option<&EvaluationSpec>,
    ) -> Result<Self, HubError> {
        let test = evaluation.and_then(|evaluation| evaluation.test_file.as_deref());
        Ok(Self {
            model: model_folder(model)?,
            data: match task::hub_files(task) {
                Some([train, validation]) => {
                    let mut files = vec![train.as_str(), &validation];
                    files.extend(test);
                    hub::directory(data, Holding::DataSet, &files, &[])?
                }
                None => data.into(),
            },
        })
    }
}

/// The directory of a model.
///
/// # Errors
/// The hub's files cannot be downloaded.
pub fn model_folder(model: &str) -> Result<PathBuf, HubError> {
    hub::directory(model, Holding::Model, &MODEL_FILES, &[SETTINGS_FILE])
}

/// The SHA-256 of a model's files, names and contents, in lower-case hexadecimal digits.
/// `tokenizer_config.json` is one of them where tokens depend on it.
///
/// # Errors
/// A file cannot be read.
pub fn model_fingerprint(model: &Path, follows_settings: bool) -> Result<String, FingerprintError> {
    let mut files = MODEL_FILES.map(|name| model.join(name)).to_vec();
    if follows_settings {
        files.push(model.join(SETTINGS_FILE));
    }
    fingerprint::of_files(model, &files)
}
