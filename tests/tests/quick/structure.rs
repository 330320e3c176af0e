//! The structure of the sources: no circular imports inside a crate, no long file, no long function.

use autopeft_integration_tests::generated::root;
use autopeft_integration_tests::helm::read;
use autopeft_integration_tests::imports::Imports;
use autopeft_integration_tests::sources::sources;

/// Every crate, by its sources.
const ROOMS: [&str; 7] = [
    "crds/src",
    "operator/engine/src",
    "operator/jobs/src",
    "operator/search/src",
    "operator/src",
    "trainer/src",
    "tests/src",
];

/// Between files, and between a room's modules, a folder counted as one.
#[test]
fn no_room_has_a_circle_of_imports() {
    let mut found = Vec::new();
    for room in ROOMS {
        let imports = Imports::of(room);
        let of_modules = imports.circles_of_modules().into_iter();
        let of_modules = of_modules.map(|circle| format!("{room}: {}", circle.join(" ")));
        found.extend(imports.circles().iter().map(|circle| circle.join(" ")));
        found.extend(of_modules);
    }
    assert!(
        found.is_empty(),
        "circles of imports:\n{}",
        found.join("\n")
    );
}

/// The shells read, write and wait; what they decide is in `autopeft-search` and `autopeft-jobs`.
const SHELLS: [&str; 2] = ["operator/src/controller", "operator/src/local"];
const LINES_OF_SHELLS: usize = 5500;

#[test]
fn the_shells_stay_short() {
    let files = SHELLS.iter().flat_map(|shell| sources(shell));
    let lines: usize = files.map(|file| read(&file).lines().count()).sum();
    assert!(
        lines <= LINES_OF_SHELLS,
        "controller and local have {lines} lines, {LINES_OF_SHELLS} at most: decisions belong into operator/search"
    );
}

/// Every folder with Rust sources.
const EVERYWHERE: [&str; 5] = ["crds", "operator", "trainer/src", "trainer/tests", "tests"];

const LONGEST_FILE: usize = 500;
const LONGEST_FUNCTION: usize = 80;

/// What may be longer, and why.
const LONGER: &[(&str, &str)] = &[
    ("crds/tests/crds/bad_inputs/objects.rs: rows", TABLE),
    ("crds/tests/crds/bad_inputs/search.rs: counts", TABLE),
    (
        "crds/tests/crds/bad_inputs/search.rs: types_and_names",
        TABLE,
    ),
    ("crds/tests/crds/bad_inputs/space.rs: space", TABLE),
    ("crds/tests/crds/bad_inputs/space.rs: objectives", TABLE),
    (
        "crds/tests/crds/bad_inputs/task.rs: files_and_columns",
        TABLE,
    ),
    ("crds/tests/crds/bad_inputs/trainer.rs: allow_list", TABLE),
    ("crds/tests/crds/bad_inputs/trainer.rs: resources", TABLE),
    ("crds/tests/crds/bad_inputs/training.rs: rows", TABLE),
];

const TABLE: &str = "the table of bad inputs";

#[test]
fn no_file_is_longer_than_500_lines_and_no_function_than_80() {
    let may_be = |what: &str| LONGER.iter().any(|(one, _)| *one == what);
    let mut found = Vec::new();
    for file in EVERYWHERE.iter().flat_map(|folder| sources(folder)) {
        let text = read(&file);
        let lines = text.lines().count();
        if lines > LONGEST_FILE && !may_be(&file) {
            found.push(format!("{file}: {lines} lines"));
        }
        for (name, lines) in functions(&text) {
            if lines > LONGEST_FUNCTION && !may_be(&format!("{file}: {name}")) {
                found.push(format!("{file}: {name}: {lines} lines"));
            }
        }
    }
    assert!(found.is_empty(), "too long:\n{}", found.join("\n"));
    for (what, reason) in LONGER {
        let file = what.split(": ").next().unwrap_or_default();
        let is_there = root().join(file).exists();
        assert!(is_there, "{what} is gone: {reason}");
    }
}

/// The functions of a source as rustfmt writes it, and how many lines each has.
fn functions(text: &str) -> Vec<(String, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let trimmed = line.trim_start();
        let words: Vec<&str> = trimmed.split(' ').collect();
        let Some(place) = words.iter().position(|word| *word == "fn") else {
            continue;
        };
        let qualifiers = [
            "pub",
            "pub(crate)",
            "pub(super)",
            "const",
            "async",
            "unsafe",
        ];
        if !words[..place].iter().all(|word| qualifiers.contains(word)) {
            continue;
        }
        let name = words.get(place + 1).copied().unwrap_or_default();
        let name = name.split(['(', '<']).next().unwrap_or_default();
        // Its end has its own indentation.
        let end = format!("{}}}", &line[..line.len() - trimmed.len()]);
        let length = lines[at..].iter().position(|line| *line == end);
        let is_declared = trimmed.ends_with(';') || trimmed.ends_with('}');
        if let Some(length) = length.filter(|_| !is_declared) {
            found.push((name.to_owned(), length + 1));
        }
    }
    found
}

#[test]
fn the_length_of_a_function_is_that_from_its_first_line_to_its_last() {
    let text = "fn one() {\n    two();\n}\n\nimpl A {\n    pub async fn two(\n        a: u8,\n    ) {\n    }\n}\n";
    assert_eq!(functions(text), [("one".into(), 3), ("two".into(), 4)]);
}

/// Cargo runs the examples of documentation only with `--doc`, and `make test` does not ask for them: an example that
/// nothing runs is a test or a text.
#[test]
fn documentation_has_no_code_that_nothing_runs() {
    let mut found = Vec::new();
    for file in EVERYWHERE.iter().flat_map(|folder| sources(folder)) {
        let mut is_open = false;
        for (at, line) in read(&file).lines().enumerate() {
            let words = line.trim_start();
            let doc = words.strip_prefix("///").or(words.strip_prefix("//!"));
            let Some(kind) = doc.and_then(|doc| doc.trim_start().strip_prefix("```")) else {
                continue;
            };
            is_open = !is_open;
            if is_open && kind != "text" {
                found.push(format!("{file}:{}", at + 1));
            }
        }
    }
    assert!(found.is_empty(), "examples that nothing runs: {found:?}");
}

const LONGEST_LINE: usize = 119;

#[test]
fn no_line_of_the_docs_is_longer_than_119_characters() {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root().join("docs")).expect("the docs") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|extension| extension != "md") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("text");
        let lines = text.lines().enumerate();
        let long = lines.filter(|(_, line)| line.chars().count() > LONGEST_LINE);
        found.extend(long.map(|(at, _)| format!("{}:{}", path.display(), at + 1)));
    }
    assert!(found.is_empty(), "too long:\n{}", found.join("\n"));
}
