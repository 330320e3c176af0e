//! The rows of a file, whatever its format.

/// The longest line or field that is read, bytes; a longer one is not an example.
pub const MAX_FIELD_BYTES: usize = 1 << 20;

/// The columns to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Columns {
    /// The column of the text.
    pub first: String,
    /// The column of the second text of a pair.
    pub second: Option<String>,
    /// Further columns of text.
    pub more: Vec<String>,
    /// The column of the label.
    pub label: String,
    /// Whether a label may be a list.
    pub has_lists: bool,
}

/// One example as it is in a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The line where it begins (its row in Parquet), from 1.
    pub line: u64,
    /// The text.
    pub first: String,
    /// The second text of a pair.
    pub second: Option<String>,
    /// The further texts, in the order of their columns.
    pub more: Vec<String>,
    /// The label, not yet interpreted.
    pub label: Label,
}

/// A label as it is in a file.
#[derive(Clone, Debug, PartialEq)]
pub enum Label {
    /// Text.
    Text(String),
    /// A whole number (typed: JSON or Parquet), exactly.
    Integer(i128),
    /// A number (typed: JSON or Parquet).
    Number(f64),
    /// A number that is not an `Integer` and not exact as a float (Parquet's decimals), as digits without trailing zeros.
    Decimal(String),
    /// True or false (typed: JSON or Parquet).
    Boolean(bool),
    /// Several (typed: JSON or Parquet).
    List(Vec<Label>),
}

/// The rows of one file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    /// In the file's order.
    pub rows: Vec<Row>,
    /// The number of skipped rows that are known to be broken (QQP's short rows).
    pub skipped: u64,
}
