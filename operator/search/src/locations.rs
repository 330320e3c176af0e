//! Where a source is: a directory or a repository of the hub. No I/O.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use autopeft_crds::PeftSearchSpec;
use autopeft_crds::spec::{ClaimSource, HubSource, Source, TaskSpec, TransferSpec};

use crate::request;

/// Where a source is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// A directory, which may be missing.
    Directory {
        /// Where.
        path: PathBuf,
        /// The manifest's field, or the flag, that says so.
        field: String,
        /// What to do if it is missing.
        remedy: &'static str,
    },
    /// `hf://owner/name@revision`.
    Hub(String),
}

/// Why a source is not on this machine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LocationError {
    /// The claim has no directory on this machine.
    #[error(
        "{field}: the claim {name} has no directory on this machine; give it with --claim {name}=DIR{}",
        or_flag(.flag)
    )]
    UnknownClaim {
        /// The field.
        field: String,
        /// The claim.
        name: String,
        /// The flag that overrides the source, where one does.
        flag: Option<&'static str>,
    },
    /// Images cannot be mounted here.
    #[error(
        "{field}: an image volume is mounted by a cluster's kubelet, not on this machine; give {}",
        .flag.map_or_else(|| "path, claim or hub".to_owned(), |flag| format!("{flag} DIR"))
    )]
    Image {
        /// The field.
        field: String,
        /// The flag that overrides the source, where one does.
        flag: Option<&'static str>,
    },
    /// The source names no location.
    #[error(
        "{field}: it names no location of the files; give one of path, claim and hub{}",
        or_flag(.flag)
    )]
    Nowhere {
        /// The field.
        field: String,
        /// The flag that overrides the source, where one does.
        flag: Option<&'static str>,
    },
}

/// What else to give than a directory, to append to a remedy.
fn or_flag(flag: &Option<&'static str>) -> String {
    flag.map_or_else(String::new, |flag| format!(", or give {flag} DIR"))
}

/// Which source of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Its field.
    pub field: Cow<'static, str>,
    /// The flag that overrides it, where one does.
    pub flag: Option<&'static str>,
}

/// The model's source.
pub const MODEL: Owner = Owner {
    field: Cow::Borrowed("spec.model"),
    flag: Some("--model"),
};
/// The data's source.
pub const DATA: Owner = Owner {
    field: Cow::Borrowed("spec.task"),
    flag: Some("--data"),
};

/// The other tasks (`spec.transfer`) in their order, each as the owner of its source.
pub fn others(spec: &PeftSearchSpec) -> impl Iterator<Item = (&TaskSpec, Owner)> {
    let others = request::others(spec).iter().enumerate();
    others.map(|(index, other)| {
        let owner = Owner {
            field: format!("{}.task", TransferSpec::field(index)).into(),
            flag: None,
        };
        (&other.task, owner)
    })
}

/// Where a source is; `taken` overrides it, if given. Relative paths are relative to `base`, and `claims` has
/// the directories of claims, by name.
pub fn locate(
    source: &Source,
    owner: Owner,
    taken: Option<&Path>,
    base: &Path,
    claims: &[(String, PathBuf)],
) -> Result<Location, LocationError> {
    let Owner { field: owner, flag } = owner;
    let directory = |path: PathBuf, field: String, remedy| {
        Ok(Location::Directory {
            path,
            field,
            remedy,
        })
    };
    if let (Some(path), Some(flag)) = (taken, flag) {
        return directory(path.into(), flag.into(), "give an existing directory");
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
        return directory(base.join(path), field, remedy);
    }
    if let Some(ClaimSource { name, path }) = claim {
        let Some((_, root)) = claims.iter().find(|(known, _)| known == name) else {
            return Err(LocationError::UnknownClaim {
                field: format!("{owner}.source.claim.name"),
                name: name.clone(),
                flag,
            });
        };
        let field = format!("{owner}.source.claim.path");
        let remedy = "it is the claim's --claim directory with the path inside the claim";
        return directory(root.join(path), field, remedy);
    }
    if image.is_some() {
        return Err(LocationError::Image {
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
        return Err(LocationError::Nowhere {
            field: format!("{owner}.source"),
            flag,
        });
    };
    Ok(Location::Hub(format!("hf://{repository}@{revision}")))
}
