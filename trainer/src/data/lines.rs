//! Lines of a text file, each checked to be UTF-8 and of bounded length.
//!
//! Lines end in `\n` or `\r\n`. A file without any `\n` in its beginning, but with `\r`, has lines
//! that end in `\r`; elsewhere a lone `\r` is a character of the text, as in GLUE's files.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use super::error::{DataError, Place};
use super::open::open_text;
use super::rows::MAX_FIELD_BYTES;

/// Reads a file line by line into one buffer.
pub(super) struct Lines {
    path: PathBuf,
    input: BufReader<File>,
    buffer: Vec<u8>,
    line: u64,
    /// The last byte of a line's end.
    end: u8,
}

impl Lines {
    pub(super) fn open(path: &Path) -> Result<Self, DataError> {
        let mut input = open_text(path)?;
        let start = input
            .fill_buf()
            .map_err(|error| DataError::io(path, error))?;
        let end = match start.contains(&b'\r') && !start.contains(&b'\n') {
            true => b'\r',
            false => b'\n',
        };
        Ok(Self {
            path: path.into(),
            input,
            buffer: Vec::new(),
            line: 0,
            end,
        })
    }

    /// The next line with its number, without its line break and without a byte order mark; `None`
    /// at the end.
    pub(super) fn next(&mut self) -> Result<Option<(u64, &str)>, DataError> {
        self.buffer.clear();
        self.line += 1;
        let place = || Place::new(&self.path, self.line);
        let read = (&mut self.input)
            .take(MAX_FIELD_BYTES as u64 + 2)
            .read_until(self.end, &mut self.buffer)
            .map_err(|error| DataError::io(&self.path, error))?;
        if read == 0 {
            return Ok(None);
        }
        if self.buffer.last() == Some(&self.end) {
            self.buffer.pop();
            if self.end == b'\n' && self.buffer.last() == Some(&b'\r') {
                self.buffer.pop();
            }
        }
        if self.buffer.len() > MAX_FIELD_BYTES {
            return Err(DataError::TooLong(place()));
        }
        let text = std::str::from_utf8(&self.buffer).map_err(|error| DataError::Encoding {
            place: place(),
            byte: error.valid_up_to() + 1,
        })?;
        let text = match self.line {
            1 => text.strip_prefix('\u{feff}').unwrap_or(text),
            _ => text,
        };
        Ok(Some((self.line, text)))
    }
}
