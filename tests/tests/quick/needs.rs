//! Before anything is built, everything that is missing is listed in one line.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use autopeft_integration_tests::generated::root;
use autopeft_integration_tests::helm::read;

/// Programs that every machine has.
const BASIC: [&str; 13] = [
    "awk",
    "bash",
    "cat",
    "cut",
    "df",
    "dirname",
    "env",
    "find",
    "grep",
    "sed",
    "sha256sum",
    "tail",
    "tr",
];

/// A folder with links to these programs, for a PATH.
fn machine_with(programs: &[&str], folder: &Path) {
    let path = std::env::var_os("PATH").expect("a PATH");
    for program in programs {
        let found = std::env::split_paths(&path)
            .map(|folder| folder.join(program))
            .find(|file| file.exists());
        let found: PathBuf = found.unwrap_or_else(|| panic!("{program} is not on PATH"));
        symlink(found, folder.join(program)).expect("a link");
    }
}

/// Runs `needs.sh` for a machine with an empty cache: whether it succeeds, and its lines.
fn said(programs: &[&str], parts: &[&str], variables: &[(&str, &str)]) -> (bool, Vec<String>) {
    let folder = tempfile::tempdir().expect("a folder");
    machine_with(&BASIC, folder.path());
    machine_with(programs, folder.path());
    let output = Command::new(folder.path().join("bash"))
        .arg(root().join("tests/needs.sh"))
        .args(parts)
        .env_clear()
        .env("HOME", folder.path())
        .env("PATH", folder.path())
        .envs(variables.iter().copied())
        .output()
        .expect("bash starts");
    let text = String::from_utf8_lossy(&output.stderr);
    let lines = text.lines().map(str::to_owned).collect();
    (output.status.success(), lines)
}

#[test]
fn what_is_missing_is_named_in_one_line() {
    let parts = [
        "rust", "libtorch", "examples", "lint", "tests", "node", "images",
    ];
    let (is_content, lines) = said(&[], &parts, &[]);
    assert!(!is_content);
    let [line] = &lines[..] else {
        panic!("{lines:?}");
    };
    for wanted in [
        "cargo",
        "Go 1.26",
        "g++",
        "gcc",
        "python3",
        "python3-pip",
        "curl",
        "openssl",
        "util-linux",
        "buildah",
        "containerd",
        "binutils",
        "apt-get",
    ] {
        assert!(line.contains(wanted), "{wanted} is not in: {line}");
    }
}

#[test]
fn what_is_installed_is_not_requested() {
    let (is_content, lines) = said(&["python3"], &["libtorch"], &[("LIBTORCH", "/somewhere")]);
    assert!(is_content, "{lines:?}");
    // With KUBECONFIG, a node needs nothing.
    let outside = [("KUBECONFIG", "/somewhere")];
    let (is_content, lines) = said(&[], &["node"], &outside);
    assert!(is_content, "{lines:?}");
}

/// A model of Maven needs more than the examples do.
#[test]
fn a_model_of_maven_names_what_it_needs() {
    let folder = tempfile::tempdir().expect("a folder");
    machine_with(&BASIC, folder.path());
    machine_with(&["mkdir"], folder.path());
    let output = Command::new(folder.path().join("bash"))
        .arg(root().join("docs/examples/fetch.sh"))
        .arg("bert-base")
        .env_clear()
        .env("HOME", folder.path())
        .env("PATH", folder.path())
        .output()
        .expect("bash starts");
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    for wanted in ["python3", "apt-get install maven"] {
        assert!(text.contains(wanted), "{wanted} is not in: {text}");
    }
}

/// Every target that compiles something has a NEEDS line.
#[test]
fn the_makefile_checks_needs_before_it_builds() {
    let makefile = read("Makefile");
    let mut target = "";
    for line in makefile.lines() {
        let is_rule =
            line.starts_with(|first: char| first.is_ascii_lowercase()) && !line.contains("=");
        if is_rule {
            target = line;
        }
        let builds = [
            "$(CARGO)",
            "images.sh",
            "release.sh",
            "demo.sh",
            "cluster.sh up",
        ];
        let is_clean = target.starts_with("clean") || target.starts_with("env");
        if line.starts_with('\t') && builds.iter().any(|word| line.contains(word)) && !is_clean {
            let (_, needs) = target.split_once(':').expect("a rule");
            let looks = ["needs-", "setup", "build"];
            assert!(
                looks.iter().any(|word| needs.contains(word)),
                "{target}: {line}"
            );
        }
    }
}
