//! GLUE in the hub's layout: Parquet files with numbered labels.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use autopeft_crds::spec::TaskSpec;
use autopeft_trainer::task::{self, Kind, Targets, Task, TaskError};
use parquet::basic::{BrotliLevel, Compression, GzipLevel, ZstdLevel};
use parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, DataType, DoubleType, FixedLenByteArrayType, FloatType,
    Int32Type, Int64Type, Int96, Int96Type,
};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use serde_json::json;

use crate::data::custom;

/// Writes columns in the hub's order: texts, label, idx.
fn write(path: &Path, columns: [&str; 2], rows: &[(&str, &str, i64)], compression: Compression) {
    let schema = format!(
        "message schema {{ optional binary {} (UTF8); optional binary {} (UTF8); optional int64 label; optional int64 idx; }}",
        columns[0], columns[1]
    );
    let schema = Arc::new(parse_message_type(&schema).expect("a schema"));
    let properties = WriterProperties::builder()
        .set_compression(compression)
        .build();
    let file = File::create(path).expect("a file");
    let mut writer =
        SerializedFileWriter::new(file, schema, Arc::new(properties)).expect("a writer");
    let mut group = writer.next_row_group().expect("a row group");
    let present = vec![1_i16; rows.len()];
    let texts: [Vec<ByteArray>; 2] = [
        rows.iter().map(|row| row.0.into()).collect(),
        rows.iter().map(|row| row.1.into()).collect(),
    ];
    for text in &texts {
        let mut column = group.next_column().expect("a column").expect("a column");
        let typed = column.typed::<ByteArrayType>();
        typed
            .write_batch(text, Some(&present), None)
            .expect("values");
        column.close().expect("closed");
    }
    let labels: Vec<i64> = rows.iter().map(|row| row.2).collect();
    let index: Vec<i64> = (0..rows.len() as i64).collect();
    for numbers in [labels, index] {
        let mut column = group.next_column().expect("a column").expect("a column");
        let typed = column.typed::<Int64Type>();
        typed
            .write_batch(&numbers, Some(&present), None)
            .expect("values");
        column.close().expect("closed");
    }
    group.close().expect("closed");
    writer.close().expect("closed");
}

const ROWS: &[(&str, &str, i64)] = &[("a", "b", 2), ("ä \"c\"", "d\te", 0), ("f", "g", 1)];

fn load(name: &str, folder: &Path) -> Result<Task, TaskError> {
    let spec: TaskSpec =
        serde_json::from_value(json!({"name": name, "source": {}})).expect("a task");
    task::load(&spec, folder)
}

fn mnli(rows: &[(&str, &str, i64)], compression: Compression) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let inner = folder.path().join("mnli");
    std::fs::create_dir(&inner).expect("a folder");
    for split in ["train", "validation_matched"] {
        let file = inner.join(format!("{split}-00000-of-00001.parquet"));
        write(&file, ["premise", "hypothesis"], rows, compression);
    }
    folder
}

#[test]
fn the_hubs_files_are_read_with_their_numbered_labels() {
    for compression in [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::ZSTD(ZstdLevel::default()),
        Compression::GZIP(GzipLevel::default()),
        Compression::BROTLI(BrotliLevel::default()),
        Compression::LZ4,
        Compression::LZ4_RAW,
    ] {
        let folder = mnli(ROWS, compression);
        let task = load("mnli", folder.path()).expect("a task");
        let names = ["entailment", "neutral", "contradiction"].map(String::from);
        assert_eq!(task.kind, Kind::Classification(names.to_vec()));
        assert_eq!(task.train.targets, Targets::Classes(vec![2, 0, 1]));
        assert_eq!(task.train.texts[1], ("ä \"c\"".into(), Some("d\te".into())));
    }
}

#[test]
fn a_hidden_label_and_a_broken_file_are_named() {
    let hidden = [ROWS[0], ("h", "i", -1)];
    let folder = mnli(&hidden, Compression::UNCOMPRESSED);
    let message = load("mnli", folder.path())
        .expect_err("refused")
        .to_string();
    assert!(
        message.ends_with(
            "train-00000-of-00001.parquet, row 2, field \"label\": found \"-1\", expected one of \"0\", \"1\", \"2\""
        ),
        "{message}"
    );

    let file = folder.path().join("mnli/train-00000-of-00001.parquet");
    let bytes = std::fs::read(&file).expect("a file");
    std::fs::write(&file, &bytes[..bytes.len() / 2]).expect("a file");
    let message = load("mnli", folder.path())
        .expect_err("refused")
        .to_string();
    assert!(message.contains("is not a valid Parquet file"), "{message}");
}

/// The values of a required column.
enum Values {
    Boolean(Vec<bool>),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Int96(Vec<Int96>),
    Float(Vec<f32>),
    Double(Vec<f64>),
    Bytes(Vec<Vec<u8>>),
    Fixed(Vec<Vec<u8>>),
}

fn add<T: DataType>(group: &mut SerializedRowGroupWriter<'_, File>, values: &[T::T]) {
    let mut column = group.next_column().expect("a column").expect("a column");
    let typed = column.typed::<T>();
    typed.write_batch(values, None, None).expect("values");
    column.close().expect("closed");
}

/// Writes required columns, given by the text of a schema, as two groups of the same rows.
fn write_columns(path: &Path, schema: &str, columns: &[Values]) {
    let schema = parse_message_type(&format!("message schema {{ {schema} }}")).expect("a schema");
    let file = File::create(path).expect("a file");
    let mut writer =
        SerializedFileWriter::new(file, Arc::new(schema), Arc::default()).expect("a writer");
    for _ in 0..2 {
        let mut group = writer.next_row_group().expect("a row group");
        for values in columns {
            let bytes = |all: &[Vec<u8>]| -> Vec<ByteArray> {
                all.iter().map(|bytes| bytes.clone().into()).collect()
            };
            match values {
                Values::Boolean(all) => add::<BoolType>(&mut group, all),
                Values::Int32(all) => add::<Int32Type>(&mut group, all),
                Values::Int64(all) => add::<Int64Type>(&mut group, all),
                Values::Int96(all) => add::<Int96Type>(&mut group, all),
                Values::Float(all) => add::<FloatType>(&mut group, all),
                Values::Double(all) => add::<DoubleType>(&mut group, all),
                Values::Bytes(all) => add::<ByteArrayType>(&mut group, &bytes(all)),
                Values::Fixed(all) => {
                    let all: Vec<_> = bytes(all).into_iter().map(Into::into).collect();
                    add::<FixedLenByteArrayType>(&mut group, &all);
                }
            }
        }
        group.close().expect("closed");
    }
    writer.close().expect("closed");
}

fn texts(all: &[&str]) -> Values {
    Values::Bytes(all.iter().map(|text| text.as_bytes().to_vec()).collect())
}

/// Loads a task whose two files are the same.
fn load_columns(schema: &str, columns: &[Values], kind: &str) -> Result<Task, String> {
    let folder = tempfile::tempdir().expect("a folder");
    write_columns(&folder.path().join("a.parquet"), schema, columns);
    let file = "a.parquet";
    let spec = custom(json!({"type": kind, "trainFile": file, "validationFile": file}));
    let place = folder.path().display().to_string();
    task::load(&spec, folder.path()).map_err(|error| error.to_string().replace(&place, "DIR"))
}

/// The classes of a column of three labels, and the class of each of its values.
fn labelled(schema: &str, labels: Values) -> Result<(Vec<String>, Vec<i64>), String> {
    let schema = format!("required binary text (UTF8); required {schema};");
    let task = load_columns(
        &schema,
        &[texts(&["a", "b", "c"]), labels],
        "Classification",
    )?;
    match (task.kind, task.train.targets) {
        (Kind::Classification(names), Targets::Classes(classes)) => {
            assert_eq!(classes[..3], classes[3..], "both groups are read");
            Ok((names, classes[..3].to_vec()))
        }
        other => panic!("{other:?}"),
    }
}

/// Whole numbers in big-endian bytes, as Parquet has decimals.
fn big_endian(all: [i128; 3], size: usize) -> Vec<Vec<u8>> {
    let bytes = |value: i128| {
        let fill = if value < 0 { 0xff } else { 0 };
        let mut bytes = vec![fill; size.saturating_sub(16)];
        bytes.extend_from_slice(&value.to_be_bytes()[16 - size.min(16)..]);
        bytes
    };
    all.map(bytes).to_vec()
}

fn check_labels(schema: &str, labels: Values, names: &[&str]) {
    let (found, _) = labelled(schema, labels).expect(schema);
    assert_eq!(found, names, "{schema}");
}

fn int32(all: [i32; 3]) -> Values {
    Values::Int32(all.to_vec())
}

fn int64(all: [i64; 3]) -> Values {
    Values::Int64(all.to_vec())
}

#[test]
fn labels_of_every_kind_of_whole_number_are_read() {
    let booleans = Values::Boolean(vec![true, false, true]);
    check_labels("boolean label", booleans, &["false", "true"]);
    check_labels(
        "int32 label (INTEGER(8, true))",
        int32([-3, 2, 2]),
        &["-3", "2"],
    );
    check_labels(
        "int32 label (INTEGER(8, false))",
        int32([255, 2, 2]),
        &["2", "255"],
    );
    check_labels(
        "int32 label (INTEGER(16, false))",
        int32([-1, 2, 2]),
        &["2", "65535"],
    );
    check_labels(
        "int32 label (INTEGER(32, false))",
        int32([-1, 2, 2]),
        &["2", "4294967295"],
    );
    let large = [
        "9223372036854775808",
        "18446744073709551614",
        "18446744073709551615",
    ];
    check_labels(
        "int64 label (INTEGER(64, false))",
        int64([-1, -2, i64::MIN]),
        &large,
    );
    // Neighbours above 2^63 stay apart.
    let labels = int64([-1, -2, -1]);
    let (_, classes) = labelled("int64 label (INTEGER(64, false))", labels).expect("labels");
    assert_eq!(classes, [1, 0, 1]);
}

#[test]
fn labels_of_fractions_decimals_and_texts_are_read() {
    let fixed = |all, size| Values::Fixed(big_endian(all, size));
    check_labels(
        "float label",
        Values::Float(vec![1.5, 1.0, 1.0]),
        &["1", "1.5"],
    );
    check_labels(
        "double label",
        Values::Double(vec![1.5, 1.0, 1.0]),
        &["1", "1.5"],
    );
    let halves = Values::Fixed(vec![vec![0, 0x3c], vec![0, 0xb8], vec![0, 0x3c]]);
    check_labels(
        "fixed_len_byte_array(2) label (FLOAT16)",
        halves,
        &["-0.5", "1"],
    );
    check_labels(
        "int32 label (DECIMAL(5, 2))",
        int32([150, 100, -5]),
        &["-0.05", "1", "1.5"],
    );
    check_labels(
        "int64 label (DECIMAL(18, 1))",
        int64([10, 5, 10]),
        &["0.5", "1"],
    );
    check_labels(
        "int64 label (DECIMAL(18, 0))",
        int64([10, 5, 10]),
        &["5", "10"],
    );
    let schema = "fixed_len_byte_array(16) label (DECIMAL(38, 3))";
    check_labels(schema, fixed([1000, -2500, 1000], 16), &["-2.5", "1"]);
    let schema = "fixed_len_byte_array(32) label (DECIMAL(76, 1))";
    let names = ["1", "17014118346046923173168730371588410572.7"];
    check_labels(schema, fixed([10, i128::MAX, 10], 32), &names);
    let decimals = Values::Bytes(big_endian([100, 250, 100], 4));
    check_labels("binary label (DECIMAL(9, 2))", decimals, &["1", "2.5"]);
    for schema in ["binary label (UTF8)", "binary label (ENUM)", "binary label"] {
        check_labels(schema, texts(&["x", "y", "x"]), &["x", "y"]);
    }
}

#[test]
fn decimals_are_targets_of_a_regression() {
    let schema = "required binary text (UTF8); required int32 label (DECIMAL(5, 2));";
    let columns = [texts(&["a", "b", "c"]), Values::Int32(vec![150, -25, 100])];
    let task = load_columns(schema, &columns, "Regression").expect("a task");
    let expected = vec![1.5, -0.25, 1.0, 1.5, -0.25, 1.0];
    assert_eq!(task.train.targets, Targets::Numbers(expected));
}

#[test]
fn columns_that_are_neither_text_nor_labels_are_refused_by_what_they_hold() {
    let moments = || Values::Int64(vec![1, 2, 3]);
    for (schema, labels) in [
        ("int64 label (TIMESTAMP(NANOS, true))", moments()),
        ("int64 label (TIMESTAMP(MILLIS, true))", moments()),
        ("int32 label (DATE)", Values::Int32(vec![1, 2, 3])),
        ("int96 label", Values::Int96(vec![Int96::default(); 3])),
    ] {
        assert_eq!(
            labelled(schema, labels).expect_err("refused"),
            "DIR/a.parquet, column \"label\": holds dates or times, expected a string, a number, true or false"
        );
    }
    let message = |schema: &str, values: Values| {
        let schema = format!("required {schema} required binary label (UTF8);");
        let columns = [values, texts(&["x", "y", "x"])];
        load_columns(&schema, &columns, "Classification").expect_err("refused")
    };
    assert_eq!(
        message("int32 text;", Values::Int32(vec![1, 2, 3])),
        "DIR/a.parquet, column \"text\": holds numbers, expected a string"
    );
    assert_eq!(
        message("boolean text;", Values::Boolean(vec![true, false, true])),
        "DIR/a.parquet, column \"text\": holds booleans, expected a string"
    );
    assert_eq!(
        message(
            "group text { required binary inner (UTF8); }",
            texts(&["a", "b", "c"])
        ),
        "DIR/a.parquet, column \"text\": holds lists or groups of values, expected a string"
    );
}

#[test]
fn text_without_annotation_is_read_as_utf_8() {
    let labels = || texts(&["x", "y", "x"]);
    for schema in ["binary text", "binary text (UTF8)", "binary text (JSON)"] {
        let schema = format!("required {schema}; required binary label (UTF8);");
        let load = |all: [&[u8]; 3]| {
            let columns = [Values::Bytes(all.map(<[u8]>::to_vec).to_vec()), labels()];
            load_columns(&schema, &columns, "Classification")
        };
        let task = load([b"a", "ä".as_bytes(), b"c"]).expect(&schema);
        assert_eq!(task.train.texts[1].0, "ä");
        assert_eq!(
            load([b"a", b"caf\xe9", b"c"]).expect_err("refused"),
            "DIR/a.parquet, row 2, field \"text\": byte 4 of the value is not UTF-8; text is read as UTF-8"
        );
    }
    let schema = "required fixed_len_byte_array(2) text; required binary label (UTF8);";
    let fixed = Values::Fixed(vec![b"ab".to_vec(), b"cd".to_vec(), b"ef".to_vec()]);
    let task = load_columns(schema, &[fixed, labels()], "Classification").expect("a task");
    assert_eq!(task.train.texts[1].0, "cd");
}

#[test]
fn a_wanted_column_that_is_there_twice_is_refused_in_parquet_too() {
    let load = |names: &[&str]| {
        let fields = names
            .iter()
            .map(|name| format!("required binary {name} (UTF8);"));
        let columns: Vec<Values> = names.iter().map(|_| texts(&["x", "y"])).collect();
        load_columns(&fields.collect::<String>(), &columns, "Classification")
    };
    for (names, twice, field) in [
        (["text", "text", "label"], "text", "textColumns"),
        (["text", "label", "label"], "label", "labelColumn"),
    ] {
        assert_eq!(
            load(&names).expect_err("refused"),
            format!(
                "DIR/a.parquet has 2 columns {twice:?}; the name of a column that is read must be unique; spec.task.custom.{field} names it"
            )
        );
    }
    load(&["text", "label", "other", "other"]).expect("another column may be");
}
