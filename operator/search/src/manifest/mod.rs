//! Reads the text of a manifest into a `PeftSearch`, or says everything that is wrong with it: file, line, field,
//! and what would be right. A manifest is judged as the API server would judge it. No I/O.

mod envelope;
mod plain;
mod tree;
mod typed;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use autopeft_crds::schema::{self, FieldError};
use autopeft_crds::{PeftSearch, validate};
use serde::de::DeserializeOwned;
use serde_json::Value;

use tree::TreeError;
use typed::Typed;

/// Why a text is not the manifest of a search.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Nothing is in it.
    #[error(
        "{0}: the file is empty; it should hold one PeftSearch, such as docs/examples/rte.yaml"
    )]
    Empty(PathBuf),
    /// The text is not YAML.
    #[error("{path}{line}: this is not valid YAML: {message}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// `:12`, or nothing where the line is not known.
        line: Line,
        /// What the parser says.
        message: String,
    },
    /// A field stands twice in one object.
    #[error("{path}{line}: {key} is given twice; keep one of them")]
    Twice {
        /// The file.
        path: PathBuf,
        /// Where it stands again.
        line: Line,
        /// The field's name.
        key: String,
    },
    /// The file holds several objects.
    #[error("{path}{line}: a second document begins here; keep one PeftSearch in a file")]
    SeveralDocuments {
        /// The file.
        path: PathBuf,
        /// Where the second begins.
        line: Line,
    },
    /// The document is not a valid PeftSearch.
    #[error("{}", Report(.path, .errors))]
    Invalid {
        /// The file.
        path: PathBuf,
        /// All of them, in the order of their lines.
        errors: Vec<Located>,
    },
}

/// A line, from 1, where it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Line(Option<u64>);

impl fmt::Display for Line {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(line) => write!(formatter, ":{line}"),
            None => Ok(()),
        }
    }
}

/// Something about a field, with the field's line.
pub type Located = (Line, FieldError);

/// Findings, one per line, for people.
#[derive(Debug)]
pub struct Report<'a>(pub &'a Path, pub &'a [Located]);

impl fmt::Display for Report<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (line, error)) in self.1.iter().enumerate() {
            if index > 0 {
                writeln!(formatter)?;
            }
            write!(formatter, "{}{line}: {error}", self.0.display())?;
        }
        Ok(())
    }
}

/// A manifest that can be used.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// The search.
    pub search: PeftSearch,
    /// Values that are read as intended here, but not by kubectl.
    warnings: Vec<FieldError>,
    lines: BTreeMap<String, u64>,
}

impl Manifest {
    /// Warnings about probable mistakes, and `more` of them, in the order of their lines.
    pub fn advice(&self, more: &[FieldError]) -> Vec<Located> {
        let of_spec = validate::advice(&self.search.spec);
        located([&self.warnings, &of_spec, more].concat(), &self.lines)
    }
}

/// Checks the text of a manifest; `path` is for messages.
pub fn parse(text: &str, path: &Path) -> Result<Manifest, ManifestError> {
    let document = tree::document(text).map_err(|error| refusal(error, path))?;
    let document = document.ok_or_else(|| ManifestError::Empty(path.into()))?;
    let mut typed = Typed::default();
    let value = typed.value(&document, &envelope::schema(), "");
    let Typed {
        lines,
        unquoted,
        warnings,
    } = typed;
    let mut errors = envelope::check(&value);
    if let Some(spec) = value.get("spec") {
        errors.extend(schema::check(spec, schema::spec_schema(), "spec"));
    }
    let search = object(&value);
    if let Ok(search) = &search {
        errors.extend(validate::rules(&search.spec));
    }
    let is_right = |error: &FieldError| errors.iter().all(|other| other.field != error.field);
    let (quote, both): (Vec<_>, Vec<_>) = unquoted.into_iter().partition(is_right);
    errors.extend(quote);
    // Where quotes alone do not help, the field's own error gives the remedy.
    errors.extend(both.into_iter().map(|error| FieldError {
        remedy: "write this value in quotes".into(),
        ..error
    }));
    match search {
        Ok(search) if errors.is_empty() => Ok(Manifest {
            search,
            warnings,
            lines,
        }),
        found => {
            if errors.is_empty() {
                errors.extend(found.err());
            }
            Err(ManifestError::Invalid {
                path: path.into(),
                errors: located(errors, &lines),
            })
        }
    }
}

/// The object. If it cannot be deserialised, the schema usually has the better error.
fn object(value: &Value) -> Result<PeftSearch, FieldError> {
    Ok(PeftSearch {
        metadata: part(value, "metadata")?,
        spec: part(value, "spec")?,
        status: part(value, "status")?,
    })
}

fn part<T: DeserializeOwned>(value: &Value, name: &str) -> Result<T, FieldError> {
    T::deserialize(&value[name]).map_err(|error| {
        FieldError::new(name, error.to_string(), "write it as docs/manifest.md says")
    })
}

fn refusal(error: TreeError, path: &Path) -> ManifestError {
    let path = path.into();
    match error {
        TreeError::Syntax(line, message) => ManifestError::Syntax {
            path,
            line: Line(line),
            message,
        },
        TreeError::Twice(line, key) => ManifestError::Twice {
            path,
            line: Line(Some(line)),
            key,
        },
        TreeError::SecondDocument(line) => ManifestError::SeveralDocuments {
            path,
            line: Line(Some(line)),
        },
    }
}

fn located(errors: Vec<FieldError>, lines: &BTreeMap<String, u64>) -> Vec<Located> {
    let mut located: Vec<_> = errors
        .into_iter()
        .map(|error| (line_of(&error.field, lines), error))
        .collect();
    located.sort_by_key(|(line, _)| *line);
    located
}

/// The line of a field, or of the nearest field around it.
fn line_of(field: &str, lines: &BTreeMap<String, u64>) -> Line {
    let mut field = field;
    loop {
        if let Some(line) = lines.get(field) {
            return Line(Some(*line));
        }
        match field.rfind(['.', '[']) {
            Some(end) => field = &field[..end],
            None => return Line(lines.get("").copied()),
        }
    }
}
