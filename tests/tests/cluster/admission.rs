//! Bad input at a real API server (reliability: bad inputs): refused at admission where the schema or
//! CEL can say it, told by a condition otherwise, and never a Job.

use autopeft_integration_tests::cluster::{cluster, eventually, runtime};
use autopeft_integration_tests::searches::{Searches, condition, manifest};
use k8s_openapi::api::batch::v1::Job;
use kube::Api;
use kube::api::ListParams;
use serde_json::{Value, json};

/// A name for the case, what is merged into a good spec, and a part of what the API server says.
fn refused_specs() -> Vec<(&'static str, Value, &'static str)> {
    let long = "x".repeat(300);
    let dimension = |dimension: Value| json!({"searchSpace": {"dimensions": [dimension]}});
    let sizes = |sizes: Value| dimension(json!({"name": "serialAdapter", "sizes": sizes}));
    let mask = |mask: &str| dimension(json!({"name": "layers", "mask": mask}));
    let objective =
        |field: &str, value: &str| json!({"objectives": [{"name": "score", field: value}]});
    let claim = |claim: Value| json!({"model": {"source": {"claim": claim}}});
    let trainer = |trainer: Value| json!({"trainer": trainer});
    let training = |field: &str, value: Value| json!({"training": {field: value}});
    let resources = |field: &str, value: Value| json!({"trainer": {"resources": {field: value}}});
    vec![
        ("maxTrials 0", json!({"maxTrials": 0}), "maxTrials"),
        ("maxTrials -1", json!({"maxTrials": -1}), "maxTrials"),
        ("maxTrials 501", json!({"maxTrials": 501}), "maxTrials"),
        (
            "maxTrials 2^31",
            json!({"maxTrials": 2_147_483_648_u64}),
            "maxTrials",
        ),
        ("maxTrials as text", json!({"maxTrials": "5"}), "maxTrials"),
        (
            "maxTrials with a fraction",
            json!({"maxTrials": 5.5}),
            "maxTrials",
        ),
        ("maxTrials null", json!({"model": null}), "model"),
        ("parallelism 0", json!({"parallelism": 0}), "parallelism"),
        (
            "parallelism over maxTrials",
            json!({"parallelism": 9}),
            "at most maxTrials",
        ),
        (
            "parallelism 65",
            json!({"maxTrials": 100, "parallelism": 65}),
            "parallelism",
        ),
        ("retries 11", json!({"maxRetries": 11}), "maxRetries"),
        (
            "failed trials -1",
            json!({"maxFailedTrials": -1}),
            "maxFailedTrials",
        ),
        (
            "deadline 0",
            json!({"activeDeadlineSeconds": 0}),
            "activeDeadlineSeconds",
        ),
        (
            "deadline negative",
            json!({"trialDeadlineSeconds": -5}),
            "trialDeadlineSeconds",
        ),
        (
            "deadline over 30 d",
            json!({"trialDeadlineSeconds": 2_592_001}),
            "trialDeadlineSeconds",
        ),
        (
            "seed over 2^53",
            json!({"algorithm": {"seed": 9_007_199_254_740_993_u64}}),
            "seed",
        ),
        (
            "no dimension",
            json!({"searchSpace": {"dimensions": []}}),
            "dimensions",
        ),
        (
            "five dimensions",
            json!({"searchSpace": {"dimensions": [
                {"name": "layers"}, {"name": "serialAdapter"}, {"name": "parallelAdapter"},
                {"name": "prefix"}, {"name": "prefix"},
            ]}}),
            "dimensions",
        ),
        (
            "a dimension twice",
            json!({"searchSpace": {"dimensions": [{"name": "prefix"}, {"name": "prefix"}]}}),
            "Duplicate value",
        ),
        (
            "an unknown dimension",
            dimension(json!({"name": "PATH"})),
            "Unsupported value",
        ),
        (
            "an empty name",
            dimension(json!({"name": ""})),
            "Unsupported value",
        ),
        ("no size", sizes(json!([])), "sizes"),
        (
            "65 sizes",
            sizes(json!((0..65).collect::<Vec<u32>>())),
            "sizes",
        ),
        ("a size twice", sizes(json!([1, 1])), "sizes"),
        ("sizes that fall", sizes(json!([4, 2])), "ascending"),
        ("a size below 0", sizes(json!([-1, 2])), "sizes"),
        ("a size beyond all", sizes(json!([1, 100_000])), "sizes"),
        ("a size with a fraction", sizes(json!([1.5])), "sizes"),
        ("a mask with words", mask("11x"), "mask"),
        ("a mask with a newline", mask("11\n"), "mask"),
        (
            "a mask with right-to-left marks",
            mask("1\u{202e}1"),
            "mask",
        ),
        ("a mask of 65", mask(&"1".repeat(65)), "mask"),
        (
            "a mask on a module",
            dimension(json!({"name": "prefix", "mask": "11"})),
            "layers has a mask",
        ),
        (
            "an unknown objective",
            json!({"objectives": [{"name": "speed"}]}),
            "Unsupported value",
        ),
        (
            "an objective with a direction",
            objective("direction", "sideways"),
            "direction",
        ),
        (
            "one reference of two",
            objective("reference", "0.5"),
            "or for neither",
        ),
        (
            "a file outside the source",
            json!({"task": {"custom": {"trainFile": "../train.jsonl"}}}),
            "has no ..",
        ),
        (
            "a label twice",
            json!({"task": {"custom": {"labels": ["a", "a"]}}}),
            "Duplicate value",
        ),
        (
            "a column twice",
            json!({"task": {"custom": {"textColumns": ["text", "text"]}}}),
            "Duplicate value",
        ),
        (
            "the label among the text",
            json!({"task": {"custom": {"textColumns": ["label"]}}}),
            "none of the text's",
        ),
        (
            "labels of a regression",
            json!({"task": {"custom": {"type": "Regression", "labels": ["a", "b"]}}}),
            "a regression has no labels",
        ),
        (
            "three objectives",
            json!({"objectives": [{"name": "score"}, {"name": "score"}, {"name": "score"}]}),
            "objectives",
        ),
        (
            "an objective twice",
            json!({"objectives": [{"name": "score"}, {"name": "score"}]}),
            "Duplicate value",
        ),
        ("a bound NaN", objective("bound", "NaN"), "bound"),
        ("a bound Infinity", objective("bound", "Infinity"), "bound"),
        (
            "a bound in hexadecimal",
            objective("reference", "0x10"),
            "reference",
        ),
        ("a bound with a comma", objective("bound", "1,5"), "bound"),
        (
            "a bound of 65 digits",
            objective("bound", &"1".repeat(65)),
            "bound",
        ),
        ("a bound with a newline", objective("bound", "1\n"), "bound"),
        ("a bound of 1e400", objective("bound", "1e400"), "bound"),
        ("a score of 7", objective("bound", "7"), "from -1 to 1"),
        (
            "a reference below every score",
            objective("reference", "-1.01"),
            "from -1 to 1",
        ),
        (
            "a share below 0",
            json!({"objectives": [{"name": "trainableParameters", "bound": "-1"}]}),
            "from 0 to 10000",
        ),
        (
            "a share beyond all",
            json!({"objectives": [{"name": "trainableParameters", "reference": "1e5"}]}),
            "from 0 to 10000",
        ),
        (
            "learning rate 0",
            training("learningRate", json!("0")),
            "above 0",
        ),
        (
            "learning rate below 0",
            training("learningRate", json!("-1e-4")),
            "above 0",
        ),
        (
            "learning rate over 1",
            training("learningRate", json!("1.5")),
            "above 0",
        ),
        (
            "weight decay below 0",
            training("weightDecay", json!("-0.1")),
            "from 0 to 1",
        ),
        (
            "weight decay over 1",
            training("weightDecay", json!("2")),
            "from 0 to 1",
        ),
        ("batch 0", training("batchSize", json!(0)), "batchSize"),
        ("length 3", training("maxLength", json!(3)), "maxLength"),
        (
            "warm-up over 100 %",
            training("warmupPercent", json!(101)),
            "warmupPercent",
        ),
        (
            "warm-up below 0",
            training("warmupPercent", json!(-1)),
            "warmupPercent",
        ),
        ("patience 0", training("patience", json!(0)), "patience"),
        ("epochs 0", json!({"fidelity": {"epochs": 0}}), "epochs"),
        (
            "no steps",
            json!({"fidelity": {"stepsPercent": 0}}),
            "stepsPercent",
        ),
        (
            "no examples",
            json!({"fidelity": {"trainExamples": 0}}),
            "trainExamples",
        ),
        (
            "tolerance below 0",
            json!({"convergence": {"trials": 2, "tolerance": "-0.1"}}),
            "from 0 to 1",
        ),
        (
            "tolerance over 1",
            json!({"convergence": {"trials": 2, "tolerance": "1.01"}}),
            "from 0 to 1",
        ),
        (
            "no sample kept",
            json!({"algorithm": {"nuts": {"samples": 16, "thinning": 17}}}),
            "at most samples",
        ),
        (
            "too many samples kept",
            json!({"algorithm": {"nuts": {"samples": 65, "thinning": 1}}}),
            "at most 64 samples",
        ),
        (
            "too many draws of the front",
            json!({"algorithm": {
                "nuts": {"samples": 64, "thinning": 1},
                "acquisition": {"monteCarloSamples": 1025},
            }}),
            "at most 65536",
        ),
        ("no core", resources("cpu", json!("0m")), "on no core"),
        (
            "no source",
            json!({"model": {"source": {"claim": null}}}),
            "exactly one",
        ),
        (
            "two sources",
            json!({"model": {"source": {"path": "/models"}}}),
            "exactly one",
        ),
        (
            "a claim that leaves",
            claim(json!({"name": "c", "path": "a/../../b"})),
            "no ..",
        ),
        (
            "an absolute path in a claim",
            claim(json!({"name": "c", "path": "/etc"})),
            "relative",
        ),
        (
            "a claim elsewhere",
            claim(json!({"name": "c", "namespace": "other"})),
            "namespace",
        ),
        (
            "a claim with capitals",
            claim(json!({"name": "Data"})),
            "name",
        ),
        (
            "a task that custom does not fit",
            json!({"task": {"name": "rte"}}),
            "custom describes",
        ),
        (
            "no labels",
            json!({"task": {"custom": {"labels": []}}}),
            "labels",
        ),
        (
            "three text columns",
            json!({"task": {"custom": {"textColumns": ["a", "b", "c"]}}}),
            "textColumns",
        ),
        (
            "a long column",
            json!({"task": {"custom": {"labelColumn": long}}}),
            "labelColumn",
        ),
        ("an empty image", trainer(json!({"image": ""})), "image"),
        (
            "an image with a shell",
            trainer(json!({"image": "a;rm -rf /"})),
            "image",
        ),
        ("two GPUs", resources("gpus", json!(2)), "gpus"),
        ("a part of a GPU", resources("gpus", json!(0.5)), "gpus"),
        (
            "memory in words",
            resources("memory", json!("much")),
            "memory",
        ),
        (
            "memory without a unit",
            resources("memory", json!("2")),
            "write 2Gi, not 2",
        ),
        (
            "memory for no trainer",
            resources("memory", json!("15Mi")),
            "less than 16Mi",
        ),
        (
            "storage without a unit",
            resources("ephemeralStorage", json!("2")),
            "write 2Gi, not 2",
        ),
        (
            "request and limit",
            resources("limits", json!({"cpu": "1"})),
            "limits",
        ),
        (
            "a host path",
            trainer(json!({"volumes": [{"hostPath": {"path": "/"}}]})),
            "volumes",
        ),
        (
            "privileged",
            trainer(json!({"securityContext": {"privileged": true}})),
            "securityContext",
        ),
        (
            "a node by name",
            trainer(json!({"nodeName": "node-1"})),
            "nodeName",
        ),
        (
            "a system class",
            trainer(json!({"priorityClassName": "system-node-critical"})),
            "system priority class",
        ),
        ("every taint", trainer(json!({"tolerations": [{}]})), "key"),
        (
            "a ServiceAccount",
            trainer(json!({"serviceAccountName": "admin"})),
            "serviceAccountName",
        ),
        (
            "environment",
            trainer(json!({"env": [{"name": "LD_PRELOAD"}]})),
            "env",
        ),
        (
            "a Secret elsewhere",
            json!({"model": {"source": {"claim": null, "hub": {
                "repository": "a/b",
                "tokenSecretRef": {"name": "s", "key": "k", "namespace": "kube-system"},
            }}}}),
            "namespace",
        ),
        ("an unknown field", json!({"maxTrails": 5}), "maxTrails"),
    ]
}

#[test]
fn what_the_schema_can_say_is_refused_at_admission() {
    runtime().block_on(async {
        let client = cluster().namespace("admission").await;
        let searches = Searches::of(&client, "admission");
        let mut wrong = Vec::new();
        for (case, changes, part) in refused_specs() {
            match searches.create(&manifest("bad", &changes)).await {
                Ok(_) => {
                    wrong.push(format!("{case}: accepted"));
                    searches.delete("bad").await;
                }
                Err(error) if !error.to_string().contains(part) => {
                    wrong.push(format!("{case}: {error}"));
                }
                Err(_) => {}
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

/// What CEL cannot say is found by the operator.
#[test]
fn what_only_the_operator_can_judge_is_told_by_a_condition_and_starts_nothing() {
    runtime().block_on(async {
        let client = cluster().namespace("judged").await;
        let searches = Searches::of(&client, "judged");
        let _operator = cluster().operator("judged", "a");
        let cases = [
            (
                "low-bound",
                json!({"objectives": [{"name": "score", "bound": "-0.5"}]}),
                "bound",
            ),
            (
                "wrong-metric",
                json!({"task": {"metric": "Spearman"}}),
                "metric",
            ),
        ];
        for (name, changes, _) in &cases {
            searches
                .create(&manifest(name, changes))
                .await
                .expect("the schema takes it");
        }
        for (name, _, part) in &cases {
            eventually(name, async || {
                searches.condition(name, "Succeeded").await
                    == ("False".into(), "InvalidSpec".into())
            })
            .await;
            let status = searches.status(name).await;
            assert_eq!(condition(&status, "SpecValid").0, "False");
            let message = &status.conditions[0].message;
            assert!(message.contains(part), "{name}: {message}");
        }
        let jobs: Api<Job> = Api::namespaced(client.clone(), "judged");
        let found = jobs
            .list(&ListParams::default())
            .await
            .expect("Jobs can be listed");
        assert!(found.items.is_empty(), "{} Jobs", found.items.len());
    });
}
