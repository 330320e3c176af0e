//! The head of `adapters`: AdapterHub's classification head, which is this project's, too.

use std::collections::BTreeMap;
use std::path::Path;

use autopeft_crds::spec::TaskKind;
use serde_json::{Value, json};
use tch::Tensor;

use super::content::Content;
use super::fields::Fields;
use super::parts::{Parts, pooler};
use super::python::{NAME, described};
use super::written::Written;
use super::{Base, InterchangeError, torch_file};
use crate::nn::NamedTensors;

const CONFIG: &str = "head_config.json";
const WEIGHTS: &str = "pytorch_model_head.bin";
const SAFE_WEIGHTS: &str = "model_head.safetensors";

/// Writes the head into a folder.
pub(super) fn write(
    content: &Content,
    folder: &str,
    written: &mut Written,
) -> Result<(), InterchangeError> {
    let outputs = content.outputs()?;
    let labels = &content.description.labels;
    let numbers = labels
        .iter()
        .enumerate()
        .map(|(number, label)| (label.clone(), json!(number)));
    let label2id = (!labels.is_empty()).then(|| Value::Object(numbers.collect()));
    let mut config = json!({
        "layers": 2, "activation_function": "tanh", "use_pooler": false, "dropout_prob": null, "label2id": label2id,
    });
    match content.kind() {
        TaskKind::MultipleChoice => {
            config["head_type"] = json!("multiple_choice");
            config["num_choices"] = json!(labels.len());
        }
        kind => {
            let is_set = kind == TaskKind::MultiLabel;
            config["head_type"] = json!(if is_set {
                "multilabel_classification"
            } else {
                "classification"
            });
            config["num_labels"] = json!(outputs);
            config["bias"] = json!(true);
        }
    }
    written.json(
        &format!("{folder}{CONFIG}"),
        &described(content, NAME, &[("config", config)]),
    );
    let mut tensors = NamedTensors::new();
    for (own, place) in [("dense", 1), ("output", 4)] {
        for part in ["weight", "bias"] {
            let tensor = content.tensor(&format!("head.{own}.{part}"))?;
            tensors.push((
                format!("heads.{NAME}.{place}.{part}"),
                tensor.shallow_clone(),
            ));
        }
    }
    written.torch(&format!("{folder}{WEIGHTS}"), tensors);
    Ok(())
}

/// Takes the head; gives its classes and the number of its outputs.
pub(super) fn read(
    folder: &Path,
    parts: &mut Parts,
    base: Base<'_>,
) -> Result<(Vec<String>, i64), InterchangeError> {
    let file = folder.join(CONFIG);
    if !file.is_file() {
        return Err(parts
            .refused("it has no head; save it by model.save_adapter(DIR, NAME, with_head=True)"));
    }
    let described = Fields::read(&file)?;
    let config = match described.get("config") {
        Some(config) => described.inner(config)?,
        None => return Err(described.wrong("config", "the head of an AutoAdapterModel")),
    };
    let kinds = [
        "classification",
        "multilabel_classification",
        "multiple_choice",
    ];
    if !kinds.contains(&config.text("head_type")) {
        return Err(config.wrong("head_type", &kinds.join(" or ")));
    }
    config.only("bias", true, true)?;
    let name = described.text("name");
    let mut tensors: BTreeMap<String, Tensor> = torch_file::either(folder, SAFE_WEIGHTS, WEIGHTS)?
        .into_iter()
        .collect();
    let mut dense = |place: u32| {
        let [weight, bias] =
            ["weight", "bias"].map(|part| tensors.remove(&format!("heads.{name}.{place}.{part}")));
        weight.zip(bias)
    };
    let uses_pooler = config.is_true("use_pooler");
    let (inner, output) = match (config.whole("layers")?, uses_pooler) {
        (2, false) => {
            config.only("activation_function", "tanh", "tanh")?;
            (dense(1), dense(4))
        }
        (1, true) => (pooler(base), dense(1)),
        _ => return Err(config.wrong("layers", "2 without pooler, or 1 on the pooler")),
    };
    let (Some(inner), Some(output)) = (inner, output) else {
        return Err(parts.refused("its head, or the pooler that it reads, lacks a dense layer"));
    };
    Ok((labels(&config), parts.head(inner, output, base)?))
}

/// The classes by their numbers; none where the head numbers them as the library does by itself.
fn labels(config: &Fields) -> Vec<String> {
    let numbered = config.get("label2id").and_then(Value::as_object);
    let numbered = numbered.into_iter().flatten();
    let mut numbered: Vec<(u64, String)> = numbered
        .filter_map(|(label, number)| Some((number.as_u64()?, label.clone())))
        .collect();
    numbered.sort_unstable();
    numbered.into_iter().map(|(_, label)| label).collect()
}
