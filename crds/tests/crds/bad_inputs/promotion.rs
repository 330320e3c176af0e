//! Training in full after the search.

use serde_json::{Value, json};

use super::{BadInput, refused, refused_below};

pub(super) fn rows() -> Vec<BadInput> {
    let mut rows = Vec::new();
    for (field, values) in [
        ("seeds", [json!(0), json!(51)]),
        ("epochs", [json!(0), json!(1001)]),
        ("maxConfigurations", [json!(0), json!(65)]),
        ("patience", [json!(0), json!(1001)]),
        ("trialDeadlineSeconds", [json!(0), json!(2_592_001)]),
    ] {
        for value in values {
            let name = format!("promotion.{field} {value}");
            let below = format!(".{field}");
            let promotion = json!({field: value});
            rows.push(refused_below(
                &name,
                "/promotion",
                promotion,
                &below,
                field,
                "write a whole number",
            ));
        }
    }
    for (name, promotion, below, admission, words) in refusals() {
        rows.push(refused_below(
            name,
            "/promotion",
            promotion,
            below,
            admission,
            words,
        ));
    }
    rows.push(
        refused(
            "promotion of an unknown kind",
            "/promotion",
            json!({"candidates": "Best"}),
            "Unsupported value: \"Best\"",
            "Front",
        )
        .at(".candidates"),
    );
    rows
}

type Refusal = (
    &'static str,
    Value,
    &'static str,
    &'static str,
    &'static str,
);

fn refusals() -> Vec<Refusal> {
    vec![
        (
            "more trainings in full than an object holds",
            json!({"maxConfigurations": 64, "seeds": 50, "trials": [1], "baselines": ["Prefix"]}),
            "",
            "at most 833 trials together",
            "3300 trainings beside 8 trials would need 3969 kB",
        ),
        (
            "the best within budgets that are not given",
            json!({"candidates": "BestWithinBudgets"}),
            ".budgets",
            "give budgets",
            "there are none; give budgets, such as",
        ),
        (
            "named trials that are not named",
            json!({"candidates": "NamedTrials"}),
            ".trials",
            "name trials or baselines",
            "there are none; name trials or baselines",
        ),
        (
            "a budget out of range",
            json!({"budgets": ["1", "1e9"]}),
            ".budgets[1]",
            "in percent of the backbone's parameters",
            "1000000000 is out of range; write budgets",
        ),
        (
            "a learning rate of 0 in full training",
            json!({"learningRate": "0"}),
            ".learningRate",
            "such as \"1e-4\"",
            "such as \"1e-4\"",
        ),
        (
            "an evaluation that says nothing",
            json!({"evaluation": {}}),
            ".evaluation",
            "give testFile or selectionPercent",
            "it says nothing; give testFile or selectionPercent",
        ),
        (
            "two evaluations",
            json!({"evaluation": {"testFile": "test.tsv", "selectionPercent": 10}}),
            ".evaluation",
            "give testFile or selectionPercent",
            "testFile and selectionPercent are given together; give testFile or selectionPercent",
        ),
        (
            "most of the training examples kept from training",
            json!({"evaluation": {"selectionPercent": 51}}),
            ".evaluation.selectionPercent",
            "selectionPercent",
            "write a whole number",
        ),
        (
            "a test file outside the data",
            json!({"evaluation": {"testFile": "../test.tsv"}}),
            ".evaluation.testFile",
            "write a relative path that has no ..",
            "leads out of its directory",
        ),
        (
            "a test file of an unknown kind",
            json!({"evaluation": {"testFile": "test.json"}}),
            ".evaluation.testFile",
            "name a file that ends in",
            "has an unknown extension; name a file that ends in .jsonl, .csv, .tsv or .parquet, or .txt",
        ),
    ]
}
