//! `peft-trainer train`: trains one configuration on one task and saves the adapter.

use std::path::PathBuf;
use std::time::Instant;

use autopeft_crds::spec::{BaselineName, FidelitySpec, Padding, Precision, TrainingSpec};
use autopeft_crds::trial::{Method, TrialIdentity, TrialRequest};
use autopeft_crds::{Decimal, LayerMask, ModuleOptions, PeftConfiguration};
use clap::Args;

use super::documents::{print_json, read_document};
use super::failure::Failure;
use super::flags::{TaskArguments, named};
use super::machine::Machine;
use super::options::OptionArguments;
use super::progress::Progress;
use super::sizes::Sizes;
use crate::adapter::{self, AdapterDescription};
use crate::encoder::ModelConfig;
use crate::hub::{self, Holding};
use crate::model::ModelError;
use crate::result;
use crate::trial::{self, TrialError};

/// Arguments of `train`.
#[derive(Debug, Args)]
pub(super) struct TrainArguments {
    /// A request document, instead of all flags below except --out and --overwrite.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["model", "data", "task"])]
    request: Option<PathBuf>,
    /// The directory for the adapter.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Replace an existing adapter in that directory.
    #[arg(long)]
    overwrite: bool,
    /// The licence of the adapter, for its model card: an identifier of the hub.
    #[arg(long, value_name = "NAME")]
    license: Option<String>,
    /// The pretrained model: a directory, or hf://owner/name@revision.
    #[arg(long, value_name = "DIR")]
    model: Option<String>,
    /// The task's data: a directory, or hf://owner/name@revision.
    #[arg(long, value_name = "DIR")]
    data: Option<String>,
    #[command(flatten)]
    task: TaskArguments,
    #[command(flatten)]
    modules: ModuleArguments,
    #[command(flatten)]
    recipe: RecipeArguments,
    #[command(flatten)]
    machine: Machine,
}

/// The configuration.
#[derive(Debug, Args)]
struct ModuleArguments {
    /// The layers with modules, one 0 or 1 per layer, starting at the input; all by default.
    #[arg(long, value_name = "MASK")]
    layers: Option<LayerMask>,
    #[command(flatten)]
    sizes: Sizes,
    #[command(flatten)]
    options: OptionArguments,
    /// Full fine-tuning instead, by default at learning rate 2e-5.
    #[arg(long, conflicts_with = "layers")]
    full_fine_tuning: bool,
}

/// Fidelity and recipe, with the defaults of a manifest.
#[derive(Debug, Args)]
struct RecipeArguments {
    /// Epochs.
    #[arg(long, default_value_t = 1)]
    epochs: u32,
    /// Train on a sample of this many examples.
    #[arg(long, value_name = "N")]
    train_examples: Option<u32>,
    /// Validate on a sample of this many examples.
    #[arg(long, value_name = "N")]
    validation_examples: Option<u32>,
    /// The peak learning rate (1e-4 by default).
    #[arg(long)]
    learning_rate: Option<Decimal>,
    /// Examples per step (32 by default).
    #[arg(long)]
    batch_size: Option<u32>,
    /// The maximum number of tokens per example (128 by default).
    #[arg(long)]
    max_length: Option<u32>,
    /// Pad to the longest of a batch, or to --max-length.
    #[arg(long, value_parser = named::<Padding>(&["Longest", "MaxLength"]))]
    padding: Option<Padding>,
    /// Weight decay.
    #[arg(long)]
    weight_decay: Option<Decimal>,
    /// Warm-up, in percent of the steps.
    #[arg(long)]
    warmup_percent: Option<u32>,
    /// Number format of the frozen weights.
    #[arg(long, value_parser = named::<Precision>(&["Auto", "Float32", "BFloat16"]))]
    precision: Option<Precision>,
    /// Stop after this many epochs without a better score (10 by default).
    #[arg(long)]
    patience: Option<u32>,
    /// The seed (42 by default).
    #[arg(long)]
    seed: Option<u64>,
}

pub(super) fn run(arguments: TrainArguments, started: Instant) -> Result<(), Failure> {
    let device = arguments.machine.device()?;
    let (out, overwrite) = (arguments.out.clone(), arguments.overwrite);
    let license = arguments.license.clone();
    let request = match &arguments.request {
        Some(path) => read_document(path)?,
        None => request(arguments)?,
    };
    // Checked before the training rather than after it.
    adapter::prepare_place(&out, overwrite).map_err(TrialError::from)?;
    let mut progress = Progress::new();
    progress.say(&format!("{:?}: {}", request.method, request.configuration));
    let prepared = trial::prepare(&request, device)?;
    for note in &prepared.notes {
        progress.say(note);
    }
    let (measured, trained) = trial::run(&prepared, started, &mut progress)?;
    let description = AdapterDescription {
        license,
        ..trial::describe(&request, &prepared, &measured)?
    };
    adapter::save(&prepared.model, &description, &out, overwrite).map_err(TrialError::from)?;
    progress.say(&format!(
        "{} {:.4} at epoch {}; {} parameters trained, {} deployed; {:.0} tokens a second; the adapter is in {}",
        measured.metric.label(),
        measured.score,
        measured.best_epoch,
        measured.trained_parameters,
        measured.deployed_parameters,
        trained.tokens as f64 / trained.seconds,
        out.display()
    ));
    drop(progress);
    print_json(&result::rounded(measured))
}

/// The request that the flags describe.
fn request(arguments: TrainArguments) -> Result<TrialRequest, Failure> {
    let needed = |flag: &str| Failure::BadInput(format!("give {flag}, or --request"));
    let model = arguments.model.ok_or_else(|| needed("--model"))?;
    let data = arguments.data.ok_or_else(|| needed("--data"))?;
    let method = if arguments.modules.full_fine_tuning {
        Method::FullFineTuning
    } else {
        Method::Peft
    };
    let (configuration, options) = arguments.modules.inserted(&model)?;
    let (fidelity, training) = arguments.recipe.spec(method);
    Ok(TrialRequest {
        identity: TrialIdentity {
            // Without a search; the identity is not printed.
            search_uid: String::new(),
            trial: 0,
            attempt: 1,
            configuration_hash: configuration.hash(),
        },
        configuration,
        method,
        model,
        data,
        task: arguments.task.spec()?,
        fidelity,
        training,
        options,
        artifacts: None,
    })
}

impl ModuleArguments {
    fn inserted(self, model: &str) -> Result<(PeftConfiguration, ModuleOptions), Failure> {
        let layers = match self.layers {
            Some(layers) => layers,
            None => {
                let folder = hub::directory(model, Holding::Model, &["config.json"], &[])
                    .map_err(TrialError::from)?;
                let config = ModelConfig::read(&folder)
                    .map_err(|error| TrialError::from(ModelError::from(error)))?;
                LayerMask::from_bits(vec![true; config.layers])
                    .map_err(|error| Failure::BadInput(error.to_string()))?
            }
        };
        let configuration = PeftConfiguration::new(layers, &self.sizes.0).canonical();
        Ok((configuration, self.options.options()))
    }
}

impl RecipeArguments {
    fn spec(self, method: Method) -> (FidelitySpec, TrainingSpec) {
        let usual = TrainingSpec::default();
        let usual_rate = match method {
            Method::Peft => None,
            Method::FullFineTuning => BaselineName::FullFineTuning.learning_rate(),
        };
        let fidelity = FidelitySpec {
            epochs: self.epochs,
            steps_percent: 100,
            train_examples: self.train_examples,
            validation_examples: self.validation_examples,
        };
        let training = TrainingSpec {
            learning_rate: self
                .learning_rate
                .or(usual_rate)
                .unwrap_or(usual.learning_rate),
            batch_size: self.batch_size.unwrap_or(usual.batch_size),
            max_length: self.max_length.unwrap_or(usual.max_length),
            padding: self.padding.unwrap_or(usual.padding),
            weight_decay: self.weight_decay.unwrap_or(usual.weight_decay),
            warmup_percent: self.warmup_percent.unwrap_or(usual.warmup_percent),
            precision: self.precision.unwrap_or(usual.precision),
            patience: self.patience.unwrap_or(usual.patience),
            seed: self.seed.unwrap_or(usual.seed),
        };
        (fidelity, training)
    }
}
