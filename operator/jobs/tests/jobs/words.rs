//! A trainer's messages in the words of the search.

use autopeft_crds::PeftSearchSpec;
use autopeft_jobs::judge::messages::in_words;
use serde_json::{Value, json};

fn spec(model: &Value, data: &Value) -> PeftSearchSpec {
    serde_json::from_value(json!({
        "model": {"source": model},
        "task": {"name": "rte", "source": data},
        "trainer": {"artifactsClaim": {"name": "store"}},
    }))
    .expect("a spec")
}

#[test]
fn places_in_a_pod_are_told_as_claims_and_images() {
    let claims = spec(
        &json!({"claim": {"name": "data-2", "path": "bert"}}),
        &json!({"claim": {"name": "data", "path": "sets"}}),
    );
    let images = spec(
        &json!({"image": {"reference": "a/model:1"}}),
        &json!({"image": {"reference": "a/data:1"}}),
    );
    for (spec, from, to) in [
        (
            &claims,
            "/mnt/claims/data/sets/train.tsv, line 3: 2 columns; and /mnt/claims/data-2/bert/config.json",
            "claim data: sets/train.tsv, line 3: 2 columns; and claim data-2: bert/config.json",
        ),
        (
            &claims,
            "/mnt/claims/data is not a folder",
            "claim data is not a folder",
        ),
        (
            &claims,
            "/mnt/artifacts/one-12345678/trial-3: no space left",
            "claim store: one-12345678/trial-3: no space left",
        ),
        (
            &images,
            "/mnt/images/model/config.json is not there; /mnt/images/data/dev.tsv neither",
            "spec.model.source.image: config.json is not there; spec.task.source.image: dev.tsv neither",
        ),
        (&claims, "the loss is NaN", "the loss is NaN"),
    ] {
        assert_eq!(in_words(from, spec), to);
    }
}
