//! The journal: what was written is read back, a torn end is dropped, damage is named.

use std::path::Path;

use autopeft_crds::Decimal;
use autopeft_crds::PeftSearchSpec;
use autopeft_crds::metrics::{Metric, MetricValues};
use autopeft_crds::spec::EarlyStop;
use autopeft_crds::status::TrialOrigin;
use autopeft_crds::trial::{FailureReason, Inspection};
use autopeft_operator::local::journal::{self, Journal, JournalError};
use autopeft_search::history::{FORMAT, Header};
use autopeft_search::ledger::{
    Conclusion, ConclusionReason, Event, LedgerError, Planned, Recorded, RetryCause,
};
use k8s_openapi::jiff::Timestamp;
use serde_json::json;

fn time(second: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + second).expect("a time")
}

fn spec(max_trials: u32) -> PeftSearchSpec {
    serde_json::from_value(json!({
        "model": {"source": {"path": "model"}},
        "task": {"name": "rte", "source": {"path": "data"}},
        "maxTrials": max_trials,
    }))
    .expect("a spec")
}

fn header() -> Header {
    Header {
        format: FORMAT,
        version: "0.1.0".into(),
        uid: "uid".into(),
        name: "name".into(),
        at: time(0),
        spec: spec(5),
        inspection: Inspection {
            architecture: "bert".into(),
            layers: 2,
            hidden_size: 8,
            feed_forward_size: None,
            backbone_parameters: 1000,
            train_examples: 10,
            validation_examples: 5,
            model_fingerprint: None,
            data_fingerprint: None,
            others: Vec::new(),
            constant_score: None,
            spec_hash: None,
            other: Default::default(),
        },
    }
}

fn planned(trial: u32) -> Event {
    Event::Planned(Box::new(Planned {
        trial,
        configuration: autopeft_crds::PeftConfiguration::new(
            "01".parse().expect("a mask"),
            &[
                (autopeft_crds::Module::SerialAdapter, trial),
                (autopeft_crds::Module::Prefix, 1),
            ],
        ),
        parameters: 16,
        origin: TrialOrigin::Bayesian,
        baseline: None,
        of_trial: None,
        terms: None,
        basis: 0,
        inputs_hash: "0123456789abcdef".into(),
        acquisition: Decimal::new(-1.0 / 3.0).ok(),
        predicted_mean: Decimal::new(0.1 + 0.2).ok(),
        predicted_deviation: Decimal::new(1e-300).ok(),
        surrogate: None,
    }))
}

const MESSAGE: &str = "it is said: \"ü\"\nand more";

fn of_the_first_trial() -> Vec<Event> {
    vec![
        planned(0),
        Event::Started {
            trial: 0,
            attempt: 1,
        },
        Event::Retried {
            trial: 0,
            attempt: 2,
            cause: RetryCause::Interrupted,
            gpu_seconds: Decimal::new(2.5).ok(),
        },
        Event::Started {
            trial: 0,
            attempt: 2,
        },
        Event::Retried {
            trial: 0,
            attempt: 3,
            cause: RetryCause::Failed {
                reason: FailureReason::DiskFull,
                message: MESSAGE.into(),
            },
            gpu_seconds: None,
        },
        Event::Recorded {
            trial: 0,
            attempt: 3,
            outcome: Recorded::Succeeded {
                score: Decimal::new(0.7).expect("finite"),
                selection_score: None,
                metrics: MetricValues::beside(
                    Metric::Accuracy,
                    &[(Metric::Accuracy, 0.7), (Metric::MacroF1, 2.0 / 3.0)].into(),
                ),
                best_epoch: 0,
                selected_layers: None,
                stopped_early: Some(EarlyStop::NotFinite),
                trained_parameters: 1,
                deployed_parameters: 1,
                train_seconds: Decimal::new(1.25).expect("finite"),
                peak_memory_bytes: u64::MAX,
                validation_examples: 5,
            },
            gpu_seconds: Decimal::new(0.1).ok(),
        },
    ]
}

/// One event of every kind, in a possible order.
fn events() -> Vec<Event> {
    let message = MESSAGE.to_owned();
    let mut events = of_the_first_trial();
    events.extend([
        planned(1),
        Event::Retried {
            trial: 1,
            attempt: 2,
            cause: RetryCause::Failed {
                reason: FailureReason::BadInput,
                message: message.clone(),
            },
            gpu_seconds: None,
        },
        Event::Concluded(Conclusion {
            reason: ConclusionReason::BadInput,
            succeeded: false,
            message: message.clone(),
        }),
        Event::Reopened,
        Event::Recorded {
            trial: 1,
            attempt: 2,
            outcome: Recorded::Infeasible {
                reason: FailureReason::OutOfMemory,
                message: message.clone(),
            },
            gpu_seconds: None,
        },
        planned(2),
        Event::SpecChanged(Box::new(spec(3))),
        Event::Recorded {
            trial: 2,
            attempt: 1,
            outcome: Recorded::Failed {
                reason: FailureReason::Lost,
                message,
            },
            gpu_seconds: None,
        },
        Event::Concluded(Conclusion {
            reason: ConclusionReason::MaxTrialsReached,
            succeeded: true,
            message: "done".into(),
        }),
    ]);
    events
}

fn written(workdir: &Path) -> Journal {
    let lock = journal::lock(workdir).expect("a lock");
    let mut journal = Journal::create(&lock, workdir, header()).expect("a journal");
    for (second, event) in (1..).zip(events()) {
        journal.write(event, time(second)).expect("written");
    }
    journal
}

#[test]
fn what_was_written_is_read_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let journal = written(folder.path());
    let history = journal::read(folder.path()).expect("read").expect("one");
    let found: Vec<Event> = history
        .events
        .iter()
        .map(|line| line.event.clone())
        .collect();
    assert_eq!(found, events());
    assert_eq!(history.header, header());
    assert_eq!(
        &history.ledger_at(u64::MAX).expect("a ledger"),
        journal.ledger()
    );
    assert_eq!(history.spec_at(12), &spec(5));
    assert_eq!(history.spec_at(13), &spec(3));
    assert_eq!(journal.spec(), &spec(3));
    assert_eq!(journal.ledger().entries()[0].failed_attempts, 1);
    assert_eq!(journal.ledger().entries()[0].attempt, 3);
    assert_eq!(journal.ledger().entries()[1].failed_attempts, 0);
    let ended = history.ledger_at(9).expect("a ledger");
    let found = ended.bad_input().expect("bad input");
    assert_eq!((found.trial, found.attempt), (1, 1));
    assert!(ended.conclusion().is_some());
    let reopened = history.ledger_at(10).expect("a ledger");
    assert!(reopened.conclusion().is_none() && reopened.bad_input().is_none());
    assert_eq!(reopened.since().open, time(10));
}

/// A crash can cut the file off anywhere: what was whole before is kept, and writing goes on.
#[test]
fn a_torn_end_is_dropped_wherever_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    drop(written(folder.path()));
    let path = folder.path().join(journal::FILE);
    let bytes = std::fs::read(&path).expect("the file");
    let lock = journal::lock(folder.path()).expect("a lock");
    for cut in 0..bytes.len() {
        std::fs::write(&path, &bytes[..cut]).expect("written");
        let whole = bytes[..cut].iter().filter(|byte| **byte == b'\n').count();
        let read = journal::read(folder.path()).expect("read");
        if whole == 0 {
            assert!(read.is_none());
            continue;
        }
        let history = read.expect("one");
        assert_eq!(history.events.len(), whole - 1);
        assert_eq!(history.torn, bytes[cut - 1] != b'\n');
        if cut % 101 == 0 {
            let mut journal = Journal::resume(&lock, folder.path(), history).expect("resumed");
            for event in events().into_iter().skip(whole - 1) {
                journal.write(event, time(99)).expect("written");
            }
            let again = journal::read(folder.path()).expect("read").expect("one");
            let found: Vec<Event> = again.events.into_iter().map(|line| line.event).collect();
            assert_eq!(found, events());
        }
    }
}

/// Any line but the last that is cut, lost, doubled or exchanged is named.
#[test]
fn damage_is_named_by_its_line() {
    let folder = tempfile::tempdir().expect("a folder");
    drop(written(folder.path()));
    let path = folder.path().join(journal::FILE);
    let text = std::fs::read_to_string(&path).expect("the file");
    let lines: Vec<&str> = text.lines().collect();
    let damaged = |lines: &[&str]| {
        std::fs::write(&path, format!("{}\n", lines.join("\n"))).expect("written");
        match journal::read(folder.path()) {
            Err(JournalError::Damaged { line, .. }) => line,
            other => panic!("not noticed: {other:?}"),
        }
    };
    for index in 0..lines.len() - 1 {
        let number = index as u64 + 1;
        let mut cut = lines.clone();
        let half = &cut[index][..cut[index].len() / 2];
        cut[index] = half;
        assert_eq!(damaged(&cut), number);
        if index > 0 {
            let mut lost = lines.clone();
            lost.remove(index);
            assert_eq!(damaged(&lost), number);
            let mut doubled = lines.clone();
            doubled.insert(index, lines[index]);
            assert_eq!(damaged(&doubled), number + 1);
        }
    }
    std::fs::write(&path, text.replacen("\"format\":1", "\"format\":9", 1)).expect("written");
    let error = journal::read(folder.path())
        .expect_err("refused")
        .to_string();
    assert!(
        error.contains("format 9") && error.contains("0.1.0"),
        "{error}"
    );
    std::fs::write(&path, vec![b'x'; 5 << 20]).expect("written");
    assert!(journal::read(folder.path()).is_err());
}

#[test]
fn a_full_disk_is_said_and_the_rest_is_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let lock = journal::lock(folder.path()).expect("a lock");
    std::os::unix::fs::symlink("/dev/full", folder.path().join(journal::FILE)).expect("a link");
    let error = Journal::create(&lock, folder.path(), header()).expect_err("full");
    assert!(error.to_string().contains("free some space"), "{error}");
}

#[test]
fn what_cannot_have_happened_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let lock = journal::lock(folder.path()).expect("a lock");
    let mut journal = Journal::create(&lock, folder.path(), header()).expect("a journal");
    let mut refuse = |event: Event, expected: LedgerError| match journal
        .write(event, time(1))
        .expect_err("refused")
    {
        JournalError::Refused(found) => assert_eq!(found, expected),
        other => panic!("{other}"),
    };
    let start = |trial, attempt| Event::Started { trial, attempt };
    refuse(start(0, 1), LedgerError::Unknown(0));
    refuse(
        planned(3),
        LedgerError::Number {
            expected: 0,
            found: 3,
        },
    );
    let all = events();
    drop(journal);
    let mut journal = Journal::create(&lock, folder.path(), header()).expect("a journal");
    for event in &all[..11] {
        journal.write(event.clone(), time(1)).expect("written");
    }
    for (event, expected) in [
        (all[5].clone(), LedgerError::Final(0)),
        (start(1, 1), LedgerError::Final(1)),
        (Event::Reopened, LedgerError::NotEnded),
    ] {
        match journal.write(event, time(2)).expect_err("refused") {
            JournalError::Refused(found) => assert_eq!(found, expected),
            other => panic!("{other}"),
        }
    }
    assert_eq!(journal.ledger().events(), 11);
}

#[test]
fn a_wrong_attempt_and_a_garbled_line_are_told_by_their_numbers() {
    let folder = tempfile::tempdir().expect("a folder");
    drop(written(folder.path()));
    let path = folder.path().join(journal::FILE);
    let text = std::fs::read_to_string(&path).expect("the file");
    let refusal = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        std::fs::write(&path, text.replacen(from, to, 1)).expect("written");
        let error = journal::read(folder.path()).expect_err("refused");
        error.to_string()
    };
    let found = refusal(
        "\"retried\":{\"trial\":0,\"attempt\":3",
        "\"retried\":{\"trial\":0,\"attempt\":5",
    );
    assert!(
        found.contains("jsonl:6: ")
            && found.contains("attempt 5 of trial 0 stands where attempt 3 belongs"),
        "{found}"
    );
    let found = refusal("{\"sequence\":2", "{\"sequence\":x");
    assert!(
        found.contains("jsonl:3: ") && found.contains("expected value at byte 13 of the line"),
        "{found}"
    );
}
