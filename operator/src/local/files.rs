//! Atomic writes: a reader sees the old content or the new, never a part.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Why a file could not be written.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {source}; {remedy}, then run the same command again: no finished work is lost")]
pub struct FileError {
    /// The file or directory.
    pub path: PathBuf,
    /// The system's error.
    pub source: std::io::Error,
    /// The remedy.
    pub remedy: &'static str,
}

/// The remedy for a disk that is full or read-only.
pub const REMEDY: &str = "free some space or make the directory writable";

/// Writes `content` to a temporary file beside `path` and renames it.
pub fn replace(path: &Path, content: &[u8]) -> Result<(), FileError> {
    let refused = |source| FileError {
        path: path.into(),
        source,
        remedy: REMEDY,
    };
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    let part = path.with_file_name(name);
    let written = write_through(&part, content).and_then(|()| std::fs::rename(&part, path));
    if written.is_err() {
        // A partial file is useless, and the disk may be full.
        let _ = std::fs::remove_file(&part);
    }
    written.map_err(refused)
}

fn write_through(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(content)?;
    file.sync_data()
}
