//! `peft-trainer import`: an adapter of a library of Python as one that `evaluate` uses.

use std::path::PathBuf;

use autopeft_crds::spec::{FidelitySpec, TaskSpec, TrainingSpec};
use autopeft_crds::trial::Method;
use clap::Args;

use super::failure::Failure;
use super::flags::TaskArguments;
use super::say;
use crate::adapter::{
    self, ADAPTER_VERSION, AdapterDescription, BaseModel, Cost, ModelShape, TokenizerUse,
};
use crate::encoder::ModelConfig;
use crate::interchange::{self, Base, Imported};
use crate::model::ModelError;
use crate::task::Kind;
use crate::trial::{self, TrialError};

/// Arguments of `import`.
#[derive(Debug, Args)]
pub(super) struct ImportArguments {
    /// The directory of peft or adapters.
    #[arg(value_name = "DIR")]
    from: PathBuf,
    /// The pretrained model that the adapter belongs to: a directory, or hf://owner/name@revision.
    #[arg(long, value_name = "DIR")]
    model: String,
    /// The directory for the adapter.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Replace an existing adapter in that directory.
    #[arg(long)]
    overwrite: bool,
    /// The maximum number of tokens per example (128 by default).
    #[arg(long)]
    max_length: Option<u32>,
    /// The licence of the adapter, for its model card: an identifier of the hub.
    #[arg(long, value_name = "NAME")]
    license: Option<String>,
    #[command(flatten)]
    task: TaskArguments,
}

pub(super) fn run(arguments: ImportArguments) -> Result<(), Failure> {
    let out = arguments.out.clone();
    adapter::prepare_place(&out, arguments.overwrite).map_err(TrialError::from)?;
    let folder = trial::model_folder(&arguments.model).map_err(TrialError::from)?;
    let config =
        ModelConfig::read(&folder).map_err(|error| TrialError::from(ModelError::from(error)))?;
    let base = Base {
        folder: &folder,
        config: &config,
    };
    let mut imported = interchange::import(&arguments.from, base).map_err(TrialError::from)?;
    let overwrite = arguments.overwrite;
    let description = describe(arguments, base, &mut imported)?;
    adapter::save_tensors(&imported.tensors, &description, &out, overwrite)
        .map_err(TrialError::from)?;
    say::write(format_args!(
        "imported {} of {} into {}",
        description.configuration,
        imported.library.name(),
        out.display()
    ));
    Ok(())
}

/// The description: what the export of this program said, if it is one; the flags; and the library's own files.
fn describe(
    arguments: ImportArguments,
    base: Base<'_>,
    imported: &mut Imported,
) -> Result<AdapterDescription, Failure> {
    let exported = imported.description.clone();
    let exported = exported.as_ref();
    let task = match (arguments.task.is_given(), exported) {
        (false, Some(exported)) => exported.task.clone(),
        (false, None) => {
            return Err(Failure::BadInput(
                "give --task: the adapter does not say what it was trained on, and evaluate reads that task's files"
                    .into(),
            ));
        }
        (true, _) => arguments.task.spec()?,
    };
    let labels = labels(&task, imported)?;
    let usual = exported.map_or_else(TrainingSpec::default, |exported| exported.training.clone());
    let training = TrainingSpec {
        max_length: arguments.max_length.unwrap_or(usual.max_length),
        ..usual
    };
    let facts = trial::tokenizer_facts(base.folder, base.config, &training);
    let facts = facts.map_err(TrialError::from)?;
    let fingerprint = trial::model_fingerprint(base.folder, facts.follows_settings);
    let fingerprint = fingerprint.map_err(TrialError::from)?;
    let parameters = base.config.backbone_parameters();
    let inserted = &imported.inserted;
    let (configuration, options) = (&inserted.configuration, &inserted.options);
    let cost = Cost::new(Method::Peft, configuration, options, base.config);
    Ok(AdapterDescription {
        version: ADAPTER_VERSION,
        configuration: imported.inserted.configuration.clone(),
        options: imported.inserted.options.clone(),
        method: Method::Peft,
        model: ModelShape::from(base.config),
        base: Some(BaseModel::named(&arguments.model, fingerprint, parameters)),
        first_position: imported.inserted.first_position,
        metric: task.score_metric(),
        evaluation: exported.and_then(|exported| exported.evaluation.clone()),
        task,
        labels,
        tokenizer: Some(TokenizerUse {
            max_length: training.max_length,
            padding: training.padding,
            separator: facts.separator,
            notes: facts.notes,
        }),
        fidelity: exported.map_or_else(FidelitySpec::default, |exported| exported.fidelity.clone()),
        training,
        cost: Some(cost),
        score: exported.and_then(|exported| exported.score),
        measured: exported.and_then(|exported| exported.measured.clone()),
        search: exported.and_then(|exported| exported.search.clone()),
        license: arguments
            .license
            .or_else(|| exported.and_then(|exported| exported.license.clone())),
        versions: trial::versions(),
    })
}

/// The classes in the task's order, which is that of the head's outputs from here on.
fn labels(task: &TaskSpec, imported: &mut Imported) -> Result<Vec<String>, Failure> {
    let exported = imported.description.as_ref();
    let own = match (&task.custom, task.name.facts()) {
        (Some(custom), _) => custom.labels.clone().unwrap_or_default(),
        (None, Some(facts)) => facts.classes.iter().map(ToString::to_string).collect(),
        (None, None) => Vec::new(),
    };
    let named = [
        exported.map(|exported| exported.labels.clone()),
        Some(imported.labels.clone()),
    ];
    let mut named = named.into_iter().flatten();
    let named = named.find(|labels| !labels.is_empty()).unwrap_or_default();
    let kind = Kind::of(
        task.kind(),
        if own.is_empty() { named.clone() } else { own },
    );
    let outputs = kind.outputs() as i64;
    if outputs != imported.outputs {
        return Err(Failure::BadInput(format!(
            "the head has {} outputs, and the task has {outputs}; --labels names the classes of a custom task in the order of the outputs",
            imported.outputs
        )));
    }
    let labels = kind.labels().to_vec();
    let places = labels
        .iter()
        .map(|label| named.iter().position(|other| other == label));
    if outputs > 1
        && let Some(order) = places.collect::<Option<Vec<_>>>()
    {
        imported.order_outputs(&order);
    }
    Ok(labels)
}
