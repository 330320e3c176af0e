//! Finds the programs and the inputs of the end-to-end tests, or fails with how to get them.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder of the built programs: `$AUTOPEFT_BIN`, else the build folder that this test runs from.
pub fn program(name: &str) -> PathBuf {
    let folder = std::env::var_os("AUTOPEFT_BIN").map_or_else(build_folder, PathBuf::from);
    let path = folder.join(name);
    assert!(
        path.exists(),
        "{} is missing: run `make build` first, or `make test`, which does",
        path.display()
    );
    path
}

fn build_folder() -> PathBuf {
    let test = std::env::current_exe().expect("the test's own path");
    test.ancestors()
        .nth(2)
        .map(Path::to_path_buf)
        .expect("a build folder")
}

/// The folder with the example weights and text: `$AUTOPEFT_CACHE`, else the user's cache.
pub fn cache() -> PathBuf {
    let folder = std::env::var_os("AUTOPEFT_CACHE").map_or_else(user_cache, PathBuf::from);
    assert!(
        folder
            .join("models/all-MiniLM-L6-v2/model.safetensors")
            .exists(),
        "the example weights are not in {}: run `make setup` first, or `make test`, which does",
        folder.display()
    );
    folder
}

fn user_cache() -> PathBuf {
    let base = std::env::var_os("XDG_CACHE_HOME").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").expect("HOME is set")).join(".cache"),
        PathBuf::from,
    );
    base.join("autopeft")
}

/// `peft-operator run MANIFEST --workdir WORKDIR`, with the example claim.
pub fn run_search(manifest: &Path, workdir: &Path) -> Command {
    let mut command = Command::new(program("peft-operator"));
    command
        .arg("run")
        .arg(manifest)
        .arg("--workdir")
        .arg(workdir)
        .arg("--claim")
        .arg(format!("autopeft={}", cache().display()))
        .args(["--device", "cpu"]);
    command
}
