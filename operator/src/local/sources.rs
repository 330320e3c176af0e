//! Resolves the sources of model and data to paths. Checks that directories exist; no other I/O.

use std::path::{Path, PathBuf};

use autopeft_crds::PeftSearchSpec;
use autopeft_search::locations::{self, Location, LocationError};
use autopeft_search::request::Locations;

/// The sources given on the command line.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// Overrides the manifest's model.
    pub model: Option<PathBuf>,
    /// Overrides the manifest's data.
    pub data: Option<PathBuf>,
    /// The directories of claims, by name.
    pub claims: Vec<(String, PathBuf)>,
}

/// Why a source cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The directory is missing.
    #[error("{field}: {path} is not a directory that can be read ({found}); {remedy}")]
    Missing {
        /// The manifest's field, or the flag.
        field: String,
        /// The directory.
        path: PathBuf,
        /// The system's error.
        found: String,
        /// The remedy.
        remedy: &'static str,
    },
    /// The source has no place on this machine.
    #[error(transparent)]
    Nowhere(#[from] LocationError),
    /// The path is not UTF-8.
    #[error("{field}: {path:?} is not UTF-8; use a directory whose name is")]
    NotUtf8 {
        /// The field.
        field: String,
        /// The directory.
        path: PathBuf,
    },
}

/// Resolves model and data. Relative paths start at `base`, the manifest's directory.
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
    let find = |source, owner, taken: &Option<PathBuf>| {
        let found = locations::locate(source, owner, taken.as_deref(), base, claims)?;
        match found {
            Location::Hub(repository) => Ok(repository),
            Location::Directory {
                path,
                field,
                remedy,
            } => directory(&path, field, remedy),
        }
    };
    Ok(Locations {
        model: find(&spec.model.source, locations::MODEL, model)?,
        data: find(&spec.task.source, locations::DATA, data)?,
        others: locations::others(spec)
            .map(|(task, owner)| Ok((task.clone(), find(&task.source, owner, &None)?)))
            .collect::<Result<_, SourceError>>()?,
        artifacts: None,
        promoted: None,
    })
}

/// The directory of a work directory for the adapters of trainings in full.
pub fn adapters(workdir: &Path) -> Result<String, SourceError> {
    let path = workdir.join("adapters");
    let path = std::path::absolute(&path).unwrap_or(path);
    match path.to_str() {
        Some(text) => Ok(text.to_owned()),
        None => Err(SourceError::NotUtf8 {
            field: "--workdir".into(),
            path,
        }),
    }
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
