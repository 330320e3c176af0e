//! Lines of a text file, split on `\n` only, each checked to be UTF-8 and of bounded length.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use super::{DataError, MAX_FIELD_BYTES, Place};

/// Reads a file line by line into one buffer.
pub(super) struct Lines {
    path: PathBuf,
    input: BufReader<File>,
    buffer: Vec<u8>,
    line: u64,
}

impl Lines {
    pub(super) fn open(path: &Path) -> Result<Self, DataError> {
        let file = File::open(path).map_err(|error| DataError::io(path, error))?;
        Ok(Self {
            path: path.into(),
            input: BufReader::with_capacity(1 << 16, file),
            buffer: Vec::new(),
            line: 0,
        })
    }

    /// The next line with its number, without its line break (`\n` or `\r\n`) and without a byte
    /// order mark; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<(u64, &str)>, DataError> {
        self.buffer.clear();
        self.line += 1;
        let place = || Place::new(&self.path, self.line);
        let read = (&mut self.input)
            .take(MAX_FIELD_BYTES as u64 + 2)
            .read_until(b'\n', &mut self.buffer)
            .map_err(|error| DataError::io(&self.path, error))?;
        if read == 0 {
            return Ok(None);
        }
        if self.buffer.last() == Some(&b'\n') {
            self.buffer.pop();
            if self.buffer.last() == Some(&b'\r') {
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
