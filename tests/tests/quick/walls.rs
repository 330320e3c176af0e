//! The boundaries between crates and folders (docs/architecture.md), by `cargo metadata` and the sources.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use autopeft_integration_tests::generated::root;
use autopeft_integration_tests::helm::{read, yaml};
use autopeft_integration_tests::imports::Imports;
use autopeft_integration_tests::sources::sources;
use serde_json::Value;

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

/// The crates of the workspace, by folder.
const CRATES: [(&str, &str); 6] = [
    ("crds/", "autopeft-crds"),
    ("operator/engine/", "autopeft-engine"),
    ("operator/jobs/", "autopeft-jobs"),
    ("operator/search/", "autopeft-search"),
    ("operator/", "autopeft-operator"),
    ("trainer/", "autopeft-trainer"),
];

/// How a term of the page's column "must not contain" is checked.
enum Wall {
    /// By Cargo: the folder's crate depends on none of these crates, directly or indirectly.
    Crates(&'static [&'static str]),
    /// By Cargo: the folder's crate depends directly on none of these.
    Dependencies(&'static [&'static str]),
    /// By its sources: they have none of these words.
    Words(&'static [&'static str]),
    /// By its imports: it imports nothing of this module of its own crate.
    Module(String),
    /// By another test.
    Test(&'static str),
}

const IO: &[&str] = &["std::fs", "std::net", "std::process", "std::env::"];

const ASYNC: &[&str] = &["async fn", ".await", "tokio::"];

/// The checks of a term. Cargo cannot check a folder inside a crate.
fn walls(folder: &str, term: &str) -> Vec<Wall> {
    let is_crate = CRATES.iter().any(|(root, _)| *root == folder);
    match term {
        "I/O" => vec![Wall::Words(IO)],
        "files" => vec![Wall::Words(&["std::fs"])],
        "a clock" => vec![Wall::Words(&["::now(", "rand::rng("])],
        "async code" if is_crate => vec![Wall::Words(ASYNC), Wall::Crates(&["tokio"])],
        "async code" => vec![Wall::Words(ASYNC)],
        "tensors" if is_crate => vec![Wall::Crates(&["tch", "torch-sys"])],
        "tensors" => vec![Wall::Words(&["tch::", "torch_sys"])],
        "libtorch" if is_crate => vec![Wall::Crates(&["tch", "torch-sys"])],
        "the API server's client" if is_crate => {
            vec![Wall::Crates(&[
                "kube",
                "kube-client",
                "kube-runtime",
                "axum",
            ])]
        }
        "the API server's client" => vec![Wall::Words(&["Client", "Api<", "Api::"])],
        "Kubernetes" => vec![
            Wall::Crates(&["kube-client", "kube-runtime"]),
            Wall::Dependencies(&["kube", "k8s-openapi", "tracing"]),
        ],
        "the engine" => vec![Wall::Dependencies(&[
            "autopeft-engine",
            "autopeft-search",
            "autopeft-operator",
            "kube",
        ])],
        // Who counts failures or asks the surrogate decides.
        "decisions" => vec![Wall::Words(&[
            "max_failed_trials",
            "max_retries",
            "hypervolume(",
            "autopeft_engine::suggest",
        ])],
        "tasks" => vec![Wall::Module("task".into())],
        "training" => vec![Wall::Module("train".into()), Wall::Module("trial".into())],
        "PEFT methods" => vec![Wall::Words(&[
            "SerialAdapter",
            "ParallelAdapter",
            "PrefixTuning",
            "serial_adapter::",
            "parallel_adapter::",
            "prefix::",
        ])],
        "base images" => vec![Wall::Test("images_are_made_from_scratch")],
        "values missing in `values.schema.json`" => {
            vec![Wall::Test(
                "every_value_of_the_chart_has_a_line_in_its_schema",
            )]
        }
        // A folder beside it, by its name.
        name => {
            let module = name
                .strip_prefix('`')
                .and_then(|rest| rest.strip_suffix('`'));
            module
                .map(|name| Wall::Module(name.into()))
                .into_iter()
                .collect()
        }
    }
}

/// The page's rows: folder, and what it must not contain.
fn rows() -> Vec<(String, Vec<String>)> {
    let page = read("docs/architecture.md");
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    rows.map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let folder = cells[0].trim_matches('`').to_owned();
        let terms = cells.get(2).copied().unwrap_or_default().split(", ");
        let terms = terms.filter(|term| !term.is_empty()).map(str::to_owned);
        (folder, terms.collect())
    })
    .collect()
}

/// Checks each row of the page.
#[test]
fn no_folder_contains_what_the_architecture_page_forbids() {
    let graph = graph();
    let mut broken = Vec::new();
    for (folder, terms) in rows() {
        let of_folder = CRATES.iter().find(|(root, _)| *root == folder);
        for term in terms {
            let walls = walls(&folder, &term);
            if walls.is_empty() {
                broken.push(format!("{folder}: nothing checks \"{term}\""));
            }
            for wall in walls {
                let found = match wall {
                    Wall::Crates(crates) => of_folder.map_or_else(Vec::new, |(_, name)| {
                        let reached = graph.reached(name);
                        let found = crates.iter().filter(|name| reached.contains(**name));
                        found.map(|name| (*name).to_owned()).collect()
                    }),
                    Wall::Dependencies(crates) => of_folder.map_or_else(Vec::new, |(_, name)| {
                        let direct = graph.direct(name);
                        let found = crates.iter().filter(|name| direct.contains(**name));
                        found.map(|name| (*name).to_owned()).collect()
                    }),
                    Wall::Words(words) => with_words(&folder, words),
                    Wall::Module(module) => with_module(&folder, &module),
                    Wall::Test(name) => {
                        let tests = read("tests/tests/quick/walls.rs");
                        let is_there = tests.contains(&format!("fn {name}()"));
                        (!is_there).then(|| name.to_owned()).into_iter().collect()
                    }
                };
                broken.extend(found.iter().map(|what| format!("{folder}: {term}: {what}")));
            }
        }
    }
    assert!(
        broken.is_empty(),
        "docs/architecture.md:\n{}",
        broken.join("\n")
    );
}

/// The sources of a row: those of a crate without the crates in folders of its own.
fn of_row(folder: &str) -> Vec<String> {
    match CRATES.iter().any(|(root, _)| *root == folder) {
        true => sources(&format!("{folder}src")),
        false => sources(folder.trim_end_matches('/')),
    }
}

/// The lines with one of these words, without unit tests.
fn with_words(folder: &str, words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for file in of_row(folder) {
        let text = read(&file);
        let text = text
            .split("#[cfg(test)]\nmod tests")
            .next()
            .unwrap_or_default();
        for (number, line) in (1..).zip(text.lines()) {
            let code = line.split("//").next().unwrap_or_default();
            let words = words.iter().filter(|word| code.contains(**word));
            found.extend(words.map(|word| format!("{file}:{number} uses {word}")));
        }
    }
    found
}

/// The files that import a module of their own crate.
fn with_module(folder: &str, module: &str) -> Vec<String> {
    let (room, _) = folder.split_once("src/").expect("a folder of sources");
    let source = format!("{room}src");
    assert!(
        root().join(&source).join(module).exists()
            || root().join(&source).join(format!("{module}.rs")).exists(),
        "docs/architecture.md: {source} has no {module}"
    );
    let importers = Imports::of(&source).importers(&[module]);
    let ours = importers.iter().filter(|file| file.starts_with(folder));
    ours.map(|file| format!("{file} imports {module}"))
        .collect()
}

#[test]
fn images_are_made_from_scratch() {
    let script = read("charts/images/images.sh");
    let begun = script.matches("in_store from ").count();
    assert_eq!(begun, script.matches("in_store from scratch").count());
    assert!(begun > 0, "the images' beginning was not found");
}

/// The paths of the values below one; lists and empty objects count as values.
fn paths(before: &str, values: &Value) -> Vec<String> {
    match values.as_object() {
        Some(fields) if !fields.is_empty() => fields
            .iter()
            .flat_map(|(name, value)| paths(&format!("{before}/properties/{name}"), value))
            .collect(),
        _ => vec![before.to_owned()],
    }
}

#[test]
fn every_value_of_the_chart_has_a_line_in_its_schema() {
    let values = yaml(&read("charts/autopeft/values.yaml"));
    let schema: Value =
        serde_json::from_str(&read("charts/autopeft/values.schema.json")).expect("JSON");
    let found = paths("", &values);
    assert!(found.len() > 20, "the values were not found");
    for path in found {
        // A part of the schema may stand elsewhere.
        let is_there = schema.pointer(&path).is_some() || by_reference(&schema, &path);
        assert!(is_there, "values.schema.json lacks {path}");
    }
}

/// Whether a path exists through `$ref`.
fn by_reference(schema: &Value, path: &str) -> bool {
    let mut here = schema;
    for part in path.split('/').skip(1) {
        while let Some(reference) = here["$ref"].as_str() {
            let Some(found) = schema.pointer(reference.trim_start_matches('#')) else {
                return false;
            };
            here = found;
        }
        let Some(next) = here.get(part) else {
            // Names that are the user's.
            return here["additionalProperties"].is_object();
        };
        here = next;
    }
    true
}

/// Every folder and crate that docs/architecture.md names exists, and it names every crate.
#[test]
fn the_architecture_page_matches_the_tree() {
    let rows = rows();
    let rows: Vec<&str> = rows.iter().map(|(folder, _)| folder.as_str()).collect();
    assert!(rows.len() > 8, "the page's table of folders was not found");
    for folder in &rows {
        assert!(
            root().join(folder).exists(),
            "docs/architecture.md names {folder}, which does not exist"
        );
    }
    for room in [
        "crds",
        "operator",
        "operator/engine",
        "operator/jobs",
        "operator/search",
        "trainer",
    ] {
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
        "operator/jobs/",
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
