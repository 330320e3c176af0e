//! Whether a search may continue with the current manifest, model and data. No I/O.

use std::fmt;

use autopeft_crds::PeftSearchSpec;
use autopeft_crds::trial::Inspection;

use crate::changes::{self, Change};
use crate::history::History;
use crate::ledger::{Conclusion, ConclusionReason, Event, Ledger};
use crate::request::Locations;

/// Why a search may not continue: new trials would not be comparable with its own.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is another search.
    #[error("it holds the search {found:?}, not {expected:?}; give another --workdir")]
    Name {
        /// Whose it is.
        found: String,
        /// The manifest's name.
        expected: String,
    },
    /// Fields of the manifest have changed that past trials depend on.
    #[error("{}", Words(.0))]
    Manifest(Vec<Change>),
    /// The model or the data are of another kind or size.
    #[error(
        "this search started with {before}, and now there is {after}; give the same model and data as before, or another --workdir"
    )]
    Inputs {
        /// What they were.
        before: String,
        /// What they are.
        after: String,
    },
    /// The files of the model or of the data are not what they were.
    #[error(
        "{location}: the {what} is not the one that this search started with (SHA-256 {before}…, now {after}…), so trials would not be comparable; restore its files, or give another --workdir"
    )]
    Files {
        /// `model`, `data` or `data of another task`.
        what: &'static str,
        /// The directory, or the hub's repository.
        location: String,
        /// The beginning of the fingerprint that the search began with.
        before: String,
        /// The same of the fingerprint now.
        after: String,
    },
}

/// The changes that are not allowed, one per line.
struct Words<'a>(&'a [Change]);

impl fmt::Display for Words<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(
            "the manifest has changed since this search started, and its trials would not be comparable:",
        )?;
        for Change {
            field,
            before,
            after,
            allowed: _,
        } in self.0
        {
            write!(formatter, "\n  {field} was {before} and is now {after}")?;
        }
        write!(
            formatter,
            "\nchange it back, or give another --workdir; these may change: {}",
            changes::mutable().join(", ")
        )
    }
}

/// Whether the journal of the search `name` has no trial and no end yet: the search may begin again, even
/// with another model, task or space.
pub fn is_blank(history: &History, name: &str) -> bool {
    let mut events = history.events.iter();
    let follows = |event: &Event| matches!(event, Event::Planned(_) | Event::Concluded(_));
    history.header.name == name && !events.any(|stamped| follows(&stamped.event))
}

/// Whether the manifest of the search `name` differs from the search's spec.
pub fn manifest(history: &History, name: &str, spec: &PeftSearchSpec) -> Result<bool, Refusal> {
    if history.header.name != name {
        return Err(Refusal::Name {
            found: history.header.name.clone(),
            expected: name.into(),
        });
    }
    let found = changes::changes(history.spec_at(u64::MAX), spec);
    let changed = !found.is_empty();
    let refused: Vec<Change> = found.into_iter().filter(|change| !change.allowed).collect();
    if refused.is_empty() {
        Ok(changed)
    } else {
        Err(Refusal::Manifest(refused))
    }
}

/// Whether the model and the data are those that the search began with. A trainer of 0.1.0 or before may have
/// taken no fingerprints.
pub fn inputs(before: &Inspection, now: &Inspection, locations: &Locations) -> Result<(), Refusal> {
    if describe(before) != describe(now) {
        return Err(Refusal::Inputs {
            before: describe(before),
            after: describe(now),
        });
    }
    let model = (&before.model_fingerprint, &now.model_fingerprint);
    let data = (&before.data_fingerprint, &now.data_fingerprint);
    for (what, location, fingerprints) in [
        ("model", &locations.model, model),
        ("data", &locations.data, data),
    ] {
        if let (Some(before), Some(after)) = fingerprints {
            same(what, location, before, after)?;
        }
    }
    // One that has another description is another task, and one that was asked for later is not known.
    for (task, location) in &locations.others {
        let hash = task.hash();
        let of = |inspection: &Inspection| {
            let mut others = inspection.others.iter();
            let found = others.find(|other| other.task == hash);
            found.map(|other| other.fingerprint.clone())
        };
        if let (Some(before), Some(after)) = (of(before), of(now)) {
            same("data of another task", location, &before, &after)?;
        }
    }
    Ok(())
}

/// Whether files have the fingerprint that they had.
fn same(what: &'static str, location: &str, before: &str, after: &str) -> Result<(), Refusal> {
    if before == after {
        return Ok(());
    }
    Err(Refusal::Files {
        what,
        location: location.to_owned(),
        before: before.chars().take(12).collect(),
        after: after.chars().take(12).collect(),
    })
}

/// The facts of an inspection in words; equal for the same kind of input.
fn describe(inspection: &Inspection) -> String {
    let Inspection {
        architecture,
        layers,
        hidden_size,
        feed_forward_size: _,
        backbone_parameters,
        train_examples,
        validation_examples,
        model_fingerprint: _,
        data_fingerprint: _,
        others: _,
        constant_score: _,
        spec_hash: _,
        other: _,
    } = inspection;
    format!(
        "a {architecture} model of {layers} layers, hidden size {hidden_size} and {backbone_parameters} parameters with {train_examples} training and {validation_examples} validation examples"
    )
}

/// How the search ended, if only a changed manifest can make it continue. After bad input, model and data are
/// inspected again instead.
pub fn ended(ledger: &Ledger) -> Option<&Conclusion> {
    let (conclusion, _) = ledger.conclusion()?;
    (conclusion.reason != ConclusionReason::BadInput).then_some(conclusion)
}

/// The events to record before a search continues whose model and data are valid now.
pub fn events(ledger: &Ledger, changed: Option<&PeftSearchSpec>) -> Vec<Event> {
    let changed = changed.map(|spec| Event::SpecChanged(Box::new(spec.clone())));
    let bad = ledger.bad_input().is_some()
        || ledger
            .conclusion()
            .is_some_and(|(end, _)| end.reason == ConclusionReason::BadInput);
    changed
        .into_iter()
        .chain(bad.then_some(Event::Reopened))
        .collect()
}
