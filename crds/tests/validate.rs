//! What a spec may not say, each with the field that is named.

use autopeft_crds::PeftSearchSpec;
use autopeft_crds::schema::{check, spec_schema};
use autopeft_crds::validate::{rules, validate};
use serde_json::{Value, json};

fn good() -> Value {
    json!({
        "model": {"source": {"path": "model"}},
        "task": {"name": "rte", "source": {"path": "data"}},
    })
}

fn set(value: &mut Value, pointer: &str, new: Value) {
    let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
    if value.pointer(parent).is_none() {
        set(value, parent, json!({}));
    }
    value.pointer_mut(parent).expect("made above")[name] = new;
}

/// The errors of the good spec with one field changed, as a manifest's reader finds them.
fn errors(pointer: &str, new: Value) -> Vec<String> {
    let mut value = good();
    set(&mut value, pointer, new);
    let mut found = check(&value, spec_schema(), "spec");
    if let Ok(spec) = serde_json::from_value::<PeftSearchSpec>(value) {
        found.extend(rules(&spec));
    }
    found.iter().map(ToString::to_string).collect()
}

/// Exactly one error, at `field`, that says `words`.
fn refused(pointer: &str, new: Value, field: &str, words: &str) {
    let found = errors(pointer, new.clone());
    assert_eq!(found.len(), 1, "{pointer} = {new}: {found:?}");
    assert!(
        found[0].starts_with(&format!("{field}: ")) && found[0].contains(words),
        "{pointer} = {new}: {}",
        found[0]
    );
}

#[test]
fn a_good_spec_has_no_errors() {
    let spec: PeftSearchSpec = serde_json::from_value(good()).expect("a spec");
    assert_eq!(validate(&spec), []);
}

/// The names of a map are the user's own.
#[test]
fn a_node_selector_may_have_any_label() {
    let labels = json!({"nvidia.com/gpu.present": "true"});
    assert!(errors("/trainer/nodeSelector", labels).is_empty());
    let number = json!({"pool": 5});
    let found = errors("/trainer/nodeSelector", number);
    assert!(
        found[0].starts_with("spec.trainer.nodeSelector.pool: "),
        "{found:?}"
    );
}

#[test]
fn counts_out_of_range() {
    for (pointer, values) in [
        (
            "/maxTrials",
            vec![json!(0), json!(-1), json!(501), json!(1_u64 << 31)],
        ),
        ("/parallelism", vec![json!(0), json!(65)]),
        ("/maxRetries", vec![json!(11), json!(-1)]),
        (
            "/trialDeadlineSeconds",
            vec![json!(0), json!(-1), json!(2_592_001)],
        ),
        ("/activeDeadlineSeconds", vec![json!(0), json!(2_592_001)]),
        (
            "/algorithm/seed",
            vec![json!(-1), json!(9_007_199_254_740_993_u64)],
        ),
        ("/algorithm/nuts/warmup", vec![json!(15)]),
        ("/fidelity/epochs", vec![json!(0), json!(1001)]),
        (
            "/fidelity/trainExamples",
            vec![json!(0), json!(1_u64 << 32)],
        ),
        ("/training/batchSize", vec![json!(0)]),
        ("/training/warmupPercent", vec![json!(101)]),
    ] {
        let field = format!("spec{}", pointer.replace('/', "."));
        for value in values {
            refused(pointer, value, &field, "write a whole number");
        }
    }
}

#[test]
fn quantities_that_lack_their_unit() {
    for (pointer, values) in [
        ("/trainer/resources/memory", ["2", "512k", "15Mi", "16M"]),
        (
            "/trainer/resources/ephemeralStorage",
            ["2", "900", "1M", "1023Ki"],
        ),
    ] {
        let field = format!("spec{}", pointer.replace('/', "."));
        for value in values {
            let words = if value.parse::<u32>().is_ok() {
                format!("did you mean {value}Gi?")
            } else {
                "give at least".into()
            };
            refused(pointer, json!(value), &field, &words);
        }
    }
    for good in ["16Mi", "17M", "16777216", "2Gi", "1T"] {
        assert_eq!(errors("/trainer/resources/memory", json!(good)), [""; 0]);
    }
    for none in ["0", "0m", "0.00"] {
        let field = "spec.trainer.resources.cpu";
        refused("/trainer/resources/cpu", json!(none), field, "is no core");
    }
    assert_eq!(errors("/trainer/resources/cpu", json!("0.1")), [""; 0]);
    // Told once, by the schema.
    refused(
        "/trainer/resources/memory",
        json!("much"),
        "spec.trainer.resources.memory",
        "characters or a shape",
    );
}

#[test]
fn wrong_types() {
    refused(
        "/maxTrials",
        json!("5"),
        "spec.maxTrials",
        "write it without quotes: 5",
    );
    refused(
        "/maxTrials",
        json!(5.5),
        "spec.maxTrials",
        "5.5 is a number; write a whole number from 1 to 500",
    );
    refused(
        "/maxTrials",
        json!(null),
        "spec.maxTrials",
        "there is no value",
    );
    refused(
        "/suspend",
        json!("true"),
        "spec.suspend",
        "write true or false",
    );
    refused(
        "/training/learningRate",
        json!(0.001),
        "spec.training.learningRate",
        "write it in quotes: \"0.001\"",
    );
    refused(
        "/baselines",
        json!("Prefix"),
        "spec.baselines",
        "write a list",
    );
    refused(
        "/model",
        json!("bert"),
        "spec.model",
        "write an object with fields of source",
    );
    refused("/task/name", json!(3), "spec.task.name", "in quotes");
}

#[test]
fn numbers_that_are_not_finite_decimals() {
    for text in ["NaN", "Infinity", "1e400", "0x10", "1,5", "", " 1", "1e"] {
        let found = errors("/training/learningRate", json!(text));
        assert!(
            found[0].starts_with("spec.training.learningRate: "),
            "{text}: {found:?}"
        );
    }
    refused(
        "/training/learningRate",
        json!("0"),
        "spec.training.learningRate",
        "above 0",
    );
    refused(
        "/training/learningRate",
        json!("-1e-4"),
        "spec.training.learningRate",
        "above 0",
    );
    refused(
        "/training/weightDecay",
        json!("1.5"),
        "spec.training.weightDecay",
        "0 to 1",
    );
}

#[test]
fn unknown_and_missing_fields() {
    refused(
        "/maxTrails",
        json!(5),
        "spec.maxTrails",
        "did you mean maxTrials?",
    );
    refused(
        "/algorithm/nuts/warmUp",
        json!(5),
        "spec.algorithm.nuts.warmUp",
        "did you mean warmup?",
    );
    refused(
        "/model/source/hub",
        json!({}),
        "spec.model.source.hub.repository",
        "the field is missing",
    );
    refused(
        "/task",
        json!({"name": "rte"}),
        "spec.task.source",
        "the field is missing",
    );
    refused("/zebra", json!(5), "spec.zebra", "known are");
}

#[test]
fn names_that_are_not_known() {
    refused(
        "/task/name",
        json!("RTE"),
        "spec.task.name",
        "did you mean rte?",
    );
    refused(
        "/task/metric",
        json!("accuracy"),
        "spec.task.metric",
        "did you mean Accuracy?",
    );
    refused(
        "/baselines",
        json!(["LoRA"]),
        "spec.baselines[0]",
        "write one of FullFineTuning",
    );
    refused(
        "/baselines",
        json!(["Prefix", "Prefix"]),
        "spec.baselines[1]",
        "listed twice",
    );
}

#[test]
fn sources() {
    let field = "spec.model.source";
    refused(
        "/model/source",
        json!({}),
        field,
        "exactly one of path, claim, image and hub",
    );
    let both = json!({"path": "x", "claim": {"name": "c"}});
    refused(
        "/model/source",
        both,
        field,
        "path and claim are given together",
    );
    refused(
        "/model/source/path",
        json!(""),
        "spec.model.source.path",
        "the text is empty",
    );
    for path in ["/etc", "a/../../b"] {
        let claim = json!({"claim": {"name": "c", "path": path}});
        refused(
            "/model/source",
            claim,
            "spec.model.source.claim.path",
            "relative path without ..",
        );
    }
    let claim = json!({"claim": {"name": "Not A Name"}});
    refused(
        "/model/source",
        claim,
        "spec.model.source.claim.name",
        "matches",
    );
    let hub = json!({"hub": {"repository": "a/b/c"}});
    refused(
        "/model/source",
        hub,
        "spec.model.source.hub.repository",
        "matches",
    );
}

#[test]
fn tasks_of_the_users_own() {
    let custom = |name: &str, value: Value| {
        let mut task = json!({
            "name": "custom",
            "source": {"path": "data"},
            "custom": {"type": "Classification", "textColumns": ["text"]},
        });
        task["custom"][name] = value;
        task
    };
    let case = |name: &str, value: Value, words: &str| {
        let task = custom(name, value);
        let found = errors("/task", task);
        assert_eq!(found.len(), 1, "{name}: {found:?}");
        let field = format!("spec.task.custom.{name}");
        assert!(
            found[0].starts_with(&field) && found[0].contains(words),
            "{}",
            found[0]
        );
    };
    case("trainFile", json!("../x.csv"), "relative path");
    case(
        "validationFile",
        json!("dev.parquet"),
        ".jsonl, .csv or .tsv",
    );
    case("textColumns", json!([]), "give 1 to 2 entries");
    case("textColumns", json!(["a", "a"]), "listed twice");
    case("labelColumn", json!("text"), "text column too");
    case("labels", json!(["one"]), "give 2 to 256 entries");
    case("labels", json!(["a", "b", "a"]), "listed twice");
    let regression = json!({
        "name": "custom",
        "source": {"path": "data"},
        "custom": {"type": "Regression", "textColumns": ["text"], "labels": ["a", "b"]},
    });
    refused("/task", regression, "spec.task.custom.labels", "no classes");
    let nothing = json!({"name": "custom", "source": {"path": "data"}});
    refused("/task", nothing, "spec.task.custom", "the field is missing");
    let too_much = json!({"type": "Classification", "textColumns": ["text"]});
    refused(
        "/task/custom",
        too_much,
        "spec.task.custom",
        "leave custom out",
    );
}

#[test]
fn metrics_that_do_not_fit() {
    refused(
        "/task/metric",
        json!("Spearman"),
        "spec.task.metric",
        "Accuracy, F1 or Matthews",
    );
    let stsb = json!({"name": "stsb", "source": {"path": "data"}, "metric": "F1"});
    refused("/task", stsb, "spec.task.metric", "Pearson or Spearman");
}

#[test]
fn objectives() {
    let score = |part: &str, value: &str| json!([{"name": "score", part: value}]);
    refused(
        "/objectives",
        score("bound", "1.5"),
        "spec.objectives[0].bound",
        "0 to 1",
    );
    refused(
        "/objectives",
        score("bound", "-0.5"),
        "spec.objectives[0].bound",
        "0 to 1",
    );
    refused(
        "/objectives",
        score("reference", "0.5"),
        "spec.objectives",
        "for neither",
    );
    let negative = json!([{"name": "trainableParameters", "bound": "-1"}]);
    refused(
        "/objectives",
        negative,
        "spec.objectives[0].bound",
        "in percent",
    );
    let twice = json!([{"name": "score"}, {"name": "score"}]);
    refused(
        "/objectives",
        twice,
        "spec.objectives[1]",
        "score is listed twice",
    );
    let name = json!([{"name": "speed"}]);
    refused(
        "/objectives",
        name,
        "spec.objectives[0].name",
        "write one of score, trainableParameters",
    );
}

#[test]
fn the_space() {
    let space = |dimension: Value| json!({"dimensions": [dimension]});
    let case = |dimension: Value, part: &str, words: &str| {
        let field = format!("spec.searchSpace.dimensions[0].{part}");
        refused("/searchSpace", space(dimension), &field, words);
    };
    case(
        json!({"name": "prefix", "sizes": [0, 4, 2]}),
        "sizes[2]",
        "ascending",
    );
    case(
        json!({"name": "prefix", "sizes": [1, 1]}),
        "sizes[1]",
        "listed twice",
    );
    case(
        json!({"name": "prefix", "sizes": []}),
        "sizes",
        "give 1 to 64 entries",
    );
    case(
        json!({"name": "prefix", "sizes": [-1]}),
        "sizes[0]",
        "too small",
    );
    case(
        json!({"name": "prefix", "mask": "**"}),
        "mask",
        "only layers has a mask",
    );
    case(json!({"name": "layers", "sizes": [1]}), "sizes", "use mask");
    case(json!({"name": "layers", "mask": "*x*"}), "mask", "matches");
    case(json!({"name": "lora"}), "name", "write one of layers");
    refused(
        "/searchSpace",
        json!({"dimensions": []}),
        "spec.searchSpace.dimensions",
        "give 1 to 4",
    );
    let twice = json!({"dimensions": [{"name": "prefix"}, {"name": "prefix"}]});
    refused(
        "/searchSpace",
        twice,
        "spec.searchSpace.dimensions[1]",
        "listed twice",
    );
}

#[test]
fn fields_that_do_not_go_together() {
    let mut value = good();
    value["maxTrials"] = json!(3);
    value["parallelism"] = json!(4);
    let spec: PeftSearchSpec = serde_json::from_value(value).expect("a spec");
    let found = validate(&spec);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].field, "spec.parallelism");
    let nuts = json!({"samples": 8, "thinning": 16});
    refused(
        "/algorithm/nuts",
        nuts,
        "spec.algorithm.nuts.thinning",
        "no sample would be kept",
    );
    let many =
        json!({"nuts": {"samples": 64, "thinning": 1}, "acquisition": {"monteCarloSamples": 1025}});
    refused(
        "/algorithm",
        many,
        "spec.algorithm.acquisition.monteCarloSamples",
        "at most 65536",
    );
    let convergence = json!({"trials": 5, "tolerance": "-1"});
    refused(
        "/convergence",
        convergence,
        "spec.convergence.tolerance",
        "0 to 1",
    );
}

#[test]
fn every_error_is_found() {
    let mut value = good();
    value["maxTrials"] = json!(0);
    value["paralellism"] = json!(2);
    value["task"]["name"] = json!("glue");
    let found = check(&value, spec_schema(), "spec");
    let fields: Vec<&str> = found.iter().map(|error| error.field.as_str()).collect();
    assert_eq!(
        fields,
        ["spec.maxTrials", "spec.paralellism", "spec.task.name"]
    );
}
