//! What both exporters say about a checkpoint.

use autopeft_crds::Module;
use autopeft_crds::spec::TaskKind;
use serde_json::{Value, json};

use super::content::Content;
use crate::adapter::Exported;
use crate::peft::REGISTRY;

/// The adapter's name in `adapters`, and its head's.
pub(super) const NAME: &str = "autopeft";
/// The version of `adapters` that its files name.
pub(super) const VERSION: &str = "adapters.1.3.0";

/// The layers without modules.
pub(super) fn layers_left_out(content: &Content) -> Vec<usize> {
    let bits = content.description.configuration.layers.bits();
    let without = bits.iter().enumerate().filter(|(_, active)| !**active);
    without.map(|(layer, _)| layer).collect()
}

/// A module's name in a checkpoint's names of tensors.
pub(super) fn tensor_name(module: Module) -> &'static str {
    let mut rows = REGISTRY.iter();
    rows.find(|row| row.module == module)
        .map_or("", |row| row.name)
}

/// The object of a configuration file of `adapters`.
pub(super) fn described(content: &Content, name: &str, fields: &[(&str, Value)]) -> Value {
    let base = content.description.base.as_ref();
    let mut object = json!({
        "hidden_size": content.hidden(),
        "model_class": class(content.architecture()),
        "model_name": base.map(|base| &base.name),
        "model_type": content.architecture(),
        "name": name,
        "version": VERSION,
    });
    for (field, value) in fields {
        object[*field] = value.clone();
    }
    object
}

/// The class of `AutoAdapterModel` for an architecture.
fn class(architecture: &str) -> String {
    match architecture {
        "roberta" => "RobertaAdapterModel".into(),
        _ => "BertAdapterModel".into(),
    }
}

/// The card's part about an export.
pub(super) fn exported<'a>(
    library: &'static str,
    code: &'a str,
    notes: &'a [String],
) -> Exported<'a> {
    Exported {
        library,
        code,
        notes,
    }
}

/// The base model in Python.
fn model(content: &Content) -> String {
    let base = content.description.base.as_ref();
    format!("{:?}", base.map_or("MODEL", |base| base.name.as_str()))
}

/// Python that loads an export for `adapters`, and predicts with it.
pub(super) fn adapters_code(content: &Content, is_setup: bool) -> String {
    let load = match is_setup {
        true => "load_adapter_setup(\"DIR\", set_active=True)",
        false => "load_adapter(\"DIR\", set_active=True)",
    };
    format!(
        "from adapters import AutoAdapterModel\nfrom transformers import AutoTokenizer\n\n\
         model = AutoAdapterModel.from_pretrained({})\nmodel.{load}\n{}",
        model(content),
        prediction(content)
    )
}

/// Python that loads an export for `peft`, and predicts with it.
pub(super) fn peft_code(content: &Content, outputs: i64) -> String {
    let base = model(content);
    let (class, labels) = match content.kind() {
        TaskKind::MultipleChoice => ("AutoModelForMultipleChoice", String::new()),
        _ => (
            "AutoModelForSequenceClassification",
            format!(", num_labels={outputs}"),
        ),
    };
    format!(
        "from peft import PeftModel\nfrom transformers import {class}, AutoTokenizer\n\n\
         model = {class}.from_pretrained({base}{labels})\n\
         model = PeftModel.from_pretrained(model, \"DIR\")\n{}",
        prediction(content)
    )
}

/// Python that predicts one example with a loaded `model`.
fn prediction(content: &Content) -> String {
    let description = &content.description;
    let task = &description.task;
    let is_pair = match (&task.custom, task.name.facts()) {
        (Some(custom), _) => custom.text_columns.len() == 2,
        (None, facts) => facts.is_some_and(|facts| facts.own_text.1.is_some()),
    };
    let texts = match (content.kind(), is_pair) {
        (TaskKind::MultipleChoice, _) => {
            "[\"TEXT\", \"TEXT\"], [\"CHOICE\", \"CHOICE\"], padding=True"
        }
        (_, true) => "\"TEXT\", \"SECOND TEXT\"",
        (_, false) => "\"TEXT\"",
    };
    let (inputs, answer) = match content.kind() {
        TaskKind::MultipleChoice => (
            "{name: rows.unsqueeze(0) for name, rows in texts.items()}",
            "logits.argmax(-1).item()".to_owned(),
        ),
        TaskKind::Regression => ("texts", "logits.item()".into()),
        TaskKind::MultiLabel => (
            "texts",
            format!(
                "[label for label, logit in zip({}, logits[0]) if logit > 0]",
                json!(description.labels)
            ),
        ),
        TaskKind::Classification => (
            "texts",
            format!("{}[logits.argmax(-1).item()]", json!(description.labels)),
        ),
    };
    format!(
        "tokenizer = AutoTokenizer.from_pretrained({})\n\
         texts = tokenizer({texts}, truncation=True, max_length={}, return_tensors=\"pt\")\n\
         logits = model.eval()(**{inputs}).logits\nprint({answer})",
        model(content),
        description.training.max_length
    )
}
