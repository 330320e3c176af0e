//! The reports: whole outputs against kept ones, what is escaped, and that no search makes them panic.

mod arbitrary;
pub mod searches;

use std::path::{Path, PathBuf};

use autopeft_crds::PeftSearch;
use autopeft_crds::status::TrialState;
use autopeft_crds::trial::FailureReason;
use autopeft_search::report;
use searches::{asked, configuration, entry, finished, trace, with_ledger};

/// The outputs of one search: file name and text.
fn outputs(search: &PeftSearch) -> [(&'static str, String); 4] {
    let status = search.status.clone().unwrap_or_default();
    [
        ("front.txt", report::front_table(&search.spec, &status)),
        (
            "trials.csv",
            report::trials_csv(&status).expect("trials.csv"),
        ),
        ("front.svg", report::front_svg(search).expect("front.svg")),
        (
            "report.html",
            report::report_html(search, &trace(search)).expect("report.html"),
        ),
    ]
}

/// Checks what any search must hold: documents that parse, and nothing from elsewhere in the page.
fn check(search: &PeftSearch) -> [(&'static str, String); 4] {
    let outputs = outputs(search);
    let [_, (_, csv), (_, svg), (_, html)] = &outputs;
    roxmltree::Document::parse(svg).unwrap_or_else(|error| panic!("front.svg: {error}\n{svg}"));
    for figure in html.split("<svg").skip(1) {
        let end = figure.find("</svg>").expect("a figure that ends");
        let figure = format!("<svg{}</svg>", &figure[..end]);
        roxmltree::Document::parse(&figure).unwrap_or_else(|error| panic!("{error}\n{figure}"));
    }
    for forbidden in ["<script", "src=", "href=", "NaN", "inf\"", "@import"] {
        assert!(!svg.contains(forbidden), "front.svg has {forbidden}");
    }
    let trials = search
        .status
        .as_ref()
        .map_or(0, |status| status.ledger.len());
    let rows = csv::Reader::from_reader(csv.as_bytes())
        .into_records()
        .count();
    assert_eq!(rows, trials, "rows of trials.csv");
    outputs
}

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/search/report/golden")
}

#[test]
fn the_reports_of_a_search_are_the_kept_ones() {
    let bless = std::env::var_os("AUTOPEFT_BLESS").is_some();
    for (name, text) in check(&finished("movie-reviews", 24, 0.15)) {
        let path = golden().join(name);
        if bless {
            std::fs::write(&path, &text).expect("a golden file");
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            kept == text,
            "{name} is not the kept one; look at what has changed, then run\n  \
             AUTOPEFT_BLESS=1 cargo test -p autopeft-search --test search\n\n{text}"
        );
    }
}

#[test]
fn a_search_without_a_status_is_reported() {
    let outputs = check(&asked("new", 40));
    assert!(
        outputs[0].1.contains("no trial has a score"),
        "{}",
        outputs[0].1
    );
    assert!(outputs[2].1.contains("no trial has a score"));
    assert!(outputs[3].1.contains("Nothing has been planned yet."));
}

#[test]
fn one_trial_is_reported() {
    for parameters in ["000000", "000001"] {
        let mut only = entry(0, configuration(parameters, 1, 0, 0));
        only.score = Some(searches::decimal(0.8));
        let outputs = check(&with_ledger(asked("one", 1), vec![only], vec![]));
        assert!(outputs[0].1.contains("0.8000"), "{}", outputs[0].1);
    }
}

#[test]
fn a_search_in_which_everything_failed_is_reported() {
    let ledger = (0..30).map(|trial| {
        let mut failed = entry(trial, configuration("111111", 384, 384, 384));
        failed.state = TrialState::Failed;
        failed.reason = Some(FailureReason::Internal);
        failed.message = Some("the tokenizer has no padding token".into());
        failed
    });
    let outputs = check(&with_ledger(asked("bad", 30), ledger.collect(), vec![]));
    assert!(outputs[0].1.contains("30 failed"), "{}", outputs[0].1);
    assert!(
        outputs[3]
            .1
            .contains("Internal: the tokenizer has no padding token")
    );
}

#[test]
fn equal_scores_and_five_hundred_trials_are_reported() {
    check(&finished("equal", 40, 0.0));
    check(&finished("many", 500, 0.2));
}

#[test]
fn texts_from_outside_are_escaped() {
    let attack = "</title></style><script>alert(1)</script>\u{0}&\"'";
    let mut search = finished(attack, 12, 0.1);
    let status = search.status.as_mut().expect("a status");
    status.ledger[7].message = Some(attack.into());
    status.surrogate.as_mut().expect("a fit").method = attack.into();
    status.surrogate.as_mut().expect("a fit").relevance[0].dimension = attack.into();
    search.spec.model.source.path = Some(attack.into());
    let [_, _, (_, svg), (_, html)] = check(&search);
    for (name, text) in [("front.svg", svg), ("report.html", html)] {
        assert!(!text.contains("<script"), "{name}");
        assert!(!text.contains('\u{0}'), "{name}");
        assert!(text.contains("&lt;script&gt;"), "{name}");
    }
}

#[test]
fn a_huge_name_is_cut_in_the_figure() {
    let search = finished(&"name-".repeat(400), 12, 0.1);
    let [_, _, (_, svg), (_, html)] = check(&search);
    assert!(svg.contains('…'));
    assert!(html.contains(&"name-".repeat(400)));
}

#[test]
fn the_page_needs_nothing_from_elsewhere() {
    let [.., (_, html)] = check(&finished("movie-reviews", 24, 0.15));
    for forbidden in ["<script", "src=", "<link", "@import", "url("] {
        assert!(!html.contains(forbidden), "report.html has {forbidden}");
    }
}

#[test]
fn the_front_is_told_from_the_fewest_parameters() {
    let mut search = finished("movie-reviews", 60, 0.15);
    search
        .status
        .as_mut()
        .expect("a status")
        .pareto_front
        .reverse();
    let status = search.status.clone().unwrap_or_default();
    let table = report::front_table(&search.spec, &status);
    let rows = table.lines().skip(1).take(status.pareto_front.len());
    let scores: Vec<&str> = rows
        .filter_map(|row| row.split_whitespace().last())
        .collect();
    assert!(scores.is_sorted(), "{table}");
}
