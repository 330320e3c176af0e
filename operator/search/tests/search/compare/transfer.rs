//! What each search found, on the tasks of the others.

use autopeft_crds::PeftSearch;
use autopeft_crds::spec::{BaselineName, Metric};
use autopeft_crds::status::{
    PromotedResult, TransferResult, TransferScore, TrialOrigin, TrialTerms,
};
use autopeft_crds::trial::{Inspection, OtherData};
use autopeft_search::compare::{Comparison, Transfer, TransferRow, compare};
use autopeft_search::report;
use serde_json::{Value, json};

use super::studies::{given, promoted, search};
use crate::report::searches::{configuration, decimal, entry};

fn task(name: &str) -> Value {
    json!({"name": name, "source": {"claim": {"name": "autopeft", "path": format!("data/{name}")}}})
}

fn full(mean: f64) -> PromotedResult {
    PromotedResult {
        trial: None,
        baseline: Some(BaselineName::FullFineTuning),
        parameters: 22_713_216,
        parameters_percent: decimal(100.0),
        ..promoted(0, mean)
    }
}

fn on(task: &str, metric: Metric, results: Vec<PromotedResult>) -> TransferResult {
    let score = |found: PromotedResult| TransferScore {
        trial: found.trial,
        baseline: found.baseline,
        parameters: found.parameters,
        mean: found.mean,
        standard_deviation: found.standard_deviation,
        train_seconds: found.train_seconds,
        progress: found.progress,
        seeds: found.seeds,
    };
    TransferResult {
        task: task.into(),
        metric,
        results: results.into_iter().map(score).collect(),
    }
}

/// A search on a known task with trainings in full over two seeds, there and on other tasks. The fingerprint of a
/// task's data is its name.
fn moved(
    name: &str,
    own: &str,
    results: Vec<PromotedResult>,
    others: Vec<(&str, TransferResult)>,
) -> PeftSearch {
    let mut search = search(name, 1, 8, 4);
    search.spec.task = serde_json::from_value(task(own)).expect("a task");
    search.spec.promotion = serde_json::from_value(json!({"seeds": 2})).expect("a promotion");
    let tasks: Vec<Value> = others
        .iter()
        .map(|(known, found)| json!({"name": found.task, "task": task(known)}))
        .collect();
    search.spec.transfer = (!tasks.is_empty())
        .then(|| serde_json::from_value(json!({"tasks": tasks})).expect("a transfer"));
    let transfer = search.spec.transfer.iter();
    let data = transfer
        .flat_map(|transfer| &transfer.tasks)
        .map(|other| OtherData {
            task: other.task.hash(),
            fingerprint: other.task.name.as_str().into(),
        })
        .collect();
    let found = inspection(&mut search);
    found.data_fingerprint = Some(own.into());
    found.others = data;
    let status = search.status.as_mut().expect("a status");
    status.promoted = results;
    status.transfer = others.into_iter().map(|(_, found)| found).collect();
    search
}

fn inspection(search: &mut PeftSearch) -> &mut Inspection {
    let status = search.status.as_mut().expect("a status");
    status.inspection.as_mut().expect("an inspection")
}

/// A search on RTE with full fine-tuning and one on MRPC, each trained on the task of the other. The first has a
/// better configuration beyond 1 %, and a third task; the second has lost a training on RTE.
fn two_searches() -> [PeftSearch; 2] {
    let large = PromotedResult {
        parameters: 1_200_000,
        parameters_percent: decimal(5.28),
        ..promoted(5, 0.9)
    };
    let on_rte = moved(
        "on-rte",
        "rte",
        vec![promoted(3, 0.7), large.clone(), full(0.68)],
        vec![
            (
                "mrpc",
                on(
                    "paraphrases",
                    Metric::Accuracy,
                    vec![promoted(3, 0.74), large.clone(), full(0.84)],
                ),
            ),
            (
                "cola",
                on(
                    "grammar",
                    Metric::Matthews,
                    vec![promoted(3, 0.3), large, full(0.35)],
                ),
            ),
        ],
    );
    let mut lost = promoted(4, 0.99);
    lost.seeds.pop();
    lost.standard_deviation = None;
    let on_mrpc = moved(
        "on-mrpc",
        "mrpc",
        vec![promoted(4, 0.8)],
        vec![("rte", on("rte", Metric::Accuracy, vec![lost]))],
    );
    [on_rte, on_mrpc]
}

fn compared(searches: impl IntoIterator<Item = PeftSearch>) -> Comparison {
    compare(&given(searches), 1.0).expect("a comparison")
}

fn one(searches: impl IntoIterator<Item = PeftSearch>) -> Transfer {
    let mut found = compared(searches).transfers;
    assert_eq!(found.len(), 1);
    found.remove(0)
}

fn names(found: &Transfer) -> Vec<(&str, Metric)> {
    let columns = found.columns.iter();
    columns
        .map(|column| (column.task.as_str(), column.metric))
        .collect()
}

/// A search, the trial that its configuration is of, and its fair means.
type Means<'a> = (&'a str, Option<u32>, Vec<Option<f64>>);

/// What each row is of, and its fair means.
fn rows(found: &Transfer) -> Vec<Means<'_>> {
    let of = |row: &TransferRow| -> Vec<Option<f64>> {
        let cells = row.cells.iter();
        cells.map(|cell| cell.as_ref()?.fair()).collect()
    };
    found
        .rows
        .iter()
        .map(|row| (row.search.as_str(), row.what.0, of(row)))
        .collect()
}

#[test]
fn searches_and_tasks_are_a_matrix() {
    let found = one(two_searches());
    assert_eq!(found.title, "On other tasks");
    assert_eq!(
        names(&found),
        [
            ("rte", Metric::Accuracy),
            ("mrpc", Metric::Accuracy),
            ("grammar", Metric::Matthews)
        ]
    );
    // Trial 5 is better, and beyond the budget; a score without all of its trainings is not a fair one.
    assert_eq!(
        rows(&found),
        [
            ("on-rte", Some(3), vec![Some(0.7), Some(0.74), Some(0.3)]),
            ("on-mrpc", Some(4), vec![None, Some(0.8), None]),
            ("on-rte", None, vec![Some(0.68), Some(0.84), Some(0.35)]),
        ]
    );
    let own: Vec<Vec<bool>> = found
        .rows
        .iter()
        .map(|row| (0..3).map(|column| row.is_own(column)).collect())
        .collect();
    assert_eq!(
        own,
        [
            [true, false, false],
            [false, true, false],
            [false, false, false]
        ]
    );
    let ranges: Vec<Option<(f64, f64)>> = found.columns.iter().map(|column| column.range).collect();
    assert_eq!(
        ranges,
        [Some((0.68, 0.7)), Some((0.74, 0.84)), Some((0.3, 0.35))]
    );
    assert_eq!(found.notes, [""; 0]);
    assert!((found.rows[2].percent - 100.0).abs() < 1e-9);
    // A larger budget lets the better one in.
    let wide = compare(&given(two_searches()), 10.0).expect("a comparison");
    assert_eq!(rows(&wide.transfers[0])[0].1, Some(5));
    let tight = compare(&given(two_searches()), 0.01).expect("a comparison");
    let [tight] = &tight.transfers[..] else {
        panic!("one matrix");
    };
    assert_eq!(rows(tight).len(), 1, "full fine-tuning alone");
    assert_eq!(
        tight.notes[0],
        "on-rte: no configuration within 0.01 % has a score from each of its trainings in full"
    );
}

#[test]
fn the_matrix_is_on_the_page_and_in_the_terminal() {
    let comparison = compared(two_searches());
    let page = report::comparison_html(&comparison).expect("a page");
    let at = page.find("<h2>On other tasks</h2>").expect("a section");
    let section = &page[at..];
    for words in [
        "within 1 % of the backbone",
        "mrpc<br>accuracy",
        "grammar<br>Matthews correlation",
        "on-rte<br>trial 3, searched on rte</td>",
        "<td class=\"number own heat5\"><b>0.7000 ± 0.0100</b></td>",
        "<td class=\"number\">0.7400 ± 0.0100</td>",
        "<td class=\"number\">0.9900 (2/2)</td>",
        "<td class=\"number own heat3\">0.8000 ± 0.0100</td>",
        "<td class=\"number heat5\"><b>0.8400 ± 0.0100</b></td>",
        "<td class=\"number\">–</td>",
        "<td>full fine-tuning</td>",
    ] {
        assert!(section.contains(words), "{words:?} is not in {section}");
    }
    assert_eq!(
        section.matches("<b>").count(),
        3,
        "one best mean of each task"
    );
    let text = report::comparison_text(&comparison);
    let at = text.find("On other tasks\n").expect("a section");
    let lines: Vec<&str> = text[at..].lines().skip(2).collect();
    for (line, words) in lines.iter().zip([
        ["rte, accuracy", "mrpc, accuracy", "grammar, Matthews"],
        ["on-rte", "[0.7000 ± 0.0100]*", " 0.7400 ± 0.0100"],
        ["on-mrpc", " 0.9900 (2/2)", "[0.8000 ± 0.0100]"],
        ["full fine-tuning", " 0.6800 ± 0.0100", " 0.8400 ± 0.0100 *"],
        ["[ ]: ", "*: ", ""],
    ]) {
        for word in words {
            assert!(line.contains(word), "{word:?} is not in {line:?}");
        }
    }
    assert_eq!(lines.len(), 5, "{lines:?}");
}

/// Names another place of its data.
fn move_away(search: &mut PeftSearch) {
    let claim = search.spec.task.source.claim.as_mut();
    claim.expect("a claim").path = "elsewhere".into();
}

#[test]
fn other_data_of_one_name_does_not_share_a_column() {
    type Change = fn(&mut PeftSearch);
    // What changes in the search on MRPC, the columns, and what is said.
    let other_files: Change = |search| inspection(search).data_fingerprint = Some("f00d".into());
    let other_evaluation: Change = |search| {
        let promotion = search.spec.promotion.as_mut().expect("a promotion");
        promotion.evaluation =
            serde_json::from_value(json!({"selectionPercent": 10})).expect("an evaluation");
    };
    let other_metric: Change = |search| search.spec.task.metric = Some(Metric::F1);
    let other_place: Change = move_away;
    let unknown: Change = |search| inspection(search).data_fingerprint = None;
    let unknown_elsewhere: Change = |search| {
        inspection(search).data_fingerprint = None;
        move_away(search);
    };
    let same_metric: Change = |search| search.spec.task.metric = Some(Metric::Accuracy);
    let apart = ["rte", "mrpc", "paraphrases", "grammar"];
    let together = ["rte", "mrpc", "grammar"];
    let cases: [(Change, &[&str], &str); 7] = [
        (
            other_files,
            &apart,
            "mrpc (on-mrpc) and paraphrases (on-rte) do not share a column: they have other files of data",
        ),
        (
            other_evaluation,
            &["rte [1]", "mrpc", "paraphrases", "grammar", "rte [2]"],
            "their scores come from other examples",
        ),
        (other_metric, &apart, ""),
        (other_place, &together, "equal by fingerprint"),
        (unknown, &together, ""),
        (
            unknown_elsewhere,
            &apart,
            "the fingerprint of one is unknown, so their files cannot be compared",
        ),
        (same_metric, &together, ""),
    ];
    for (change, columns, note) in cases {
        let [on_rte, mut on_mrpc] = two_searches();
        change(&mut on_mrpc);
        let found = one([on_rte, on_mrpc]);
        let tasks: Vec<&str> = names(&found).into_iter().map(|(task, _)| task).collect();
        assert_eq!(tasks, columns, "{note}");
        assert_eq!(found.notes.is_empty(), note.is_empty(), "{:?}", found.notes);
        assert!(
            found.notes.iter().all(|told| told.contains(note)),
            "{note}: {:?}",
            found.notes
        );
    }
}

#[test]
fn a_baseline_of_several_searches_has_a_row_of_each() {
    let [on_rte, mut on_mrpc] = two_searches();
    let status = on_mrpc.status.as_mut().expect("a status");
    status.promoted.push(full(0.79));
    let promotion = on_mrpc.spec.promotion.as_mut().expect("a promotion");
    promotion.epochs = 3;
    let comparison = compared([on_rte, on_mrpc]);
    let found = &comparison.transfers[0];
    assert_eq!(
        rows(found)[2..],
        [
            ("on-rte", None, vec![Some(0.68), Some(0.84), Some(0.35)]),
            ("on-mrpc", None, vec![None, Some(0.79), None]),
        ]
    );
    let page = report::comparison_html(&comparison).expect("a page");
    for search in ["on-rte", "on-mrpc"] {
        let words = format!("full fine-tuning<br>trained by {search}</td>");
        assert!(page.contains(&words), "{words}");
    }
    assert_eq!(
        found.notes,
        [
            "the searches do not train in full alike: on-rte with promotion.epochs 20; on-mrpc with promotion.epochs 3"
        ]
    );
}

/// A row needs a task on which another search has trained, and the same model.
#[test]
fn searches_without_other_tasks_have_a_row_where_they_share_a_task() {
    let alone = |name: &str, own: &str| moved(name, own, vec![promoted(2, 0.6)], Vec::new());
    assert_eq!(
        compared([alone("a", "rte"), alone("b", "mrpc")]).transfers,
        []
    );
    let page = report::comparison_html(&compared([alone("a", "rte")])).expect("a page");
    assert!(!page.contains("On other tasks"));

    let [on_rte, _] = two_searches();
    let mut large = alone("large", "mrpc");
    inspection(&mut large).backbone_parameters += 1;
    let found = one([
        on_rte,
        alone("shared", "mrpc"),
        alone("apart", "sst2"),
        large,
    ]);
    assert_eq!(names(&found).len(), 3);
    let searches: Vec<&str> = found.rows.iter().map(|row| row.search.as_str()).collect();
    assert_eq!(searches, ["on-rte", "shared", "on-rte"]);

    let [on_rte, mut on_mrpc] = two_searches();
    inspection(&mut on_mrpc).backbone_parameters += 1;
    let found = compared([on_rte, on_mrpc]).transfers;
    let titles: Vec<&str> = found.iter().map(|one| one.title.as_str()).collect();
    assert_eq!(titles, ["On other tasks, all-MiniLM-L6-v2"; 2]);
    assert_eq!(names(&found[0]).len(), 3);
    assert_eq!(names(&found[1]).len(), 2);
}

/// A score on another task stands beside that task and its metric.
#[test]
fn a_trial_on_another_task_has_its_row() {
    let [mut on_rte, _] = two_searches();
    let other = on_rte.spec.transfer.as_ref().expect("a transfer").tasks[1].clone();
    let status = on_rte.status.as_mut().expect("a status");
    let mut moved = entry(30, configuration("011011", 24, 0, 6));
    moved.origin = TrialOrigin::Transfer;
    moved.of_trial = Some(3);
    moved.score = Some(decimal(0.3));
    moved.terms = Some(Box::new(TrialTerms {
        task: Some(other.task),
        ..TrialTerms::default()
    }));
    status.ledger.push(moved);
    // Its results are told from those of the first task by their trials.
    for seed in status.transfer[0]
        .results
        .iter_mut()
        .flat_map(|found| &mut found.seeds)
    {
        seed.trial += 10;
    }
    let all = given([on_rte]);
    let comparison = compare(&all, 1.0).expect("a comparison");
    let csv = report::comparison_csv(&all, &comparison).expect("rows");
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let headers = reader.headers().expect("headers").clone();
    let column = |name: &str| headers.iter().position(|header| header == name);
    let [task, metric, purpose, other] =
        ["task", "metric", "purpose", "otherTask"].map(|name| column(name).expect("a column"));
    let rows: Vec<csv::StringRecord> = reader.records().collect::<Result<_, _>>().expect("rows");
    let of = |wanted: &str| {
        let mut found = rows.iter().filter(|row| &row[purpose] == wanted);
        let row = found.next().expect("a row");
        [&row[task], &row[metric], &row[other]].map(str::to_owned)
    };
    assert_eq!(of("Transfer"), ["rte", "Matthews correlation", "grammar"]);
    assert_eq!(of("Search"), ["rte", "accuracy", ""]);
}
