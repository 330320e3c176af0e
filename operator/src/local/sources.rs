//! Where model and data are on this machine. Looks whether directories exist; otherwise no I/O.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use autopeft_crds::spec::PeftSearchSpec;
use autopeft_search::locations::{self, Location, LocationError};
use autopeft_search::request::Locations;

/// What the command line says about sources.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// Takes the place of the manifest's model.
    pub model: Option<PathBuf>,
    /// Takes the place of the manifest's data.
    pub data: Option<PathBuf>,
    /// The directories of claims, by name.
    pub claims: Vec<(String, PathBuf)>,
}

/// Why a source cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The directory is not there.
    #[error("{field}: {path} is not a directory that can be read ({found}); {remedy}")]
    Missing {
        /// The manifest's field, or the flag.
        field: String,
        /// The directory.
        path: PathBuf,
        /// What is there instead.
        found: String,
        /// What would help.
        remedy: &'static str,
    },
    /// It is nowhere.
    #[error(transparent)]
    Nowhere(#[from] LocationError),
    /// The path is not text.
    #[error("{field}: {path:?} is not UTF-8; use a directory whose name is")]
    NotUtf8 {
        /// The field.
        field: String,
        /// The directory.
        path: PathBuf,
    },
}

/// Finds model and data. Relative paths are taken from `base`, the manifest's directory.
pub fn resolve(
    spec: &PeftSearchSpec,
    base: &Path,
    overrides: &Overrides,
) -> Result<Locations, SourceError> {
    let Overrides {
        model,
        data,
        claims,
    } = overrides;
    let find = |source, owner, taken: &Option<PathBuf>| match locations::locate(
        source,
        owner,
        taken.as_deref(),
        base,
        claims,
    )? {
        Location::Hub(repository) => Ok(repository),
        Location::Directory {
            path,
            field,
            remedy,
        } => directory(&path, field, remedy),
    };
    Ok(Locations {
        model: find(&spec.model.source, locations::MODEL, model)?,
        data: find(&spec.task.source, locations::DATA, data)?,
        others: BTreeMap::new(),
        artifacts: None,
    })
}

fn directory(path: &Path, field: String, remedy: &'static str) -> Result<String, SourceError> {
    let found = match std::fs::read_dir(path) {
        Ok(_) => None,
        Err(error) => Some(error.to_string()),
    };
    let path = std::path::absolute(path).unwrap_or_else(|_| path.into());
    if let Some(found) = found {
        return Err(SourceError::Missing {
            field,
            path,
            found,
            remedy,
        });
    }
    match path.to_str() {
        Some(text) => Ok(text.to_owned()),
        None => Err(SourceError::NotUtf8 { field, path }),
    }
}
