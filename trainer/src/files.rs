//! Opens files of users, and recognises those whose content is not what their name says.
//!
//! A clone without Git LFS, a rejected download or a wrong extension leave a file that exists but is something else. A
//! parser's message about such bytes helps nobody, so every reader checks here first, or after its parser failed.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use rustix::io::Errno;

/// The number of bytes that are checked at a file's beginning.
pub const HEAD_BYTES: usize = 512;

/// The longest excerpt of a text in a message.
const SHOWN_CHARS: usize = 40;

/// What a file is, instead of what it should be. `Display` continues after "it is".
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// Empty.
    Empty,
    /// A pointer to content outside of Git; the store's name and the command to fetch it.
    Pointer(&'static str, &'static str),
    /// Compressed as a whole, by a program of this name.
    Compressed(&'static str),
    /// A known format, and the remedy.
    Known(&'static str, &'static str),
    /// Text instead of a binary file: its beginning.
    Text(String),
}

impl fmt::Display for Foreign {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => formatter.write_str("empty"),
            Self::Pointer(store, command) => write!(
                formatter,
                "a {store} pointer, not the file itself; fetch the file with {command}"
            ),
            Self::Compressed(program) => {
                write!(formatter, "compressed with {program}; decompress it first")
            }
            Self::Known(what, remedy) => write!(formatter, "{what}; {remedy}"),
            Self::Text(start) => write!(formatter, "text that begins with {start:?}"),
        }
    }
}

const AGAIN: &str = "a failed or rejected download leaves one: download the file again";
const AS_UTF_8: &str = "save it as UTF-8";

/// Recognises a file that is not UTF-8 text for a reader of data or JSON. `head` has up to `HEAD_BYTES`, or the whole of a
/// shorter file.
pub fn recognise(head: &[u8]) -> Option<Foreign> {
    const MAGIC: &[(&[u8], Foreign)] = &[
        (b"\x1f\x8b", Foreign::Compressed("gzip")),
        (b"\xfd7zXZ\0", Foreign::Compressed("xz")),
        (b"\x28\xb5\x2f\xfd", Foreign::Compressed("zstd")),
        (b"\x04\x22\x4d\x18", Foreign::Compressed("lz4")),
        (b"PK\x03\x04", ZIP),
        (b"PK\x05\x06", ZIP),
        (
            b"7z\xbc\xaf\x27\x1c",
            Foreign::Known("a 7z archive", "unpack it first"),
        ),
        (
            b"version https://git-lfs.",
            Foreign::Pointer("Git LFS", "git lfs pull"),
        ),
        (
            b"/annex/objects/",
            Foreign::Pointer("git-annex", "git annex get"),
        ),
        (
            b"\x89HDF\r\n",
            Foreign::Known("an HDF5 file", "the format of this file's name is expected"),
        ),
        (
            b"ARROW1\0",
            Foreign::Known("an Arrow file", "save it as Parquet"),
        ),
        (
            b"%PDF-",
            Foreign::Known("a PDF", "the format of this file's name is expected"),
        ),
        (b"\xff\xfe\0\0", Foreign::Known("text in UTF-32", AS_UTF_8)),
        (b"\0\0\xfe\xff", Foreign::Known("text in UTF-32", AS_UTF_8)),
        (b"\xff\xfe", UTF_16),
        (b"\xfe\xff", UTF_16),
    ];
    const ZIP: Foreign = Foreign::Known(
        "a ZIP archive",
        "unpack it first (.xlsx sheets and PyTorch's .bin and .pt files are ZIP archives too)",
    );
    const UTF_16: Foreign = Foreign::Known("text in UTF-16", AS_UTF_8);

    if head.is_empty() {
        return Some(Foreign::Empty);
    }
    if let Some((_, found)) = MAGIC.iter().find(|(magic, _)| head.starts_with(magic)) {
        return Some(found.clone());
    }
    match head {
        // The level, then the digits of π: a text may begin with "BZh", too.
        [b'B', b'Z', b'h', b'1'..=b'9', rest @ ..] if rest.starts_with(b"1AY&SY") => {
            Some(Foreign::Compressed("bzip2"))
        }
        [b'P', b'A', b'R', b'1' | b'E', rest @ ..] if as_text(rest).is_none() => {
            Some(Foreign::Known(
                "a Parquet file",
                "its name must end in .parquet, and it must be complete",
            ))
        }
        [0x80, 2..=5, ..] => Some(Foreign::Known(
            "a Python pickle",
            "the format of this file's name is expected",
        )),
        [first, 0, third, 0, ..] | [0, first, 0, third, ..]
            if is_plain(*first) && is_plain(*third) =>
        {
            Some(UTF_16)
        }
        _ => markup(head),
    }
}

/// The same for a file of a binary format: text is foreign, too.
pub fn recognise_binary(head: &[u8]) -> Option<Foreign> {
    recognise(head).or_else(|| {
        let text = as_text(head)?;
        Some(Foreign::Text(
            text.trim().chars().take(SHOWN_CHARS).collect(),
        ))
    })
}

/// HTML and XML, by their first tag.
fn markup(head: &[u8]) -> Option<Foreign> {
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    let start = head.trim_ascii_start();
    let begins = |tag: &str| {
        start
            .get(..tag.len())
            .is_some_and(|found| found.eq_ignore_ascii_case(tag.as_bytes()))
    };
    if ["<!doctype html", "<html", "<head", "<body"]
        .into_iter()
        .any(begins)
    {
        Some(Foreign::Known("an HTML page", AGAIN))
    } else if begins("<?xml ") {
        Some(Foreign::Known("an XML document", AGAIN))
    } else {
        None
    }
}

/// Whether a byte is an ASCII character that occurs in text.
fn is_plain(byte: u8) -> bool {
    matches!(byte, b'\t' | b'\n' | b'\r' | b' '..=b'~')
}

/// The bytes as text, if they are UTF-8 without control characters; a truncated last character is left out.
fn as_text(bytes: &[u8]) -> Option<&str> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&bytes[..error.valid_up_to()]).ok()?
        }
        Err(_) => return None,
    };
    let is_control = |letter: char| letter.is_control() && !"\t\r\n".contains(letter);
    (!text.contains(is_control)).then_some(text)
}

/// Opens a file.
///
/// # Errors
/// As `File::open`. A dangling link is reported as one; a loop of links, a directory, and a pipe or a device, which
/// would block, are `InvalidData`.
pub fn open(path: &Path) -> io::Result<File> {
    let found = std::fs::metadata(path).map_err(|error| match dangling(path) {
        Some(said) => io::Error::new(error.kind(), said),
        None if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => {
            invalid("its symbolic links form a loop")
        }
        None => error,
    })?;
    if found.is_dir() {
        return Err(invalid("it is a directory, and a file is expected"));
    }
    if !found.is_file() {
        return Err(invalid("it is not a regular file"));
    }
    File::open(path)
}

/// If a path is a dangling symbolic link: a sentence about it.
pub fn dangling(path: &Path) -> Option<String> {
    let target = std::fs::read_link(path).ok()?;
    let is_nothing = matches!(path.try_exists(), Ok(false));
    is_nothing.then(|| {
        format!(
            "it is a symbolic link to {}, and nothing is there; a folder that is mounted or copied needs the files that its links name",
            target.display()
        )
    })
}

/// The first bytes of a file, for `recognise`; none if it cannot be read.
pub fn head(path: &Path) -> Option<Vec<u8>> {
    let mut head = Vec::with_capacity(HEAD_BYTES);
    open(path)
        .ok()?
        .take(HEAD_BYTES as u64)
        .read_to_end(&mut head)
        .ok()?;
    Some(head)
}

/// The text of a JSON file, without a byte order mark.
///
/// # Errors
/// As `open`. A file that is not text, or is recognised as something else, is `InvalidData`, and the message says what
/// it is.
pub fn read_json(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    open(path)?.read_to_end(&mut bytes)?;
    let head = &bytes[..bytes.len().min(HEAD_BYTES)];
    if let Some(foreign) = recognise(head) {
        return Err(invalid(&format!("it is {foreign}")));
    }
    let mut text = String::from_utf8(bytes).map_err(|error| {
        let byte = error.utf8_error().valid_up_to() + 1;
        invalid(&format!("byte {byte} is not UTF-8; save the file as UTF-8"))
    })?;
    if text.starts_with('\u{feff}') {
        text.remove(0);
    }
    Ok(text)
}

fn invalid(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_file_is_instead_is_told_by_its_first_bytes() {
        let check = |head: &[u8], expected: &str| {
            let said = recognise(head).map(|found| found.to_string());
            let said = said.unwrap_or_default();
            assert!(said.starts_with(expected), "{head:?}: {said}");
        };
        check(b"", "empty");
        check(
            b"version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 3\n",
            "a Git LFS pointer, not the file itself; fetch the file with git lfs pull",
        );
        check(b"/annex/objects/MD5E-s3--aa", "a git-annex pointer");
        check(b"\x1f\x8b\x08\0", "compressed with gzip; decompress it");
        check(b"BZh91AY&SY\x01", "compressed with bzip2");
        check(b"\xfd7zXZ\0\0", "compressed with xz");
        check(b"\x28\xb5\x2f\xfd\x24", "compressed with zstd");
        check(b"\x04\x22\x4d\x18\x64", "compressed with lz4");
        check(b"PK\x03\x04\x14", "a ZIP archive; unpack it");
        check(b"\n <!DOCTYPE HTML><html>", "an HTML page;");
        check(b"\xef\xbb\xbf<html lang=en>", "an HTML page;");
        check(b"<?xml version=\"1.0\"?><Error>", "an XML document;");
        check(b"\xff\xfet\0e\0", "text in UTF-16; save it as UTF-8");
        check(b"\xfe\xff\0t\0e", "text in UTF-16");
        check(b"t\0e\0x\0t\0", "text in UTF-16");
        check(b"\0t\0e\0x\0t", "text in UTF-16");
        check(b"\xff\xfe\0\0t\0\0\0", "text in UTF-32");
        check(b"PAR1\x15\x04\x15", "a Parquet file; its name must end in");
        check(b"\x80\x02}q\0", "a Python pickle");
        check(b"\x89HDF\r\n\x1a\n", "an HDF5 file");
    }

    #[test]
    fn text_is_foreign_to_binary_formats_alone() {
        for text in [
            "text,label\n",
            "{\"text\": 1}",
            "PAR1,PAR2\n",
            "BZh9 a text",
            "é",
        ] {
            assert_eq!(recognise(text.as_bytes()), None, "{text}");
            assert!(recognise_binary(text.as_bytes()).is_some(), "{text}");
        }
        let cut = "Eintrag nicht gefundén".as_bytes();
        let found = recognise_binary(&cut[..cut.len() - 2]).expect("text");
        assert_eq!(
            found.to_string(),
            "text that begins with \"Eintrag nicht gefund\""
        );
        assert_eq!(recognise_binary(b"\x10\0\0\0\0\0\0\0{}"), None);
    }
}
