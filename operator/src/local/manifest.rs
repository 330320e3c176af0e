//! Reads the file of a manifest; `autopeft_search::manifest` parses it.

use std::io::Read;
use std::path::{Path, PathBuf};

use autopeft_search::manifest::{self, Manifest, ManifestError};

/// The largest manifest that is read, bytes.
const MAX_BYTES: u64 = 1 << 20;

/// Why a manifest cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file cannot be read.
    #[error("{path}: {source}; name a readable YAML file with a PeftSearch")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The file is too large for a manifest.
    #[error("{0}: the file is larger than 1 MiB; name a YAML file with one PeftSearch")]
    TooLarge(PathBuf),
    /// The file is not text.
    #[error("{path}:{line}: the file is not UTF-8 text; save it as UTF-8")]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// The line of the first invalid byte, from 1.
        line: usize,
    },
    /// The text is not a manifest.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
}

/// Reads and checks the manifest at `path`.
pub fn read(path: &Path) -> Result<Manifest, ReadError> {
    let bytes = read_bounded(path)?;
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(manifest::parse(text, path)?),
        Err(error) => {
            let before = &bytes[..error.valid_up_to()];
            Err(ReadError::NotUtf8 {
                path: path.into(),
                line: 1 + before.iter().filter(|byte| **byte == b'\n').count(),
            })
        }
    }
}

fn read_bounded(path: &Path) -> Result<Vec<u8>, ReadError> {
    let refused = |source| ReadError::Io {
        path: path.into(),
        source,
    };
    let file = std::fs::File::open(path).map_err(refused)?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(refused)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(ReadError::TooLarge(path.into()));
    }
    Ok(bytes)
}
