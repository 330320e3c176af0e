//! Errors of a data file, one sentence each.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::rows::MAX_FIELD_BYTES;

use crate::files::{Foreign, dangling};

/// A line of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub path: PathBuf,
    /// The line, or the row of a Parquet file, from 1.
    pub line: u64,
}

impl Place {
    /// A line of a file.
    pub fn new(path: &Path, line: u64) -> Self {
        Self {
            path: path.into(),
            line,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.path.extension() {
            Some(ending) if ending.eq_ignore_ascii_case("parquet") => "row",
            _ => "line",
        };
        write!(formatter, "{}, {unit} {}", self.path.display(), self.line)
    }
}

/// Why a data file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// There is no such file.
    #[error("{} does not exist; {hint}", path.display())]
    Missing {
        /// The missing file.
        path: PathBuf,
        /// The remedy.
        hint: String,
    },
    /// It exists but cannot be read.
    #[error("{} cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It is something else than its name says.
    #[error("{} is {found}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What it is.
        found: Foreign,
    },
    /// Its extension is not that of a format.
    #[error("{}: the name of a data file ends in .jsonl, .csv, .tsv or .parquet", .0.display())]
    Format(PathBuf),
    /// It holds no example.
    #[error("{} has no rows; at least one example is needed", .0.display())]
    NoRows(PathBuf),
    /// A column is missing.
    #[error(
        "{} has no column {column:?}; its columns are {}",
        path.display(),
        listed(found.iter().map(String::as_str))
    )]
    NoColumn {
        /// The file.
        path: PathBuf,
        /// The column that was asked for.
        column: String,
        /// The columns that there are.
        found: Vec<String>,
    },
    /// A column is duplicate and therefore ambiguous.
    #[error(
        "{} has {count} columns {column:?}; the name of a column that is read must be unique",
        path.display()
    )]
    ColumnTwice {
        /// The file.
        path: PathBuf,
        /// The column that was asked for.
        column: String,
        /// How often it is there.
        count: usize,
    },
    /// A field is duplicate in a line's object.
    #[error("{place}: field {column:?} occurs {count} times; expected once")]
    FieldTwice {
        /// Where.
        place: Place,
        /// The field that was asked for.
        column: String,
        /// How often it is there.
        count: usize,
    },
    /// A column has the wrong type.
    #[error("{}, column {column:?}: holds {found}, expected {expected}", path.display())]
    ColumnType {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// What it holds.
        found: String,
        /// What it should hold.
        expected: &'static str,
    },
    /// A line's object has no such field.
    #[error(
        "{place}: no field {column:?}; its fields are {}",
        listed(found.iter().map(String::as_str))
    )]
    NoField {
        /// Where.
        place: Place,
        /// The field that was asked for.
        column: String,
        /// The fields that there are.
        found: Vec<String>,
    },
    /// Bytes that are not UTF-8.
    #[error("{place}: byte {byte} of the line is not UTF-8; save the file as UTF-8")]
    Encoding {
        /// Where.
        place: Place,
        /// The first wrong byte of the line, from 1.
        byte: usize,
    },
    /// A value that is not UTF-8.
    #[error(
        "{place}, field {column:?}: byte {byte} of the value is not UTF-8; text is read as UTF-8"
    )]
    FieldEncoding {
        /// Where.
        place: Place,
        /// The column.
        column: String,
        /// The first wrong byte of the value, from 1.
        byte: usize,
    },
    /// A quoted field that does not end where its closing quotation mark says.
    #[error(
        "{place}: a quoted field that begins there has text after its closing quotation mark; a quotation mark inside a quoted field is written twice"
    )]
    TextAfterQuote {
        /// Where the field begins.
        place: Place,
    },
    /// A quoted field without end.
    #[error("{place}: a quoted field that begins there has no closing quotation mark")]
    OpenQuote {
        /// Where the field begins.
        place: Place,
    },
    /// A line or a field beyond any sentence.
    #[error(
        "{0}: longer than {MAX_FIELD_BYTES} bytes; one example a line is expected, with lines that end in a newline"
    )]
    TooLong(Place),
    /// A row with too few or too many columns.
    #[error(
        "{place}: {found} columns, expected {expected}; columns are separated by one {separator}"
    )]
    ColumnCount {
        /// Where.
        place: Place,
        /// Columns of this row.
        found: usize,
        /// Columns of the header.
        expected: usize,
        /// What separates columns.
        separator: &'static str,
    },
    /// A line that is not a JSON object.
    #[error("{place}: not a JSON object ({problem}); one object a line is expected")]
    Json {
        /// Where.
        place: Place,
        /// What the parser says.
        problem: String,
    },
    /// A value that cannot be what its column should hold.
    #[error("{place}, field {column:?}: found {found}, expected {expected}")]
    Value {
        /// Where.
        place: Place,
        /// The column.
        column: String,
        /// What stands there.
        found: String,
        /// What should stand there.
        expected: String,
    },
    /// A file that its format's parser refuses.
    #[error("{} is not a valid {format} file: {problem}", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// The format that it should have.
        format: &'static str,
        /// What the parser says.
        problem: String,
    },
}

impl DataError {
    /// The column that was asked for and is not there once.
    pub fn absent_column(&self) -> Option<&str> {
        match self {
            Self::NoColumn { column, .. }
            | Self::NoField { column, .. }
            | Self::ColumnTwice { column, .. }
            | Self::FieldTwice { column, .. } => Some(column),
            _ => None,
        }
    }

    /// What opening or reading a file came to.
    pub fn io(path: &Path, source: io::Error) -> Self {
        if source.kind() == io::ErrorKind::NotFound {
            return Self::Missing {
                path: path.into(),
                hint: dangling(path)
                    .unwrap_or_else(|| "check the task's source and file names".into()),
            };
        }
        Self::Unreadable {
            path: path.into(),
            source,
        }
    }
}

/// Names in quotes, at most a dozen.
pub(crate) fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut listed = Vec::new();
    let mut rest = 0;
    for name in names {
        if listed.len() < 12 {
            listed.push(format!("{:?}", shortened(name)));
        } else {
            rest += 1;
        }
    }
    let mut text = listed.join(", ");
    if rest > 0 {
        text.push_str(&format!(" and {rest} more"));
    }
    text
}

/// The start of a text, for a message.
pub(crate) fn shortened(text: &str) -> String {
    const LONGEST: usize = 60;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into(),
    }
}
