//! YAML as a tree that keeps what the file says: the text of each scalar, what it means, and its line.

use std::collections::{HashMap, HashSet};
use std::iter::Peekable;

use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput, Tag, options};

use super::plain::{self, Plain};

/// How deep a document may be nested; a search needs a tenth of it.
const DEPTH_MAX: usize = 64;
/// How many values a document may have, with aliases expanded.
const NODES_MAX: usize = 100_000;

/// A value of the document.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// Its line, from 1.
    pub line: u64,
    pub content: Content,
}

/// What a value is.
#[derive(Clone, Debug)]
pub(super) enum Content {
    Scalar(Scalar),
    List(Vec<Node>),
    Fields(Vec<Field>),
}

/// A value without parts.
#[derive(Clone, Debug)]
pub(super) struct Scalar {
    /// As the file has it, without quotes.
    pub text: String,
    /// What the text is read as; `Text` where it is quoted.
    pub meaning: Plain,
}

/// A field of an object.
#[derive(Clone, Debug)]
pub(super) struct Field {
    /// The line of its name, from 1.
    pub line: u64,
    pub name: Scalar,
    pub value: Node,
}

/// Why a text is not one document.
#[derive(Debug)]
pub(super) enum TreeError {
    /// It is not YAML, or too large.
    Syntax(Option<u64>, String),
    /// A field stands twice in one object.
    Twice(u64, String),
    /// A second document begins.
    SecondDocument(u64),
}

impl From<ScanError> for TreeError {
    fn from(error: ScanError) -> Self {
        Self::Syntax(Some(error.marker().line() as u64), error.info())
    }
}

/// Reads the only document of `text`; `None` if it is empty. Like kubectl, empty documents, such as after a
/// last `---`, are skipped.
pub(super) fn document(text: &str) -> Result<Option<Node>, TreeError> {
    let options = options! {
        emit_comments: false,
        flow_nesting_limit: DEPTH_MAX,
        block_nesting_limit: DEPTH_MAX,
    };
    let mut builder = Builder {
        events: Parser::new_from_str_with_options(text, options).peekable(),
        anchors: HashMap::new(),
        left: NODES_MAX,
    };
    let mut found: Option<Node> = None;
    let mut line = 1;
    while let Some((event, span)) = builder.next()? {
        match event {
            Event::DocumentStart(..) => line = line_of(&span),
            event if event.is_node() => {
                let node = builder.node(event, &span)?;
                match (&node.content, &found) {
                    (Content::Scalar(scalar), _) if scalar.meaning == Plain::Null => {}
                    (_, Some(_)) => return Err(TreeError::SecondDocument(line)),
                    (_, None) => found = Some(node),
                }
            }
            _ => {}
        }
    }
    Ok(found)
}

fn line_of(span: &Span) -> u64 {
    span.start.line() as u64
}

struct Builder<'a> {
    events: Peekable<Parser<'a, StrInput<'a>>>,
    /// The anchors' values, by the parser's number.
    anchors: HashMap<usize, Node>,
    /// How many values may still come.
    left: usize,
}

impl<'a> Builder<'a> {
    fn next(&mut self) -> Result<Option<(Event<'a>, Span)>, TreeError> {
        Ok(self.events.next().transpose()?)
    }

    /// The value that begins with `event`.
    fn node(&mut self, event: Event<'a>, span: &Span) -> Result<Node, TreeError> {
        let line = line_of(span);
        let anchor = event.anchor_id();
        self.spend(1, line)?;
        let content = match event {
            Event::Scalar(text, style, _, tag) => {
                // A value that is left out is reported as `~`, which takes no room in the text.
                let text = if span.is_empty() { "" } else { &*text };
                Content::Scalar(scalar(text, style, tag.as_deref()))
            }
            Event::SequenceStart(..) => Content::List(self.list()?),
            Event::MappingStart(..) => Content::Fields(self.fields()?),
            Event::Alias(id) => {
                let Some(node) = self.anchors.get(&id).cloned() else {
                    let message = "an alias refers to a node that contains it".to_owned();
                    return Err(TreeError::Syntax(Some(line), message));
                };
                self.spend(size(&node), line)?;
                node.content
            }
            _ => {
                let message = "a value is missing".to_owned();
                return Err(TreeError::Syntax(Some(line), message));
            }
        };
        let node = Node { line, content };
        if let Some(id) = anchor {
            self.anchors.insert(id, node.clone());
        }
        Ok(node)
    }

    fn spend(&mut self, count: usize, line: u64) -> Result<(), TreeError> {
        match self.left.checked_sub(count) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(TreeError::Syntax(
                Some(line),
                format!("there are more than {NODES_MAX} values"),
            )),
        }
    }

    fn list(&mut self) -> Result<Vec<Node>, TreeError> {
        let mut items = Vec::new();
        while let Some((event, span)) = self.next()? {
            if event == Event::SequenceEnd {
                break;
            }
            items.push(self.node(event, &span)?);
        }
        Ok(items)
    }

    fn fields(&mut self) -> Result<Vec<Field>, TreeError> {
        let mut fields: Vec<Field> = Vec::new();
        let mut names = HashSet::new();
        let mut merged = Vec::new();
        while let Some((event, span)) = self.next()? {
            if event == Event::MappingEnd {
                break;
            }
            let is_merge = is_merge(&event);
            let key = self.node(event, &span)?;
            let Some((event, span)) = self.next()? else {
                break;
            };
            let value = self.node(event, &span)?;
            match key.content {
                Content::Scalar(_) if is_merge => merged.extend(merge(value)?),
                Content::Scalar(name) if name.meaning != Plain::Null => {
                    if !names.insert(name.text.clone()) {
                        return Err(TreeError::Twice(key.line, name.text));
                    }
                    fields.push(Field {
                        line: key.line,
                        name,
                        value,
                    });
                }
                _ => {
                    let message = "the name of a field is not text".to_owned();
                    return Err(TreeError::Syntax(Some(key.line), message));
                }
            }
        }
        for field in merged {
            if names.insert(field.name.text.clone()) {
                fields.push(field);
            }
        }
        Ok(fields)
    }
}

/// The number of values in a value, itself included.
fn size(node: &Node) -> usize {
    1 + match &node.content {
        Content::Scalar(_) => 0,
        Content::List(items) => items.iter().map(size).sum(),
        Content::Fields(fields) => fields.iter().map(|field| 1 + size(&field.value)).sum(),
    }
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Scalar {
    let meaning = match tag.map(Tag::core_suffix) {
        None if style == ScalarStyle::Plain => plain::meaning(text),
        Some(Some("int" | "float" | "bool" | "null")) => plain::meaning(text),
        _ => Plain::Text,
    };
    Scalar {
        text: text.to_owned(),
        meaning,
    }
}

fn is_merge(event: &Event<'_>) -> bool {
    event.tag().is_none() && event.scalar() == Some(("<<", ScalarStyle::Plain))
}

/// The fields that `<<` merges in: those of one object, or of several, of which the first wins.
fn merge(value: Node) -> Result<Vec<Field>, TreeError> {
    match value.content {
        Content::Fields(fields) => Ok(fields),
        Content::List(items) => {
            let merged: Result<Vec<_>, _> = items.into_iter().map(merge).collect();
            Ok(merged?.into_iter().flatten().collect())
        }
        Content::Scalar(_) => Err(TreeError::Syntax(
            Some(value.line),
            "<< merges the fields of an object, and this is not one".to_owned(),
        )),
    }
}
