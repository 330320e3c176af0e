//! Data files that are not what they should be, each kind in every text format: line numbers,
//! quotes, columns that are there twice, files that are something else, labels that look alike.

use autopeft_crds::spec::TaskSpec;
use autopeft_trainer::task;
use serde_json::json;

use crate::data::{classes, custom, folder, load, refused};

const TEXT_FORMATS: [&str; 3] = ["csv", "tsv", "jsonl"];
const LINE_ENDS: [&str; 3] = ["\n", "\r\n", "\r"];

/// A task whose files both have one ending: `train.csv` and `validation.csv`.
fn of(ending: &str) -> TaskSpec {
    let (train, validation) = (format!("train.{ending}"), format!("validation.{ending}"));
    custom(json!({"trainFile": train, "validationFile": validation}))
}

/// A row of text and label as a format has it.
fn row(ending: &str, text: &str, label: &str) -> String {
    match ending {
        "csv" => format!("{text},{label}"),
        "tsv" => format!("{text}\t{label}"),
        _ => json!({"text": text, "label": label}).to_string(),
    }
}

/// A file's lines with two classes, after a header where the format has one.
fn good(ending: &str) -> Vec<String> {
    let mut lines: Vec<String> = (0..8)
        .map(|number| row(ending, &format!("row {number}"), ["no", "yes"][number % 2]))
        .collect();
    if ending != "jsonl" {
        lines.insert(0, row(ending, "text", "label"));
    }
    lines
}

/// What is said about a training file of lines, beside a good validation file.
fn said(ending: &str, lines: &[String], line_end: &str) -> String {
    let train = lines.join(line_end);
    said_of(ending, train.as_bytes())
}

fn said_of(ending: &str, train: &[u8]) -> String {
    let validation = good(ending).join("\n");
    let (train_name, validation_name) = (format!("train.{ending}"), format!("validation.{ending}"));
    let files = [
        (train_name.as_str(), train),
        (validation_name.as_str(), validation.as_bytes()),
    ];
    refused(&of(ending), &files)
}

#[test]
fn a_bad_line_has_its_number_under_every_line_break() {
    for ending in TEXT_FORMATS {
        for line_end in LINE_ENDS {
            for mark in ["", "\u{feff}"] {
                let mut lines = good(ending);
                lines[0].insert_str(0, mark);
                lines.push(row(ending, "row x", ""));
                let expected = |line: usize| {
                    format!(
                        "DIR/train.{ending}, line {line}, field \"label\": found an empty label, expected a class"
                    )
                };
                let line = lines.len();
                assert_eq!(
                    said(ending, &lines, line_end),
                    expected(line),
                    "{line_end:?}"
                );
                // Blank lines count.
                lines.splice(2..2, [String::new(), String::new()]);
                assert_eq!(
                    said(ending, &lines, line_end),
                    expected(line + 2),
                    "{line_end:?}"
                );
                // So do those inside of quotes, before the record and in it.
                if ending == "csv" {
                    lines.insert(4, format!("\"two{line_end}lines\",yes"));
                    assert_eq!(
                        said(ending, &lines, line_end),
                        expected(line + 4),
                        "{line_end:?}"
                    );
                    lines.insert(5, format!("\"three{line_end}{line_end}lines\","));
                    assert_eq!(said(ending, &lines, line_end), expected(7), "{line_end:?}");
                }
            }
        }
    }
}

#[test]
fn every_line_break_gives_the_same_rows() {
    for ending in TEXT_FORMATS {
        let files = |line_end: &str| {
            let content = good(ending).join(line_end);
            let names = [format!("train.{ending}"), format!("validation.{ending}")];
            let [train, validation] = names
                .each_ref()
                .map(|name| (name.as_str(), content.as_bytes()));
            load(&of(ending), &[train, validation]).train
        };
        let expected = files("\n");
        assert_eq!(expected.len(), 8);
        assert_eq!(files("\r\n"), expected);
        assert_eq!(files("\r"), expected);
    }
    // Among lines that end in \n, a lone \r is text.
    let task = load(
        &of("tsv"),
        &[
            ("train.tsv", b"text\tlabel\na\rb\tx\nc\ty\n"),
            ("validation.tsv", b"text\tlabel\na\tx\n"),
        ],
    );
    assert_eq!(task.train.texts[0].0, "a\rb");
}

#[test]
fn a_quoted_field_without_its_end_is_refused_where_it_begins() {
    let after = "a quoted field that begins there has text after its closing quotation mark; a quotation mark inside a quoted field is written twice";
    let open = "a quoted field that begins there has no closing quotation mark";
    for (rows, line, expected) in [
        // The rows between the two marks would be one field.
        ("a,x\n\"b,y\nc,x\n\"d,y\ne,x\n", 3, after),
        ("a,x\nb,y\n\"c,x\nd,y\n", 4, open),
        ("a,x\n\"b\" c,y\n", 3, after),
        ("a,x\n\"b\" ,y\n", 3, after),
        ("a,x\n\"b \"c\" d\",y\n", 3, after),
        ("a,x\n\"b\nc\"d,y\n", 3, after),
        ("a,x\nb,\"y", 3, open),
        ("a,x\r\n\r\nb,\"y\r\n", 4, open),
    ] {
        let train = format!("text,label\n{rows}");
        let message = said_of("csv", train.as_bytes());
        assert_eq!(message, format!("DIR/train.csv, line {line}: {expected}"));
    }
    let long = format!("text,label\na,x\n\"b,y\n{}", "c,x\n".repeat(1 << 19));
    assert_eq!(
        said_of("csv", long.as_bytes()),
        format!("DIR/train.csv, line 3: {open}")
    );
    // In the header, too, and in the validation file.
    let message = said_of("csv", b"\"text,label\na,x\n");
    assert_eq!(message, format!("DIR/train.csv, line 1: {open}"));
    let files: [(&str, &[u8]); 2] = [
        ("train.csv", b"text,label\na,x\nb,y\n"),
        ("validation.csv", b"text,label\n\"a,x\nb,y\n"),
    ];
    let message = refused(&of("csv"), &files);
    assert_eq!(message, format!("DIR/validation.csv, line 2: {open}"));
    // A mark inside of a field that begins without one is text.
    let task = load(
        &of("csv"),
        &[
            (
                "train.csv",
                b"text,label\nan 8\" disk,x\n\"a \"\"b\"\"\",y\n",
            ),
            ("validation.csv", b"text,label\na,x\n"),
        ],
    );
    assert_eq!(task.train.texts[0].0, "an 8\" disk");
    assert_eq!(task.train.texts[1].0, "a \"b\"");
}

#[test]
fn a_wanted_column_that_is_there_twice_is_refused() {
    for (ending, separator) in [("csv", ","), ("tsv", "\t")] {
        for (header, column, field) in [
            ("text text label", "text", "textColumns"),
            ("text label label label", "label", "labelColumn"),
        ] {
            let lines: Vec<String> = [header, header]
                .map(|line| line.replace(' ', separator))
                .into();
            let count = header.split(' ').filter(|name| *name == column).count();
            assert_eq!(
                said(ending, &lines, "\n"),
                format!(
                    "DIR/train.{ending} has {count} columns {column:?}; the name of a column that is read must be unique; spec.task.custom.{field} names it"
                )
            );
        }
        // Another one may be.
        let rows = "text,id,id,label\na,1,2,x\nb,3,4,y\n".replace(',', separator);
        let names = [format!("train.{ending}"), format!("validation.{ending}")];
        let [train, validation] = names
            .each_ref()
            .map(|name| (name.as_str(), rows.as_bytes()));
        assert_eq!(
            classes(&load(&of(ending), &[train, validation]).train),
            [0, 1]
        );
    }
    assert_eq!(
        said_of("jsonl", b"{\"text\": \"a\", \"label\": \"x\"}\n{\"text\": \"a\", \"label\": \"x\", \"text\": \"b\"}\n"),
        "DIR/train.jsonl, line 2: field \"text\" occurs 2 times; expected once; spec.task.custom.textColumns names it"
    );
    assert_eq!(
        said_of(
            "jsonl",
            b"{\"text\": \"a\", \"label\": \"x\", \"label\": \"x\"}\n"
        ),
        "DIR/train.jsonl, line 1: field \"label\" occurs 2 times; expected once; spec.task.custom.labelColumn names it"
    );
}

#[test]
fn a_file_that_is_something_else_is_recognised_by_every_reader() {
    let lfs: &[u8] = b"version https://git-lfs.github.com/spec/v1\noid sha256:aaaa\nsize 3\n";
    let utf_16: Vec<u8> = "\u{feff}text,label\n"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    for ending in ["csv", "tsv", "jsonl", "parquet"] {
        for (content, expected) in [
            (
                lfs,
                "a Git LFS pointer, not the file itself; fetch the file with git lfs pull",
            ),
            (
                b"\x1f\x8b\x08\0\0\0\0\0\0\x03",
                "compressed with gzip; decompress it first",
            ),
            (b"PK\x03\x04\x14\0\0\0", "a ZIP archive; unpack it first"),
            (
                b"BZh91AY&SY\0\0",
                "compressed with bzip2; decompress it first",
            ),
            (
                b"\xfd7zXZ\0\0\x04",
                "compressed with xz; decompress it first",
            ),
            (
                b"\x28\xb5\x2f\xfd\x04\0",
                "compressed with zstd; decompress it first",
            ),
            (
                b"<!DOCTYPE html><html><body>Entry not found",
                "an HTML page; ",
            ),
            (&utf_16, "text in UTF-16; save it as UTF-8"),
        ] {
            let names = [format!("train.{ending}"), format!("validation.{ending}")];
            let [train, validation] = names.each_ref().map(|name| (name.as_str(), content));
            let message = refused(&of(ending), &[train, validation]);
            let expected = format!("DIR/train.{ending} is {expected}");
            assert!(message.starts_with(&expected), "{message}");
        }
    }
    assert!(
        said_of("csv", b"PAR1\x15\x04\x15\x10").starts_with("DIR/train.csv is a Parquet file; "),
        "Parquet"
    );
    let message = refused(&of("parquet"), &[("train.parquet", b"text,label\na,x\n")]);
    assert_eq!(
        message,
        "DIR/train.parquet is text that begins with \"text,label\\na,x\""
    );
    let message = refused(&of("parquet"), &[("train.parquet", b"")]);
    assert_eq!(message, "DIR/train.parquet is empty");
}

#[test]
fn links_to_nothing_and_directories_are_said_to_be_such() {
    for ending in ["csv", "tsv", "jsonl", "parquet"] {
        let folder = folder(&[]);
        let train = folder.path().join(format!("train.{ending}"));
        let load = || {
            let error = task::load(&of(ending), folder.path()).expect_err("refused");
            error.to_string()
        };
        std::os::unix::fs::symlink("../blobs/abc", &train).expect("a link");
        let message = load();
        let expected = format!(
            "{} does not exist; it is a symbolic link to ../blobs/abc, and nothing is there;",
            train.display()
        );
        assert!(message.starts_with(&expected), "{message}");
        std::fs::remove_file(&train).expect("the link");
        std::os::unix::fs::symlink(&train, &train).expect("a link");
        let expected = format!(
            "{} cannot be read: its symbolic links form a loop",
            train.display()
        );
        assert_eq!(load(), expected);
        std::fs::remove_file(&train).expect("the link");
        std::fs::create_dir(&train).expect("a directory");
        let expected = format!(
            "{} cannot be read: it is a directory, and a file is expected",
            train.display()
        );
        assert_eq!(load(), expected);
    }
}

#[test]
fn a_byte_that_is_no_text_is_named_without_the_bytes() {
    for (ending, content, expected) in [
        (
            "csv",
            &b"text,label\na,x\nb,caf\xe9\n"[..],
            "line 3, field \"label\": byte 4 of the value is not UTF-8; text is read as UTF-8",
        ),
        (
            "csv",
            b"text,l\xe9\na,x\n",
            "line 1, field \"name of a column\": byte 2 of the value is not UTF-8; text is read as UTF-8",
        ),
        (
            "tsv",
            b"text\tlabel\nb\tcaf\xe9\n",
            "line 2: byte 6 of the line is not UTF-8; save the file as UTF-8",
        ),
    ] {
        assert_eq!(
            said_of(ending, content),
            format!("DIR/train.{ending}, {expected}")
        );
    }
}

/// The notes on a training file of labels.
fn notes(labels: &[&str]) -> Vec<String> {
    let rows: Vec<String> = labels.iter().map(|label| format!("a\t{label}")).collect();
    let content = format!("text\tlabel\n{}\n", rows.join("\n"));
    let file = content.as_bytes();
    let folder = folder(&[("train.tsv", file), ("validation.tsv", file)]);
    let task = task::load(&of("tsv"), folder.path()).expect("a task");
    let place = folder.path().display().to_string();
    task.notes
        .iter()
        .map(|note| note.replace(&place, "DIR"))
        .collect()
}

#[test]
fn inferred_classes_are_shown_and_those_that_look_alike_are_warned_of() {
    assert_eq!(
        notes(&["no", "yes", "no"]),
        [
            "DIR/train.tsv, field \"label\": 2 classes were found, with their numbers of examples: \"no\" (2), \"yes\" (1)"
        ]
    );
    let found = notes(&["1", "1.0", "positive", "positive ", "1", "2"]);
    assert_eq!(
        found[1..],
        [
            "warning: DIR/train.tsv, field \"label\": the classes \"1\" (2) and \"1.0\" (1) differ only in space, case, or the form of a number or of letters; if they are one class, spell it in one way",
            "warning: DIR/train.tsv, field \"label\": the classes \"positive\" (1) and \"positive \" (1) differ only in space, case, or the form of a number or of letters; if they are one class, spell it in one way",
        ]
    );
    // Classes that are given are nobody's guess.
    let given = custom(json!({"labels": ["a", "b"]}));
    let lines: &[u8] =
        b"{\"text\": \"t\", \"label\": \"a\"}\n{\"text\": \"t\", \"label\": \"b\"}\n";
    let task = load(
        &given,
        &[("train.jsonl", lines), ("validation.jsonl", lines)],
    );
    assert!(task.notes.is_empty(), "{:?}", task.notes);
}

#[test]
fn a_label_that_looks_like_a_class_is_told_so() {
    let message = refused(
        &of("csv"),
        &[
            ("train.csv", b"text,label\na,yes\nb,no\n"),
            ("validation.csv", b"text,label\na,Yes\n"),
        ],
    );
    assert_eq!(
        message,
        "DIR/validation.csv, line 2, field \"label\": found \"Yes\", expected one of \"no\", \"yes\"; \"yes\" differs in form only"
    );
    let message = refused(
        &of("csv"),
        &[
            ("train.csv", b"text,label\na,1\nb,1.0\nc,0\n"),
            ("validation.csv", b"text,label\na,2\n"),
        ],
    );
    assert_eq!(
        message,
        "DIR/validation.csv, line 2, field \"label\": found \"2\", expected one of \"0\", \"1\", \"1.0\"; the classes \"1\", \"1.0\" differ in form only"
    );
}

#[test]
fn large_whole_labels_are_told_apart_or_refused() {
    let lines = |labels: [&str; 2]| {
        let [first, second] =
            labels.map(|label| format!("{{\"text\": \"a\", \"label\": {label}}}\n"));
        format!("{first}{second}")
    };
    let content = lines(["18446744073709551615", "18446744073709551614"]);
    let files = [
        ("train.jsonl", content.as_bytes()),
        ("validation.jsonl", content.as_bytes()),
    ];
    let task = load(&of("jsonl"), &files);
    assert_eq!(classes(&task.train), [1, 0]);
    let rounded = lines(["100000000000000000001", "100000000000000000002"]);
    let message = said_of("jsonl", rounded.as_bytes());
    assert_eq!(
        message,
        "DIR/train.jsonl, line 1, field \"label\": found 1e20, expected a class; write numbers beyond 64 bits in quotation marks"
    );
}

#[test]
fn a_file_without_any_text_is_refused() {
    for ending in TEXT_FORMATS {
        let mut lines = vec![row(ending, "", "x"), row(ending, " ", "y")];
        if ending != "jsonl" {
            lines.insert(0, row(ending, "text", "label"));
        }
        let first = lines.len() - 1;
        let message = said(ending, &lines, "\n");
        assert_eq!(
            message,
            format!(
                "DIR/train.{ending}, line {first}, field \"text\": an empty text, as in every row of the file; nothing can be learned or measured without text"
            )
        );
    }
    // One empty text among others is an example.
    let lines: &[u8] = b"{\"text\": \"\", \"label\": \"a\"}\n{\"text\": \"t\", \"label\": \"b\"}\n";
    load(
        &of("jsonl"),
        &[("train.jsonl", lines), ("validation.jsonl", lines)],
    );
}
