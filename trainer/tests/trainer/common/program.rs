//! The program: runs it and reads its documents.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use autopeft_crds::trial::{
    Inspection, RESULT_MAX_BYTES, TrialMeasurements, TrialOutcome, TrialRequest, TrialResult,
    parse_result,
};
use serde_json::Value;

/// The program, to be given arguments.
pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_peft-trainer"));
    command.stdin(Stdio::null());
    command
}

/// Runs the program.
pub fn run(arguments: &[&str]) -> Output {
    program()
        .args(arguments)
        .output()
        .expect("the program starts")
}

/// What `evaluate` prints of an adapter, with more arguments.
pub fn evaluated(adapter: &Path, model: &Path, data: &Path, more: &[&str]) -> Value {
    let path = |path: &Path| path.to_string_lossy().into_owned();
    let (adapter, model, data) = (path(adapter), path(model), path(data));
    let files = ["--adapter", &adapter, "--model", &model, "--data", &data];
    let output = run(&[&["evaluate"], &files[..], more].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// What it said.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs `trial` in a folder on the CPU; gives the exit code, the result and what was said.
pub fn trial(folder: &Path, request: &Value) -> (i32, TrialResult, String) {
    let mut program = program();
    program.args(["trial", "--device", "cpu"]);
    trial_by(program, folder, request)
}

/// The same by a program that has its first arguments.
pub fn trial_by(
    mut program: Command,
    folder: &Path,
    request: &Value,
) -> (i32, TrialResult, String) {
    let (request_file, result_file) = (folder.join("request.json"), folder.join("result.json"));
    std::fs::write(&request_file, request.to_string()).expect("a request");
    let output = program
        .args(["--threads", "2", "--request"])
        .arg(&request_file)
        .arg("--result")
        .arg(&result_file)
        .output()
        .expect("the program starts");
    let bytes = std::fs::read(&result_file).expect("a result");
    assert!(bytes.len() <= RESULT_MAX_BYTES);
    let request: TrialRequest = serde_json::from_value(request.clone()).expect("a request");
    let metric = request.task.score_metric();
    let result = parse_result(&bytes, &request.identity, metric).expect("a valid result");
    (
        output.status.code().expect("a code"),
        result,
        text(&output.stderr),
    )
}

/// What was measured.
pub fn measured(result: &TrialResult) -> &TrialMeasurements {
    match &result.outcome {
        TrialOutcome::Succeeded(measured) => measured,
        TrialOutcome::Failed { message, .. } => panic!("failed: {message}"),
    }
}

/// What must be the same when a trial is run again.
pub fn lasting(result: &TrialResult) -> String {
    let mut lasting = measured(result).clone();
    lasting.train_seconds = 0.0;
    lasting.total_seconds = 0.0;
    lasting.peak_memory_bytes = 0;
    serde_json::to_string(&lasting).expect("JSON")
}

/// Runs `inspect`; gives what it printed, or what it said.
pub fn inspect(folder: &Path, request: &Value) -> Result<Inspection, String> {
    let file = folder.join("inspect.json");
    std::fs::write(&file, request.to_string()).expect("a request");
    let output = run(&["inspect", "--request", &file.to_string_lossy()]);
    match output.status.code() {
        Some(0) => Ok(serde_json::from_slice(&output.stdout).expect("an inspection")),
        code => {
            assert_eq!(code, Some(2));
            assert!(output.stdout.is_empty());
            Err(text(&output.stderr))
        }
    }
}
