//! Counts, types and names.

use serde_json::json;

use super::{BadInput, good, refused, refused_below, refused_spec, set};

const WHOLE: &str = "write a whole number";

pub(super) fn rows() -> Vec<BadInput> {
    let mut rows = counts();
    rows.extend(types_and_names());
    rows
}

fn counts() -> Vec<BadInput> {
    let mut rows = Vec::new();
    let huge = 9_007_199_254_740_993_u64;
    for (pointer, admission, values) in [
        (
            "/maxTrials",
            "maxTrials",
            vec![json!(0), json!(-1), json!(501), json!(1_u64 << 31)],
        ),
        ("/maxRetries", "maxRetries", vec![json!(11), json!(-1)]),
        (
            "/maxFailedTrials",
            "maxFailedTrials",
            vec![json!(-1), json!(501)],
        ),
        (
            "/trialDeadlineSeconds",
            "trialDeadlineSeconds",
            vec![json!(0), json!(-5), json!(2_592_001)],
        ),
        (
            "/activeDeadlineSeconds",
            "activeDeadlineSeconds",
            vec![json!(0), json!(2_592_001)],
        ),
        (
            "/maxGpuSeconds",
            "maxGpuSeconds",
            vec![json!(0), json!(165_888_001)],
        ),
        (
            "/ttlSecondsAfterFinished",
            "ttlSecondsAfterFinished",
            vec![json!(-1), json!(31_536_001)],
        ),
        ("/algorithm/seed", "seed", vec![json!(-1), json!(huge)]),
        (
            "/algorithm/initialTrials",
            "initialTrials",
            vec![json!(0), json!(501)],
        ),
        (
            "/algorithm/nuts/warmup",
            "warmup",
            vec![json!(15), json!(4097)],
        ),
        (
            "/algorithm/nuts/maxTreeDepth",
            "maxTreeDepth",
            vec![json!(0), json!(13)],
        ),
        (
            "/algorithm/localSearch/restarts",
            "restarts",
            vec![json!(0), json!(101)],
        ),
        (
            "/algorithm/localSearch/evaluations",
            "evaluations",
            vec![json!(0), json!(10_001)],
        ),
        (
            "/convergence",
            "trials",
            vec![json!({"trials": 0}), json!({"trials": 501})],
        ),
    ] {
        let below = if pointer == "/convergence" {
            ".trials"
        } else {
            ""
        };
        for value in values {
            let name = format!("{pointer} {value}");
            rows.push(refused_below(
                &name, pointer, value, below, admission, WHOLE,
            ));
        }
    }
    let mut over = good();
    set(&mut over, "/parallelism", json!(9));
    rows.push(refused_spec(
        "parallelism over maxTrials",
        over,
        "spec.parallelism",
        "at most maxTrials",
        "9 is more than maxTrials, 8; let at most maxTrials",
    ));
    for (parallelism, admission) in [(0, "parallelism"), (65, "parallelism")] {
        let mut spec = good();
        set(&mut spec, "/maxTrials", json!(100));
        set(&mut spec, "/parallelism", json!(parallelism));
        let name = format!("parallelism {parallelism}");
        rows.push(refused_spec(
            &name,
            spec,
            "spec.parallelism",
            admission,
            WHOLE,
        ));
    }
    rows
}

fn types_and_names() -> Vec<BadInput> {
    let trials = "/maxTrials";
    let twice = json!(["Prefix", "Prefix"]);
    vec![
        refused(
            "a count as text",
            trials,
            json!("5"),
            "maxTrials",
            "write it without quotes: 5",
        ),
        refused(
            "a count with a fraction",
            trials,
            json!(5.5),
            "maxTrials",
            "5.5 is a number; write a whole number from 1 to 500",
        ),
        refused(
            "no model",
            "/model",
            json!(null),
            "model",
            "there is no value",
        ),
        refused(
            "a model that is text",
            "/model",
            json!("bert"),
            "model",
            "write an object with the fields source",
        ),
        refused(
            "a flag as text",
            "/suspend",
            json!("true"),
            "suspend",
            "write true or false",
        ),
        refused(
            "an unknown field",
            "/maxTrails",
            json!(5),
            "maxTrails",
            "did you mean maxTrials?",
        ),
        refused(
            "a field like no other",
            "/zebra",
            json!(5),
            "zebra",
            "use one of",
        ),
        refused(
            "an unknown field below",
            "/algorithm/nuts/warmUp",
            json!(5),
            "warmUp",
            "did you mean warmup?",
        ),
        refused(
            "baselines that are text",
            "/baselines",
            json!("Prefix"),
            "baselines",
            "write a list",
        ),
        refused_below(
            "an unknown baseline",
            "/baselines",
            json!(["Houlsby"]),
            "[0]",
            "Unsupported value",
            "write one of FullFineTuning",
        ),
        refused_below(
            "a baseline twice",
            "/baselines",
            twice,
            "[1]",
            "Duplicate value",
            "listed twice",
        ),
        refused_below(
            "a trial to try again twice",
            "/retryTrials",
            json!([3, 3]),
            "[1]",
            "Duplicate value",
            "listed twice",
        ),
        refused_below(
            "a trial to try again that no ledger holds",
            "/retryTrials",
            json!([5_000_000_000_u64]),
            "[0]",
            "should be less than or equal to",
            "write a whole number",
        ),
        refused_below(
            "a trial to try again below 0",
            "/retryTrials",
            json!([-1]),
            "[0]",
            "should be greater than or equal to 0",
            "write a whole number",
        ),
    ]
}
