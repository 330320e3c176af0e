//! The files that are generated from the API types: the CRD and the field reference.
//!
//! `make generate` writes them, and a
//! test fails when one is stale.

use std::path::{Path, PathBuf};

use anyhow::Context;
use autopeft_crds::methods::{BASELINES, Published};
use serde_json::Value;

const MANIFEST_INTRODUCTION: &str = "\
<!-- Generated from crds/src by `make generate`; edits here are lost. -->

# The manifest, field by field

A `PeftSearch` says what to search and how. `peft-operator run` and the operator read the same
manifest. Examples are in [examples/](examples/). Fields that are not listed here are rejected.
";

/// The repository's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every generated file: its path from the repository's root, and its content.
pub fn files() -> anyhow::Result<Vec<(&'static str, String)>> {
    let crd = serde_json::to_value(autopeft_crds::crd()).context("the CRD as JSON")?;
    let crd_yaml = autopeft_operator::crd_yaml().context("the CRD as YAML")?;
    Ok(vec![
        ("crds/peftsearches.yaml", crd_yaml.clone()),
        ("charts/autopeft/files/peftsearches.yaml", crd_yaml),
        ("docs/manifest.md", field_reference(&crd)?),
    ])
}

fn field_reference(crd: &Value) -> anyhow::Result<String> {
    let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"];
    let mut page = String::from(MANIFEST_INTRODUCTION);
    for (part, introduction) in [
        ("spec", "What a user writes."),
        (
            "status",
            "What the search writes: `status.yaml` of a local run, `kubectl get -o yaml` on a cluster.",
        ),
    ] {
        let node = schema
            .get(part)
            .with_context(|| format!("the CRD has no {part}"))?;
        page.push_str(&format!("\n## {part}\n\n{introduction}\n"));
        section(&mut page, part, node);
    }
    page.push_str(
        "\n## An entry of the ledger\n\nEach text of `status.ledger` is the JSON of an object with these fields.\n",
    );
    section(&mut page, "status.ledger[]", &autopeft_crds::entry_schema());
    baselines(&mut page);
    Ok(page)
}

/// A section with a row per baseline: what is trained, and the recipe it was published with.
fn baselines(page: &mut String) {
    page.push_str(
        "\n## Baselines\n\nH is the model's hidden size. With `baselineRecipe: Published` this recipe replaces the search's; \
         the epochs of the\npublication are for information.\n\n",
    );
    for row in BASELINES {
        let Published {
            learning_rate,
            batch_size,
            weight_decay,
            warmup_percent,
            patience,
            epochs,
            source,
        } = row.published;
        let count = |number: Option<u32>, what| {
            number.map_or_else(String::new, |number| format!(", {what} {number}"))
        };
        page.push_str(&wrapped(&format!(
            "- `{}`: {} ({}). Published: learning rate {learning_rate}, batches of {batch_size}, weight decay \
             {weight_decay}, warm-up {warmup_percent} %{}{} ({source}).",
            row.name,
            row.what,
            row.citation,
            count(patience, "patience"),
            count(epochs, "epochs"),
        )));
    }
}

/// A list of an object's fields, then a section for each field that is an object or a list of objects.
fn section(page: &mut String, path: &str, node: &Value) {
    let Some(fields) = node["properties"].as_object() else {
        return;
    };
    page.push_str(&format!("\n### `{path}`\n\n"));
    let required: Vec<&str> = node["required"]
        .as_array()
        .map(|names| names.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    for (name, field) in fields {
        let default = match &field["default"] {
            Value::Null if required.contains(&name.as_str()) => ", required".to_owned(),
            Value::Null => String::new(),
            Value::Object(_) => ", default as below".to_owned(),
            value => format!(", default `{value}`"),
        };
        let told = format!(
            "- `{name}` ({}{default}): {}",
            type_of(field),
            meaning(field)
        );
        page.push_str(&wrapped(told.trim_end_matches([':', ' '])));
    }
    for (name, field) in fields {
        if name == "conditions" {
            continue; // Kubernetes' own type.
        }
        let child = if field["items"]["properties"].is_object() {
            (format!("{path}.{name}[]"), &field["items"])
        } else {
            (format!("{path}.{name}"), field)
        };
        section(page, &child.0, child.1);
    }
}

fn type_of(field: &Value) -> String {
    let is_free = field["x-kubernetes-preserve-unknown-fields"] == true;
    let untyped = if is_free { "JSON text" } else { "object" };
    let base = field["type"].as_str().unwrap_or(untyped);
    let mut words = match base {
        "array" => format!("list of {}", type_of(&field["items"])),
        "string" if field["format"] == "date-time" => "time".to_owned(),
        "string" if field["pattern"] == autopeft_crds::decimal::DECIMAL_PATTERN => {
            "decimal string".to_owned()
        }
        other => other.to_owned(),
    };
    if let Some(values) = field["enum"].as_array() {
        let names: Vec<String> = values
            .iter()
            .filter(|v| !v.is_null())
            .map(|v| format!("`{}`", v.as_str().unwrap_or_default()))
            .collect();
        words = names.join(", ");
    }
    match (field["minimum"].as_f64(), field["maximum"].as_f64()) {
        (Some(least), Some(most)) => words.push_str(&format!(", {least} to {most}")),
        (Some(least), None) => words.push_str(&format!(", at least {least}")),
        (None, Some(most)) => words.push_str(&format!(", at most {most}")),
        (None, None) => {}
    }
    words
}

fn meaning(field: &Value) -> String {
    field["description"].as_str().unwrap_or_default().to_owned()
}

/// An item of a list in lines of at most 119 characters.
fn wrapped(item: &str) -> String {
    let mut lines = String::new();
    let mut length = 0;
    for word in item.split_whitespace() {
        let width = word.chars().count();
        if length > 0 && length + 1 + width > 119 {
            lines.push_str("\n  ");
            length = 2;
        } else if length > 0 {
            lines.push(' ');
            length += 1;
        }
        lines.push_str(word);
        length += width;
    }
    lines.push('\n');
    lines
}
