//! The text, the page and the CSV of a comparison.

use std::path::{Path, PathBuf};

use autopeft_search::compare::{Given, compare};
use autopeft_search::report;
use proptest::prelude::*;

use super::studies::{given, search, study};

fn outputs(given: &[Given]) -> [(&'static str, String); 3] {
    let comparison = compare(given, 1.0).expect("a comparison");
    let html = report::comparison_html(&comparison).expect("a page");
    for figure in html.split("<svg").skip(1) {
        let end = figure.find("</svg>").expect("a figure that ends");
        let figure = format!("<svg{}</svg>", &figure[..end]);
        roxmltree::Document::parse(&figure).unwrap_or_else(|error| panic!("{error}\n{figure}"));
    }
    for forbidden in [
        "<script", "src=", "<link", "@import", "url(", "NaN", "inf\"",
    ] {
        assert!(!html.contains(forbidden), "the page has {forbidden}");
    }
    [
        ("compare.txt", report::comparison_text(&comparison)),
        ("compare.html", html),
        (
            "compare.csv",
            report::comparison_csv(given, &comparison).expect("rows"),
        ),
    ]
}

/// The study, and a search of another task.
fn two_tasks() -> Vec<Given> {
    let mut other = search("tweets", 1, 12, 6);
    other.spec.task = serde_json::from_value(serde_json::json!({
        "name": "custom",
        "source": { "claim": { "name": "autopeft", "path": "data/tweets" } },
        "custom": { "type": "Regression", "textColumns": ["text"], "labelColumn": "rating" },
    }))
    .expect("a task");
    let mut all = study();
    all.extend(given([other]));
    all
}

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/search/compare/golden")
}

#[test]
fn the_outputs_of_a_comparison_are_the_kept_ones() {
    let bless = std::env::var_os("AUTOPEFT_BLESS").is_some();
    for (name, text) in outputs(&two_tasks()) {
        let path = golden().join(name);
        if bless {
            std::fs::write(&path, &text).expect("a golden file");
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            kept == text,
            "{name} is not the kept one; look at what has changed, then run\n  \
             AUTOPEFT_BLESS=1 cargo test --workspace --test search\n\n{text}"
        );
    }
}

/// A row for each entry of each ledger, which says what the search had reached.
#[test]
fn every_trial_has_a_row() {
    let all = two_tasks();
    let [.., (_, csv)] = outputs(&all);
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let column = |headers: &csv::StringRecord, name: &str| {
        headers
            .iter()
            .position(|header| header == name)
            .expect("a column")
    };
    let headers = reader.headers().expect("headers").clone();
    let [search, purpose, best] =
        ["search", "purpose", "bestSoFar"].map(|name| column(&headers, name));
    let rows: Vec<csv::StringRecord> = reader.records().collect::<Result<_, _>>().expect("rows");
    for one in &all {
        let status = one.search.status.as_ref().expect("a status");
        let of_search = rows.iter().filter(|row| row[search] == *one.origin);
        assert_eq!(of_search.count(), status.ledger.len(), "{}", one.origin);
    }
    let is_search = |row: &&csv::StringRecord| &row[purpose] == "Search";
    assert!(
        rows.iter()
            .filter(is_search)
            .all(|row| !row[best].is_empty())
    );
    assert!(
        rows.iter()
            .filter(|row| !is_search(row))
            .all(|row| row[best].is_empty())
    );
}

#[test]
fn texts_from_outside_are_escaped() {
    let attack = "</style><script>alert(1)</script>\u{0}&\"'";
    let mut odd = search("odd", 1, 8, 4);
    odd.metadata.name = Some(attack.into());
    odd.spec.model.source.claim.as_mut().expect("a claim").path = attack.into();
    odd.spec.task.source.claim.as_mut().expect("a claim").path = attack.into();
    let [(_, text), (_, html), _] = outputs(&given([odd]));
    assert!(html.contains("&lt;script&gt;"));
    assert!(!html.contains('\u{0}') && !text.contains('\u{0}'));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Scores and costs of any size are drawn or left out.
    #[test]
    fn no_score_and_no_cost_makes_the_page_unreadable(
        scores in proptest::collection::vec(
            (proptest::option::of(proptest::num::f64::NORMAL | proptest::num::f64::ZERO), any::<u64>()),
            1..12,
        ),
    ) {
        let mut odd = search("odd", 1, 12, 4);
        let trials: Vec<(u64, Option<f64>)> = scores.iter().map(|(score, cost)| (*cost, *score)).collect();
        prop_assume!(trials.iter().any(|(_, score)| score.is_some()));
        odd.status.as_mut().expect("a status").ledger = super::scored(&trials);
        outputs(&given([odd, search("plain", 2, 8, 8)]));
    }
}
