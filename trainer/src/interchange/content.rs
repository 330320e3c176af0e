//! A checkpoint's description and tensors, and what exporters ask of them.

use std::path::Path;

use autopeft_crds::options::{Ia3Options, LoraOptions, PrefixOptions};
use autopeft_crds::spec::TaskKind;
use autopeft_crds::trial::Method;
use autopeft_crds::{Module, ModuleOptions};
use tch::Tensor;

use super::InterchangeError;
use super::written::DESCRIPTION;
use crate::adapter::{Adapter, AdapterDescription, ModelShape};
use crate::encoder::ModelConfig;
use crate::nn::NamedTensors;

/// A checkpoint's description and tensors.
#[derive(Debug)]
pub struct Content {
    /// The description.
    pub description: AdapterDescription,
    /// The tensors by their names in a checkpoint.
    pub tensors: NamedTensors,
}

impl Content {
    /// Reads a checkpoint.
    ///
    /// # Errors
    /// It cannot be read, or is a whole model and not an adapter.
    pub fn read(directory: &Path) -> Result<Self, InterchangeError> {
        let adapter = Adapter::open(directory)?;
        let tensors = adapter.tensors()?;
        let description = adapter.description().clone();
        if description.method == Method::FullFineTuning {
            return Err(InterchangeError::Refused(
                "full fine-tuning changes every weight: there is no adapter to export".into(),
            ));
        }
        let content = Self {
            description,
            tensors,
        };
        content.tensor("head.output.weight")?;
        content.check_options();
        Ok(content)
    }

    /// Names every option: a new one does not compile before both exporters, which ignore what they do not know, say
    /// what becomes of it.
    fn check_options(&self) {
        let ModuleOptions {
            lora:
                LoraOptions {
                    matrices: _,
                    alpha: _,
                    rank_stabilized: _,
                },
            ia3: Ia3Options { feed_forward: _ },
            prefix: PrefixOptions { width: _ },
            gated: _,
        } = &self.description.options;
    }

    /// Refuses a base model of another shape.
    pub(super) fn check_model(&self, config: &ModelConfig) -> Result<(), InterchangeError> {
        let found = ModelShape::from(config);
        match found == self.description.model {
            true => Ok(()),
            false => Err(InterchangeError::Refused(format!(
                "the model is another than the adapter's: it is {found:?}, and the adapter belongs to {:?}",
                self.description.model
            ))),
        }
    }

    pub(super) fn tensor(&self, name: &str) -> Result<&Tensor, InterchangeError> {
        let mut tensors = self.tensors.iter();
        let found = tensors.find(|(own, _)| own == name);
        found
            .map(|(_, tensor)| tensor)
            .ok_or_else(|| InterchangeError::Refused(format!("the adapter has no tensor {name}")))
    }

    /// A module's size; 0 without it.
    pub(super) fn size(&self, module: Module) -> u32 {
        self.description.configuration.size(module)
    }

    /// The modules that it has.
    pub(super) fn modules(&self) -> Vec<Module> {
        let sizes = self.description.configuration.sizes();
        let present = sizes.filter(|(_, size)| *size > 0);
        present.map(|(module, _)| module).collect()
    }

    /// The layers with modules, ascending.
    pub(super) fn active(&self) -> Vec<usize> {
        self.description
            .configuration
            .layers
            .active_layers()
            .collect()
    }

    pub(super) fn architecture(&self) -> &str {
        &self.description.model.architecture
    }

    pub(super) fn hidden(&self) -> i64 {
        self.description.model.hidden_size
    }

    pub(super) fn kind(&self) -> TaskKind {
        self.description.task.kind()
    }

    /// C, the head's outputs.
    pub(super) fn outputs(&self) -> Result<i64, InterchangeError> {
        Ok(self.tensor("head.output.weight")?.size()[0])
    }

    /// The tensors of a module, with the layer's number and the rest of their names: `down.weight`.
    pub(super) fn of_layers(&self, module: &str) -> Vec<(usize, &str, &Tensor)> {
        let infix = format!(".{module}.");
        let tensors = self.tensors.iter();
        let each = tensors.filter_map(|(name, tensor)| {
            let (layer, rest) = name.strip_prefix("layer.")?.split_once(infix.as_str())?;
            Some((layer.parse().ok()?, rest, tensor))
        });
        each.collect()
    }
}

/// The description that an export keeps beside the library's files.
pub(super) fn exported_description(
    directory: &Path,
) -> Result<Option<AdapterDescription>, InterchangeError> {
    match directory.join(DESCRIPTION).is_file() {
        true => Ok(Some(
            Adapter::open_as(directory, DESCRIPTION)?
                .description()
                .clone(),
        )),
        false => Ok(None),
    }
}
