//! The walls between the rooms (docs/architecture.md), read from `cargo metadata` and the sources.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The packages of the lock file that a workspace crate reaches by normal and build dependencies.
struct Graph {
    name: BTreeMap<String, String>,
    edges: BTreeMap<String, Vec<String>>,
}

fn graph() -> Graph {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--offline"])
        .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "cargo metadata: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    let text = |value: &Value| value.as_str().expect("a string").to_owned();
    let list = |value: &Value| value.as_array().expect("a list").clone();
    let name = list(&metadata["packages"])
        .iter()
        .map(|package| (text(&package["id"]), text(&package["name"])))
        .collect();
    let edges = list(&metadata["resolve"]["nodes"])
        .iter()
        .map(|node| {
            let reached = list(&node["deps"])
                .iter()
                .filter(|dependency| {
                    list(&dependency["dep_kinds"])
                        .iter()
                        .any(|kind| kind["kind"].is_null())
                })
                .map(|dependency| text(&dependency["pkg"]))
                .collect();
            (text(&node["id"]), reached)
        })
        .collect();
    Graph { name, edges }
}

impl Graph {
    fn id(&self, crate_name: &str) -> &str {
        let mut found = self.name.iter().filter(|(_, name)| *name == crate_name);
        found.next().expect("a workspace crate of that name").0
    }

    fn direct(&self, crate_name: &str) -> BTreeSet<&str> {
        self.edges[self.id(crate_name)]
            .iter()
            .map(|id| self.name[id].as_str())
            .collect()
    }

    fn reached(&self, crate_name: &str) -> BTreeSet<&str> {
        let mut seen = BTreeSet::new();
        let mut open = vec![self.id(crate_name)];
        while let Some(id) = open.pop() {
            for next in &self.edges[id] {
                if seen.insert(next.as_str()) {
                    open.push(next);
                }
            }
        }
        seen.iter().map(|id| self.name[*id].as_str()).collect()
    }
}

fn assert_apart(room: &str, reached: &BTreeSet<&str>, forbidden: &[&str]) {
    for crate_name in forbidden {
        assert!(
            !reached.contains(crate_name),
            "{room} must not use {crate_name} (docs/architecture.md)"
        );
    }
}

#[test]
fn each_room_uses_only_what_it_may() {
    let graph = graph();
    let client = ["kube-client", "kube-runtime"];
    let tensors = ["tch", "torch-sys"];
    let runtime = ["tokio"];

    let crds = graph.reached("autopeft-crds");
    assert_apart("crds", &crds, &client);
    assert_apart("crds", &crds, &tensors);
    assert_apart("crds", &crds, &runtime);

    let engine = graph.reached("autopeft-engine");
    assert_apart("operator/engine", &engine, &client);
    assert_apart("operator/engine", &engine, &tensors);
    assert_apart("operator/engine", &engine, &runtime);
    assert_apart(
        "operator/engine",
        &graph.direct("autopeft-engine"),
        &["kube", "k8s-openapi", "tracing"],
    );

    let search = graph.reached("autopeft-search");
    assert_apart("operator/search", &search, &client);
    assert_apart("operator/search", &search, &tensors);
    assert_apart("operator/search", &search, &runtime);
    assert_apart("operator/search", &search, &["axum", "kube"]);

    assert_apart("operator", &graph.reached("autopeft-operator"), &tensors);
    assert_apart("trainer", &graph.reached("autopeft-trainer"), &client);
    let trainer = graph.direct("autopeft-trainer");
    assert_apart(
        "trainer",
        &trainer,
        &["kube", "autopeft-engine", "autopeft-operator"],
    );
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The pure rooms take the time and the seed as arguments and touch no file, process or socket.
#[test]
fn the_pure_rooms_have_no_clock_and_no_io() {
    for room in ["crds/src", "operator/engine/src", "operator/search/src"] {
        let mut files = Vec::new();
        sources(&root().join(room), &mut files);
        assert!(!files.is_empty(), "{room} has no sources");
        for file in files {
            let text = std::fs::read_to_string(&file).expect("a source");
            for word in [
                "::now(",
                "std::fs",
                "std::net",
                "std::process",
                "std::env::",
                "tokio::",
                "async fn",
                "rand::rng(",
            ] {
                assert!(
                    !text.contains(word),
                    "{} uses {word}, but {room} is pure (docs/architecture.md)",
                    file.display()
                );
            }
        }
    }
}

/// Every folder and crate that docs/architecture.md names exists, and it names every crate.
#[test]
fn the_architecture_page_matches_the_tree() {
    let page = std::fs::read_to_string(root().join("docs/architecture.md")).expect("the page");
    let rows: Vec<&str> = page
        .lines()
        .filter(|line| line.starts_with("| `"))
        .filter_map(|line| line.split('`').nth(1))
        .collect();
    assert!(rows.len() > 8, "the page's table of folders was not found");
    for folder in &rows {
        assert!(
            root().join(folder).exists(),
            "docs/architecture.md names {folder}, which does not exist"
        );
    }
    for room in ["crds", "operator", "operator/search", "trainer"] {
        let source = root().join(room).join("src");
        for entry in std::fs::read_dir(&source).expect("sources") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                let name = path
                    .file_name()
                    .and_then(|name| name.to_str())
                    .expect("UTF-8");
                let folder = format!("{room}/src/{name}/");
                assert!(
                    rows.contains(&folder.as_str()),
                    "docs/architecture.md does not name {folder}"
                );
            }
        }
    }
    for member in [
        "crds/",
        "operator/",
        "operator/engine/",
        "operator/search/",
        "trainer/",
        "tests/",
    ] {
        assert!(
            rows.contains(&member),
            "docs/architecture.md does not name {member}"
        );
    }
}
