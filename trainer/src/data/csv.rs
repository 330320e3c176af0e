//! Comma-separated files by RFC 4180: a header line, quoted fields, `""` for a quotation
//! mark, line breaks inside quotes. Lines end in `\n`, `\r\n` or `\r`; blank ones are passed over.
//!
//! `csv_core` splits and unquotes. It takes any bytes for a file, also those in which a forgotten
//! quotation mark swallows the rows up to the next one, so each field's own bytes are checked here;
//! they also tell the lines.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use csv_core::ReadFieldResult;

use super::error::{DataError, Place};
use super::header::Positions;
use super::open::{not_empty, open_text};
use super::rows::{Columns, Label, MAX_FIELD_BYTES, Row, Rows};

pub(super) fn read(path: &Path, columns: &Columns) -> Result<Rows, DataError> {
    let mut records = Records::open(path)?;
    let Some(header) = records.next()? else {
        return Err(DataError::NoRows(path.into()));
    };
    let names: Vec<String> = (0..header.fields.len())
        .map(|column| header.text(column, "name of a column", path))
        .collect::<Result<_, _>>()?;
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let positions = Positions::find(&names, columns, path)?;

    let mut found = Rows::default();
    while let Some(record) = records.next()? {
        if record.fields.len() != names.len() {
            return Err(DataError::ColumnCount {
                place: Place::new(path, record.line),
                found: record.fields.len(),
                expected: names.len(),
                separator: "comma; a comma inside a text needs quotation marks around the text",
            });
        }
        let text = |column: usize| record.text(column, names[column], path);
        found.rows.push(Row {
            line: record.line,
            first: text(positions.first)?,
            second: positions.second.map(text).transpose()?,
            more: positions
                .more
                .iter()
                .map(|column| text(*column))
                .collect::<Result<_, _>>()?,
            label: Label::Text(text(positions.label)?),
        });
    }
    not_empty(path, found)
}

/// One record: its fields without their quotes, and the line in which it begins, from 1.
struct Record {
    line: u64,
    fields: Vec<Vec<u8>>,
}

impl Record {
    fn text(&self, column: usize, name: &str, path: &Path) -> Result<String, DataError> {
        match std::str::from_utf8(&self.fields[column]) {
            Ok(text) => Ok(text.into()),
            Err(error) => Err(DataError::FieldEncoding {
                place: Place::new(path, self.line),
                column: name.into(),
                byte: error.valid_up_to() + 1,
            }),
        }
    }
}

/// Reads a file record by record.
struct Records<'a> {
    path: &'a Path,
    input: BufReader<File>,
    splitter: csv_core::Reader,
    /// The bytes of one field as they stand in the file, from the end of the field before it.
    raw: Vec<u8>,
    lines: LineCount,
}

impl<'a> Records<'a> {
    fn open(path: &'a Path) -> Result<Self, DataError> {
        Ok(Self {
            path,
            input: open_text(path)?,
            splitter: csv_core::Reader::new(),
            raw: Vec::new(),
            lines: LineCount::default(),
        })
    }

    fn next(&mut self) -> Result<Option<Record>, DataError> {
        let mut record = Record {
            line: 0,
            fields: Vec::new(),
        };
        while let Some((field, is_last)) = self.field()? {
            let is_first = record.fields.is_empty();
            let stored = strip_mark(&self.raw, self.lines.is_at_start());
            // Line breaks before a record are blank lines, or the rest of the last one's end.
            let blank = match is_first {
                true => stored.iter().take_while(|byte| is_break(**byte)).count(),
                false => 0,
            };
            self.lines.pass(&stored[..blank]);
            let line = self.lines.line();
            if is_first {
                record.line = line;
            }
            check_quotes(&stored[blank..], || Place::new(self.path, line))?;
            self.lines.pass(&stored[blank..]);
            record.fields.push(field);
            if is_last {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }

    /// The next field without its quotes, and whether it ends a record. Its bytes are in `raw`.
    fn field(&mut self) -> Result<Option<(Vec<u8>, bool)>, DataError> {
        let mut unquoted = Vec::new();
        let mut part = [0; 1024];
        self.raw.clear();
        loop {
            let input = self
                .input
                .fill_buf()
                .map_err(|error| DataError::io(self.path, error))?;
            let (result, read, written) = self.splitter.read_field(input, &mut part);
            self.raw.extend_from_slice(&input[..read]);
            self.input.consume(read);
            unquoted.extend_from_slice(&part[..written]);
            if unquoted.len() > MAX_FIELD_BYTES {
                return Err(self.too_long());
            }
            match result {
                ReadFieldResult::InputEmpty | ReadFieldResult::OutputFull => {}
                ReadFieldResult::Field { record_end } => return Ok(Some((unquoted, record_end))),
                ReadFieldResult::End => return Ok(None),
            }
        }
    }

    /// A field that does not end is most often a quotation mark too many.
    fn too_long(&self) -> DataError {
        let breaks = self.raw.iter().take_while(|byte| is_break(**byte)).count();
        let mut lines = self.lines.clone();
        lines.pass(&self.raw[..breaks]);
        let place = Place::new(self.path, lines.line());
        match self.raw.get(breaks) {
            Some(b'"') => DataError::OpenQuote { place },
            _ => DataError::TooLong(place),
        }
    }
}

fn is_break(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

/// The bytes without the file's byte order mark.
fn strip_mark(bytes: &[u8], is_start: bool) -> &[u8] {
    match bytes.strip_prefix(b"\xef\xbb\xbf") {
        Some(rest) if is_start => rest,
        _ => bytes,
    }
}

/// Refuses what RFC 4180 does not have: text between a closing quotation mark and the field's end,
/// and a quoted field that the file's end cuts off. `stored` is a field with what ends it.
fn check_quotes(stored: &[u8], place: impl Fn() -> Place) -> Result<(), DataError> {
    let Some(mut rest) = stored.strip_prefix(b"\"") else {
        return Ok(());
    };
    loop {
        let Some(mark) = rest.iter().position(|byte| *byte == b'"') else {
            return Err(DataError::OpenQuote { place: place() });
        };
        rest = &rest[mark + 1..];
        match rest {
            [b'"', after @ ..] => rest = after,
            [] | [b',' | b'\n' | b'\r'] => return Ok(()),
            _ => return Err(DataError::TextAfterQuote { place: place() }),
        }
    }
}

/// Counts lines that end in `\n`, `\r\n` or `\r`.
#[derive(Clone, Default)]
struct LineCount {
    breaks: u64,
    has_begun: bool,
    is_after_return: bool,
}

impl LineCount {
    /// The line of the next byte, from 1.
    fn line(&self) -> u64 {
        self.breaks + 1
    }

    fn is_at_start(&self) -> bool {
        !self.has_begun
    }

    fn pass(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.has_begun = true;
            if is_break(*byte) && !(*byte == b'\n' && self.is_after_return) {
                self.breaks += 1;
            }
            self.is_after_return = *byte == b'\r';
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quotes(stored: &str) -> String {
        match check_quotes(stored.as_bytes(), || Place::new(Path::new("f"), 1)) {
            Ok(()) => String::new(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_quoted_field_ends_with_its_closing_mark() {
        for good in [
            "",
            "a\"b,",
            "\"\"",
            "\"a\",",
            "\"a\"\"b\"\r",
            "\"\"\"a\"\"\"\n",
            " \"a\",",
        ] {
            assert_eq!(quotes(good), "", "{good:?}");
        }
        for open in ["\"", "\"a,b\n", "\"a\"\"", "\"\"\""] {
            assert!(quotes(open).contains("no closing"), "{open:?}");
        }
        for after in ["\"a\"b,", "\"a\" ,", "\"\"a\"\"\n"] {
            assert!(quotes(after).contains("text after"), "{after:?}");
        }
    }

    #[test]
    fn every_kind_of_line_break_counts_once() {
        let mut count = LineCount::default();
        for (bytes, line) in [
            ("a\n", 2),
            ("b\r\n", 3),
            ("\r", 4),
            ("\n", 4),
            ("\r\r\n\n", 7),
        ] {
            count.pass(bytes.as_bytes());
            assert_eq!(count.line(), line, "{bytes:?}");
        }
    }
}
