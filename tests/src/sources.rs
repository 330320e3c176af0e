//! The project's sources, for the tests that read them.

use std::path::Path;

use crate::generated::root;

/// Every Rust file below a folder, by its path from the project's root, in order.
pub fn sources(folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    collect(&root(), Path::new(folder), &mut found);
    assert!(!found.is_empty(), "{folder} has no sources");
    found.sort();
    found
}

fn collect(root: &Path, folder: &Path, found: &mut Vec<String>) {
    let entries = std::fs::read_dir(root.join(folder));
    for entry in entries.unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let entry = entry.expect("an entry");
        let path = folder.join(entry.file_name());
        if entry.path().is_dir() {
            collect(root, &path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path.to_str().expect("UTF-8").to_owned());
        }
    }
}
