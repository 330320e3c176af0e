//! A search's events in the order in which they were written, as a journal keeps them. No I/O.

use autopeft_crds::spec::PeftSearchSpec;
use autopeft_crds::trial::Inspection;
use k8s_openapi::jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ledger::{Event, Ledger, LedgerError};

/// The version of the journal's format.
pub const FORMAT: u32 = 1;
/// What a search is: the journal's first line.
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
    /// What the model and the data turned out to be.
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
    /// What the search is.
    pub header: Header,
    /// What happened, in order.
    pub events: Vec<Stamped>,
    /// Whether a torn last line was dropped.
    pub torn: bool,
    /// The bytes that are whole.
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
