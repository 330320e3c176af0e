//! A search's events in the order in which they were written, as a journal keeps them. No I/O.

use autopeft_crds::PeftSearchSpec;
use autopeft_crds::trial::Inspection;
use k8s_openapi::jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ledger::{Event, Ledger, LedgerError};

/// The version of the journal's format.
pub const FORMAT: u32 = 1;

/// The journal's first line: the identity of the search.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Header {
    /// `FORMAT`.
    pub format: u32,
    /// The version of the program that began the search.
    pub version: String,
    /// The search's UID.
    pub uid: String,
    /// The search's name.
    pub name: String,
    /// When the search began.
    pub at: Timestamp,
    /// The spec that the search began with.
    pub spec: PeftSearchSpec,
    /// Facts about the model and the data.
    pub inspection: Inspection,
}

impl Header {
    /// The ledger before any event.
    pub fn ledger(&self) -> Ledger {
        Ledger::new(self.at).suspended(self.spec.suspend)
    }
}

/// One line of a journal after the first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Line {
    /// The event's number, from 1.
    pub sequence: u64,
    /// When it was written.
    pub at: Timestamp,
    /// What happened.
    pub event: Event,
}

/// An event with its time.
#[derive(Clone, Debug, PartialEq)]
pub struct Stamped {
    /// When it was written.
    pub at: Timestamp,
    /// What happened.
    pub event: Event,
}

/// What was read from a journal.
#[derive(Clone, Debug, PartialEq)]
pub struct History {
    /// The journal's first line.
    pub header: Header,
    /// What happened, in order.
    pub events: Vec<Stamped>,
    /// Whether a torn last line was dropped.
    pub torn: bool,
    /// The number of bytes in complete lines.
    pub length: u64,
}

impl History {
    /// The ledger after the first `count` events.
    pub fn ledger_at(&self, count: u64) -> Result<Ledger, LedgerError> {
        let mut ledger = self.header.ledger();
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        for Stamped { at, event } in self.events.iter().take(count) {
            ledger.apply(event, *at)?;
        }
        Ok(ledger)
    }

    /// The spec after the first `count` events.
    pub fn spec_at(&self, count: u64) -> &PeftSearchSpec {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let changed =
            self.events
                .iter()
                .take(count)
                .rev()
                .find_map(|stamped| match &stamped.event {
                    Event::SpecChanged(spec) => Some(spec.as_ref()),
                    _ => None,
                });
        changed.unwrap_or(&self.header.spec)
    }
}

/// Why a line of a journal is rejected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// It is damaged.
    #[error("{0}")]
    Damaged(String),
    /// The first line names another format.
    #[error("format {found}, of peft-operator {version}")]
    Format {
        /// The format.
        found: u64,
        /// The program that began the journal.
        version: String,
    },
}

/// Reads a journal line by line, and checks that each follows from those before.
#[derive(Debug, Default)]
pub struct Reader {
    read: Option<(History, Ledger)>,
}

impl Reader {
    /// Takes the next line, with its line ending.
    pub fn line(&mut self, bytes: &[u8]) -> Result<(), LineError> {
        let Some((history, ledger)) = &mut self.read else {
            let header = header(bytes)?;
            let ledger = header.ledger();
            let history = History {
                header,
                events: Vec::new(),
                torn: false,
                length: bytes.len() as u64,
            };
            self.read = Some((history, ledger));
            return Ok(());
        };
        let Line {
            sequence,
            at,
            event,
        } = serde_json::from_slice(bytes).map_err(|error| damaged(&error))?;
        let expected = history.events.len() as u64 + 1;
        if sequence != expected {
            return Err(LineError::Damaged(format!(
                "event {sequence} stands where event {expected} belongs"
            )));
        }
        ledger
            .apply(&event, at)
            .map_err(|error| LineError::Damaged(error.to_string()))?;
        history.events.push(Stamped { at, event });
        history.length += bytes.len() as u64;
        Ok(())
    }

    /// What was read; `None` without a first line. `torn`: a last line without its line ending was dropped.
    pub fn end(self, torn: bool) -> Option<History> {
        let (history, _) = self.read?;
        Some(History { torn, ..history })
    }
}

fn header(bytes: &[u8]) -> Result<Header, LineError> {
    let value: serde_json::Value =
        serde_json::from_slice(bytes).map_err(|error| damaged(&error))?;
    match value["format"].as_u64() {
        Some(found) if found != u64::from(FORMAT) => Err(LineError::Format {
            found,
            version: value["version"].as_str().unwrap_or("unknown").into(),
        }),
        _ => serde_json::from_value(value).map_err(|error| damaged(&error)),
    }
}

/// What is wrong with a one-line document, and at which byte. The parser's line number is dropped: it would
/// be mistaken for the file's.
fn damaged(error: &serde_json::Error) -> LineError {
    let text = error.to_string();
    let suffix = format!(" at line {} column {}", error.line(), error.column());
    LineError::Damaged(match text.strip_suffix(&suffix) {
        Some(what) if error.line() == 1 => format!("{what} at byte {} of the line", error.column()),
        Some(what) => format!("{what} at the end of the line"),
        None => text,
    })
}
