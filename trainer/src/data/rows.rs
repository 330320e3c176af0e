//! The rows of a file, whatever its format.

/// The longest line or field that is read, bytes: beyond it a file is not what it should be.
pub const MAX_FIELD_BYTES: usize = 1 << 20;

/// The columns to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Columns {
    /// The column of the text.
    pub first: String,
    /// The column of the second text of a pair.
    pub second: Option<String>,
    /// The column of the label.
    pub label: String,
}

/// One example as it stands in a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The line in which it begins (its row in Parquet), from 1.
    pub line: u64,
    /// The text.
    pub first: String,
    /// The second text of a pair.
    pub second: Option<String>,
    /// The label, not yet judged.
    pub label: Label,
}

/// A label as it stands in a file.
#[derive(Clone, Debug, PartialEq)]
pub enum Label {
    /// Text.
    Text(String),
    /// A whole number (typed: JSON or Parquet), exactly.
    Integer(i128),
    /// A number (typed: JSON or Parquet).
    Number(f64),
    /// A number that is no `Integer` and would not be itself as a float (Parquet's decimals), in
    /// digits without zeros at the end.
    Decimal(String),
    /// True or false (typed: JSON or Parquet).
    Boolean(bool),
}

/// The rows of one file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    /// In the file's order.
    pub rows: Vec<Row>,
    /// Rows that were left out because they are known to be broken (QQP's short rows).
    pub skipped: u64,
}
