//! Fingerprints of model and data, which detect that the files of a search have changed.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// Bytes that are read at a time.
const BLOCK: usize = 1 << 20;

/// A file could not be read.
#[derive(Debug, thiserror::Error)]
#[error("{} cannot be read: {source}", path.display())]
pub struct FingerprintError {
    /// The file.
    pub path: PathBuf,
    /// What the system says.
    pub source: io::Error,
}

/// The SHA-256 of some files' names and contents, as 64 lower-case hexadecimal digits. Names are
/// relative to `root`, so that a directory may move; the order of `files` makes no difference.
///
/// # Errors
/// A file cannot be read.
pub fn of_files(root: &Path, files: &[PathBuf]) -> Result<String, FingerprintError> {
    let mut parts = files
        .iter()
        .map(|file| {
            let name = file.strip_prefix(root).unwrap_or(file);
            Ok((name.as_os_str().as_encoded_bytes(), of_content(file)?))
        })
        .collect::<Result<Vec<_>, FingerprintError>>()?;
    parts.sort_unstable();
    let mut all = Sha256::new();
    for (name, content) in parts {
        // The length makes the encoding unambiguous.
        all.update((name.len() as u64).to_le_bytes());
        all.update(name);
        all.update(content);
    }
    Ok(all
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect())
}

fn of_content(path: &Path) -> Result<[u8; 32], FingerprintError> {
    let failed = |source| FingerprintError {
        path: path.into(),
        source,
    };
    let mut file = File::open(path).map_err(failed)?;
    let mut block = vec![0; BLOCK];
    let mut hash = Sha256::new();
    loop {
        match file.read(&mut block) {
            Ok(0) => return Ok(hash.finalize().into()),
            Ok(count) => hash.update(&block[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(files: &[(&str, &str)]) -> String {
        let folder = tempfile::tempdir().expect("a folder");
        let paths: Vec<PathBuf> = files
            .iter()
            .map(|(name, content)| {
                let path = folder.path().join(name);
                std::fs::write(&path, content).expect("a file");
                path
            })
            .collect();
        of_files(folder.path(), &paths).expect("they are read")
    }

    #[test]
    fn order_and_place_make_no_difference_and_names_and_contents_do() {
        let one = of(&[("a", "x"), ("b", "y")]);
        assert_eq!(one, of(&[("b", "y"), ("a", "x")]));
        assert_ne!(one, of(&[("a", "y"), ("b", "x")]));
        assert_ne!(one, of(&[("a", "x"), ("b", "z")]));
        assert_ne!(one, of(&[("a", "x"), ("c", "y")]));
        assert_ne!(one, of(&[("a", "x")]));
    }

    /// By hand: `printf '\1\0\0\0\0\0\0\0a' > f; printf x | sha256sum | xxd -r -p >> f; sha256sum f`.
    #[test]
    fn a_fingerprint_is_the_sha_256_of_name_and_content() {
        assert_eq!(
            of(&[("a", "x")]),
            "a2b2c28986959b0be43dafcb5fec709c5df9f168010356928694235d3aad0de0"
        );
    }
}
