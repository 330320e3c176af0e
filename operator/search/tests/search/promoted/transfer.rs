//! What a status and the reports say of trainings on other tasks.

use autopeft_crds::limits;
use autopeft_crds::spec::{BaselineName, Metric};
use autopeft_crds::status::{Attempt, LedgerEntry, TrialPurpose};
use autopeft_search::gauges::STATE_GAUGES;
use autopeft_search::report::{self, Files};
use autopeft_search::request::{self, Locations};
use autopeft_search::{ledger::Event, log, promotion};
use serde_json::{Value, json};

use super::{RISING, Search, decimal, object};

fn task(name: &str) -> Value {
    json!({"name": name, "source": {"path": name}})
}

/// Trial 0 and full fine-tuning in full, and on these tasks.
fn search(tasks: Value) -> Search {
    let promotion = json!({
        "candidates": "NamedTrials", "trials": [0], "seeds": 2, "budgets": ["1"], "baselines": ["FullFineTuning"],
    });
    let mut search = Search::new(promotion, &RISING);
    search.subject.spec.transfer =
        Some(serde_json::from_value(json!({"tasks": tasks})).expect("tasks"));
    search
}

fn two_tasks() -> Value {
    json!([
        {"name": "sentences", "task": task("mrpc")},
        {"name": "grammar", "task": task("cola"), "evaluation": {"selectionPercent": 10}},
    ])
}

#[test]
fn each_task_has_a_row_with_every_configuration_and_its_own_metric() {
    let mut search = search(two_tasks());
    assert_eq!(search.status().transfer, []);
    search.promote(|of, before| {
        let score = 0.5 + 0.05 * f64::from(before);
        Some(if of.is_some() { score } else { score - 0.1 })
    });
    let found = search.status().transfer;
    let rows: Vec<(&str, Metric)> = found
        .iter()
        .map(|row| (row.task.as_str(), row.metric))
        .collect();
    assert_eq!(
        rows,
        [
            ("sentences", Metric::Accuracy),
            ("grammar", Metric::Matthews)
        ]
    );
    let [own, full] = found[0].results.as_slice() else {
        panic!("{found:?}");
    };
    assert_eq!((own.trial, own.baseline), (Some(0), None));
    assert_eq!(full.baseline, Some(BaselineName::FullFineTuning));
    assert_eq!(
        (own.mean, own.progress.as_str()),
        (Some(decimal(0.625)), "2/2")
    );
    assert_eq!(own.standard_deviation, Some(decimal(0.0353553)));
    assert_eq!(full.mean, Some(decimal(0.525)));
    let seeds: Vec<(u64, u32)> = own
        .seeds
        .iter()
        .map(|seed| (seed.seed, seed.trial))
        .collect();
    assert_eq!(seeds, [(43, 10), (44, 11)]);
    assert_eq!(found[1].results[0].seeds[0].trial, 14);
    // What is found on other tasks changes nothing about the search's own.
    assert_eq!(search.promoted()[0].mean, Some(decimal(0.525)));
    assert_eq!(search.recommended().len(), 1);
}

#[test]
fn a_training_on_another_task_asks_for_its_data_and_keeps_no_adapter_on_one_machine() {
    let mut search = search(two_tasks());
    let evaluated = |search: &Search, trial: u32| {
        let terms = search.ledger.entries()[trial as usize].terms.clone();
        json!(terms)["evaluation"].clone()
    };
    while search.ledger.entries().len() < 15 {
        let trial = search.plan_next();
        search.record(trial, 0.5);
    }
    assert_eq!(evaluated(&search, 10), Value::Null);
    assert_eq!(evaluated(&search, 14), json!({"selectionPercent": 10}));
    let spec = &search.subject.spec;
    let others = request::others(spec).iter();
    let locations = Locations {
        model: "model".into(),
        data: "data".into(),
        others: others
            .map(|other| (other.task.clone(), format!("data of {}", other.name)))
            .collect(),
        artifacts: None,
        promoted: Some("adapters".into()),
    };
    let requested = |trial: u32| {
        let attempt = Attempt { trial, attempt: 1 };
        let found = request::run(spec, &locations, "uid", &search.ledger, attempt);
        json!(found.expect("a request"))
    };
    let own = requested(6);
    assert_eq!(
        (&own["data"], &own["artifacts"]),
        (&json!("data"), &json!("adapters/trial-6"))
    );
    let other = requested(10);
    assert_eq!(other["data"], "data of sentences");
    assert_eq!(other["task"], task("mrpc"));
    assert_eq!(other["artifacts"], Value::Null);
    for field in ["fidelity", "training", "configuration", "model"] {
        assert_eq!(other[field], own[field], "{field}");
    }
    let expected = request::expected(spec, "uid", &search.ledger.entries()[14]);
    assert_eq!(expected.metric, Metric::Matthews);
    let unknown = Locations {
        others: Vec::new(),
        ..locations.clone()
    };
    let attempt = Attempt {
        trial: 10,
        attempt: 1,
    };
    let refused = request::run(spec, &unknown, "uid", &search.ledger, attempt);
    let refused = refused.expect_err("no location").to_string();
    assert!(
        refused.contains("spec.transfer does not say where"),
        "{refused}"
    );

    let probe = request::inspection(spec, &locations, "uid").expect("a request");
    let probe = json!(probe)["others"].clone();
    assert_eq!(probe[0]["data"], "data of sentences");
    assert_eq!(
        probe[0]["given"],
        json!({"name": "sentences", "task": task("mrpc")})
    );
    assert_eq!(
        probe[1]["given"]["evaluation"],
        json!({"selectionPercent": 10})
    );
}

#[test]
fn results_on_a_task_that_has_changed_do_not_count() {
    let mut search = search(two_tasks());
    search.promote(|_, _| Some(0.5));
    assert_eq!(search.status().transfer.len(), 2);
    let mut tasks = two_tasks();
    tasks[0]["name"] = json!("renamed");
    tasks[1]["task"]["metric"] = json!("Accuracy");
    search.subject.spec.transfer =
        Some(serde_json::from_value(json!({"tasks": tasks})).expect("tasks"));
    let rows = search.status().transfer;
    assert_eq!((rows.len(), rows[0].task.as_str()), (1, "renamed"));
    let wanted = promotion::wanted(&search.subject, &search.ledger);
    assert_eq!(wanted.len(), 12);
    let missing = promotion::missing(&search.subject.spec, &wanted, &search.ledger);
    let terms = &missing.expect("the other metric").terms;
    assert_eq!(json!(terms.task)["metric"], "Accuracy");
    search.subject.spec.transfer = None;
    assert_eq!(search.status().transfer, []);
}

#[test]
fn the_matrix_is_on_the_page_and_in_the_answers() {
    let mut search = search(two_tasks());
    search.promote(|of, before| {
        // Full fine-tuning lost its last training on the second task.
        (of.is_some() || before < 5).then_some(match of {
            Some(_) => 0.5 + 0.05 * f64::from(before),
            None => 0.6,
        })
    });
    search.conclude();
    let object = object(&search);
    let page = report::report_html(&object, &[]).expect("a page");
    let at = page
        .find("<h2 id=\"transfer\">On other tasks</h2>")
        .expect("a section");
    let end = page[at..].find("</table>").expect("a table");
    let section = &page[at..at + end];
    for words in [
        "2 other tasks",
        "rte<br>accuracy",
        "sentences<br>accuracy",
        "grammar<br>",
        // Trial 0: worse than full fine-tuning on the search's task, better on the first other one.
        "0.5250 ± 0.0354<br>-0.0750",
        "<b>0.6250 ± 0.0354</b><br>+0.0250",
        "<b>0.7250 ± 0.0354</b>",
        "<b>0.6000 ± 0.0000</b>",
        // No fair mean, so no comparison.
        "0.6000 (2/2)",
        // (0.525 + 0.625 + 0.725) / 3
        "0.6250</td>",
    ] {
        assert!(section.contains(words), "{words:?} is not in {section}");
    }
    let files = Files::of_workdir("work", &object.spec);
    let told = report::best(&object, Some(&files), None, "run again").expect("an answer");
    let line = "  on sentences   accuracy 0.6250 ± 0.0354, 2/2 trainings; full fine-tuning 0.6000 ± 0.0000\n";
    assert!(told.contains(line), "{told}");
    let table = report::front_table(&object.spec, &search.status());
    let line =
        "on sentences: best trial 0, accuracy 0.6250 ± 0.0354; full fine-tuning 0.6000 ± 0.0000\n";
    assert!(table.contains(line), "{table}");

    let csv = report::trials_csv(&search.status()).expect("CSV");
    let mut rows = csv
        .lines()
        .map(|line| line.rsplit(',').next().unwrap_or_default());
    assert_eq!(rows.next(), Some("otherTask"));
    let tasks: Vec<&str> = rows.collect();
    assert_eq!(tasks[..10], [""; 10]);
    assert_eq!(
        tasks[10..15],
        [
            "sentences",
            "sentences",
            "sentences",
            "sentences",
            "grammar"
        ]
    );
}

/// Metrics that only another task has are no columns of the search's tables.
#[test]
fn metrics_of_another_task_stay_with_it() {
    let mut search = search(two_tasks());
    while search.ledger.entries().len() < 14 {
        let trial = search.plan_next();
        search.record(trial, 0.5);
    }
    let trial = search.plan_next();
    search.record_with(trial, 0.5, json!({"metrics": {"F1": "0.4"}}));
    let page = report::report_html(&object(&search), &[]).expect("a page");
    assert!(!page.contains("<th class=\"number\">F1</th>"));
    let csv = report::trials_csv(&search.status()).expect("CSV");
    assert!(csv.contains(",0.4,"), "{csv}");
}

#[test]
fn what_is_planned_and_found_on_other_tasks_is_logged_and_counted() {
    let mut search = search(two_tasks());
    while search.ledger.entries().len() < 10 {
        let trial = search.plan_next();
        search.record(trial, 0.5);
    }
    let wanted = promotion::wanted(&search.subject, &search.ledger);
    let training = promotion::missing(&search.subject.spec, &wanted, &search.ledger);
    let planned = training.expect("a training").plan(&search.ledger);
    let event = Event::Planned(Box::new(planned));
    let line = log::line(&event, &search.status()).expect("a line");
    assert!(
        line.text
            .starts_with("trial 10 planned (Transfer to mrpc of trial 0, seed 43): "),
        "{}",
        line.text
    );
    search.apply(event);
    let mut gauge = STATE_GAUGES.iter();
    let gauge = gauge.find(|gauge| gauge.name == "autopeft_search_transfers");
    let gauge = gauge.expect("a gauge");
    let count = |search: &Search, state| (gauge.value)(&object(search), &search.status(), state);
    assert_eq!(count(&search, "running"), Some(1.0));
    search.record(10, 0.75);
    assert_eq!(count(&search, "succeeded"), Some(1.0));
    assert_eq!(count(&search, "failed"), Some(0.0));
    let progress = autopeft_search::promoted::progress(&search.subject.spec, &search.ledger);
    let expected =
        "4 of 4 trainings in full have ended; 1 of 1 trainings on other tasks have ended";
    assert_eq!(progress.as_deref(), Some(expected));
    search.subject.spec.transfer = None;
    assert_eq!(count(&search, "succeeded"), None);
}

#[test]
fn as_many_trainings_on_other_tasks_as_the_rules_allow_fit_into_the_object() {
    let file = json!({"testFile": format!("{}.tsv", "t".repeat(252))});
    let promotion = json!({"seeds": 25, "learningRate": "3e-4", "patience": 3, "evaluation": file});
    let mut search = Search::new(promotion, &RISING);
    let path = "p".repeat(1000);
    let task =
        json!({"name": "mrpc", "source": {"claim": {"name": "c".repeat(250), "path": path}}});
    let bytes = task.to_string().len() as u64;
    let tasks = json!({"tasks": [{"name": "n".repeat(63), "task": task}]});
    search.subject.spec.transfer = Some(serde_json::from_value(tasks).expect("tasks"));
    search.promote(|of, seed| Some(f64::from(seed + of?) / 3.0e3));
    let object = object(&search);
    let size = serde_json::to_vec(&object).expect("JSON").len() as u64;
    let entries = search.ledger.entries().iter();
    let is_moved = |entry: &&LedgerEntry| entry.purpose() == TrialPurpose::Transfer;
    let moved = entries.clone().filter(is_moved).count() as u64;
    assert_eq!((entries.count(), moved), (306, 150));
    let bound = 306 * limits::ENTRY_BYTES + moved * (bytes + 100);
    assert!(size < bound, "{size} bytes, and the rules count {bound}");
    assert!(
        size > bound / 2,
        "the bound is far too large for {size} bytes"
    );
}
