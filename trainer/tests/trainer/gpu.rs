//! The program on a GPU (`make test-gpu`). One by one: the tests share its memory.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use crate::common::program::{evaluated, lasting, measured, program, text, trial_by};
use crate::common::{configuration, gpu, movie_reviews, real_model, small_request};
use autopeft_crds::PeftConfiguration;
use autopeft_crds::trial::{FailureReason, TrialMeasurements, TrialOutcome, TrialResult};
use autopeft_trainer::reason;
use serde_json::{Value, json};
use tch::{Kind, Tensor};

/// Accuracy of the more frequent class, and more.
const LEARNT: f64 = 0.6;
/// A score's distance from the CPU's: another order of dropout's draws.
const NEAR: f64 = 0.06;

fn modules() -> PeftConfiguration {
    configuration("000111", 24, 48, 4)
}

/// A request to train all-MiniLM-L6-v2 on movie-review sentences.
fn request(changes: &[(&str, Value)]) -> Value {
    let model = real_model("all-MiniLM-L6-v2");
    let mut all = vec![
        ("/data", json!(movie_reviews(&model))),
        (
            "/fidelity",
            json!({"epochs": 1, "trainExamples": 1200, "validationExamples": 400}),
        ),
        (
            "/training",
            json!({"learningRate": "2e-3", "maxLength": 40, "batchSize": 32}),
        ),
    ];
    all.extend_from_slice(changes);
    small_request(&model, &modules(), &all)
}

fn trial_on(device: &str, request: &Value) -> (i32, TrialResult, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut program = program();
    program.args(["trial", "--device", device]);
    trial_by(program, folder.path(), request)
}

fn trained_on(device: &str, request: &Value) -> (TrialMeasurements, String) {
    let (code, result, said) = trial_on(device, request);
    assert_eq!(code, 0, "{said}");
    (measured(&result).clone(), lasting(&result))
}

#[test]
#[ignore = "needs a GPU"]
fn real_text_is_learnt_as_on_the_cpu_and_the_same_again() {
    let exact = request(&[("/training/precision", json!("Float32"))]);
    let (on_cpu, _) = trained_on("cpu", &exact);
    for (request, precision) in [(exact, "float32"), (request(&[]), "bfloat16")] {
        let (first, lasts) = trained_on("cuda", &request);
        assert_eq!((&*first.device, &*first.precision), ("cuda:0", precision));
        eprintln!(
            "{precision}: score {}, {:.2} s of {:.2} s; the CPU: {}, {:.2} s",
            first.score,
            first.train_seconds,
            first.total_seconds,
            on_cpu.score,
            on_cpu.train_seconds
        );
        assert!(first.score > LEARNT, "{precision}: {}", first.score);
        let distance = (first.score - on_cpu.score).abs();
        assert!(distance < NEAR, "{} and {}", first.score, on_cpu.score);
        assert_eq!(first.deployed_parameters, on_cpu.deployed_parameters);
        assert_eq!(lasts, trained_on("cuda", &request).1, "{precision}");
    }
}

#[test]
#[ignore = "needs a GPU"]
fn an_adapter_of_the_gpu_serves_on_the_cpu() {
    let folder = tempfile::tempdir().expect("a folder");
    let kept = folder.path().join("kept");
    let mut request = request(&[]);
    request["artifacts"] = json!(kept.to_string_lossy());
    let (trained, _) = trained_on("cuda", &request);
    let score = |device: &str| {
        let model = real_model("all-MiniLM-L6-v2");
        let data = movie_reviews(&model);
        let evaluated = evaluated(&kept, &model, &data, &["--device", device]);
        evaluated["score"].as_f64().expect("a score")
    };
    assert_eq!(score("cuda"), trained.score);
    // Without bfloat16's rounding, of 400 sentences a few are told apart otherwise.
    let served = score("cpu");
    assert!((served - trained.score).abs() < 0.02, "{served}");
}

/// In the environment of a child: which test it plays a part of.
const CHILD: &str = "AUTOPEFT_GPU_TEST";

/// A test of this file once more, in a process of its own; it knows that by `CHILD`.
fn child(test: &str) -> Command {
    let mut child = Command::new(std::env::current_exe().expect("this test"));
    child
        .args([
            &format!("gpu::{test}"),
            "--exact",
            "--ignored",
            "--nocapture",
        ])
        .env(CHILD, test)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    child
}

fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

#[test]
#[ignore = "needs a GPU"]
fn a_gpu_that_somebody_else_fills_speaks_against_no_configuration() {
    if is_child() {
        let gpu = gpu();
        let mut held = Vec::new();
        for mebibytes in [1024, 64, 8, 1] {
            let block = || Tensor::f_zeros([mebibytes << 20], (Kind::Uint8, gpu));
            while let Ok(tensor) = block() {
                held.push(tensor);
            }
        }
        eprintln!("full");
        // Until the other one has seen it.
        let _ = std::io::stdin().read(&mut [0]);
        return;
    }
    let mut holder = child("a_gpu_that_somebody_else_fills_speaks_against_no_configuration")
        .spawn()
        .expect("this test");
    let mut said = BufReader::new(holder.stderr.take().expect("its words"));
    let is_full = (&mut said)
        .lines()
        .any(|line| line.is_ok_and(|line| line.ends_with("full")));
    assert!(is_full, "its memory cannot be held");
    let (code, result, _) = trial_on("cuda", &request(&[]));
    drop(holder.stdin.take());
    holder.wait().expect("it ends");
    let TrialOutcome::Failed { reason, message } = result.outcome else {
        panic!("it was trained in no memory");
    };
    assert_eq!((code, reason), (3, FailureReason::DeviceLost), "{message}");
    assert!(message.contains("out of memory"), "{message}");
    assert_eq!(message.lines().count(), 1, "{message}");
}

/// What no trial does by itself.
#[test]
#[ignore = "needs a GPU"]
fn a_broken_context_is_a_lost_device() {
    if is_child() {
        let gpu = gpu();
        let outside = Tensor::from_slice(&[7i64]).to_device(gpu);
        let picked = Tensor::zeros([2], (Kind::Float, gpu)).f_index_select(0, &outside);
        let error = picked.and_then(|picked| picked.f_double_value(&[0]));
        eprintln!("{}", error.expect_err("an index outside"));
        return;
    }
    let child = child("a_broken_context_is_a_lost_device").output();
    let said = text(&child.expect("this test").stderr);
    assert_eq!(
        reason::of_message(&said),
        FailureReason::DeviceLost,
        "{said}"
    );
}
