//! Files that hold no manifest.

use std::path::Path;

use autopeft_operator::local::manifest::{self, ReadError};

#[test]
fn what_cannot_be_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("search.yaml");
    assert!(matches!(manifest::read(&path), Err(ReadError::Io { .. })));
    assert!(matches!(
        manifest::read(folder.path()),
        Err(ReadError::Io { .. })
    ));
    std::fs::write(&path, b"kind: PeftSearch\nname: \xff\n").expect("a file");
    let error = manifest::read(&path).expect_err("refused").to_string();
    assert!(
        error.ends_with("search.yaml:2: the file is not UTF-8 text; save it as UTF-8"),
        "{error}"
    );
    std::fs::write(&path, vec![b'#'; 2 << 20]).expect("a file");
    let error = manifest::read(&path).expect_err("refused").to_string();
    assert!(error.contains("larger than 1 MiB"), "{error}");
    assert!(matches!(
        manifest::read(Path::new("/dev/zero")),
        Err(ReadError::TooLarge(_))
    ));
}
