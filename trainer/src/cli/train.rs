//! `peft-trainer train`: trains one configuration on one task and saves the adapter.

use std::path::PathBuf;
use std::time::Instant;

use autopeft_crds::methods::BaselineRecipe;
use autopeft_crds::spec::{
    BaselineName, ConstantPredictionSpec, EarlyStoppingSpec, FidelitySpec, Padding, Precision,
    TrainingSpec,
};
use autopeft_crds::trial::{Method, TrialIdentity, TrialRequest};
use autopeft_crds::{Decimal, LayerMask, ModuleOptions, PeftConfiguration, Shape};
use clap::Args;

use super::documents::{print_json, read_document};
use super::failure::Failure;
use super::flags::{TaskArguments, by_name, named};
use super::machine::Machine;
use super::options::OptionArguments;
use super::progress::Progress;
use super::sizes::Sizes;
use super::terminate::Termination;
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
    /// A method of the literature instead, as spec.baselines names it.
    #[arg(long, value_name = "NAME", value_parser = by_name::<BaselineName>(),
        conflicts_with_all = ["layers", "full_fine_tuning", "OptionArguments"])]
    baseline: Option<BaselineName>,
    /// The recipe of --baseline: that of the flags below (Search), or the one it was published with.
    #[arg(long, requires = "baseline", value_parser = named::<BaselineRecipe>(&["Search", "Published"]))]
    baseline_recipe: Option<BaselineRecipe>,
}

/// What is trained, and how by default.
struct Trained {
    method: Method,
    configuration: PeftConfiguration,
    options: ModuleOptions,
    training: TrainingSpec,
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
    /// Stop a model that predicts the same for every validation example, after this many epochs in succession.
    #[arg(long, value_name = "EPOCHS")]
    stop_constant_prediction: Option<u32>,
    /// Where the loss or a prediction is not finite, stop and keep the best epoch before, or the untrained model.
    #[arg(long)]
    stop_not_finite: bool,
    /// The seed (42 by default).
    #[arg(long)]
    seed: Option<u64>,
}

pub(super) fn run(
    arguments: TrainArguments,
    termination: &Termination,
    started: Instant,
) -> Result<(), Failure> {
    let device = arguments.machine.device()?;
    let (out, overwrite) = (arguments.out.clone(), arguments.overwrite);
    let license = arguments.license.clone();
    let request = match &arguments.request {
        Some(path) => read_document(path)?,
        None => request(arguments)?,
    };
    // Checked before the training rather than after it.
    adapter::prepare_place(&out, overwrite).map_err(TrialError::from)?;
    let mut progress = Progress::new(termination.clone());
    let mut prepared = trial::prepare(&request, device)?;
    progress.say(&format!("{:?}: {}", request.method, request.configuration));
    if request.method == Method::Peft && request.configuration.is_empty_model() {
        progress.say("no layer has a module: the head alone is trained");
    }
    for note in &prepared.notes {
        progress.say(note);
    }
    let (measured, trained) = trial::run(&mut prepared, started, &mut progress)?;
    progress.say_stop(&measured);
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
    let Trained {
        method,
        configuration,
        options,
        training,
    } = arguments.modules.trained(&model)?;
    let (fidelity, training) = arguments.recipe.spec(training);
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
        evaluation: None,
        artifacts: None,
        others: Vec::new(),
    })
}

impl ModuleArguments {
    fn trained(self, model: &str) -> Result<Trained, Failure> {
        let given = self.baseline;
        let baseline = given.or(self
            .full_fine_tuning
            .then_some(BaselineName::FullFineTuning));
        let usual = TrainingSpec::default();
        let Some(baseline) = baseline else {
            let layers = match self.layers {
                Some(layers) => layers,
                None => LayerMask::from_bits(vec![true; read(model)?.layers])
                    .map_err(|error| Failure::BadInput(error.to_string()))?,
            };
            let configuration = PeftConfiguration::new(layers, &self.sizes.0).canonical();
            self.options.check(&configuration)?;
            return Ok(Trained {
                method: Method::Peft,
                configuration,
                options: self.options.options(),
                training: usual,
            });
        };
        let config = read(model)?;
        let shape = Shape::from(&config);
        let (configuration, _) = baseline
            .configuration(config.layers, shape, config.backbone_parameters())
            .ok_or_else(|| Failure::BadInput(format!("{model}: has no layers")))?;
        Ok(Trained {
            method: baseline.method(),
            configuration,
            options: baseline.options(),
            training: baseline.training(&usual, self.baseline_recipe.unwrap_or_default()),
        })
    }
}

fn read(model: &str) -> Result<ModelConfig, Failure> {
    let folder =
        hub::directory(model, Holding::Model, &["config.json"], &[]).map_err(TrialError::from)?;
    let config =
        ModelConfig::read(&folder).map_err(|error| TrialError::from(ModelError::from(error)))?;
    Ok(config)
}

impl RecipeArguments {
    fn spec(self, usual: TrainingSpec) -> (FidelitySpec, TrainingSpec) {
        let fidelity = FidelitySpec {
            epochs: self.epochs,
            steps_percent: 100,
            train_examples: self.train_examples,
            validation_examples: self.validation_examples,
        };
        let constant = self.stop_constant_prediction;
        let early_stopping = EarlyStoppingSpec {
            constant_prediction: constant
                .map(|after_epochs| ConstantPredictionSpec { after_epochs }),
            not_finite: self.stop_not_finite,
        };
        let training = TrainingSpec {
            learning_rate: self.learning_rate.unwrap_or(usual.learning_rate),
            batch_size: self.batch_size.unwrap_or(usual.batch_size),
            max_length: self.max_length.unwrap_or(usual.max_length),
            padding: self.padding.unwrap_or(usual.padding),
            weight_decay: self.weight_decay.unwrap_or(usual.weight_decay),
            warmup_percent: self.warmup_percent.unwrap_or(usual.warmup_percent),
            precision: self.precision.unwrap_or(usual.precision),
            patience: self.patience.unwrap_or(usual.patience),
            early_stopping: Some(early_stopping)
                .filter(|stops| *stops != EarlyStoppingSpec::default()),
            seed: self.seed.unwrap_or(usual.seed),
        };
        (fidelity, training)
    }
}
