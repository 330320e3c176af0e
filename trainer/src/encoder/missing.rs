//! The error for a missing file of a model, with a remedy by what its directory has.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::data::listed;
use crate::files;

/// The name of the configuration in a model's directory.
pub const CONFIG_FILE: &str = "config.json";
/// The name of the weights in a model's directory.
pub const WEIGHTS_FILE: &str = "model.safetensors";

/// A missing file of a model's directory.
#[derive(Debug, thiserror::Error)]
#[error("{} is not there; {hint}", path.display())]
pub struct MissingFile {
    /// The file.
    pub path: PathBuf,
    /// What would be right.
    pub hint: String,
}

/// Checks that a model's directory has a file.
///
/// # Errors
/// It is missing; the error says what is there instead. A file that cannot be checked is left to its reader.
pub fn check(model: &Path, file: &str) -> Result<(), MissingFile> {
    let path = model.join(file);
    let is_absent = match path.try_exists() {
        Ok(exists) => !exists,
        Err(error) => error.kind() == std::io::ErrorKind::NotADirectory,
    };
    if is_absent {
        let hint = files::dangling(&path).unwrap_or_else(|| hint(model, file));
        return Err(MissingFile { path, hint });
    }
    Ok(())
}

fn hint(model: &Path, file: &str) -> String {
    const LAYOUT: &str =
        "Hugging Face layout (config.json, model.safetensors and tokenizer.json in one directory)";
    let shown = model.display();
    let Ok(entries) = std::fs::read_dir(model) else {
        return format!("{shown} is not a readable directory; a model is in {LAYOUT}");
    };
    let names: BTreeSet<String> = entries
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    let save = format!("transformers: AutoModel.from_pretrained(\"{shown}\").save_pretrained(");
    if file == WEIGHTS_FILE && names.contains("model.safetensors.index.json") {
        return format!(
            "the weights there are in several files; save them as one with {save}\"{shown}\", max_shard_size=\"1TB\")"
        );
    }
    let pickled = names.iter().find(|name| name.ends_with(".bin"));
    if let (true, Some(pickled)) = (file == WEIGHTS_FILE, pickled) {
        return format!(
            "the weights there are in {pickled}; convert them once with {save}\"{shown}\")"
        );
    }
    let below = names.iter().find(|name| {
        let below = model.join(name);
        below.join(CONFIG_FILE).is_file() && below.join(file).is_file()
    });
    if let Some(below) = below {
        return format!("{} holds a model: name it", model.join(below).display());
    }
    let found = match names.len() {
        0 => "is empty".to_owned(),
        _ => format!("has {}", listed(names.iter().map(String::as_str))),
    };
    format!("a model is in {LAYOUT}; {shown} {found}")
}
