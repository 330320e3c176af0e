//! Training on other tasks. What CEL says of `spec.task` is told by the operator of the tasks of a transfer.

use serde_json::{Value, json};

use super::{BadInput, good, refused_spec, told_later};

/// Another task with these changes.
fn task(changes: &[(&str, Value)]) -> Value {
    let source = json!({"claim": {"name": "autopeft", "path": "other"}});
    let mut task = json!({"name": "mrpc", "source": source});
    for (field, value) in changes {
        task[field] = value.clone();
    }
    task
}

/// The good spec with trainings in full on these tasks.
fn on(tasks: &[Value]) -> Value {
    let mut spec = good();
    spec["promotion"] = json!({"seeds": 1});
    spec["transfer"] = json!({"tasks": tasks});
    spec
}

fn named(name: &str, task: Value) -> Value {
    json!({"name": name, "task": task})
}

pub(super) fn rows() -> Vec<BadInput> {
    let mut rows = shapes();
    rows.extend(tasks());
    rows
}

fn shapes() -> Vec<BadInput> {
    let plain = || named("mrpc", task(&[]));
    let mut alone = on(&[plain()]);
    let fields = alone.as_object_mut().expect("a spec");
    fields.remove("promotion");
    let mut many = on(&[plain(), named("other", task(&[]))]);
    many["promotion"] = json!({"maxConfigurations": 64, "seeds": 5});
    let more: Vec<Value> = (0..17)
        .map(|number| named(&format!("task-{number}"), task(&[])))
        .collect();
    let tasks = "spec.transfer.tasks";
    vec![
        refused_spec(
            "other tasks without a promotion",
            alone,
            "spec.transfer",
            "transfer trains what promotion trains",
            "nothing is promoted; transfer trains what promotion trains: give promotion too",
        ),
        refused_spec(
            "more trainings on other tasks than an object holds",
            many,
            "spec.promotion",
            "at most 833 trials together",
            "960 trainings beside 8 trials would need",
        ),
        refused_spec(
            "no other task",
            on(&[]),
            tasks,
            "tasks",
            "the list has 0 entries",
        ),
        refused_spec(
            "too many other tasks",
            on(&more),
            tasks,
            "tasks",
            "the list has 17 entries",
        ),
        refused_spec(
            "two other tasks of one name",
            on(&[plain(), plain()]),
            "spec.transfer.tasks[1]",
            "Duplicate value",
            "mrpc is listed twice",
        ),
        refused_spec(
            "another task without a name",
            on(&[named("", task(&[]))]),
            "spec.transfer.tasks[0].name",
            "name",
            "the text is empty",
        ),
        refused_spec(
            "another task of an unknown kind",
            on(&[named("one", task(&[("name", json!("mprc"))]))]),
            "spec.transfer.tasks[0].task.name",
            "Unsupported value",
            "did you mean mrpc?",
        ),
    ]
}

fn tasks() -> Vec<BadInput> {
    let one = |changes: &[(&str, Value)]| on(&[named("one", task(changes))]);
    let at = |below: &str| format!("spec.transfer.tasks[0].task{below}");
    let custom = |more: &[(&str, Value)]| {
        let mut custom = json!({"type": "Classification", "textColumns": ["text"]});
        for (field, value) in more {
            custom[field] = value.clone();
        }
        one(&[("name", json!("custom")), ("custom", custom)])
    };
    let labels: Vec<String> = (0..200).map(|number| format!("{number:050}")).collect();
    let mut evaluated = one(&[]);
    evaluated["transfer"]["tasks"][0]["evaluation"] = json!({"testFile": "../test.tsv"});
    let hub = |key: &str| {
        let token = json!({"name": "hub", "key": key});
        task(&[(
            "source",
            json!({"hub": {"repository": "a/b", "tokenSecretRef": token}}),
        )])
    };
    let mut large = on(&[named("one", custom_task(&labels[..100]))]);
    large["promotion"] = json!({"maxConfigurations": 64, "seeds": 5});
    vec![
        told_later(
            "another task from nowhere",
            one(&[("source", json!({}))]),
            &at(".source"),
            "give exactly one of path, claim, image and hub",
        ),
        told_later(
            "another task that custom does not fit",
            one(&[("name", json!("custom"))]),
            &at(".custom"),
            "the field is missing",
        ),
        told_later(
            "a metric that does not fit another task",
            one(&[("metric", json!("Spearman"))]),
            &at(".metric"),
            "does not fit a",
        ),
        told_later(
            "a label of another task that is a text",
            custom(&[("labelColumn", json!("text"))]),
            &at(".custom.labelColumn"),
            "is a text column too",
        ),
        told_later(
            "a test file outside another task's data",
            evaluated,
            "spec.transfer.tasks[0].evaluation.testFile",
            "leads out of its directory",
        ),
        told_later(
            "another task that is described at length",
            on(&[named("one", custom_task(&labels))]),
            "spec.transfer.tasks[0]",
            "describe the task in at most 8000 bytes of JSON",
        ),
        told_later(
            "more descriptions of another task than an object holds",
            large,
            "spec.promotion",
            "640 trainings beside 8 trials would need",
        ),
        told_later(
            "other tasks with different tokens",
            on(&[named("one", hub("a")), named("two", hub("b"))]),
            "spec.transfer.tasks[1].task.source.hub.tokenSecretRef",
            "one inspection reads all data, with one token",
        ),
    ]
}

/// A user-defined task with these classes.
fn custom_task(labels: &[String]) -> Value {
    let custom = json!({"type": "Classification", "textColumns": ["text"], "labels": labels});
    task(&[("name", json!("custom")), ("custom", custom)])
}
