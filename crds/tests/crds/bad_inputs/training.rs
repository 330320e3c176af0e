//! Fidelity and recipe.

use serde_json::json;

use super::{BadInput, refused};

pub(super) fn rows() -> Vec<BadInput> {
    let mut rows = Vec::new();
    for (pointer, admission, values) in [
        ("/fidelity/epochs", "epochs", vec![json!(0), json!(1001)]),
        (
            "/fidelity/stepsPercent",
            "stepsPercent",
            vec![json!(0), json!(101)],
        ),
        (
            "/fidelity/trainExamples",
            "trainExamples",
            vec![json!(0), json!(1_u64 << 32)],
        ),
        (
            "/fidelity/validationExamples",
            "validationExamples",
            vec![json!(0), json!(1_u64 << 32)],
        ),
        (
            "/training/batchSize",
            "batchSize",
            vec![json!(0), json!(4097)],
        ),
        (
            "/training/maxLength",
            "maxLength",
            vec![json!(3), json!(4097)],
        ),
        (
            "/training/warmupPercent",
            "warmupPercent",
            vec![json!(101), json!(-1)],
        ),
        (
            "/training/patience",
            "patience",
            vec![json!(0), json!(1001)],
        ),
        (
            "/training/earlyStopping/constantPrediction/afterEpochs",
            "afterEpochs",
            vec![json!(0), json!(1001)],
        ),
        ("/training/seed", "seed", vec![json!(-1)]),
    ] {
        for value in values {
            let name = format!("{pointer} {value}");
            rows.push(refused(
                &name,
                pointer,
                value,
                admission,
                "write a whole number",
            ));
        }
    }
    let rate = "/training/learningRate";
    for text in ["0", "-1e-4", "1.5", "2"] {
        rows.push(refused(
            &format!("learning rate {text}"),
            rate,
            json!(text),
            "above 0",
            "write a number above 0 and at most 1, such as \"1e-4\"",
        ));
    }
    for text in ["-0.1", "1.5", "2"] {
        rows.push(refused(
            &format!("weight decay {text}"),
            "/training/weightDecay",
            json!(text),
            "from 0 to 1",
            "0 to 1",
        ));
    }
    for text in ["NaN", "Infinity", "1e400", "0x10", "1,5", "", " 1", "1e"] {
        rows.push(refused(
            &format!("learning rate {text:?}"),
            rate,
            json!(text),
            "learningRate",
            "is not a finite decimal number",
        ));
    }
    rows.push(refused(
        "a learning rate without quotes",
        rate,
        json!(0.001),
        "learningRate",
        "write it in quotes: \"0.001\"",
    ));
    rows
}
