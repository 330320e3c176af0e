//! One trial from its request to its measurements: files, tokens, model, training.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Instant;

use autopeft_crds::LayerMask;
use autopeft_crds::trial::{Method, TrialMeasurements, TrialRequest};
use tch::{Device, Kind as Number, Tensor};

use super::check::check;
use super::error::TrialError;
use super::inputs::{Inputs, TokenizerFacts, text_encoder};
use super::places::{Places, model_fingerprint};
use crate::adapter::{
    ADAPTER_VERSION, AdapterDescription, BaseModel, Cost, Measured, ModelShape, SearchTrial,
    TokenizerUse,
};
use crate::backbone::Backbone;
use crate::device;
use crate::encoder::ModelConfig;
use crate::model::Model;
use crate::peft::Inserted;
use crate::task::{self, Kind};
use crate::train::batches::DataSet;
use crate::train::sample::{Part, subsample};
use crate::train::seeds::Seeds;
use crate::train::{self, Data, Observer, Recipe, Trained, Validation, ValidationError, score};

/// A model and its data, ready to be trained.
#[derive(Debug)]
pub struct Prepared {
    /// The model.
    pub model: Model,
    /// Its data.
    pub data: Data,
    /// The recipe.
    pub recipe: Recipe,
    /// The number format of the frozen weights.
    pub precision: &'static str,
    /// Notes for the user about the data.
    pub notes: Vec<String>,
    /// The model's directory.
    folder: PathBuf,
    tokenizer: TokenizerFacts,
    versions: BTreeMap<String, String>,
    /// What builds the second model, where the first one learns in which layers it has modules.
    second: Option<Second>,
}

/// What the model that is trained after a selection of layers is built from.
#[derive(Debug)]
struct Second {
    backbone: Rc<Backbone>,
    request: TrialRequest,
    layers: Option<LayerMask>,
}

/// Reads a request's files and builds its model on a device.
///
/// # Errors
/// The request contradicts itself, or a file cannot be used.
pub fn prepare(request: &TrialRequest, device: Device) -> Result<Prepared, TrialError> {
    prepare_with(&mut Inputs::new(device), request)
}

/// The same, reusing loaded data and weights that match the request.
///
/// # Errors
/// As `prepare`.
pub fn prepare_with(inputs: &mut Inputs, request: &TrialRequest) -> Result<Prepared, TrialError> {
    check(request)?;
    let evaluation = request.evaluation.as_ref();
    let places = Places::find(&request.model, &request.data, &request.task, evaluation)?;
    let recipe = Recipe {
        fidelity: request.fidelity.clone(),
        training: request.training.clone(),
        method: request.method,
        seeds: Seeds::new(request.training.seed, &request.configuration),
    };
    let selects = request.method == Method::LayerSelection;
    let batching = recipe.batching();
    let data = inputs.data(request, &places, &batching)?;
    let backbone = inputs.backbone(request, &places)?;
    let model = Model::new(
        &backbone,
        Inserted {
            configuration: &request.configuration,
            options: &request.options,
            is_switched: selects,
        },
        data.kind.outputs() as i64,
        // 53 bits: never negative as i64.
        recipe.seeds.init as i64,
    )?;
    let weights = data.weights.as_ref().map(|weights| {
        let weights = Tensor::f_from_slice(weights)?.f_to_kind(Number::Float)?;
        weights.f_to_device(model.device())
    });
    Ok(Prepared {
        model,
        data: Data {
            metric: data.metric,
            train: data.train.clone(),
            validation: data.validation.validation(&data.kind, batching),
            report: data
                .report
                .as_ref()
                .map(|report| report.validation(&data.kind, batching)),
            weights: weights.transpose()?,
        },
        recipe,
        precision: device::number_format_name(backbone.kind()),
        notes: data.notes.clone(),
        folder: places.model,
        tokenizer: data.tokenizer.clone(),
        versions: versions(),
        second: selects.then(|| Second {
            backbone,
            request: request.clone(),
            layers: None,
        }),
    })
}

/// Trains and measures a prepared model. `started` is the start of the process. Under `Method::LayerSelection`, the model
/// is then the one with the chosen layers.
pub fn run(
    prepared: &mut Prepared,
    started: Instant,
    observer: &mut dyn Observer,
) -> Result<(TrialMeasurements, Trained), TrialError> {
    let selection = select(prepared, observer)?;
    let Prepared {
        model,
        data,
        recipe,
        precision,
        versions,
        second,
        ..
    } = prepared;
    let mut trained = train::train(model, data, recipe, observer)?;
    if let Some(selection) = selection {
        trained.steps += selection.steps;
        trained.tokens += selection.tokens;
        trained.seconds += selection.seconds;
    }
    let begun = Instant::now();
    let reported = data.report.as_ref().map(|report| {
        let metrics = report.validate(&model.evaluator())?.metrics;
        Ok::<_, ValidationError>((score(&metrics, data.metric)?, metrics))
    });
    let reported = reported.transpose()?;
    trained.seconds += begun.elapsed().as_secs_f64();
    let selection_score = reported.as_ref().map(|_| trained.score);
    let (score, metrics) = reported.unwrap_or((trained.score, BTreeMap::new()));
    let scored = data.report.as_ref().unwrap_or(&data.validation);
    let measured = TrialMeasurements {
        score,
        metric: data.metric,
        selection_score,
        metrics,
        best_epoch: trained.best_epoch,
        stopped_early: trained.stopped_early,
        epochs: trained.epochs.clone(),
        selected_layers: second.as_ref().and_then(|second| second.layers.clone()),
        trained_parameters: model.trained_parameters(),
        deployed_parameters: model.deployed_parameters(),
        train_seconds: trained.seconds,
        total_seconds: started.elapsed().as_secs_f64(),
        peak_memory_bytes: device::peak_memory_bytes().unwrap_or(0),
        device: device::name(model.device()),
        precision: (*precision).into(),
        steps: trained.steps,
        validation_examples: scored.examples.lengths().len() as u64,
        seeds: recipe.seeds.named(),
        versions: versions.clone(),
    };
    Ok((measured, trained))
}

/// Learns in which layers the model has modules, where the method does so, and puts a fresh model with modules there in
/// its place.
fn select(
    prepared: &mut Prepared,
    observer: &mut dyn Observer,
) -> Result<Option<Trained>, TrialError> {
    let Some(second) = &mut prepared.second else {
        return Ok(None);
    };
    let (model, recipe) = (&mut prepared.model, &mut prepared.recipe);
    let learned = train::train(model, &prepared.data, recipe, observer)?;
    let Some(layers) = model.selected_layers() else {
        return Ok(Some(learned));
    };
    let Second {
        backbone, request, ..
    } = second;
    let configuration = request.configuration.clone().with_layers(layers.clone());
    recipe.seeds = Seeds::new(request.training.seed, &configuration);
    let inserted = Inserted {
        configuration: &configuration,
        options: &request.options,
        is_switched: false,
    };
    *model = Model::new(
        backbone,
        inserted,
        model.outputs(),
        recipe.seeds.init as i64,
    )?;
    observer.selected(&layers);
    second.layers = Some(layers);
    Ok(Some(learned))
}

/// The description of an adapter checkpoint.
///
/// # Errors
/// The model's files cannot be read for their fingerprint.
pub fn describe(
    request: &TrialRequest,
    prepared: &Prepared,
    measured: &TrialMeasurements,
) -> Result<AdapterDescription, TrialError> {
    let Prepared {
        folder, tokenizer, ..
    } = prepared;
    let config = prepared.model.config();
    let fingerprint = model_fingerprint(folder, tokenizer.follows_settings)?;
    let backbone = config.backbone_parameters();
    let configuration = prepared.model.configuration();
    let method = request.method.of_adapter();
    let cost = Cost::new(method, configuration, &request.options, config);
    let identity = &request.identity;
    let of_a_search = !identity.search_uid.is_empty();
    Ok(AdapterDescription {
        version: ADAPTER_VERSION,
        configuration: configuration.clone(),
        options: request.options.clone(),
        method,
        model: ModelShape::from(config),
        base: Some(BaseModel::named(&request.model, fingerprint, backbone)),
        first_position: 0,
        task: request.task.clone(),
        labels: prepared.data.validation.kind.labels().to_vec(),
        tokenizer: Some(TokenizerUse {
            max_length: request.training.max_length,
            padding: request.training.padding,
            separator: tokenizer.separator.clone(),
            notes: tokenizer.notes.clone(),
        }),
        fidelity: request.fidelity.clone(),
        training: request.training.clone(),
        metric: prepared.data.metric,
        evaluation: request.evaluation.clone(),
        score: Some(measured.score),
        cost: Some(cost),
        measured: Some(measured_of(measured)),
        search: of_a_search.then(|| SearchTrial {
            uid: identity.search_uid.clone(),
            trial: identity.trial,
        }),
        license: None,
        versions: prepared.versions.clone(),
    })
}

/// The measurements that an adapter keeps: those of its own epoch.
fn measured_of(measured: &TrialMeasurements) -> Measured {
    let metrics = measured.metrics_of_the_score();
    Measured {
        trained_parameters: measured.trained_parameters,
        deployed_parameters: measured.deployed_parameters,
        best_epoch: measured.best_epoch,
        validation_examples: measured.validation_examples,
        metrics: metrics.cloned().unwrap_or_default(),
    }
}

/// What an adapter is evaluated on.
#[derive(Clone, Copy, Debug)]
pub enum Labelled<'a> {
    /// The examples of a directory that the adapter's training was scored on.
    Directory(&'a Path),
    /// Every example of a file in the form of the validation file.
    File(&'a Path),
}

/// Labelled examples of an adapter's task, for the model in a directory.
pub fn validation_data(
    description: &AdapterDescription,
    model: &Path,
    labelled: Labelled<'_>,
    config: &ModelConfig,
    device: Device,
) -> Result<Validation, TrialError> {
    let kind = Kind::of(description.task.kind(), description.labels.clone());
    let seeds = Seeds::new(description.training.seed, &description.configuration);
    let task = &description.task;
    let examples = match (labelled, description.test_file()) {
        (Labelled::File(file), _) => task::load_file(task, &kind, file)?,
        (Labelled::Directory(data), Some(file)) => task::load_test(task, &kind, data, file)?,
        (Labelled::Directory(data), None) => {
            let examples = task::load_validation(task, &kind, data)?;
            let fidelity = &description.fidelity;
            subsample(examples, Part::Validation, fidelity, seeds.sample)
        }
    };
    let recipe = Recipe {
        fidelity: description.fidelity.clone(),
        training: description.training.clone(),
        method: description.method,
        seeds,
    };
    // A prefix that counts positions of its own leaves fewer to the text.
    let config = &ModelConfig {
        max_tokens: config.max_tokens - i64::from(description.first_position),
        ..config.clone()
    };
    let encoder = text_encoder(model, config, &recipe.training, &examples)?;
    let encoded = encoder.encode(&examples.texts(encoder.separator()))?;
    let batching = recipe.batching();
    let set = DataSet::new(
        &encoded,
        &examples.targets,
        config.pad_id,
        &batching,
        device,
    )?;
    Ok(Validation {
        kind,
        examples: Rc::new(set),
        truth: examples.targets,
        batching,
    })
}

/// The versions of the software, by name.
pub fn versions() -> BTreeMap<String, String> {
    [
        ("peft-trainer", env!("CARGO_PKG_VERSION")),
        ("libtorch", LIBTORCH_VERSION),
    ]
    .map(|(name, version)| (name.to_owned(), version.to_owned()))
    .into()
}

/// The version that `tch` 0.24 requires; its build rejects others.
const LIBTORCH_VERSION: &str = "2.11.0";
