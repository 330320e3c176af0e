//! The directories of a request's model and data.

use std::path::PathBuf;

use autopeft_crds::spec::TaskSpec;

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
    pub fn find(model: &str, data: &str, task: &TaskSpec) -> Result<Self, HubError> {
        Ok(Self {
            model: hub::directory(model, Holding::Model, &MODEL_FILES, &[SETTINGS_FILE])?,
            data: match task::hub_files(task) {
                Some([train, validation]) => {
                    hub::directory(data, Holding::DataSet, &[&train, &validation], &[])?
                }
                None => data.into(),
            },
        })
    }
}
