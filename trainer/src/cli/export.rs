//! `peft-trainer export`: a saved adapter as a directory that a library of Python loads.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::failure::Failure;
use super::say;
use crate::encoder::ModelConfig;
use crate::hub::{self, Holding};
use crate::interchange::{self, Base, Content, Library};
use crate::model::ModelError;
use crate::trial::TrialError;

/// Arguments of `export`.
#[derive(Debug, Args)]
pub(super) struct ExportArguments {
    /// The adapter's directory.
    #[arg(value_name = "ADAPTER_DIR")]
    adapter: PathBuf,
    /// The library.
    #[arg(long, value_enum)]
    format: Format,
    /// The new directory.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The pretrained model that the adapter belongs to, a directory, or hf://owner/name@revision; needed for a prefix
    /// in peft's format alone.
    #[arg(long, value_name = "DIR")]
    model: Option<String>,
    /// The licence of the adapter, for its model card: an identifier of the hub.
    #[arg(long, value_name = "NAME")]
    license: Option<String>,
}

/// A library of Python.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// Hugging Face peft, on transformers 5.
    Peft,
    /// AdapterHub's adapters, on transformers 4.
    Adapters,
}

pub(super) fn run(arguments: &ExportArguments) -> Result<(), Failure> {
    export(arguments)?;
    say::write(format_args!("exported into {}", arguments.out.display()));
    Ok(())
}

fn export(arguments: &ExportArguments) -> Result<(), TrialError> {
    let mut content = Content::read(&arguments.adapter)?;
    if arguments.license.is_some() {
        content.description.license.clone_from(&arguments.license);
    }
    let library = match arguments.format {
        Format::Peft => Library::Peft,
        Format::Adapters => Library::Adapters,
    };
    let files = ["config.json", "model.safetensors"];
    let model = arguments.model.as_ref().map(|model| {
        let folder = hub::directory(model, Holding::Model, &files, &[])?;
        let config = ModelConfig::read(&folder).map_err(ModelError::from)?;
        Ok::<_, TrialError>((folder, config))
    });
    let model = model.transpose()?;
    let base = model
        .as_ref()
        .map(|(folder, config)| Base { folder, config });
    Ok(interchange::export(
        &content,
        library,
        base,
        &arguments.out,
    )?)
}
