//! How the sources are cut: no circle of imports inside a room, no long file, no long function.

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

#[test]
fn no_room_has_a_circle_of_imports() {
    let mut found = Vec::new();
    for room in ROOMS {
        for circle in Imports::of(room).circles() {
            let circle = circle.join(" ");
            if !OPEN.contains(&circle.as_str()) {
                found.push(circle);
            }
        }
    }
    assert!(
        found.is_empty(),
        "circles of imports:\n{}",
        found.join("\n")
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
    ("crds/tests/crds/bad_inputs/search.rs: space", TABLE),
    ("crds/tests/crds/bad_inputs/search.rs: objectives", TABLE),
    (
        "crds/tests/crds/bad_inputs/task.rs: files_and_columns",
        TABLE,
    ),
    ("crds/tests/crds/bad_inputs/trainer.rs: allow_list", TABLE),
    ("crds/tests/crds/bad_inputs/training.rs: rows", TABLE),
];

const TABLE: &str = "the table of bad inputs";

/// What is being cut now; nothing is added here.
const OPEN: &[&str] = &[
    "operator/search/src/inspection.rs: status",
    "operator/search/src/ledger/mod.rs",
    "operator/search/src/report/front_svg.rs: front_svg",
    "operator/tests/local/journal.rs: events",
    "operator/search/src/report/html.rs operator/search/src/report/sections.rs",
];

#[test]
fn no_file_is_longer_than_500_lines_and_no_function_than_80() {
    let may_be = |what: &str| LONGER.iter().any(|(one, _)| *one == what) || OPEN.contains(&what);
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
