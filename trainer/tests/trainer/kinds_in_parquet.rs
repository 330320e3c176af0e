//! SuperGLUE's tasks in the hub's layout, multiple choice and lists of classes: Parquet files, and the same as JSONL.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use autopeft_crds::spec::TaskSpec;
use autopeft_trainer::task::{self, Kind, Sets, Targets, Task};
use parquet::data_type::{ByteArray, ByteArrayType, Int32Type, Int64Type};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use serde_json::{Value, json};

use crate::data::{classes, custom, load};

/// Writes a Parquet file as the hub's library does: every column optional, `columns` as `(type, name)` of Parquet's
/// schema language, and an array per row.
fn write(path: &Path, columns: &[(&str, &str)], rows: &[Value]) {
    let fields = columns.iter().map(|(kind, name)| match *kind {
        "list" => format!(
            "optional group {name} (LIST) {{ repeated group list {{ optional int64 element; }} }}"
        ),
        "text" => format!("optional binary {name} (UTF8);"),
        kind => format!("optional {kind} {name};"),
    });
    let schema = format!("message schema {{ {} }}", fields.collect::<String>());
    let schema = Arc::new(parse_message_type(&schema).expect("a schema"));
    std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
    let file = File::create(path).expect("a file");
    let mut writer = SerializedFileWriter::new(file, schema, Arc::default()).expect("a writer");
    let mut group = writer.next_row_group().expect("a row group");
    for (index, (kind, _)) in columns.iter().enumerate() {
        let cells: Vec<&Value> = rows.iter().map(|row| &row[index]).collect();
        if *kind == "list" {
            lists(&mut group, &cells);
        } else {
            column(&mut group, kind, &cells);
        }
    }
    group.close().expect("closed");
    writer.close().expect("closed");
}

/// A column of texts or numbers; null where a cell is.
fn column(group: &mut SerializedRowGroupWriter<'_, File>, kind: &str, cells: &[&Value]) {
    let levels: Vec<i16> = cells
        .iter()
        .map(|cell| i16::from(!cell.is_null()))
        .collect();
    let texts = cells
        .iter()
        .filter_map(|cell| cell.as_str())
        .map(ByteArray::from);
    let numbers: Vec<i64> = cells.iter().filter_map(|cell| cell.as_i64()).collect();
    let mut column = group.next_column().expect("a column").expect("a column");
    let written = match kind {
        "text" => {
            let typed = column.typed::<ByteArrayType>();
            typed.write_batch(&texts.collect::<Vec<_>>(), Some(&levels), None)
        }
        "int32" => {
            let numbers: Vec<i32> = numbers.iter().map(|number| *number as i32).collect();
            let typed = column.typed::<Int32Type>();
            typed.write_batch(&numbers, Some(&levels), None)
        }
        _ => {
            let typed = column.typed::<Int64Type>();
            typed.write_batch(&numbers, Some(&levels), None)
        }
    };
    written.expect("values");
    column.close().expect("closed");
}

/// A column of lists of whole numbers, by Dremel's levels: 0 for no list, 1 for an empty one, 2 for a null in a list.
fn lists(group: &mut SerializedRowGroupWriter<'_, File>, cells: &[&Value]) {
    let (mut numbers, mut levels, mut starts) = (Vec::new(), Vec::new(), Vec::new());
    for cell in cells {
        let entries = cell.as_array().map_or(&[][..], Vec::as_slice);
        if entries.is_empty() {
            levels.push(i16::from(cell.is_array()));
            starts.push(0);
        }
        for (index, entry) in entries.iter().enumerate() {
            levels.push(if entry.is_null() { 2 } else { 3 });
            starts.push(i16::from(index > 0));
            numbers.extend(entry.as_i64());
        }
    }
    let mut column = group.next_column().expect("a column").expect("a column");
    let typed = column.typed::<Int64Type>();
    typed
        .write_batch(&numbers, Some(&levels), Some(&starts))
        .expect("values");
    column.close().expect("closed");
}

/// A task of the hub's data set, of which both files have these rows.
fn of_the_hub(name: &str, columns: &[(&str, &str)], rows: &[Value]) -> Task {
    let folder = tempfile::tempdir().expect("a folder");
    for split in ["train", "validation"] {
        let file = format!("{name}/{split}-00000-of-00001.parquet");
        write(&folder.path().join(file), columns, rows);
    }
    let spec = json!({"name": name, "source": {}});
    let spec: TaskSpec = serde_json::from_value(spec).expect("a task");
    task::load(&spec, folder.path()).unwrap_or_else(|error| panic!("{error}"))
}

fn names(all: &[&str]) -> Vec<String> {
    all.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn boolq_and_cb_are_read_as_the_hub_has_them() {
    let columns = [
        ("text", "question"),
        ("text", "passage"),
        ("int32", "idx"),
        ("int64", "label"),
    ];
    let rows = [
        json!(["is it", "It is.", 0, 1]),
        json!(["was it", "It is.", 1, 0]),
    ];
    let boolq = of_the_hub("boolq", &columns, &rows);
    assert_eq!(boolq.kind, Kind::Classification(names(&["false", "true"])));
    assert_eq!(classes(&boolq.train), [1, 0]);
    assert_eq!(
        boolq.train.texts[0],
        ("It is.".into(), Some("is it".into()))
    );

    let columns = [
        ("text", "premise"),
        ("text", "hypothesis"),
        ("int32", "idx"),
        ("int64", "label"),
    ];
    let rows = [
        json!(["p", "h", 0, 2]),
        json!(["q", "i", 1, 0]),
        json!(["r", "j", 2, 1]),
    ];
    let cb = of_the_hub("cb", &columns, &rows);
    let expected = names(&["entailment", "contradiction", "neutral"]);
    assert_eq!(cb.kind, Kind::Classification(expected));
    assert_eq!(classes(&cb.train), [2, 0, 1]);
    assert_eq!(cb.train.texts[1], ("q".into(), Some("i".into())));
}

#[test]
fn wic_and_copa_are_read_as_the_hub_has_them() {
    let mut columns = vec![
        ("text", "word"),
        ("text", "sentence1"),
        ("text", "sentence2"),
    ];
    columns.extend(["start1", "start2", "end1", "end2", "idx"].map(|name| ("int32", name)));
    columns.push(("int64", "label"));
    let rows = [
        json!(["bed", "A bed.", "In bed.", 2, 3, 5, 6, 0, 1]),
        json!(["run", "Run!", "A run.", 0, 2, 3, 5, 1, 0]),
    ];
    let wic = of_the_hub("wic", &columns, &rows);
    assert_eq!(wic.kind, Kind::Classification(names(&["false", "true"])));
    assert_eq!(classes(&wic.train), [1, 0]);
    let texts = wic.train.texts("[SEP]");
    assert_eq!(texts[0], ("A bed.[SEP]In bed.[SEP]bed".into(), None));

    let mut columns = ["premise", "choice1", "choice2", "question"]
        .map(|name| ("text", name))
        .to_vec();
    columns.extend([("int32", "idx"), ("int64", "label")]);
    let rows = [
        json!(["P.", "A.", "B.", "effect", 0, 1]),
        json!(["Q.", "C.", "D.", "cause", 1, 0]),
    ];
    let copa = of_the_hub("copa", &columns, &rows);
    assert_eq!(
        copa.kind,
        Kind::MultipleChoice(names(&["choice1", "choice2"]))
    );
    assert_eq!(classes(&copa.train), [1, 0]);
    let start = "P. What happened as a result?".to_owned();
    assert_eq!(copa.train.texts[1], (start, Some("B.".into())));
}

/// Loads a task of one's own, of which both files are the same Parquet file.
fn of_ones_own(fields: &Value, columns: &[(&str, &str)], rows: &[Value]) -> Result<Task, String> {
    let folder = tempfile::tempdir().expect("a folder");
    write(&folder.path().join("a.parquet"), columns, rows);
    let mut fields = fields.clone();
    for field in ["trainFile", "validationFile"] {
        fields[field] = json!("a.parquet");
    }
    let place = folder.path().display().to_string();
    let found = task::load(&custom(fields), folder.path());
    found.map_err(|error| error.to_string().replace(&place, "DIR"))
}

#[test]
fn sets_of_classes_are_lists_of_numbers_in_parquet_as_in_jsonl() {
    let columns = [("text", "text"), ("list", "label")];
    let fields = json!({"type": "MultiLabel"});
    let rows = [json!(["x", [10, 2]]), json!(["y", []]), json!(["z", [2]])];
    let parquet = of_ones_own(&fields, &columns, &rows).expect("a task");
    // Numbers sort by size.
    assert_eq!(parquet.kind, Kind::MultiLabel(names(&["2", "10"])));
    let sets = Targets::Sets(Sets {
        classes: 2,
        members: vec![vec![0, 1], vec![], vec![0]],
    });
    assert_eq!(parquet.train.targets, sets);

    let lines: Vec<String> = rows
        .iter()
        .map(|row| json!({"text": row[0], "label": row[1]}).to_string())
        .collect();
    let lines = lines.join("\n");
    let fields = json!({
        "type": "MultiLabel", "trainFile": "a.jsonl", "validationFile": "a.jsonl",
    });
    let jsonl = load(&custom(fields), &[("a.jsonl", lines.as_bytes())]);
    assert_eq!((jsonl.kind, jsonl.train.targets), (parquet.kind, sets));
}

#[test]
fn a_list_that_is_none_is_named_by_its_row() {
    let columns = [("text", "text"), ("list", "label")];
    let fields = json!({"type": "MultiLabel"});
    for wrong in [json!(null), json!([1, null])] {
        let rows = [json!(["x", [1, 2]]), json!(["y", wrong]), json!(["z", [2]])];
        let message = of_ones_own(&fields, &columns, &rows).expect_err("refused");
        assert!(
            message.starts_with("DIR/a.parquet, row 2, field \"label\": found null, expected "),
            "{message}"
        );
    }
    // Of one class per example, a list is none.
    let fields = json!({"type": "Classification"});
    let message = of_ones_own(&fields, &columns, &[json!(["x", [1]])]).expect_err("refused");
    assert!(
        message.contains("column \"label\": holds lists or groups of values"),
        "{message}"
    );
}

#[test]
fn choices_are_columns_in_parquet_and_in_jsonl() {
    let columns = [
        ("text", "text"),
        ("text", "a"),
        ("text", "b"),
        ("text", "c"),
        ("int64", "label"),
    ];
    let rows = [
        json!(["x", "1", "2", "3", 2]),
        json!(["y", "4", "5", "6", 0]),
    ];
    let fields = json!({"type": "MultipleChoice", "choiceColumns": ["a", "b", "c"]});
    let parquet = of_ones_own(&fields, &columns, &rows).expect("a task");
    assert_eq!(parquet.kind, Kind::MultipleChoice(names(&["a", "b", "c"])));
    assert_eq!(classes(&parquet.train), [2, 0]);
    assert_eq!(parquet.train.texts[4], ("y".into(), Some("5".into())));

    let lines: Vec<String> = rows
        .iter()
        .map(|row| {
            let pairs = columns.iter().zip(row.as_array().expect("a row"));
            let object = pairs.map(|((_, name), cell)| ((*name).to_owned(), cell.clone()));
            Value::Object(object.collect()).to_string()
        })
        .collect();
    let mut fields = fields;
    for field in ["trainFile", "validationFile"] {
        fields[field] = json!("a.jsonl");
    }
    let jsonl = load(&custom(fields), &[("a.jsonl", lines.join("\n").as_bytes())]);
    assert_eq!(jsonl.train.texts, parquet.train.texts);
    assert_eq!(classes(&jsonl.train), [2, 0]);
}
