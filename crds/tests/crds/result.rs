//! The result document: what is believed and what is refused.

use autopeft_crds::run::{
    Expected, MemberResult, RunRequest, RunResult, parse_run_result, was_terminated,
};
use autopeft_crds::spec::Metric;
use autopeft_crds::trial::{
    FailureReason, RESULT_MAX_BYTES, ResultError, TrialIdentity, TrialOutcome, parse_result,
};
use proptest::prelude::*;
use serde_json::{Value, json};

fn identity() -> TrialIdentity {
    TrialIdentity {
        search_uid: "uid".into(),
        trial: 3,
        attempt: 1,
        configuration_hash: "abc".into(),
    }
}

fn document() -> Value {
    json!({
        "version": 1,
        "identity": {"searchUid": "uid", "trial": 3, "attempt": 1, "configurationHash": "abc"},
        "outcome": {"succeeded": {
            "score": 0.75, "metric": "Accuracy", "bestEpoch": 1,
            "epochs": [{"epoch": 1, "loss": 0.5, "metrics": {"Accuracy": 0.75}}],
            "trainedParameters": 10, "deployedParameters": 5, "trainSeconds": 1.5,
            "totalSeconds": 2.0, "peakMemoryBytes": 100, "device": "cpu",
            "precision": "float32", "steps": 7, "validationExamples": 20,
            "seeds": {"init": 1}, "versions": {"libtorch": "2.11.0"},
        }},
    })
}

fn parse(text: &str) -> Result<TrialOutcome, ResultError> {
    parse_result(text.as_bytes(), &identity(), Metric::Accuracy).map(|result| result.outcome)
}

/// The document with one field replaced, as text.
fn with(pointer: &str, value: Value) -> String {
    let mut document = document();
    *document.pointer_mut(pointer).expect("a field") = value;
    document.to_string()
}

#[test]
fn a_result_is_read() {
    let outcome = parse(&document().to_string()).expect("a valid document");
    let TrialOutcome::Succeeded(measured) = outcome else {
        panic!("it succeeded")
    };
    assert_eq!(measured.score, 0.75);
    let failed = json!({"failed": {"reason": "OutOfMemory", "message": "too large"}});
    assert_eq!(
        parse(&with("/outcome", failed)),
        Ok(TrialOutcome::Failed {
            reason: FailureReason::OutOfMemory,
            message: "too large".into()
        })
    );
}

#[test]
fn that_a_trainer_was_terminated_is_no_outcome() {
    let lost = json!({"failed": {"reason": "Lost", "message": "after 2 epochs"}});
    let text = with("/outcome", lost);
    let terminated = ResultError::Terminated("after 2 epochs".into());
    assert_eq!(parse(&text), Err(terminated));
    assert!(was_terminated(text.as_bytes()));
    for other in [
        document().to_string(),
        text.replace("Lost", "Internal"),
        "Lost".into(),
    ] {
        assert!(!was_terminated(other.as_bytes()), "{other}");
    }
}

#[test]
fn only_a_training_that_was_not_finite_has_no_best_epoch() {
    let mut document = document();
    let measured = &mut document["outcome"]["succeeded"];
    measured["bestEpoch"] = json!(0);
    measured["epochs"] = json!([{"epoch": 0, "metrics": {"Accuracy": 0.75}}]);
    for (stop, is_valid) in [
        (json!("NotFinite"), true),
        (json!("ConstantPrediction"), false),
        (Value::Null, false),
        (json!("Tired"), false),
    ] {
        document["outcome"]["succeeded"]["stoppedEarly"] = stop;
        assert_eq!(parse(&document.to_string()).is_ok(), is_valid, "{document}");
    }
}

#[test]
fn anothers_result_is_refused() {
    for (pointer, value) in [
        ("/version", json!(2)),
        ("/identity/searchUid", json!("other")),
        ("/identity/trial", json!(4)),
        ("/identity/attempt", json!(2)),
        ("/identity/configurationHash", json!("abd")),
        ("/outcome/succeeded/metric", json!("Matthews")),
    ] {
        let error = parse(&with(pointer, value)).expect_err(pointer);
        assert!(
            matches!(error, ResultError::Mismatch { .. }),
            "{pointer}: {error}"
        );
    }
}

#[test]
fn impossible_and_malformed_results_are_refused() {
    assert_eq!(parse(""), Err(ResultError::Empty));
    let long = " ".repeat(RESULT_MAX_BYTES + 1);
    assert_eq!(
        parse(&long),
        Err(ResultError::TooLarge(RESULT_MAX_BYTES + 1))
    );
    for (pointer, value) in [
        ("/outcome/succeeded/score", json!(1.5)),
        ("/outcome/succeeded/score", json!(-0.1)),
        ("/outcome/succeeded/score", json!("NaN")),
        ("/outcome/succeeded/score", Value::Null),
        ("/outcome/succeeded/trainSeconds", json!(-1)),
        ("/outcome/succeeded/bestEpoch", json!(0)),
        ("/outcome/succeeded/validationExamples", json!(0)),
        (
            "/outcome",
            json!({"failed": {"reason": "Tired", "message": ""}}),
        ),
        (
            "/outcome",
            json!({"failed": {"reason": "Lost", "message": "x".repeat(513)}}),
        ),
        ("/outcome", json!({})),
    ] {
        let text = with(pointer, value);
        assert!(parse(&text).is_err(), "accepted {text}");
    }
    let text = document().to_string();
    for garbled in [
        text.replace("0.75", "NaN"),
        text.replace("0.75", "1e400"),
        text.replace("\"score\"", "\"scores\""),
        format!("{text}{text}"),
        "[".repeat(4000),
        "\u{feff}{}".to_owned(),
    ] {
        assert!(parse(&garbled).is_err(), "accepted {garbled}");
    }
}

/// A document that is too long, and the beginning of it that a kubelet leaves.
fn cut(padding: usize) -> String {
    let long = format!("{}{}", " ".repeat(padding), document());
    long.chars().take(RESULT_MAX_BYTES).collect()
}

/// Row 26.
#[test]
fn a_document_that_was_cut_at_the_limit_is_refused() {
    let length = document().to_string().len();
    assert!(
        parse(&cut(RESULT_MAX_BYTES - length)).is_ok(),
        "it just fits"
    );
    for over in [1, 2, 100, length - 1] {
        assert!(
            parse(&cut(RESULT_MAX_BYTES - length + over)).is_err(),
            "{over}"
        );
    }
}

/// Row 26. No stack is deep enough for what a document could ask for.
#[test]
fn json_that_is_nested_to_the_limit_is_refused() {
    for (open, close) in [("[", "]"), ("{\"outcome\":", "}"), ("{\"a\":[", "]}")] {
        let depth = RESULT_MAX_BYTES / (open.len() + close.len());
        let nested = format!("{}{}", open.repeat(depth), close.repeat(depth));
        assert!(parse(&nested).is_err(), "{open}");
        let text = document().to_string();
        let inside = text.replace(
            "\"Accuracy\":0.75",
            &format!("\"x\":{}1{}", open.repeat(150), close.repeat(150)),
        );
        assert!(inside.len() > text.len(), "it was put in");
        assert!(parse(&inside).is_err(), "{open} inside");
    }
}

proptest! {
    /// Row 26. What is no UTF-8 is refused, and so is what it becomes on its way through a pod's status.
    #[test]
    fn bytes_that_are_no_text_are_refused(position in 0_usize..500, bytes in proptest::collection::vec(0x80_u8..=0xff, 1..9)) {
        let mut garbled = document().to_string().into_bytes();
        let position = position % garbled.len();
        garbled.splice(position..position, bytes);
        if String::from_utf8(garbled.clone()).is_err() {
            prop_assert!(parse_result(&garbled, &identity(), Metric::Accuracy).is_err());
            let lossy = String::from_utf8_lossy(&garbled).into_owned();
            if let Ok(result) = parse_result(lossy.as_bytes(), &identity(), Metric::Accuracy) {
                // Inside a text that says nothing of the result.
                prop_assert!(matches!(result.outcome, TrialOutcome::Succeeded(_)));
            }
        }
    }

    #[test]
    fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = parse_result(&bytes, &identity(), Metric::Accuracy);
    }

    /// Cut or flipped anywhere, the document is refused or says the same score.
    #[test]
    fn damage_is_noticed_or_harmless(position in 0_usize..500, byte: u8, cut: bool) {
        let mut bytes = document().to_string().into_bytes();
        let position = position % bytes.len();
        if cut { bytes.truncate(position) } else { bytes[position] = byte }
        if let Ok(result) = parse_result(&bytes, &identity(), Metric::Accuracy) {
            prop_assert!(matches!(result.outcome, TrialOutcome::Succeeded(_)));
        }
    }
}

fn request(trial: u32) -> Value {
    json!({
        "identity": {"searchUid": "uid", "trial": trial, "attempt": 1, "configurationHash": "abc"},
        "configuration": {"layers": "10", "serialAdapter": 4, "parallelAdapter": 0, "prefix": 0},
        "method": "Peft",
        "model": "model",
        "data": "data",
        "task": {"name": "rte", "source": {"path": "data"}},
        "fidelity": {},
        "training": {},
    })
}

fn run(document: Value) -> Result<RunRequest, String> {
    serde_json::from_value(document).map_err(|error| error.to_string())
}

fn expected(trials: &[u32]) -> Vec<Expected> {
    let one = |trial: &u32| Expected {
        identity: TrialIdentity {
            trial: *trial,
            ..identity()
        },
        metric: Metric::Accuracy,
    };
    trials.iter().map(one).collect()
}

fn member(trial: u32, score: f64) -> Value {
    let mut outcome = document()["outcome"].clone();
    outcome["succeeded"]["score"] = json!(score);
    outcome["succeeded"]["epochs"] = json!([]);
    let mut identity = document()["identity"].clone();
    identity["trial"] = json!(trial);
    json!({"identity": identity, "outcome": outcome})
}

/// The scores that a document of several has for trials 3, 4 and 5.
fn scores(document: &Value) -> Vec<Result<f64, ResultError>> {
    parse_run_result(document.to_string().as_bytes(), &expected(&[3, 4, 5]))
        .into_iter()
        .map(|outcome| match outcome? {
            TrialOutcome::Succeeded(measured) => Ok(measured.score),
            TrialOutcome::Failed { .. } => panic!("it succeeded"),
        })
        .collect()
}

#[test]
fn a_run_of_one_trial_has_the_documents_of_its_trial() {
    let one = run(request(3)).expect("a run");
    let written = serde_json::to_value(&one).expect("JSON");
    assert_eq!(
        written,
        serde_json::to_value(&one.trials()[0]).expect("JSON")
    );
    assert_eq!(run(written), Ok(one.clone()));
    let parsed = parse_run_result(document().to_string().as_bytes(), &expected(&[3]));
    let outcome = parsed[0].clone().expect("a valid document");
    let result = RunResult::of(
        &one,
        vec![MemberResult {
            identity: identity(),
            outcome,
        }],
    );
    assert_eq!(serde_json::to_value(result).expect("JSON"), document());
}

#[test]
fn a_run_of_several_is_written_with_its_version_and_read_back() {
    let several = run(json!({"version": 2, "trials": [request(3), request(5)]})).expect("a run");
    assert_eq!(several.trials().len(), 2);
    let written = serde_json::to_value(&several).expect("JSON");
    assert_eq!(written["version"], json!(2));
    assert_eq!(run(written), Ok(several));
    for (refused, part) in [
        (
            json!({"version": 3, "trials": [request(3), request(4)]}),
            "version 3",
        ),
        (json!({"version": 2, "trials": []}), "0 trials"),
        (
            json!({"version": 2, "trials": [request(3), request(3)]}),
            "twice",
        ),
        (
            json!({"version": 2, "trials": [request(3)], "more": 1}),
            "unknown field",
        ),
        (
            json!({"version": 2, "trials": vec![request(3); 5]}),
            "5 trials",
        ),
    ] {
        let error = run(refused).expect_err("it is refused");
        assert!(error.contains(part), "{error}");
    }
    let mut other = request(4);
    other["identity"]["searchUid"] = json!("other");
    assert!(run(json!({"version": 2, "trials": [request(3), other]})).is_err());
}

#[test]
fn each_trial_of_a_run_has_an_outcome_of_its_own() {
    let members = |members: Vec<Value>| json!({"version": 2, "trials": members});
    let whole = members(vec![member(5, 0.5), member(3, 0.3), member(4, 0.4)]);
    assert_eq!(scores(&whole), [Ok(0.3), Ok(0.4), Ok(0.5)]);
    let missing = |trial| Err(ResultError::Missing { trial });
    let interrupted = members(vec![member(3, 0.3)]);
    assert_eq!(scores(&interrupted), [Ok(0.3), missing(4), missing(5)]);

    let mut others = member(4, 0.4);
    others["identity"]["configurationHash"] = json!("other");
    let found = scores(&members(vec![
        member(3, 0.3),
        others,
        json!({"identity": 7}),
    ]));
    assert_eq!(found[0], Ok(0.3));
    assert!(matches!(
        found[1],
        Err(ResultError::Mismatch {
            field: "configurationHash",
            ..
        })
    ));
    assert_eq!(found[2], missing(5));

    let found = scores(&members(vec![
        member(3, 1.5),
        member(4, 0.4),
        json!({"identity": {"trial": 5}}),
    ]));
    assert!(matches!(found[0], Err(ResultError::Impossible { .. })));
    assert_eq!(found[1], Ok(0.4));
    assert!(matches!(found[2], Err(ResultError::Malformed(_))));

    let twice = scores(&members(vec![
        member(3, 0.3),
        member(3, 0.4),
        member(4, 0.4),
    ]));
    assert!(matches!(twice[0], Err(ResultError::Malformed(_))));
    assert_eq!(twice[1], Ok(0.4));
}

#[test]
fn a_document_that_is_not_that_of_the_run_gives_no_trial_an_outcome() {
    let five = vec![member(3, 0.3); 5];
    for refused in [
        json!({"version": 1, "trials": [member(3, 0.3)]}),
        json!({"version": 2, "trials": [member(3, 0.3)], "more": 1}),
        json!({"version": 2, "trials": member(3, 0.3)}),
        json!({"version": 2, "trials": five}),
        json!({"version": 2, "trials": [], "padding": "x".repeat(RESULT_MAX_BYTES)}),
    ] {
        assert!(scores(&refused).iter().all(Result::is_err), "{refused}");
    }
    let of_one = scores(&document());
    assert_eq!(of_one[0], Ok(0.75));
    assert!(of_one[1..].iter().all(Result::is_err));
}

#[test]
fn four_outcomes_fit_into_one_document() {
    let members: Vec<Value> = (3..7)
        .map(|trial| {
            let mut member = member(trial, 0.123_456_789_012_345_67);
            member["identity"]["searchUid"] = json!("0".repeat(36));
            member["identity"]["configurationHash"] = json!("0".repeat(64));
            member["outcome"]["succeeded"]["seeds"] =
                json!({"init": u64::MAX, "order": u64::MAX, "dropout": u64::MAX, "sample": u64::MAX});
            member["outcome"]["succeeded"]["versions"] =
                json!({"peft-trainer": "10.10.10", "libtorch": "12.11.10+cu130"});
            member
        })
        .collect();
    let document = json!({"version": 2, "trials": members}).to_string();
    assert!(document.len() <= RESULT_MAX_BYTES, "{}", document.len());
}
