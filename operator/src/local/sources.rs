//! Where model and data are on this machine. Looks whether directories exist; otherwise no I/O.

use std::path::{Path, PathBuf};

use autopeft_crds::spec::{ClaimSource, HubSource, Source};

use autopeft_crds::spec::PeftSearchSpec;
use autopeft_search::request::Places;

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
    /// The claim has no directory on this machine.
    #[error(
        "{field}: the claim {name} has no directory on this machine; give it with --claim {name}=DIR, or give {flag} DIR"
    )]
    UnknownClaim {
        /// The field.
        field: String,
        /// The claim.
        name: String,
        /// The flag that takes the source's place.
        flag: &'static str,
    },
    /// Nobody mounts images here.
    #[error(
        "{field}: an image volume is mounted by a cluster's kubelet, not on this machine; give {flag} DIR"
    )]
    Image {
        /// The field.
        field: String,
        /// The flag that takes the source's place.
        flag: &'static str,
    },
    /// The source names no place.
    #[error(
        "{field}: it says nowhere where the files are; give one of path, claim and hub, or give {flag} DIR"
    )]
    Nowhere {
        /// The field.
        field: String,
        /// The flag that takes the source's place.
        flag: &'static str,
    },
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
) -> Result<Places, SourceError> {
    let Overrides {
        model,
        data,
        claims,
    } = overrides;
    Ok(Places {
        model: place(
            &spec.model.source,
            "spec.model",
            "--model",
            model,
            base,
            claims,
        )?,
        data: place(&spec.task.source, "spec.task", "--data", data, base, claims)?,
        artifacts: None,
    })
}

fn place(
    source: &Source,
    owner: &str,
    flag: &'static str,
    taken: &Option<PathBuf>,
    base: &Path,
    claims: &[(String, PathBuf)],
) -> Result<String, SourceError> {
    if let Some(path) = taken {
        return directory(path, flag.into(), "give an existing directory");
    }
    let Source {
        path,
        claim,
        image,
        hub,
    } = source;
    if let Some(path) = path {
        let field = format!("{owner}.source.path");
        let remedy = "a relative path is taken from the manifest's directory";
        return directory(&base.join(path), field, remedy);
    }
    if let Some(ClaimSource { name, path }) = claim {
        let Some((_, root)) = claims.iter().find(|(known, _)| known == name) else {
            return Err(SourceError::UnknownClaim {
                field: format!("{owner}.source.claim.name"),
                name: name.clone(),
                flag,
            });
        };
        let field = format!("{owner}.source.claim.path");
        let remedy = "it is the claim's --claim directory with the path inside the claim";
        return directory(&root.join(path), field, remedy);
    }
    if image.is_some() {
        return Err(SourceError::Image {
            field: format!("{owner}.source.image"),
            flag,
        });
    }
    let Some(HubSource {
        repository,
        revision,
        token_secret_ref: _,
    }) = hub
    else {
        return Err(SourceError::Nowhere {
            field: format!("{owner}.source"),
            flag,
        });
    };
    Ok(format!("hf://{repository}@{revision}"))
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
