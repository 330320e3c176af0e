//! Invalid input at a real API server: rejected at admission if the schema or CEL can express the rule, reported by a
//! condition otherwise, and never a Job.

use std::time::Duration;

use autopeft_integration_tests::cluster::{cluster, eventually, runtime};
use autopeft_integration_tests::kubelet::{ABSENT_COLUMN, Act, Kubelet};
use autopeft_integration_tests::searches::{Searches, condition, manifest};
use k8s_openapi::api::batch::v1::Job;
use kube::Api;
use kube::api::ListParams;
use serde_json::json;

#[path = "../../../crds/tests/crds/bad_inputs/mod.rs"]
mod bad_inputs;

#[test]
fn violations_of_the_schema_are_rejected_at_admission() {
    runtime().block_on(async {
        let client = cluster().namespace("admission").await;
        let searches = Searches::of(&client, "admission");
        let mut wrong = Vec::new();
        for row in bad_inputs::bad_inputs() {
            let mut bad = manifest("bad", &json!({}));
            bad["spec"] = row.spec;
            let (case, answer) = (row.name, searches.create(&bad).await);
            match (answer, row.admission) {
                (Ok(_), told) => {
                    if told.is_some() {
                        wrong.push(format!("{case}: accepted"));
                    }
                    searches.delete("bad").await;
                }
                (Err(error), Some(part)) if error.to_string().contains(part) => {}
                (Err(error), _) => wrong.push(format!("{case}: {error}")),
            }
        }
        let long_name = "n".repeat(47);
        let error = searches.create(&manifest(&long_name, &json!({}))).await;
        if !error
            .as_ref()
            .is_err_and(|error| error.to_string().contains("46 characters"))
        {
            wrong.push(format!("a name that is too long: {error:?}"));
        }
        let mut huge = manifest("huge", &json!({}));
        huge["metadata"]["annotations"] = json!({"note": "x".repeat(300_000)});
        if searches.create(&huge).await.is_ok() {
            wrong.push("annotations of 300 kB: accepted".into());
        }
        huge["metadata"]["annotations"] = json!({"note": "x".repeat(3_200_000)});
        let error = searches.create(&huge).await;
        if !error
            .as_ref()
            .is_err_and(|error| error.to_string().contains("too large"))
        {
            wrong.push(format!("a body of 3 MiB: {error:?}"));
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    });
}

#[test]
fn a_status_that_a_user_sets_is_ignored_and_one_that_is_recorded_is_kept() {
    runtime().block_on(async {
        let client = cluster().namespace("spoofed").await;
        let searches = Searches::of(&client, "spoofed");
        let mut spoofed = manifest("one", &json!({}));
        spoofed["status"] = json!({"bestScore": "1", "trials": {"succeeded": 8}});
        searches
            .create(&spoofed)
            .await
            .expect("the status is dropped");
        assert_eq!(searches.status("one").await.best_score, None);
    });
}

/// The operator finds what CEL cannot express.
#[test]
fn errors_that_only_the_operator_finds_are_reported_by_a_condition() {
    runtime().block_on(async {
        let client = cluster().namespace("judged").await;
        let searches = Searches::of(&client, "judged");
        let _operator = cluster().operator("judged", "a");
        let mut rows = bad_inputs::bad_inputs();
        rows.retain(|row| row.admission.is_none());
        for (index, row) in rows.iter().enumerate() {
            let mut bad = manifest(&format!("bad-{index}"), &json!({}));
            bad["spec"] = row.spec.clone();
            let created = searches.create(&bad).await;
            created.expect("the schema takes it");
        }
        for (index, row) in rows.iter().enumerate() {
            let name = format!("bad-{index}");
            eventually(&row.name, async || {
                searches.condition(&name, "Succeeded").await
                    == ("False".into(), "InvalidSpec".into())
            })
            .await;
            let status = searches.status(&name).await;
            assert_eq!(condition(&status, "SpecValid").0, "False");
            let message = &status.conditions[0].message;
            for part in [&row.field, &row.words] {
                assert!(message.contains(part.as_str()), "{}: {message}", row.name);
            }
        }
        assert!(rows.len() > 2, "too few rows are told later");
        let jobs: Api<Job> = Api::namespaced(client.clone(), "judged");
        let found = jobs
            .list(&ListParams::default())
            .await
            .expect("Jobs can be listed");
        assert!(found.items.is_empty(), "{} Jobs", found.items.len());
    });
}

/// A search whose spec is mended before its first trial goes on as the mended one, without being made
/// anew; from the first trial on, what trials depend on stays as it is.
#[test]
fn fields_that_trials_depend_on_are_mutable_until_one_is_planned() {
    runtime().block_on(async {
        let namespace = "mended-before-trials";
        let client = cluster().namespace(namespace).await;
        let _kubelet = Kubelet::play(client.clone(), namespace, Duration::from_millis(50), |_| {
            Act::Succeed
        });
        let _operator = cluster().operator(namespace, "a");
        let searches = Searches::of(&client, namespace);
        let columns = |column: &str| json!({"task": {"custom": {"textColumns": [column]}}});
        searches.submit("typo", &columns(ABSENT_COLUMN)).await;
        eventually("the typo is reported", async || {
            searches.condition("typo", "Succeeded").await == ("False".into(), "BadInput".into())
        })
        .await;
        let mended = searches.patch("typo", &columns("text")).await;
        mended.expect("no trial has been planned");
        eventually("the mended one succeeds", async || {
            searches.condition("typo", "Succeeded").await.0 == "True"
        })
        .await;
        let error = searches.patch("typo", &columns("other")).await;
        let error = error.expect_err("trials depend on it").to_string();
        assert!(
            error.contains("cannot change once a trial is planned"),
            "{error}"
        );

        // The model was looked at, and then another one was named.
        let nothing = json!({"searchSpace": {"dimensions": [{"name": "layers", "mask": "11"}]}});
        searches.submit("space", &nothing).await;
        eventually("the space does not fit", async || {
            searches.condition("space", "Succeeded").await == ("False".into(), "InvalidSpec".into())
        })
        .await;
        let before = searches.status("space").await;
        let looked_at = before.inspection.expect("it was looked at").spec_hash;
        let whole = json!({
            "searchSpace": {"dimensions": null},
            "model": {"source": {"claim": {"path": "another"}}},
        });
        let mended = searches.patch("space", &whole).await;
        mended.expect("no trial has been planned");
        eventually("the mended one succeeds", async || {
            searches.condition("space", "Succeeded").await.0 == "True"
        })
        .await;
        let after = searches.status("space").await;
        let again = after.inspection.expect("it was looked at").spec_hash;
        assert!(again.is_some() && again != looked_at, "{again:?}");
    });
}
