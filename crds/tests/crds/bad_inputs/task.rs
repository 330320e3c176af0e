//! The task, its files and its metric.

use serde_json::{Value, json};

use super::{BadInput, good, refused, refused_below, refused_spec, set, told_later, with};

pub(super) fn rows() -> Vec<BadInput> {
    let mut rows = names();
    rows.extend(files_and_columns());
    rows.extend(metrics());
    rows.extend(kinds());
    rows.extend(labels_and_weights());
    rows
}

fn known(task: &str, more: &[(&str, Value)]) -> Value {
    let source = json!({"claim": {"name": "autopeft", "path": "data"}});
    let mut task = json!({"name": task, "source": source});
    for (field, value) in more {
        task[field] = value.clone();
    }
    with("/task", task)
}

fn names() -> Vec<BadInput> {
    let mut described = good();
    set(&mut described, "/task/name", json!("rte"));
    vec![
        refused(
            "a task that is a number",
            "/task/name",
            json!(3),
            "name",
            "in quotes",
        ),
        refused(
            "a task in capitals",
            "/task/name",
            json!("RTE"),
            "Unsupported value",
            "did you mean rte?",
        ),
        refused(
            "a metric in small letters",
            "/task/metric",
            json!("accuracy"),
            "Unsupported value",
            "did you mean Accuracy?",
        ),
        refused_below(
            "no data",
            "/task",
            json!({"name": "rte"}),
            ".source",
            "source",
            "the field is missing",
        ),
        refused_spec(
            "a task that custom does not fit",
            described,
            "spec.task.custom",
            "custom describes",
            "the task rte has its own files and labels; custom describes the files, columns and labels of the \
             task named custom; leave custom out",
        ),
        refused_spec(
            "a task of one's own that is not described",
            known("custom", &[]),
            "spec.task.custom",
            "custom describes",
            "the field is missing",
        ),
    ]
}

fn files_and_columns() -> Vec<BadInput> {
    let case = |field: &str, value: Value, admission, words: &str| {
        let name = format!(
            "{field} {}",
            value.to_string().chars().take(40).collect::<String>()
        );
        refused(
            &name,
            &format!("/task/custom/{field}"),
            value,
            admission,
            words,
        )
    };
    let ending = "ends in .jsonl, .csv, .tsv or .parquet";
    let long = "x".repeat(300);
    let twice = "Duplicate value";
    let mut regression = good();
    set(&mut regression, "/task/custom/type", json!("Regression"));
    set(&mut regression, "/task/custom/labels", json!(["a", "b"]));
    vec![
        case(
            "trainFile",
            json!("../train.jsonl"),
            "has no ..",
            "relative path",
        ),
        case(
            "trainFile",
            json!("/train.jsonl"),
            "has no ..",
            "relative path",
        ),
        case("trainFile", json!("train.txt"), ending, ending),
        case("validationFile", json!("dev"), ending, ending),
        case("validationFile", json!("dev.parquet.gz"), ending, ending),
        case(
            "validationFile",
            json!(""),
            "validationFile",
            "the text is empty",
        ),
        case(
            "textColumns",
            json!([]),
            "textColumns",
            "give 1 to 2 entries",
        ),
        case(
            "textColumns",
            json!(["a", "b", "c"]),
            "textColumns",
            "give 1 to 2 entries",
        ),
        case(
            "textColumns",
            json!(["text", "text"]),
            twice,
            "listed twice",
        )
        .at("[1]"),
        case(
            "textColumns",
            json!(["label"]),
            "not one of textColumns",
            "text column too",
        )
        .moved("spec.task.custom.labelColumn"),
        case(
            "labelColumn",
            json!("text"),
            "not one of textColumns",
            "text column too",
        ),
        case(
            "labelColumn",
            json!(long),
            "labelColumn",
            "1 to 256 characters",
        ),
        case("labels", json!([]), "labels", "give 2 to 256 entries"),
        case("labels", json!(["one"]), "labels", "give 2 to 256 entries"),
        case("labels", json!(["a", "a"]), twice, "listed twice").at("[1]"),
        case("labels", json!(["a", "b", "a"]), twice, "listed twice").at("[2]"),
        case("labels", json!([true, "b"]), "labels", "in quotes").at("[0]"),
        refused_spec(
            "labels of a regression",
            regression,
            "spec.task.custom.labels",
            "a regression has no labels",
            "a regression has no classes",
        ),
    ]
}

fn metrics() -> Vec<BadInput> {
    let field = "spec.task.metric";
    vec![
        told_later(
            "a metric of numbers for classes",
            with("/task/metric", json!("Spearman")),
            field,
            "Accuracy, F1, Matthews, MacroF1 or MicroF1",
        ),
        told_later(
            "a metric of classes for numbers",
            known("stsb", &[("metric", json!("F1"))]),
            field,
            "Pearson or Spearman",
        ),
    ]
}

/// A custom task of a kind, with more fields.
fn of_kind(kind: &str, more: &[(&str, Value)]) -> Value {
    let mut spec = with("/task/custom/type", json!(kind));
    for (field, value) in more {
        set(&mut spec, &format!("/task/custom/{field}"), value.clone());
    }
    spec
}

fn case(name: &str, spec: Value, field: &str, admission: &'static str, words: &str) -> BadInput {
    let field = format!("spec.task.custom.{field}");
    refused_spec(name, spec, &field, admission, words)
}

fn kinds() -> Vec<BadInput> {
    let choices = |columns: Value| ("choiceColumns", columns);
    vec![
        refused_spec(
            "a form of a task without choices",
            known("rte", &[("form", json!("Pair"))]),
            "spec.task.form",
            "form says how",
            "the task rte has one form",
        ),
        case(
            "a choice without columns",
            of_kind("MultipleChoice", &[]),
            "choiceColumns",
            "choiceColumns names the choices",
            "the field is missing",
        ),
        case(
            "choices of a classification",
            of_kind("Classification", &[choices(json!(["a", "b"]))]),
            "choiceColumns",
            "choiceColumns names the choices",
            "a classification task has none",
        ),
        case(
            "a choice that is a text",
            of_kind("MultipleChoice", &[choices(json!(["text", "b"]))]),
            "choiceColumns",
            "neither labelColumn nor",
            "another column too",
        ),
        case(
            "labels of other choices",
            of_kind(
                "MultipleChoice",
                &[
                    choices(json!(["a", "b"])),
                    ("labels", json!(["1", "2", "3"])),
                ],
            ),
            "labels",
            "one per choice",
            "3 labels for 2 choices",
        ),
    ]
}

fn labels_and_weights() -> Vec<BadInput> {
    vec![
        case(
            "a delimiter of single labels",
            of_kind("Classification", &[("labelDelimiter", json!(";"))]),
            "labelDelimiter",
            "separates the classes",
            "a classification task has none",
        ),
        case(
            "weights of numbers",
            of_kind("Regression", &[("classWeights", json!({"balanced": true}))]),
            "classWeights",
            "is for a Classification or a MultiLabel",
            "a regression task has none",
        ),
        case(
            "no weights",
            of_kind("Classification", &[("classWeights", json!({}))]),
            "classWeights",
            "either balanced: true or values",
            "it gives no weights",
        ),
        case(
            "fewer weights than labels",
            of_kind(
                "Classification",
                &[
                    ("labels", json!(["a", "b", "c"])),
                    ("classWeights", json!({"values": ["1", "2"]})),
                ],
            ),
            "classWeights.values",
            "a weight for each of labels",
            "2 weights for 3 labels",
        ),
        case(
            "a weight of nothing",
            of_kind(
                "Classification",
                &[("classWeights", json!({"values": ["1", "0"]}))],
            ),
            "classWeights.values[1]",
            "write weights from",
            "0 is out of range",
        ),
    ]
}
