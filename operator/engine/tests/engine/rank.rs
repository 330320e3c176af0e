//! Kendall's τ-b and its interval, against SciPy (`golden/rank.py`).

use autopeft_engine::rank::{kendall_interval, kendall_tau};
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    x: Vec<f64>,
    y: Vec<f64>,
    tau: Option<f64>,
    interval: Option<(f64, f64)>,
}

fn is_near(found: f64, expected: f64) -> bool {
    (found - expected).abs() < 1e-12
}

#[test]
fn tau_and_its_interval_are_scipys() {
    let cases: Vec<Case> =
        serde_json::from_str(include_str!("../golden/rank.json")).expect("the file parses");
    let (mut of_tau, mut of_interval) = (0, 0);
    for Case {
        x,
        y,
        tau,
        interval,
    } in cases
    {
        let found = kendall_tau(&x, &y);
        assert_eq!(found.is_some(), tau.is_some(), "{x:?} {y:?}");
        if let (Some(found), Some(tau)) = (found, tau) {
            assert!(is_near(found, tau), "{x:?} {y:?}: {found}, not {tau}");
            of_tau += 1;
        }
        if let (Some(tau), Some(expected)) = (tau, interval) {
            let found = kendall_interval(tau, x.len()).expect("an interval");
            assert!(is_near(found.0, expected.0), "{found:?}, not {expected:?}");
            assert!(is_near(found.1, expected.1), "{found:?}, not {expected:?}");
            of_interval += 1;
        }
    }
    assert!(of_tau > 10 && of_interval > 5);
}

#[test]
fn what_has_no_order_has_no_tau() {
    assert_eq!(kendall_tau(&[], &[]), None);
    assert_eq!(kendall_tau(&[1.0], &[1.0]), None);
    assert_eq!(kendall_tau(&[1.0, 2.0], &[1.0]), None);
    assert_eq!(kendall_tau(&[1.0, f64::NAN], &[1.0, 2.0]), None);
}

#[test]
fn perfect_agreement_of_few_is_no_certainty() {
    assert_eq!(kendall_interval(1.0, 4), None);
    let (lower, upper) = kendall_interval(1.0, 5).expect("an interval");
    assert!(
        lower > 0.1 && lower < 0.3 && upper == 1.0,
        "{lower} {upper}"
    );
    let (lower, upper) = kendall_interval(-1.0, 40).expect("an interval");
    assert!(lower == -1.0 && upper < -0.9, "{lower} {upper}");
}
