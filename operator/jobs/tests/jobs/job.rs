//! The Job of a trial, field by field where users and clusters depend on it.

use autopeft_crds::PeftSearch;
use autopeft_crds::run::RunRequest;
use autopeft_jobs::build::job::{Order, is_outdated, is_the_same, job};
use autopeft_jobs::build::names::Work;
use autopeft_jobs::build::pod::Defaults;
use autopeft_jobs::build::volumes::{artifacts, locations};
use autopeft_search::request;
use k8s_openapi::api::batch::v1::Job;
use serde_json::{Value, json};

/// A search with these sources and this trainer.
pub fn search(model: Value, data: Value, trainer: Value) -> PeftSearch {
    serde_json::from_value(json!({
        "apiVersion": "autopeft.dev/v1alpha1",
        "kind": "PeftSearch",
        "metadata": {"name": "one", "namespace": "lab", "uid": "5d1e4f60-0000-0000-0000-000000000001"},
        "spec": {
            "model": {"source": model},
            "task": {"name": "rte", "source": data},
            "trainer": trainer,
        },
    }))
    .expect("a search")
}

fn made(search: &PeftSearch) -> Value {
    serde_json::to_value(wanted(search)).expect("JSON")
}

fn wanted(search: &PeftSearch) -> Job {
    let defaults = Defaults {
        image: "localhost/trainer:1".into(),
    };
    let order = Order {
        request: "{}".into(),
        data: vec![search.spec.task.source.clone()],
        seconds: 86_400,
    };
    job(search, Work::Trial(3), 2, order, &defaults)
}

/// Where a pod's volumes come from and where they are mounted.
fn mounted(job: &Value) -> Vec<(String, String, bool)> {
    let pod = &job["spec"]["template"]["spec"];
    let volume = |name: &Value| {
        let volumes = pod["volumes"].as_array().expect("volumes");
        let found = volumes.iter().find(|volume| volume["name"] == *name);
        found.expect("a mount of a volume").clone()
    };
    let mounts = pod["containers"][0]["volumeMounts"].as_array();
    mounts
        .expect("mounts")
        .iter()
        .filter_map(|mount| {
            let volume = volume(&mount["name"]);
            let claim = volume["persistentVolumeClaim"]["claimName"].as_str();
            let source = claim.or(volume["image"]["reference"].as_str())?;
            let path = mount["mountPath"].as_str()?;
            Some((source.into(), path.into(), mount["readOnly"] == true))
        })
        .collect()
}

fn claim(name: &str, path: &str) -> Value {
    json!({"claim": {"name": name, "path": path}})
}

#[test]
fn a_claim_is_one_volume_however_often_it_is_named() {
    let same = search(
        claim("store", "m"),
        claim("store", "d"),
        json!({"artifactsClaim": {"name": "store", "path": "kept"}}),
    );
    let job = made(&same);
    let expected = [
        ("store", "/mnt/claims/store", true),
        ("store", "/mnt/artifacts", false),
    ];
    let expected = expected.map(|(claim, path, read)| (claim.to_owned(), path.to_owned(), read));
    assert_eq!(mounted(&job), expected);
    let pod = &job["spec"]["template"]["spec"];
    let claims = pod["volumes"].as_array().expect("volumes").iter();
    let claims: Vec<&Value> = claims
        .map(|volume| &volume["persistentVolumeClaim"])
        .filter(|claim| !claim.is_null())
        .collect();
    assert_eq!(claims, [&json!({"claimName": "store"})]);
    assert_eq!(pod["securityContext"]["fsGroup"], 65_532);
    let folder = artifacts(&same).expect("a claim");
    assert!(folder.starts_with("store: kept/one-"), "{folder}");
    let found = locations(&same).expect("locations");
    let folder = folder.replace("store: ", "/mnt/artifacts/");
    assert_eq!(found.artifacts, Some(folder));
}

#[test]
fn claims_that_are_only_read_cannot_be_written() {
    let apart = search(
        claim("models", ""),
        claim("data", "x/"),
        json!({"artifactsClaim": {"name": "kept"}}),
    );
    let job = made(&apart);
    let pod = &job["spec"]["template"]["spec"];
    for volume in pod["volumes"].as_array().expect("volumes") {
        let claim = &volume["persistentVolumeClaim"];
        if !claim.is_null() {
            let is_read = claim["claimName"] != "kept";
            assert_eq!(claim["readOnly"] == true, is_read, "{claim}");
        }
    }
    let found = locations(&apart).expect("locations");
    assert_eq!(found.model, "/mnt/claims/models");
    assert_eq!(found.data, "/mnt/claims/data/x");
    let alone = made(&search(claim("a", ""), claim("a", ""), json!({})));
    let security = &alone["spec"]["template"]["spec"]["securityContext"];
    assert!(security["fsGroup"].is_null(), "{security}");
}

#[test]
fn model_and_data_may_come_from_images() {
    let image =
        |reference: &str, path: &str| json!({"image": {"reference": reference, "path": path}});
    let search = search(image("a/model:1", "bert"), image("a/data:1", ""), json!({}));
    let found = locations(&search).expect("locations");
    assert_eq!(found.model, "/mnt/images/model/bert");
    assert_eq!(found.data, "/mnt/images/data");
    let expected = [
        ("a/model:1", "/mnt/images/model", true),
        ("a/data:1", "/mnt/images/data", true),
    ];
    let expected = expected.map(|(image, path, read)| (image.to_owned(), path.to_owned(), read));
    assert_eq!(mounted(&made(&search)), expected);
}

/// A search with these other tasks' data.
fn with_others(others: &[Value]) -> PeftSearch {
    let mut search = search(claim("store", "m"), claim("store", "d"), json!({}));
    let others = others.iter().enumerate().map(|(index, source)| {
        let task = json!({"name": "mrpc", "source": source});
        json!({"name": format!("task-{index}"), "task": task})
    });
    let tasks: Vec<Value> = others.collect();
    let transfer = serde_json::from_value(json!({"tasks": tasks}));
    search.spec.transfer = Some(transfer.expect("tasks"));
    search
}

#[test]
fn a_pod_has_the_data_that_it_reads_and_no_other() {
    let image = json!({"image": {"reference": "a/other:1", "path": "x"}});
    let token = json!({"name": "hub", "key": "token"});
    let hub = json!({"hub": {"repository": "a/b", "tokenSecretRef": token}});
    let search = with_others(&[claim("others", "mrpc"), image, hub]);
    let found = locations(&search).expect("locations");
    let others: Vec<&str> = found.others.iter().map(|(_, data)| data.as_str()).collect();
    assert_eq!(others[0], "/mnt/claims/others/mrpc");
    assert!(others[1].starts_with("/mnt/images/data-") && others[1].ends_with("/x"));
    assert_eq!(others[2], "hf://a/b@main");

    // A trial of the search is what it is without other tasks.
    let mut plain = search.clone();
    plain.spec.transfer = None;
    assert_eq!(made(&search), made(&plain));

    let defaults = || Defaults {
        image: "localhost/trainer:1".into(),
    };
    let probe = request::inspection(&search.spec, &found, "uid").expect("a request");
    let order = Order::inspection(&probe, 60).expect("JSON");
    let probing = job(&search, Work::Inspection, 1, order, &defaults());
    let probing = serde_json::to_value(probing).expect("JSON");
    let folder = others[1].trim_end_matches("/x");
    let expected = [
        ("others", "/mnt/claims/others", true),
        ("store", "/mnt/claims/store", true),
        ("a/other:1", folder, true),
    ];
    let expected = expected.map(|(from, path, read)| (from.to_owned(), path.to_owned(), read));
    assert_eq!(mounted(&probing), expected);
    assert!(
        probing
            .to_string()
            .contains(r#""secretKeyRef":{"key":"token","name":"hub""#)
    );

    // A training on another task mounts that one's data beside the model.
    let mut trial = probe.clone();
    trial.task = trial.others[1].given.task.clone();
    trial.others.clear();
    let run = RunRequest::new(vec![trial]).expect("a run");
    let order = Order::run(&run, 60).expect("JSON");
    let moved = job(&search, Work::Trial(9), 1, order, &defaults());
    let moved = mounted(&serde_json::to_value(moved).expect("JSON"));
    assert_eq!(moved, expected[1..]);
}

#[test]
fn a_training_on_a_task_that_is_no_longer_named_still_has_its_place() {
    let mut search = with_others(&[claim("others", "mrpc")]);
    let transfer = search.spec.transfer.take().expect("tasks");
    let entry = json!({
        "trial": 0, "origin": "Transfer", "ofTrial": 0, "state": "Planned", "attempt": 1, "parameters": 1,
        "configuration": {"layers": "11", "serialAdapter": 0, "parallelAdapter": 8, "prefix": 0},
        "terms": {"task": transfer.tasks[0].task},
    });
    let status = json!({"ledger": [entry]});
    search.status = Some(serde_json::from_value(status).expect("a status"));
    let found = locations(&search).expect("locations").others;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].1, "/mnt/claims/others/mrpc");
}

#[test]
fn a_path_of_another_task_is_refused_in_a_cluster() {
    let search = with_others(&[json!({"path": "here"})]);
    let refused = locations(&search).expect_err("a path").to_string();
    assert!(
        refused.starts_with("spec.transfer.tasks[0].task.source.path: "),
        "{refused}"
    );
}

#[test]
fn a_trainer_uses_the_gpu_that_it_has_and_no_other() {
    for (gpus, device) in [(0, "cpu"), (1, "cuda")] {
        let trainer = json!({"resources": {"gpus": gpus}});
        let job = made(&search(claim("a", ""), claim("a", ""), trainer));
        let container = &job["spec"]["template"]["spec"]["containers"][0];
        let arguments = container["args"].as_array().expect("arguments");
        assert_eq!(arguments[arguments.len() - 2..], ["--device", device]);
        let limit = &container["resources"]["limits"]["nvidia.com/gpu"];
        assert_eq!(limit.is_null(), gpus == 0, "{limit}");
    }
}

#[test]
fn what_a_cluster_adds_makes_no_other_job_and_what_a_user_changes_does() {
    let trainer = json!({"resources": {"cpu": "0.5", "gpus": 1}, "queueName": "team"});
    let search = search(claim("a", ""), claim("a", ""), trainer);
    let wanted = wanted(&search);
    let mut stored = serde_json::to_value(&wanted).expect("JSON");
    stored["spec"]["completionMode"] = json!("NonIndexed");
    stored["spec"]["suspend"] = json!(false);
    // Kueue and mutating webhooks.
    stored["spec"]["template"]["spec"]["tolerations"] = json!([{"key": "a", "operator": "Exists"}]);
    let container = &mut stored["spec"]["template"]["spec"]["containers"][0];
    container["resources"]["limits"]["cpu"] = json!("500m");
    container["image"] = json!("a-mirror/trainer:1");
    container["env"] = json!([{"name": "HTTPS_PROXY", "value": "http://proxy"}]);
    let same: Job = serde_json::from_value(stored.clone()).expect("a Job");
    assert!(is_the_same(&same, &wanted));
    for (field, value) in [
        ("/metadata/annotations/autopeft.dev~1made", json!("another")),
        (
            "/spec/template/metadata/annotations/autopeft.dev~1request",
            json!("{\"x\":1}"),
        ),
        ("/metadata/labels/autopeft.dev~1trial", json!("4")),
        ("/metadata/ownerReferences/0/uid", json!("another")),
    ] {
        let mut changed = stored.clone();
        *changed.pointer_mut(field).expect(field) = value;
        let other: Job = serde_json::from_value(changed).expect("a Job");
        assert!(!is_the_same(&other, &wanted), "{field}");
    }
}

#[test]
fn a_job_that_kueue_has_put_into_its_default_queue_is_not_outdated() {
    let of = |trainer: Value| wanted(&search(claim("a", ""), claim("a", ""), trainer));
    let (plain, team) = (of(json!({})), of(json!({"queueName": "team"})));
    let mut queued = plain.clone();
    let labels = queued.metadata.labels.get_or_insert_default();
    labels.insert("kueue.x-k8s.io/queue-name".into(), "default".into());
    assert!(!is_outdated(&queued, &plain));
    assert!(!is_outdated(&team, &team));
    // The user has named a queue, another one, or none any more.
    assert!(is_outdated(&queued, &team));
    assert!(is_outdated(&team, &of(json!({"queueName": "other"}))));
    assert!(is_outdated(&team, &plain));
}

fn hub(repository: &str, secret: Option<&str>) -> Value {
    let token = secret.map(|name| json!({"name": name, "key": "token"}));
    json!({"hub": {"repository": repository, "tokenSecretRef": token}})
}

/// The Secret of each variable that is one.
fn tokens(search: &PeftSearch) -> Vec<(String, String)> {
    let job = made(search);
    let variables = &job["spec"]["template"]["spec"]["containers"][0]["env"];
    let variables = variables.as_array().expect("variables").iter();
    let named = variables.filter_map(|variable| {
        let secret = variable["valueFrom"]["secretKeyRef"]["name"].as_str()?;
        Some((variable["name"].as_str()?.to_owned(), secret.to_owned()))
    });
    named.collect()
}

#[test]
fn each_hub_source_has_its_own_token() {
    let tokens = |model, data| {
        let search = search(hub("a/model", model), hub("a/data", data), json!({}));
        tokens(&search)
    };
    let pair = |name: &str, secret: &str| (name.to_owned(), secret.to_owned());
    assert_eq!(tokens(None, None), []);
    assert_eq!(tokens(Some("m"), None), [pair("HF_TOKEN", "m")]);
    assert_eq!(tokens(None, Some("d")), [pair("HF_TOKEN", "d")]);
    assert_eq!(tokens(Some("m"), Some("m")), [pair("HF_TOKEN", "m")]);
    assert_eq!(
        tokens(Some("m"), Some("d")),
        [pair("HF_TOKEN", "m"), pair("HF_TOKEN_DATA", "d")]
    );
}

/// Kubernetes' own form of a toleration reaches the pod; where 0.1.0's left the operator out, it is filled in.
#[test]
fn tolerations_reach_the_pod() {
    let given = json!([
        {"key": "a"},
        {"key": "b", "value": "x"},
        {"key": "c", "operator": "Exists", "effect": "NoSchedule"},
        {"key": "d", "operator": "Equal", "effect": "NoExecute", "tolerationSeconds": 60},
    ]);
    let source = || claim("store", "m");
    let tolerant = search(source(), source(), json!({"tolerations": given}));
    let expected = json!([
        {"key": "a", "operator": "Exists"},
        {"key": "b", "operator": "Equal", "value": "x"},
        {"key": "c", "operator": "Exists", "effect": "NoSchedule"},
        {"key": "d", "operator": "Equal", "effect": "NoExecute", "tolerationSeconds": 60},
    ]);
    let pod = &made(&tolerant)["spec"]["template"]["spec"];
    assert_eq!(pod["tolerations"], expected);
}
