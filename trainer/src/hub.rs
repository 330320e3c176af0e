//! Models and data sets of the Hugging Face hub, written `hf://owner/name@revision`, fetched into
//! `${XDG_CACHE_HOME:-~/.cache}/autopeft/hub`. Cached files are used without a network.
//!
//! The token is the environment variable `HF_TOKEN`, or for data `HF_TOKEN_DATA` if it is set; it is never
//! printed. `HF_ENDPOINT` names another hub.

use std::path::{Path, PathBuf};

use hf_hub::api::sync::{Api, ApiBuilder, ApiError, ApiRepo};
use hf_hub::{Cache, Repo, RepoType};

const PREFIX: &str = "hf://";

/// How often a fetch waits for another process that is fetching the same file. The hub's client
/// waits some seconds each time.
const LOCK_TRIES: usize = 120;

/// The kind of a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holding {
    /// A model.
    Model,
    /// A data set.
    DataSet,
}

/// Why a repository cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// The text names no repository.
    #[error("{0:?} does not name a repository; write hf://owner/name@revision")]
    Name(String),
    /// There is no cache directory.
    #[error(
        "neither XDG_CACHE_HOME nor HOME is set; set one of them for the cache of downloaded files"
    )]
    NoCache,
    /// A file could not be fetched.
    #[error(
        "{file} of {repository} cannot be fetched: {problem}; this needs a network, the right name and revision and, for a private repository, HF_TOKEN"
    )]
    Fetch {
        /// The file.
        file: String,
        /// The requested repository.
        repository: String,
        /// What the hub's client says.
        problem: String,
    },
    /// The branch got a new commit during the download.
    #[error("{0} changed while it was being fetched; run this again, or name a commit")]
    Moved(String),
}

/// A directory with the files of a source: the source itself if it is a directory, else a repository's files, fetched
/// unless they are cached. A repository may lack the `optional` ones.
pub fn directory(
    source: &str,
    holding: Holding,
    files: &[&str],
    optional: &[&str],
) -> Result<PathBuf, HubError> {
    let Some(name) = source.strip_prefix(PREFIX) else {
        return Ok(source.into());
    };
    let (repository, revision) = split(name).ok_or_else(|| HubError::Name(source.into()))?;
    let kind = match holding {
        Holding::Model => RepoType::Model,
        Holding::DataSet => RepoType::Dataset,
    };
    let problem = |file: &str, error: &ApiError| HubError::Fetch {
        file: file.into(),
        repository: source.into(),
        problem: error.to_string(),
    };
    let folder = cache_folder()?;
    let client = client(&folder, holding).map_err(|error| problem("any file", &error))?;
    let repository = Repo::with_revision(repository.into(), kind, revision.into());
    let cached = Cache::new(folder).repo(repository.clone());
    let repository = client.repo(repository);
    // Fetched first: if the required files are cached, these have been requested already, and no network is needed to
    // learn that the repository lacks them.
    let optional = match files.iter().all(|file| cached.get(file).is_some()) {
        true => &[],
        false => optional,
    };
    let mut snapshot: Option<PathBuf> = None;
    for (place, file) in optional.iter().chain(files).enumerate() {
        let path = match fetch(&repository, file) {
            Ok(path) => path,
            Err(error) if place < optional.len() && is_absent(&error) => continue,
            Err(error) => return Err(problem(file, &error)),
        };
        let folder = above(&path, file);
        if snapshot.as_ref().is_some_and(|first| *first != folder) {
            return Err(HubError::Moved(source.into()));
        }
        snapshot = Some(folder);
    }
    snapshot.ok_or_else(|| HubError::Name(source.into()))
}

/// `owner/name@revision`, or `owner/name` for the branch `main`.
fn split(name: &str) -> Option<(&str, &str)> {
    let (repository, revision) = name.split_once('@').unwrap_or((name, "main"));
    let parts: Vec<&str> = repository.split('/').collect();
    let is_name = (1..=2).contains(&parts.len())
        && parts.iter().all(|part| {
            !part.is_empty()
                && !part.starts_with('.')
                && part
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
        });
    (is_name && !revision.is_empty() && !revision.contains("..")).then_some((repository, revision))
}

fn cache_folder() -> Result<PathBuf, HubError> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let cache = match (set("XDG_CACHE_HOME"), set("HOME")) {
        (Some(cache), _) => PathBuf::from(cache),
        (None, Some(home)) => Path::new(&home).join(".cache"),
        (None, None) => return Err(HubError::NoCache),
    };
    Ok(cache.join("autopeft").join("hub"))
}

fn client(cache: &Path, holding: Holding) -> Result<Api, ApiError> {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let mut builder = ApiBuilder::from_cache(Cache::new(cache.into()))
        .with_progress(false)
        .with_token(token(holding, set));
    if let Some(endpoint) = set("HF_ENDPOINT") {
        builder = builder.with_endpoint(endpoint);
    }
    builder.build()
}

fn token(holding: Holding, set: impl Fn(&str) -> Option<String>) -> Option<String> {
    let own = match holding {
        Holding::Model => None,
        Holding::DataSet => set("HF_TOKEN_DATA"),
    };
    own.or_else(|| set("HF_TOKEN"))
}

fn fetch(repository: &ApiRepo, file: &str) -> Result<PathBuf, ApiError> {
    let mut tries = 0;
    loop {
        match repository.get(file) {
            Err(ApiError::LockAcquisition(_)) if tries < LOCK_TRIES => tries += 1,
            other => return other,
        }
    }
}

/// Whether the hub says that there is no such file.
fn is_absent(error: &ApiError) -> bool {
    match error {
        ApiError::RequestError(source) => matches!(**source, ureq::Error::StatusCode(404)),
        _ => false,
    }
}

/// The snapshot's folder: the file's path without the file's name in the repository.
fn above(path: &Path, file: &str) -> PathBuf {
    let depth = Path::new(file).components().count();
    path.ancestors().nth(depth).unwrap_or(path).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_is_named_by_owner_name_and_revision() {
        assert_eq!(split("a/b@v1"), Some(("a/b", "v1")));
        assert_eq!(
            split("bert-base-uncased"),
            Some(("bert-base-uncased", "main"))
        );
        assert_eq!(split("a/b@refs/pr/1"), Some(("a/b", "refs/pr/1")));
        for wrong in [
            "", "@main", "a/b/c", "a//b", "../b", "a/b@", "a b", "a/b@../x",
        ] {
            assert_eq!(split(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn data_may_have_a_token_of_their_own() {
        let both = |name: &str| Some(format!("the {name}"));
        let one = |name: &str| (name == "HF_TOKEN").then(|| "the one".to_owned());
        let found = |holding| (token(holding, both), token(holding, one));
        let expected = |both: &str| (Some(both.to_owned()), Some("the one".to_owned()));
        assert_eq!(found(Holding::Model), expected("the HF_TOKEN"));
        assert_eq!(found(Holding::DataSet), expected("the HF_TOKEN_DATA"));
    }

    #[test]
    fn a_directory_is_itself() {
        let found = directory("/some/where", Holding::Model, &["config.json"], &[]);
        assert_eq!(found.expect("a path"), Path::new("/some/where"));
    }

    #[test]
    fn a_snapshot_is_above_its_files() {
        assert_eq!(
            above(Path::new("/c/s/rte/x.parquet"), "rte/x.parquet"),
            Path::new("/c/s")
        );
        assert_eq!(
            above(Path::new("/c/s/config.json"), "config.json"),
            Path::new("/c/s")
        );
    }
}
