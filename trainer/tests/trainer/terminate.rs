//! SIGTERM: the program ends within five seconds and leaves what is known.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use autopeft_crds::run::{Expected, TERMINATED, parse_run_result, was_terminated};
use autopeft_crds::spec::Metric;
use autopeft_crds::trial::{ResultError, TrialOutcome, TrialRequest};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::common::program::program;
use crate::common::{configuration, small_request, small_trial};

/// What a pod's grace period and `peft-operator run` leave it.
const GRACE: Duration = Duration::from_secs(5);

/// Starts the program, and terminates it as soon as it says a line that begins like this. Gives the exit code and what
/// was said after.
fn terminated(arguments: &[&str], line: &str) -> (Option<i32>, String) {
    let mut child = program()
        .args(arguments)
        .args(["--device", "cpu", "--threads", "1"])
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("the program starts");
    let mut said = BufReader::new(child.stderr.take().expect("a pipe")).lines();
    let mut lines = said.by_ref().map(|line| line.expect("a line"));
    lines
        .find(|found| found.starts_with(line))
        .unwrap_or_else(|| panic!("it never said {line}"));
    let asked = Instant::now();
    let id = Pid::from_raw(child.id().cast_signed()).expect("a process");
    kill_process(id, Signal::TERM).expect("a signal");
    let rest: Vec<String> = said.map(|line| line.expect("a line")).collect();
    let status = child.wait().expect("it ends");
    assert!(asked.elapsed() < GRACE, "it took {:?}", asked.elapsed());
    (status.code(), rest.join("\n"))
}

/// A trial that takes minutes if it is not stopped.
fn long_trial(folder: &Path, trial: u32, changes: &[(&str, Value)]) -> Value {
    let long = [
        ("/fidelity/epochs", json!(1000)),
        ("/training/patience", json!(1000)),
    ];
    let modules = configuration("011", 4, 0, 0);
    let mut request = small_request(folder, &modules, &[&long, changes].concat());
    request["identity"]["trial"] = json!(trial);
    request
}

/// Terminates a run when it says a line; gives its document, the outcomes in it, and what was said after.
fn document(
    folder: &Path,
    request: &Value,
    members: &[&Value],
    line: &str,
) -> (Vec<u8>, Vec<Result<TrialOutcome, ResultError>>, String) {
    let (file, result) = (folder.join("run.json"), folder.join("result.json"));
    std::fs::write(&file, request.to_string()).expect("a request");
    let (file, place) = (file.to_string_lossy(), result.to_string_lossy());
    let arguments = ["trial", "--request", &file, "--result", &place];
    let (code, said) = terminated(&arguments, line);
    assert_eq!(code, Some(TERMINATED), "{said}");
    let bytes = std::fs::read(&result).expect("a result");
    let expected: Vec<Expected> = members
        .iter()
        .map(|member| {
            let member = (*member).clone();
            let request: TrialRequest = serde_json::from_value(member).expect("a request");
            Expected {
                identity: request.identity,
                metric: Metric::Accuracy,
            }
        })
        .collect();
    let outcomes = parse_run_result(&bytes, &expected);
    (bytes, outcomes, said)
}

#[test]
fn a_terminated_trial_says_how_far_it_was() {
    let folder = small_trial();
    let request = long_trial(folder.path(), 3, &[]);
    let (bytes, outcomes, said) = document(folder.path(), &request, &[&request], "epoch 2: ");
    assert!(was_terminated(&bytes));
    let [Err(ResultError::Terminated(message))] = &outcomes[..] else {
        panic!("{outcomes:?}");
    };
    let words = " epochs, of which the best is epoch ";
    assert!(
        message.contains(words) && message.contains("accuracy 0."),
        "{message}"
    );
    assert!(said.contains(message), "{said}");
}

/// Of a run, what had ended is an outcome like any other; what had not begun is not mentioned.
#[test]
fn the_trials_of_a_run_that_had_ended_before_keep_their_outcomes() {
    let folder = small_trial();
    let short = long_trial(folder.path(), 4, &[("/fidelity/epochs", json!(1))]);
    let long = long_trial(folder.path(), 5, &[]);
    let next = long_trial(folder.path(), 6, &[]);
    let members = [&short, &long, &next];
    let request = json!({"version": 2, "trials": members});
    let (bytes, outcomes, _) = document(folder.path(), &request, &members, "trial 5: ");
    assert!(was_terminated(&bytes));
    assert!(
        matches!(&outcomes[0], Ok(TrialOutcome::Succeeded(_))),
        "{outcomes:?}"
    );
    assert!(
        matches!(&outcomes[1], Err(ResultError::Terminated(_))),
        "{outcomes:?}"
    );
    assert_eq!(outcomes[2], Err(ResultError::Missing { trial: 6 }));
}

#[test]
fn a_terminated_train_leaves_no_adapter() {
    let folder = small_trial();
    let (file, out) = (
        folder.path().join("request.json"),
        folder.path().join("out"),
    );
    let request = long_trial(folder.path(), 0, &[]);
    std::fs::write(&file, request.to_string()).expect("a request");
    let (file, place) = (file.to_string_lossy(), out.to_string_lossy());
    let arguments = ["train", "--request", &file, "--out", &place];
    let (code, said) = terminated(&arguments, "epoch 1: ");
    assert_eq!(code, Some(TERMINATED), "{said}");
    assert!(
        said.contains("peft-trainer: terminated by SIGTERM after "),
        "{said}"
    );
    assert!(!out.join("adapter.safetensors").exists());
}
