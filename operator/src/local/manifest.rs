//! Reads a manifest file into a `PeftSearch`, or says everything that is wrong with it: file, line,
//! field, and what would be right. Reads one file; otherwise no I/O.
//!
//! The text is first read into a tree that remembers lines, which is checked against the schema of
//! the CRD; so every error is found, and a manifest is judged as the API server would judge it.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

use autopeft_crds::schema::{self, FieldError};
use autopeft_crds::{NAME_MAX, PeftSearch, validate};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use serde_saphyr::Spanned;

/// The largest manifest that is read, bytes.
const MAX_BYTES: u64 = 1 << 20;

const API_VERSION: &str = "autopeft.dev/v1alpha1";
const KIND: &str = "PeftSearch";

/// Why a file is not a manifest of a search.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The file cannot be read.
    #[error("{path}: {source}; name a readable YAML file with a PeftSearch")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file is no manifest by its size.
    #[error("{0}: the file is larger than 1 MiB; name a YAML file with one PeftSearch")]
    TooLarge(PathBuf),
    /// The file is not text.
    #[error("{path}:{line}: the file is not UTF-8 text; save it as UTF-8")]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// The line of the first wrong byte, from 1.
        line: usize,
    },
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
    /// The document is a PeftSearch with errors, or none.
    #[error("{}", Report(.path, .errors))]
    Invalid {
        /// The file.
        path: PathBuf,
        /// All of them, in the order of their lines.
        errors: Vec<(Line, FieldError)>,
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

struct Report<'a>(&'a Path, &'a [(Line, FieldError)]);

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

/// Reads and checks the manifest at `path`.
pub fn read(path: &Path) -> Result<PeftSearch, ManifestError> {
    let bytes = read_bounded(path)?;
    let text = match std::str::from_utf8(&bytes) {
        Ok(text) => text,
        Err(error) => {
            let before = &bytes[..error.valid_up_to()];
            return Err(ManifestError::NotUtf8 {
                path: path.into(),
                line: 1 + before.iter().filter(|byte| **byte == b'\n').count(),
            });
        }
    };
    parse(text, path)
}

fn read_bounded(path: &Path) -> Result<Vec<u8>, ManifestError> {
    let refused = |source| ManifestError::Read {
        path: path.into(),
        source,
    };
    let file = std::fs::File::open(path).map_err(refused)?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(refused)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(ManifestError::TooLarge(path.into()));
    }
    Ok(bytes)
}

/// Checks the text of a manifest; `path` is for messages.
pub fn parse(text: &str, path: &Path) -> Result<PeftSearch, ManifestError> {
    let has_content = text
        .lines()
        .map(str::trim)
        .any(|line| !line.is_empty() && !line.starts_with('#') && line != "---" && line != "...");
    if !has_content {
        return Err(ManifestError::Empty(path.into()));
    }
    let options = serde_saphyr::options! {
        with_snippet: false,
        strict_booleans: true,
    };
    let tree: Node = serde_saphyr::from_str_with_options(text, options)
        .map_err(|error| syntax_error(&error, path))?;
    let mut lines = BTreeMap::new();
    let value = tree.into_value(String::new(), &mut lines);
    let mut errors = Vec::new();
    check_envelope(&value, &mut errors);
    if let Some(spec) = value.get("spec") {
        errors.extend(schema::check(spec, schema::spec_schema(), "spec"));
    }
    let invalid = |errors: Vec<FieldError>| {
        let mut errors: Vec<_> = errors
            .into_iter()
            .map(|error| (line_of(&error.field, &lines), error))
            .collect();
        errors.sort_by_key(|(line, _)| *line);
        ManifestError::Invalid {
            path: path.into(),
            errors,
        }
    };
    match serde_json::from_value::<PeftSearch>(value.clone()) {
        Ok(search) => {
            errors.extend(validate::rules(&search.spec));
            if errors.is_empty() {
                Ok(search)
            } else {
                Err(invalid(errors))
            }
        }
        Err(error) => {
            if errors.is_empty() {
                errors.push(FieldError::new(
                    "spec",
                    error.to_string(),
                    "write it as docs/manifest.md says",
                ));
            }
            Err(invalid(errors))
        }
    }
}

fn syntax_error(error: &serde_saphyr::Error, path: &Path) -> ManifestError {
    let line = Line(error.location().map(|location| location.line()));
    let path = path.into();
    match error.without_snippet() {
        serde_saphyr::Error::MultipleDocuments { hint: _, location } => {
            ManifestError::SeveralDocuments {
                path,
                line: Line(Some(location.line())),
            }
        }
        serde_saphyr::Error::DuplicateMappingKey { key, location: _ } => ManifestError::Twice {
            path,
            line,
            key: key.clone().unwrap_or_else(|| "one field".into()),
        },
        error => {
            let text = error.to_string();
            // The line stands at the beginning of the message.
            let what = text
                .rsplit_once(" at line ")
                .map_or(&*text, |(what, _)| what);
            ManifestError::Syntax {
                path,
                line,
                message: what.to_owned(),
            }
        }
    }
}

/// apiVersion, kind and metadata, and that there is nothing else beside spec and status.
fn check_envelope(value: &Value, errors: &mut Vec<FieldError>) {
    let Some(fields) = value.as_object() else {
        errors.push(FieldError::new(
            "the document",
            "it is not an object",
            format!("begin with apiVersion: {API_VERSION} and kind: {KIND}"),
        ));
        return;
    };
    for (name, expected) in [("apiVersion", API_VERSION), ("kind", KIND)] {
        match fields.get(name) {
            Some(Value::String(found)) if found == expected => {}
            Some(found) => errors.push(FieldError::new(
                name,
                format!("it is {found}"),
                format!("this program reads {name}: {expected}"),
            )),
            None => errors.push(FieldError::new(
                name,
                "the field is missing",
                format!("write {name}: {expected}"),
            )),
        }
    }
    let known = ["apiVersion", "kind", "metadata", "spec", "status"];
    for name in fields.keys().filter(|name| !known.contains(&name.as_str())) {
        errors.push(FieldError::new(
            name.as_str(),
            "there is no such field",
            schema::did_you_mean(name, known.into_iter()),
        ));
    }
    if !fields.contains_key("spec") {
        errors.push(FieldError::new(
            "spec",
            "the field is missing",
            "describe the search there; model and task are required",
        ));
    }
    check_name(fields, errors);
}

fn check_name(fields: &Map<String, Value>, errors: &mut Vec<FieldError>) {
    let remedy = "give the search a name of lower-case letters, digits and -, such as my-search";
    let Some(metadata) = fields.get("metadata") else {
        errors.push(FieldError::new(
            "metadata.name",
            "the field is missing",
            remedy,
        ));
        return;
    };
    match metadata.get("name") {
        Some(Value::String(name)) if is_name(name) => {}
        Some(Value::String(name)) => {
            let shown: String = name.chars().take(80).collect();
            errors.push(FieldError::new(
                "metadata.name",
                format!("{shown:?} cannot be the name of an object"),
                format!("{remedy}; at most {NAME_MAX} characters"),
            ));
        }
        Some(found) => errors.push(FieldError::new(
            "metadata.name",
            format!("{found} is not text"),
            remedy,
        )),
        None => errors.push(FieldError::new(
            "metadata.name",
            "the field is missing",
            remedy,
        )),
    }
}

/// DNS labels with points between them, as Kubernetes wants it, and no longer than the CRD wants it.
fn is_name(name: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let is_label = |label: &str| {
        !label.is_empty()
            && label.chars().all(inner)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= NAME_MAX && name.split('.').all(is_label)
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

/// A node of the document with its line.
struct Node {
    line: u64,
    content: Content,
}

enum Content {
    Scalar(Value),
    List(Vec<Node>),
    Fields(Vec<(String, u64, Node)>),
}

impl Node {
    /// The value; `lines` receives where each field stands.
    fn into_value(self, field: String, lines: &mut BTreeMap<String, u64>) -> Value {
        let value = match self.content {
            Content::Scalar(value) => value,
            Content::List(items) => items
                .into_iter()
                .enumerate()
                .map(|(index, item)| item.into_value(format!("{field}[{index}]"), lines))
                .collect(),
            Content::Fields(fields) => {
                let mut object = Map::new();
                for (name, line, node) in fields {
                    let path = if field.is_empty() {
                        name.clone()
                    } else {
                        format!("{field}.{name}")
                    };
                    let value = node.into_value(path.clone(), lines);
                    lines.insert(path, line);
                    object.insert(name, value);
                }
                Value::Object(object)
            }
        };
        lines.entry(field).or_insert(self.line);
        value
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Spanned {
            value,
            referenced,
            defined: _,
        } = Spanned::<Content>::deserialize(deserializer)?;
        Ok(Self {
            line: referenced.line(),
            content: value,
        })
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor)
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Content, E> {
        Ok(Content::Scalar(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Content, E> {
        Ok(Content::Scalar(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Content, D::Error> {
        Content::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Content, E> {
        let number = serde_json::Number::from_f64(value)
            .ok_or_else(|| E::custom("a number that is not finite"))?;
        Ok(Content::Scalar(Value::Number(number)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Content, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = sequence.next_element()? {
            items.push(item);
        }
        Ok(Content::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Content, A::Error> {
        let mut fields = Vec::new();
        while let Some(key) = map.next_key::<Node>()? {
            let name = match key.content {
                Content::Scalar(Value::String(name)) => name,
                Content::Scalar(other) => other.to_string(),
                Content::List(_) | Content::Fields(_) => {
                    return Err(A::Error::custom("a field's name is text"));
                }
            };
            fields.push((name, key.line, map.next_value()?));
        }
        Ok(Content::Fields(fields))
    }
}
