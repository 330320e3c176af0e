//! A directory that is written as a whole: beside its place, and renamed. Directories and files have the modes that the
//! umask leaves.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A file or directory cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("{path}: cannot be written: {source}")]
pub struct WriteError {
    /// The file or directory.
    pub path: PathBuf,
    /// Why.
    pub source: std::io::Error,
}

/// An error about a path.
pub fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> WriteError {
    let path = path.to_path_buf();
    move |source| WriteError { path, source }
}

/// A temporary directory beside `directory`, whose missing parents are created. It is removed when dropped.
pub fn beside(directory: &Path) -> Result<tempfile::TempDir, WriteError> {
    let parent = match directory.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    std::fs::create_dir_all(parent)
        .and_then(|()| {
            tempfile::Builder::new()
                .prefix(".adapter-")
                .permissions(std::fs::Permissions::from_mode(0o777))
                .tempdir_in(parent)
        })
        .map_err(failed(parent))
}

/// Puts a directory that was made by `beside` into its place; what is there is removed if it is replaced.
pub fn put(new: tempfile::TempDir, directory: &Path, replaces: bool) -> Result<(), WriteError> {
    // Held until the new one is in place, and removed then.
    let old = beside(directory)?;
    if replaces {
        std::fs::rename(directory, old.path()).map_err(failed(directory))?;
    }
    std::fs::rename(new.path(), directory).map_err(failed(directory))?;
    // It was renamed: there is nothing left to remove.
    let _ = new.keep();
    Ok(())
}

/// Writes a text, in a folder that exists or is created, to the disk.
pub fn write_text(path: &Path, text: &str) -> Result<(), WriteError> {
    let folder = path.parent().unwrap_or(path);
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::File::create(path))
        .and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        })
        .map_err(failed(path))
}

/// Brings a file that a library wrote to the disk, with the mode of one that was written here: safetensors makes its
/// files readable by their owner only.
pub fn as_others(path: &Path, other: &Path) -> Result<(), WriteError> {
    std::fs::File::open(path)
        .and_then(|file| file.sync_all())
        .and_then(|()| std::fs::metadata(other))
        .and_then(|made| std::fs::set_permissions(path, made.permissions()))
        .map_err(failed(path))
}
