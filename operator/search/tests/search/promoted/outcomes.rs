//! Outcomes of trainings in full beyond a score: of an evaluation, and of a method that chooses its layers.

use autopeft_crds::status::Attempt;
use autopeft_crds::trial::FailureReason;
use autopeft_search::ledger::{Event, Recorded};
use autopeft_search::promotion;
use autopeft_search::report::{self, Files};
use autopeft_search::request::{self, Locations};
use autopeft_search::retries;
use serde_json::{Value, json};

use super::{BACKBONE, RISING, Search, decimal, object, subject};

#[test]
fn an_evaluation_is_in_the_terms_the_request_and_the_answer() {
    let promotion = |evaluation: Value| json!({"candidates": "NamedTrials", "trials": [0], "seeds": 1, "evaluation": evaluation});
    let evaluation = json!({"testFile": "test.tsv"});
    let mut search = Search::new(promotion(evaluation.clone()), &RISING);
    assert_eq!(search.plan_next(), 6);
    let locations = Locations {
        model: "model".into(),
        data: "data".into(),
        others: Default::default(),
        artifacts: None,
        promoted: None,
    };
    let requested = |trial: u32| {
        let attempt = Attempt { trial, attempt: 1 };
        let (spec, ledger) = (&search.subject.spec, &search.ledger);
        let found = request::run(spec, &locations, "uid", ledger, attempt);
        json!(found.expect("a request"))["evaluation"].clone()
    };
    assert_eq!(requested(6), evaluation);
    let probe = request::inspection(&search.subject.spec, &locations, "uid");
    assert_eq!(json!(probe.expect("a request"))["evaluation"], evaluation);

    search.record_with(6, 0.6, json!({"selectionScore": "0.7"}));
    let promoted = search.promoted();
    assert_eq!(promoted[0].mean, Some(decimal(0.6)));
    assert_eq!(promoted[0].seeds[0].selection_score, Some(decimal(0.7)));
    search.conclude();
    let page = report::report_html(&object(&search), &[]).expect("a page");
    assert!(page.contains("Scores are those of the test file test.tsv"));
    assert!(page.contains("Of the selection") && page.contains("0.7000"));
    let told = report::best(&object(&search), None, None, "run again").expect("an answer");
    assert!(
        told.contains("scored on      the test file test.tsv"),
        "{told}"
    );

    // With another one, everything is trained anew.
    let share = json!({"selectionPercent": 10});
    search.subject = subject(promotion(share.clone()));
    assert_eq!(search.promoted(), []);
    let wanted = promotion::wanted(&search.subject, &search.ledger);
    let missing =
        promotion::missing(&search.subject.spec, &wanted, &search.ledger).expect("a training");
    assert_eq!(json!(missing.terms)["evaluation"], share);
    search.subject = subject(promotion(Value::Null));
    let wanted = promotion::wanted(&search.subject, &search.ledger);
    assert_eq!(json!(wanted[0].terms).get("evaluation"), None);
}

/// A number with its thousands apart.
fn grouped(number: u64) -> String {
    match number {
        1000.. => format!("{},{:03}", number / 1000, number % 1000),
        _ => number.to_string(),
    }
}

/// Of a method that chooses its layers, each seed may choose others.
#[test]
fn a_baseline_that_chooses_its_layers_is_shown_as_it_was_trained() {
    let mut search = Search::new(
        json!({"candidates": "NamedTrials", "baselines": ["AdaptableAdapters"], "seeds": 2}),
        &RISING,
    );
    let planned = search.plan_next();
    let both = search.promoted()[0].parameters;
    search.record_with(planned, 0.6, json!({"selectedLayers": "10"}));
    let first = search.promoted().remove(0);
    assert_eq!(first.configuration.layers.to_string(), "10");
    assert_eq!(
        (first.parameters, first.fewest_parameters),
        (both / 2, None)
    );
    let planned = search.plan_next();
    search.record_with(planned, 0.5, json!({"selectedLayers": "11"}));
    let all = search.promoted().remove(0);
    assert_eq!(
        all.configuration.layers.to_string(),
        "10",
        "of the best seed"
    );
    assert_eq!(
        (all.parameters, all.fewest_parameters),
        (both, Some(both / 2))
    );
    let percent = 100.0 * both as f64 / BACKBONE as f64;
    assert!((all.parameters_percent.get() - percent).abs() < 1e-4);
    search.conclude();
    let object = object(&search);
    let page = report::report_html(&object, &[]).expect("a page");
    assert!(page.contains(&format!("{} to {}", grouped(both / 2), grouped(both))));
    let files = Files::of_workdir("work", &object.spec);
    let told = report::best(&object, Some(&files), None, "run again").expect("an answer");
    assert!(
        told.contains("peft-trainer export work/adapters/trial-6"),
        "{told}"
    );
}

/// One that is tried again stands for the one that a limit has ended.
#[test]
fn a_training_that_is_tried_again_counts_once() {
    let mut search = Search::new(
        json!({"candidates": "NamedTrials", "trials": [0], "seeds": 2}),
        &RISING,
    );
    let ended = search.plan_next();
    search.apply(Event::Recorded {
        trial: ended,
        attempt: 1,
        outcome: Recorded::Infeasible {
            reason: FailureReason::OutOfMemory,
            message: "out of memory".into(),
        },
        gpu_seconds: None,
    });
    let other = search.plan_next();
    search.record(other, 0.6);
    let progress = |search: &Search| {
        let found = search.promoted().remove(0);
        (found.progress, found.seeds.len())
    };
    assert_eq!(progress(&search), ("2/2".into(), 1));
    search.subject.spec.retry_trials = vec![ended, 0];
    let again = search.plan_next();
    assert_eq!(search.ledger.entries()[again as usize].of_trial, Some(0));
    assert_eq!(progress(&search), ("1/2".into(), 1));
    search.record(again, 0.7);
    assert_eq!(progress(&search), ("2/2".into(), 2));
    let wanted = promotion::wanted(&search.subject, &search.ledger);
    let spec = &search.subject.spec;
    assert_eq!(promotion::missing(spec, &wanted, &search.ledger), None);
    assert_eq!(retries::without_effect(spec, search.ledger.entries()), None);
}
