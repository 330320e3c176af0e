//! What a status says has happened.

use autopeft_crds::PeftSearch;
use autopeft_search::ledger::RestoreError;
use autopeft_search::object::ledger;
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

fn entry(trial: u32, attempt: u32, failed: u32) -> Value {
    json!({
        "trial": trial,
        "configuration": {"layers": "111111", "serialAdapter": 0, "parallelAdapter": 8, "prefix": 0},
        "origin": "Initial",
        "state": "Planned",
        "attempt": attempt,
        "failedAttempts": failed,
        "parameters": 1,
    })
}

fn restored(entries: Vec<Value>) -> Result<usize, RestoreError> {
    let search: PeftSearch = serde_json::from_value(json!({
        "apiVersion": "autopeft.dev/v1alpha1",
        "kind": "PeftSearch",
        "metadata": {"name": "one", "namespace": "lab"},
        "spec": {
            "model": {"source": {"claim": {"name": "a"}}},
            "task": {"name": "rte", "source": {"claim": {"name": "a"}}},
        },
        "status": {"ledger": entries},
    }))
    .expect("a search");
    ledger(&search, None, Timestamp::UNIX_EPOCH).map(|ledger| ledger.entries().len())
}

#[test]
fn a_ledger_that_makes_no_sense_is_not_gone_on_with() {
    assert_eq!(restored(vec![]), Ok(0));
    assert_eq!(restored(vec![entry(0, 1, 0), entry(1, 3, 2)]), Ok(2));
    let number = |expected, found| Err(RestoreError::Number { expected, found });
    assert_eq!(restored(vec![entry(1, 1, 0), entry(0, 1, 0)]), number(0, 1));
    assert_eq!(restored(vec![entry(0, 1, 0), entry(2, 1, 0)]), number(1, 2));
    for (attempt, failed) in [(0, 0), (1, 1), (2, u32::MAX), (u32::MAX, 0)] {
        let trial = 0;
        assert_eq!(
            restored(vec![entry(0, attempt, failed)]),
            Err(RestoreError::Attempt {
                trial,
                attempt,
                failed
            })
        );
    }
}
