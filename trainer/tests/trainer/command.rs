//! The program: its endings, its documents, and that the same request gives the same score.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use autopeft_crds::PeftConfiguration;
use autopeft_crds::inspection::{InspectionOutcome, parse_inspection};
use autopeft_crds::spec::Metric;
use autopeft_crds::trial::{FailureClass, FailureReason, Inspection, TrialOutcome, TrialResult};
use serde_json::{Value, json};

use crate::common::program::{
    evaluated, inspect, lasting, measured, program, run, text, trial, trial_by,
};
use crate::common::{configuration, small_request, small_trial};

/// All modules at once.
fn modules() -> PeftConfiguration {
    configuration("011", 4, 4, 2)
}

#[test]
fn the_same_request_gives_the_same_result_bit_for_bit() {
    let folder = small_trial();
    let request = small_request(folder.path(), &modules(), &[]);
    let (code, first, said) = trial(folder.path(), &request);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("epoch 6: loss "), "{said}");
    let (_, again, _) = trial(folder.path(), &request);
    assert_eq!(lasting(&first), lasting(&again));

    let other = small_request(folder.path(), &modules(), &[("/training/seed", json!(7))]);
    let (_, other, _) = trial(folder.path(), &other);
    assert_ne!(measured(&first).epochs, measured(&other).epochs);
}

#[test]
fn a_long_training_still_fits_into_its_document() {
    let folder = small_trial();
    let request = small_request(
        folder.path(),
        &modules(),
        &[
            ("/fidelity/epochs", json!(90)),
            ("/fidelity/trainExamples", json!(32)),
            ("/training/patience", json!(1000)),
        ],
    );
    let (code, result, said) = trial(folder.path(), &request);
    assert_eq!(code, 0, "{said}");
    let measured = measured(&result);
    assert!(measured.epochs.len() < 90);
    let best = measured
        .epochs
        .iter()
        .find(|epoch| epoch.epoch == measured.best_epoch);
    let best = best.expect("the best epoch is kept").metrics[&Metric::Accuracy];
    assert!((best - measured.score).abs() < 1e-6);
    assert_eq!(measured.epochs.last().expect("an epoch").epoch, 90);
}

/// A kubelet allows the containers of a pod 12 KiB of messages together.
#[test]
fn a_termination_message_is_short_however_long_the_training() {
    let folder = small_trial();
    let file = folder.path().join("request.json");
    let long = [
        ("/fidelity/epochs", json!(30)),
        ("/fidelity/trainExamples", json!(32)),
        ("/training/patience", json!(1000)),
    ];
    let request = small_request(folder.path(), &modules(), &long);
    std::fs::write(&file, request.to_string()).expect("a request");
    let file = file.to_string_lossy();
    let output = run(&["trial", "--request", &file, "--result", "/dev/stdout"]);
    assert!(output.stdout.len() <= 1024, "{}", text(&output.stdout));
    let result: TrialResult = serde_json::from_slice(&output.stdout).expect("a result");
    let measured = measured(&result);
    let mut kept = measured.epochs.iter();
    assert!(kept.any(|epoch| epoch.epoch == measured.best_epoch));
}

#[test]
fn a_failure_is_recorded_with_its_reason() {
    let folder = small_trial();
    std::fs::write(folder.path().join("train.jsonl"), "{\"text\": 1}\n").expect("a file");
    let (code, result, said) = trial(
        folder.path(),
        &small_request(folder.path(), &modules(), &[]),
    );
    assert_eq!(code, 3);
    let TrialOutcome::Failed { reason, message } = result.outcome else {
        panic!("it succeeded");
    };
    assert_eq!(reason, FailureReason::BadInput);
    assert!(
        message.contains("train.jsonl, line 1, field \"text\": found 1"),
        "{message}"
    );
    assert!(said.contains(&message), "{said}");
}

#[test]
fn what_is_gone_in_the_middle_of_a_search_does_not_end_it() {
    for file in [
        "train.jsonl",
        "validation.jsonl",
        "model.safetensors",
        "config.json",
        "tokenizer.json",
    ] {
        let folder = small_trial();
        std::fs::remove_file(folder.path().join(file)).expect("it was there");
        let request = small_request(folder.path(), &modules(), &[]);
        let (code, result, _) = trial(folder.path(), &request);
        let TrialOutcome::Failed { reason, message } = result.outcome else {
            panic!("it succeeded");
        };
        assert_eq!((code, reason), (3, FailureReason::Internal), "{message}");
        assert_eq!(reason.class(), FailureClass::Infrastructure);
        assert!(message.contains(file), "{message}");
        // By hand, it is the user's to put right; in a cluster, what is missing may come.
        let said = inspect(folder.path(), &request).expect_err("refused");
        assert!(said.contains(file), "{said}");
        let (request_file, document) = (folder.path().join("i.json"), folder.path().join("o.json"));
        std::fs::write(&request_file, request.to_string()).expect("a request");
        let (asked, told) = (request_file.to_string_lossy(), document.to_string_lossy());
        run(&["inspect", "--request", &asked, "--result", &told]);
        let uid = request["identity"]["searchUid"].as_str().expect("a UID");
        let document = std::fs::read(&document).expect("a document");
        let outcome = parse_inspection(&document, uid)
            .expect("a valid document")
            .outcome;
        let InspectionOutcome::Unavailable { message } = outcome else {
            panic!("{outcome:?}");
        };
        assert!(message.contains(file), "{message}");
    }
}

/// A GPU that is asked for is never replaced by the CPU. A trainer that can use none is the wrong
/// one; a GPU that is not there may be there elsewhere.
#[test]
fn a_gpu_that_cannot_be_used_is_told_in_the_document() {
    let (expected, of_inspection, code) = if cfg!(has_cuda) {
        (FailureReason::DeviceLost, "unavailable", 1)
    } else {
        (FailureReason::BadInput, "refused", 2)
    };
    let folder = small_trial();
    let hidden = |arguments: &[&str]| {
        let mut program = program();
        program.env("CUDA_VISIBLE_DEVICES", "").args(arguments);
        program
    };
    let request = small_request(folder.path(), &modules(), &[]);
    let told = trial_by(
        hidden(&["trial", "--device", "cuda"]),
        folder.path(),
        &request,
    );
    let TrialOutcome::Failed { reason, message } = told.1.outcome else {
        panic!("it was trained: {}", told.2);
    };
    assert_eq!((told.0, reason), (3, expected), "{message}");
    assert!(message.starts_with("--device cuda: "), "{message}");

    let (asked, document) = (folder.path().join("i.json"), folder.path().join("o.json"));
    std::fs::write(&asked, request.to_string()).expect("a request");
    let output = hidden(&["inspect", "--device", "cuda", "--request"])
        .arg(&asked)
        .arg("--result")
        .arg(&document)
        .output()
        .expect("the program starts");
    assert_eq!(output.status.code(), Some(code), "{}", text(&output.stderr));
    let document = std::fs::read_to_string(&document).expect("a document");
    assert!(document.contains(of_inspection), "{document}");
    assert!(document.contains("--device cuda: "), "{document}");
}

#[test]
fn a_request_that_is_none_ends_with_one_line_and_code_2() {
    let folder = tempfile::tempdir().expect("a folder");
    let request = folder.path().join("request.json");
    std::fs::write(&request, "{\"identity\": 5").expect("a file");
    let request = request.to_string_lossy();
    let output = run(&["trial", "--request", &request, "--result", "/dev/null"]);
    assert_eq!(output.status.code(), Some(2));
    let said = text(&output.stderr);
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("is not a trial's request: "), "{said}");
}

#[test]
fn a_result_may_go_to_a_special_file() {
    let folder = small_trial();
    let request = folder.path().join("request.json");
    let short = small_request(folder.path(), &modules(), &[("/fidelity/epochs", json!(1))]);
    std::fs::write(&request, short.to_string()).expect("a request");
    let request = request.to_string_lossy();
    let output = run(&["trial", "--request", &request, "--result", "/dev/stdout"]);
    let result: TrialResult = serde_json::from_slice(&output.stdout).expect("a result");
    assert!(measured(&result).score >= 0.0);
}

#[test]
fn a_result_that_cannot_be_written_says_where() {
    let folder = small_trial();
    let request = folder.path().join("request.json");
    let short = small_request(folder.path(), &modules(), &[("/fidelity/epochs", json!(1))]);
    std::fs::write(&request, short.to_string()).expect("a request");
    let request = request.to_string_lossy();
    let output = run(&[
        "trial",
        "--request",
        &request,
        "--result",
        "/no/such/folder/r.json",
    ]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("cannot be written to /no/such/folder/r.json"));
    let output = run(&["trial", "--request", &request, "--result", "/dev/full"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("No space left on device"));
}

#[test]
fn a_trainer_ends_with_its_parent() {
    let folder = small_trial();
    let request = folder.path().join("request.json");
    let endless = small_request(
        folder.path(),
        &modules(),
        &[
            ("/fidelity/epochs", json!(1000)),
            ("/training/patience", json!(1000)),
        ],
    );
    std::fs::write(&request, endless.to_string()).expect("a request");
    let mut child = program()
        .arg("trial")
        .arg("--request")
        .arg(&request)
        .arg("--result")
        .arg(folder.path().join("result.json"))
        .arg("--exit-with-parent")
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    std::thread::sleep(Duration::from_millis(500));
    assert!(
        child.try_wait().expect("a child").is_none(),
        "it ended by itself"
    );
    drop(child.stdin.take());
    let deadline = Instant::now() + Duration::from_secs(10);
    while child.try_wait().expect("a child").is_none() {
        assert!(Instant::now() < deadline, "it outlived its parent");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(!folder.path().join("result.json").exists());
}

#[test]
fn an_inspection_reads_every_file_that_a_trial_reads() {
    let folder = small_trial();
    // The configuration of an inspection is a placeholder.
    let request = small_request(folder.path(), &configuration("0", 0, 0, 0), &[]);
    let found = inspect(folder.path(), &request).expect("facts");
    assert_eq!((found.layers, found.hidden_size), (3, 16));
    assert_eq!((found.train_examples, found.validation_examples), (192, 64));

    let data = |found: &Inspection| found.data_fingerprint.clone().expect("a fingerprint");
    let model_of = |found: &Inspection| found.model_fingerprint.clone().expect("a fingerprint");
    assert_eq!(data(&found).len(), 64);
    let train = folder.path().join("train.jsonl");
    let lines = std::fs::read_to_string(&train).expect("a file");
    std::fs::write(&train, lines.replacen("w", "w w", 1)).expect("a file");
    std::fs::write(folder.path().join("notes.txt"), "mine").expect("a file");
    let changed = inspect(folder.path(), &request).expect("facts");
    assert_ne!(data(&found), data(&changed));
    assert_eq!(model_of(&found), model_of(&changed));
    let tokenizer = folder.path().join("tokenizer.json");
    let mut text = std::fs::read_to_string(&tokenizer).expect("a file");
    text.push('\n');
    std::fs::write(&tokenizer, text).expect("a file");
    let again = inspect(folder.path(), &request).expect("facts");
    assert_eq!(data(&again), data(&changed));
    assert_ne!(model_of(&again), model_of(&changed));

    let model = folder.path().join("model.safetensors");
    let whole = std::fs::read(&model).expect("a file");
    std::fs::write(&model, &whole[..whole.len() / 2]).expect("a file");
    let said = inspect(folder.path(), &request).expect_err("refused");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("model.safetensors"), "{said}");

    std::fs::write(&model, &whole).expect("a file");
    std::fs::write(folder.path().join("tokenizer.json"), "{").expect("a file");
    let said = inspect(folder.path(), &request).expect_err("refused");
    assert!(said.contains("tokenizer.json is not a tokenizer"), "{said}");
}

#[test]
fn an_inspection_reads_the_data_of_other_tasks_and_names_the_task_that_is_wrong() {
    let folder = small_trial();
    let other = folder.path().join("other");
    std::fs::create_dir(&other).expect("a folder");
    for name in ["train.jsonl", "validation.jsonl"] {
        std::fs::copy(folder.path().join(name), other.join(name)).expect("a copy");
    }
    let custom = json!({"type": "Classification", "textColumns": ["text"], "labelColumn": "label"});
    let given = |custom: &Value| {
        let task = json!({"name": "custom", "source": {}, "custom": custom});
        json!({"given": {"name": "second", "task": task}, "data": other})
    };
    let asked = |second: Value| {
        let others = json!([given(&custom), second]);
        let placeholder = configuration("0", 0, 0, 0);
        small_request(folder.path(), &placeholder, &[("/others", others)])
    };
    let refused = |second: Value| {
        let said = inspect(folder.path(), &asked(second)).expect_err("refused");
        assert!(said.contains("spec.transfer.tasks[1]"), "{said}");
        said
    };
    let plain = small_request(folder.path(), &configuration("0", 0, 0, 0), &[]);
    let alone = inspect(folder.path(), &plain).expect("facts");
    let both = inspect(folder.path(), &asked(given(&custom))).expect("facts");
    // The second is the first once more.
    let [first, second] = both.others.as_slice() else {
        panic!("{:?}", both.others);
    };
    assert_eq!(first, second);
    assert_eq!(Some(&first.fingerprint), alone.data_fingerprint.as_ref());
    let own = Inspection {
        others: Vec::new(),
        ..both.clone()
    };
    assert_eq!(
        own, alone,
        "they change nothing about the search's own facts"
    );

    let mut rated = custom.clone();
    rated["labelColumn"] = json!("stars");
    assert!(refused(given(&rated)).contains("stars"));
    let mut scored = given(&custom);
    scored["given"]["evaluation"] = json!({"testFile": "absent.jsonl"});
    let said = refused(scored);
    assert!(
        said.contains("spec.transfer.tasks[1].evaluation.testFile"),
        "{said}"
    );
    let mut elsewhere = given(&custom);
    elsewhere["data"] = json!(folder.path().join("nowhere"));
    assert!(refused(elsewhere).contains("nowhere"));
}

#[test]
fn a_trial_keeps_its_adapter_where_it_is_told_to_and_a_retry_replaces_it() {
    let folder = small_trial();
    let kept = folder.path().join("kept/one/trial-0");
    let mut request = small_request(folder.path(), &modules(), &[("/fidelity/epochs", json!(1))]);
    request["artifacts"] = json!(kept.to_string_lossy());
    for _attempt in 0..2 {
        let (code, result, said) = trial(folder.path(), &request);
        assert_eq!(code, 0, "{said}");
        let evaluated = evaluated(&kept, folder.path(), folder.path(), &[]);
        assert_eq!(evaluated["score"].as_f64(), Some(measured(&result).score));
    }
    let beside = std::fs::read_dir(kept.parent().expect("a folder")).expect("a folder");
    assert_eq!(beside.count(), 1, "something is left over");
    // A file is in the way: known before the training, and not the configuration's fault.
    request["artifacts"] = json!(kept.join("adapter.json/trial-1").to_string_lossy());
    let (code, result, said) = trial(folder.path(), &request);
    let TrialOutcome::Failed { reason, message } = result.outcome else {
        panic!("it was kept nowhere: {said}");
    };
    assert_eq!((code, reason), (3, FailureReason::Internal), "{message}");
    assert!(message.contains("adapter.json"), "{message}");
    assert!(!said.contains("epoch"), "it was trained: {said}");
}

/// What `inspect | head` and `trial 2>&1 | head` do: the work is done, and the exit code tells how.
#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let folder = small_trial();
    let request = small_request(folder.path(), &modules(), &[]);
    let (request_file, result_file) = (
        folder.path().join("request.json"),
        folder.path().join("result.json"),
    );
    std::fs::write(&request_file, request.to_string()).expect("a request");
    let deaf = |command: &str, result: &Path| {
        let mut child = program()
            .arg(command)
            .args(["--device", "cpu", "--request"])
            .arg(&request_file)
            .arg("--result")
            .arg(result)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        drop((child.stdout.take(), child.stderr.take()));
        child.wait().expect("it ends").code()
    };
    assert_eq!(
        deaf("inspect", &folder.path().join("inspection.json")),
        Some(0)
    );
    assert_eq!(deaf("trial", &result_file), Some(0));
    let result = std::fs::read_to_string(&result_file).expect("a result");
    assert!(result.contains("succeeded"), "{result}");

    std::fs::write(&request_file, "{}").expect("a request");
    assert_eq!(
        deaf("inspect", &folder.path().join("refused.json")),
        Some(2)
    );
}
