//! Readers that go away: the program goes on, or ends quietly by its exit codes, and never panics.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use super::bench::{Bench, finish, operator, succeed};

/// Starts a command, closes its standard output at once or after a line, and waits: the exit code, and what it
/// said on the standard error, which is closed too where `deaf`.
fn cut(command: &mut Command, lines: usize, deaf: bool) -> (i32, String) {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
    for _ in 0..lines {
        stdout.read_line(&mut String::new()).expect("a line");
    }
    drop(stdout);
    if deaf {
        drop(child.stderr.take());
    }
    let output = child.wait_with_output().expect("it ends");
    let said = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(!said.contains("panicked"), "{said}");
    (output.status.code().expect("no signal"), said)
}

#[test]
fn a_search_that_nobody_listens_to_goes_on_to_its_end() {
    let bench = Bench::new("");
    let (code, _) = cut(&mut bench.run(), 0, true);
    assert_eq!((code, &*bench.reason()), (0, "MaxTrialsReached"));
    assert_eq!(bench.ledger().len(), 8);
    let (code, said) = cut(&mut bench.run(), 0, false);
    assert_eq!((code, &*said), (0, ""));

    let failing = Bench::new("maxFailedTrials: 0");
    let (code, _) = cut(failing.run().env("FAKE", "0:silent"), 0, true);
    assert_eq!((code, &*failing.reason()), (1, "TooManyFailedTrials"));
}

#[test]
fn questions_end_quietly() {
    let bench = Bench::new("");
    let validate = || {
        let mut command = operator();
        command.arg("validate").arg(bench.manifest());
        command
    };
    for deaf in [false, true] {
        let (code, _) = cut(&mut validate(), 0, deaf);
        assert_eq!(code, 0);
        assert_eq!(cut(operator().arg("crd"), 1, deaf).0, 0);
        assert_eq!(cut(operator().arg("--help"), 0, deaf).0, 0);
        let (code, _) = cut(operator().args(["validate", "/nowhere"]), 0, deaf);
        assert_eq!(code, 2);
    }
    std::fs::write(bench.manifest(), "kind: Pod\n").expect("a manifest");
    let (code, said) = cut(&mut validate(), 0, false);
    assert_eq!(code, 2);
    assert!(
        said.contains("this program reads kind: PeftSearch"),
        "{said}"
    );
}

/// What `replay | head` has not heard is not computed; the code says that it was not compared.
#[test]
fn a_replay_ends_with_its_reader() {
    let bench = Bench::new("");
    succeed(&mut bench.run());
    let replay = || {
        let mut command = operator();
        command.arg("replay").arg(bench.workdir());
        command
    };
    assert_eq!(cut(&mut replay(), 0, false), (141, String::new()));
    assert_eq!(finish(&mut replay()).0, 0);
}

/// A disk that is full is not a reader that has gone away.
#[test]
fn a_result_that_cannot_be_written_is_said() {
    for stream in [
        operator().arg("crd"),
        operator().args(["validate", "/nowhere"]),
    ] {
        let full = std::fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .expect("a full disk");
        let output = stream.stdout(full).output().expect("it ends");
        let said = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.starts_with("peft-operator: "), "{said}");
        assert!(!said.contains("panicked"), "{said}");
    }
}
