//! GLUE in the hub's layout: Parquet files with numbered labels.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use autopeft_crds::spec::TaskSpec;
use autopeft_trainer::task::{self, Kind, Targets, Task, TaskError};
use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use serde_json::json;

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
