//! A journal that version 0.1.0 has written, with every kind of event: it reads, is written back byte for byte, and
//! gives the ledger and the suggestions that it gave.

use std::path::{Path, PathBuf};

use autopeft_crds::LedgerEntry;
use autopeft_crds::status::TrialOrigin;
use autopeft_search::history::{Header, History, Line, Stamped};
use autopeft_search::ledger::Event;
use autopeft_search::replay::replay;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/golden")
        .join(name)
}

fn journal() -> (String, History) {
    let text = std::fs::read_to_string(golden("journal-0.1.0.jsonl")).expect("the journal");
    let mut lines = text.lines();
    let header: Header = serde_json::from_str(lines.next().expect("a header")).expect("a header");
    let events = lines.map(|line| {
        let Line {
            sequence: _,
            at,
            event,
        } = serde_json::from_str(line).expect("an event");
        Stamped { at, event }
    });
    let history = History {
        header,
        events: events.collect(),
        torn: false,
        length: text.len() as u64,
    };
    (text, history)
}

#[test]
fn a_journal_of_0_1_0_is_written_back_byte_for_byte() {
    let (text, history) = journal();
    let mut written = vec![serde_json::to_string(&history.header).expect("JSON")];
    for (sequence, Stamped { at, event }) in (1..).zip(history.events) {
        let line = Line {
            sequence,
            at,
            event,
        };
        written.push(serde_json::to_string(&line).expect("JSON"));
    }
    assert_eq!(written.join("\n") + "\n", text);
}

#[test]
fn a_journal_of_0_1_0_gives_the_ledger_that_it_gave() {
    let (_, history) = journal();
    let ledger = history.ledger_at(u64::MAX).expect("its own events");
    let kept = std::fs::read_to_string(golden("ledger-0.1.0.json")).expect("the ledger");
    let kept: serde_json::Value = serde_json::from_str(&kept).expect("JSON");
    assert_eq!(serde_json::to_value(ledger.entries()).expect("JSON"), kept);
    let read: Vec<LedgerEntry> = serde_json::from_value(kept.clone()).expect("entries");
    assert_eq!(serde_json::to_value(read).expect("JSON"), kept);
    assert!(ledger.conclusion().is_some());
}

/// The choices of the surrogate are the same on the kind of machine that made them: the last digits of its sums
/// depend on how many numbers a processor adds at once.
#[test]
fn a_journal_of_0_1_0_replays_bit_for_bit() {
    let (_, history) = journal();
    let origin = |trial: u32| {
        history
            .events
            .iter()
            .find_map(|stamped| match &stamped.event {
                Event::Planned(planned) if planned.trial == trial => Some(planned.origin),
                _ => None,
            })
    };
    let mut compared = 0;
    for step in replay(&history) {
        let step = step.expect("it can be computed");
        if is_the_machine() || origin(step.trial) == Some(TrialOrigin::Initial) {
            assert_eq!(step.differences, [""; 0], "trial {}", step.trial);
            compared += 1;
        }
    }
    assert_eq!(compared, if is_the_machine() { 9 } else { 4 });
}

/// Whether this processor adds as many numbers at once as the one on which the journal was written.
fn is_the_machine() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("avx512f");
    #[cfg(not(target_arch = "x86_64"))]
    return false;
}
