//! A trainer's messages in the words of the search.

use autopeft_crds::PeftSearchSpec;
use autopeft_jobs::build::volumes::image_volume;
use autopeft_jobs::judge::messages::in_words;
use autopeft_jobs::judge::waiting::refusal;
use k8s_openapi::api::events::v1::Event;
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

#[test]
fn places_of_other_tasks_are_told_by_their_fields() {
    let mut spec = spec(
        &json!({"image": {"reference": "a/model:1"}}),
        &json!({"image": {"reference": "a/data:1"}}),
    );
    let task = |source: Value| json!({"name": "mrpc", "source": source});
    let tasks = [
        task(json!({"claim": {"name": "others"}})),
        task(json!({"image": {"reference": "a/other:1"}})),
    ];
    let tasks = tasks.map(|task| json!({"name": task.to_string(), "task": task}));
    let transfer = serde_json::from_value(json!({"tasks": tasks}));
    spec.transfer = Some(transfer.expect("tasks"));
    let volume = image_volume(
        &spec,
        &autopeft_search::request::others(&spec)[1].task.source,
    );
    let from = format!("/mnt/images/{volume}/a, /mnt/images/data/b, /mnt/claims/others/c");
    assert_eq!(
        in_words(&from, &spec),
        "spec.transfer.tasks[1].task.source.image: a, spec.task.source.image: b, claim others: c"
    );
}

#[test]
fn the_last_refusal_of_a_jobs_pods_is_told_without_the_pods_name() {
    let event = |reason: &str, second: u32, note: &str| -> Event {
        serde_json::from_value(json!({
            "metadata": {"name": "one"}, "eventTime": null, "reason": reason, "note": note,
            "deprecatedLastTimestamp": format!("2026-01-01T00:00:{second:02}Z"),
        }))
        .expect("an event")
    };
    let forbidden = "Error creating: pods \"one-5d1e4f60-0-1-x7xmk\" is forbidden: ";
    let quota = format!("{forbidden}exceeded quota: none, requested: pods=1");
    let class = format!("{forbidden}no PriorityClass with name missing was found");
    let told = |events: &[Event]| refusal(events);
    assert_eq!(
        told(&[event("SuccessfulCreate", 1, "Created pod: one")]),
        None
    );
    let both = [
        event("FailedCreate", 9, &quota),
        event("FailedCreate", 3, &class),
    ];
    assert_eq!(
        told(&both).as_deref(),
        Some("exceeded quota: none, requested: pods=1")
    );
    let away = event("FailedCreate", 1, "Error creating: the server is away");
    assert_eq!(told(&[away]).as_deref(), Some("the server is away"));
}
