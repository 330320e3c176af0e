//! The files of an export, written as a whole.

use std::io::ErrorKind;
use std::path::Path;

use serde_json::Value;

use super::{InterchangeError, torch_file};
use crate::adapter::CARD_FILE;
use crate::adapter::place::{as_others, beside, failed, put, write_text};
use crate::nn::NamedTensors;
use crate::tensor_file;

/// The configuration's file in both libraries.
pub(super) const CONFIG: &str = "adapter_config.json";
/// The description of the checkpoint, kept beside the library's files.
pub(super) const DESCRIPTION: &str = "autopeft.json";

#[derive(Debug)]
enum Content {
    Text(String),
    Safetensors(NamedTensors),
    Torch(NamedTensors),
}

/// The files of a directory by their paths in it.
#[derive(Debug, Default)]
pub(super) struct Written(Vec<(String, Content)>);

impl Written {
    pub(super) fn json(&mut self, path: &str, value: &Value) {
        self.0
            .push((path.into(), Content::Text(format!("{value:#}\n"))));
    }

    pub(super) fn card(&mut self, text: String) {
        self.0.push((CARD_FILE.into(), Content::Text(text)));
    }

    pub(super) fn safetensors(&mut self, path: &str, tensors: NamedTensors) {
        self.0.push((path.into(), Content::Safetensors(tensors)));
    }

    pub(super) fn torch(&mut self, path: &str, tensors: NamedTensors) {
        self.0.push((path.into(), Content::Torch(tensors)));
    }

    /// Writes the directory, which must not exist, or be empty.
    pub(super) fn put(&self, directory: &Path) -> Result<(), InterchangeError> {
        let is_taken = match std::fs::read_dir(directory) {
            Ok(mut entries) => entries.next().is_some(),
            Err(error) if error.kind() == ErrorKind::NotFound => false,
            Err(error) if error.kind() == ErrorKind::NotADirectory => true,
            Err(error) => return Err(failed(directory)(error).into()),
        };
        if is_taken {
            return Err(InterchangeError::Occupied(directory.into()));
        }
        // Removed if anything below fails.
        let new = beside(directory)?;
        let card = new.path().join(CARD_FILE);
        let (texts, tensors): (Vec<_>, Vec<_>) = self
            .0
            .iter()
            .partition(|(_, content)| matches!(content, Content::Text(_)));
        for (path, content) in texts.into_iter().chain(tensors) {
            let path = new.path().join(path);
            match content {
                Content::Text(text) => write_text(&path, text)?,
                Content::Safetensors(tensors) => {
                    tensor_file::write(&path, tensors)?;
                    as_others(&path, &card)?;
                }
                Content::Torch(tensors) => torch_file::write(&path, tensors)?,
            }
        }
        Ok(put(new, directory, false)?)
    }
}
