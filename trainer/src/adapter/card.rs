//! The model card of an adapter's folder, `README.md`: the hub's metadata as YAML, then what the adapter is.

use std::fmt::Write;

use autopeft_crds::Module;
use autopeft_crds::spec::{Metric, TaskName, TaskSpec};
use autopeft_crds::trial::Method;
use serde_json::json;

use super::description::AdapterDescription;

/// The card's file name.
pub const CARD_FILE: &str = "README.md";

/// A folder in another library's format.
#[derive(Clone, Copy, Debug)]
pub struct Exported<'a> {
    /// The library's name on the hub.
    pub library: &'static str,
    /// Python that loads the folder.
    pub code: &'a str,
    /// Notes about it, one sentence each.
    pub notes: &'a [String],
}

/// The card of an adapter in this project's format, or as it is exported.
pub fn card(description: &AdapterDescription, exported: Option<Exported<'_>>) -> String {
    let mut card = metadata(description, exported);
    let base = description.base.as_ref();
    let name = base.map_or("an encoder", |base| base.name.as_str());
    let task = task_name(description);
    // Writing to a text does not fail.
    let _ = writeln!(card, "\n# {task} on {name}\n");
    let _ = writeln!(card, "{}\n", about(description));
    card.push_str(&row(description));
    card.push_str(&facts(description));
    card.push_str("\n## How to use it\n\n");
    match exported {
        None => card.push_str(
            "```sh\npeft-trainer evaluate --adapter DIR --model MODEL --data DATA\n\
             peft-trainer export DIR --format peft --out OUT  # or adapters: for Python\n```\n",
        ),
        Some(Exported { code, notes, .. }) => {
            let _ = writeln!(card, "```python\n{}\n```", code.trim_end());
            for note in notes {
                let _ = writeln!(card, "\n{note}");
            }
        }
    }
    card
}

/// The YAML that the hub reads. Texts are JSON strings, which YAML reads as they are.
fn metadata(description: &AdapterDescription, exported: Option<Exported<'_>>) -> String {
    let quoted = |text: &str| json!(text).to_string();
    let mut yaml = String::from("---\n");
    let library = exported.map_or("autopeft", |exported| exported.library);
    let license = description.license.as_deref().unwrap_or("unknown");
    let _ = writeln!(
        yaml,
        "license: {}\nlibrary_name: {library}",
        quoted(license)
    );
    let mut tags = vec![
        "autopeft".to_owned(),
        description.model.architecture.clone(),
    ];
    if let Some(base) = &description.base {
        let _ = writeln!(yaml, "base_model: {}", quoted(&base.name));
        tags.push(format!("base_model:adapter:{}", base.name));
    }
    tags.extend(modules(description).map(|(module, _)| module.name().to_lowercase()));
    let tags: Vec<_> = tags
        .iter()
        .map(|tag| format!("- {}\n", quoted(tag)))
        .collect();
    let _ = write!(
        yaml,
        "pipeline_tag: text-classification\ntags:\n{}",
        tags.concat()
    );
    if let Some(data) = data_set(&description.task) {
        let _ = writeln!(yaml, "datasets:\n- {}", quoted(&data));
    }
    let mut metrics: Vec<&str> = match &description.measured {
        Some(measured) => measured
            .metrics
            .keys()
            .map(|metric| hub_name(*metric))
            .collect(),
        None => vec![hub_name(description.metric)],
    };
    metrics.sort_unstable();
    metrics.dedup();
    let metrics: Vec<_> = metrics
        .iter()
        .map(|metric| format!("- {metric}\n"))
        .collect();
    let _ = writeln!(
        yaml,
        "metrics:\n{}{}---",
        metrics.concat(),
        results(description)
    );
    yaml
}

/// The measurements as the hub reads them.
fn results(description: &AdapterDescription) -> String {
    let Some(measured) = &description.measured else {
        return String::new();
    };
    let task = task_name(description);
    let data = data_set(&description.task).unwrap_or_else(|| "custom".into());
    let metrics = measured.metrics.iter();
    let metrics = metrics.map(|(metric, value)| {
        let (kind, name) = (hub_name(*metric), metric.label());
        json!({"type": kind, "name": name, "value": value})
    });
    let results = json!([{
        "name": "autopeft",
        "results": [{
            "task": {"type": "text-classification"},
            "dataset": {"type": data, "name": task, "split": split(description)},
            "metrics": metrics.collect::<Vec<_>>(),
        }],
    }]);
    // JSON is YAML.
    format!("model-index: {results}\n")
}

/// The examples behind the score, as the hub names them.
fn split(description: &AdapterDescription) -> &'static str {
    match description.test_file() {
        Some(_) => "test",
        None => "validation",
    }
}

/// One sentence.
fn about(description: &AdapterDescription) -> String {
    let what = match description.method {
        Method::FullFineTuning => "every weight, trained".to_owned(),
        Method::Peft | Method::LayerDrop | Method::LayerSelection => {
            let all: Vec<String> = modules(description)
                .map(|(module, size)| match module.facts().is_switch {
                    true => module.facts().title.to_owned(),
                    false => format!("{} of size {size}", module.facts().title),
                })
                .collect();
            let layers = description.configuration.layers.active();
            match all.is_empty() {
                true => "no module, a head alone".to_owned(),
                false => format!(
                    "{} in {layers} of {} layers",
                    all.join(", "),
                    description.model.layers
                ),
            }
        }
    };
    let source = match &description.search {
        Some(search) => format!("trial {} of search {}", search.trial, search.uid),
        None if description.score.is_none() => "trained by another program".to_owned(),
        None => "trained by itself".to_owned(),
    };
    format!("An adapter of [AutoPEFT](https://arxiv.org/abs/2301.12132) ({source}): {what}.")
}

/// The row of a search's front: score, parameters and configuration.
fn row(description: &AdapterDescription) -> String {
    let label = description.metric.label();
    let unknown = || "unknown".to_owned();
    let score = description.score.map(|score| format!("{score:.4}"));
    let cost = description.cost.as_ref();
    let parameters = cost.map(|cost| cost.parameters.to_string());
    let percent = cost.map(|cost| format!("{:.4}", cost.percent));
    format!(
        "| {label} | parameters | % of the model | configuration |\n| --- | --- | --- | --- |\n\
         | {} | {} | {} | `{}` |\n\n",
        score.unwrap_or_else(unknown),
        parameters.unwrap_or_else(unknown),
        percent.unwrap_or_else(unknown),
        description.configuration
    )
}

fn facts(description: &AdapterDescription) -> String {
    let mut lines = Vec::new();
    if let Some(base) = &description.base {
        lines.push(format!(
            "base model: `{}`, SHA-256 of its files `{}`",
            base.name, base.fingerprint
        ));
    }
    if !description.labels.is_empty() {
        let labels: Vec<_> = description
            .labels
            .iter()
            .map(|label| format!("`{label}`"))
            .collect();
        lines.push(format!(
            "labels, in the order of the outputs: {}",
            labels.join(", ")
        ));
    }
    lines.push(format!(
        "longest text: {} tokens",
        description.training.max_length
    ));
    if let Some(tokenizer) = &description.tokenizer {
        lines.extend(tokenizer.notes.iter().map(|note| format!("tokens: {note}")));
    }
    if let Some(measured) = &description.measured {
        let metrics = measured.metrics.iter();
        lines.extend(metrics.map(|(metric, value)| format!("{}: {value:.4}", metric.label())));
        lines.push(format!(
            "{} examples: {}",
            split(description),
            measured.validation_examples
        ));
        lines.push(format!(
            "parameters at inference, biases included: {}",
            measured.deployed_parameters
        ));
        lines.push(format!(
            "parameters trained, head included: {}",
            measured.trained_parameters
        ));
    }
    lines.iter().map(|line| format!("- {line}\n")).collect()
}

fn modules(description: &AdapterDescription) -> impl Iterator<Item = (Module, u32)> + '_ {
    description
        .configuration
        .sizes()
        .filter(|(_, size)| *size > 0)
}

fn task_name(description: &AdapterDescription) -> String {
    match description.task.name {
        TaskName::Custom => description.task.kind().label().to_owned(),
        name => name.as_str().to_owned(),
    }
}

/// The data set on the hub.
fn data_set(task: &TaskSpec) -> Option<String> {
    match &task.source.hub {
        Some(hub) => Some(hub.repository.clone()),
        None => task.name.facts().map(|facts| facts.data_set.to_owned()),
    }
}

/// A metric's identifier on the hub.
fn hub_name(metric: Metric) -> &'static str {
    match metric {
        Metric::Accuracy | Metric::SubsetAccuracy => "accuracy",
        Metric::F1 | Metric::MacroF1 | Metric::MicroF1 => "f1",
        Metric::Matthews => "matthews_correlation",
        Metric::Pearson => "pearsonr",
        Metric::Spearman => "spearmanr",
    }
}
