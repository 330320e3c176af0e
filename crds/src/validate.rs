//! Everything that must hold for a spec before anything is started, so that a search without an API
//! server is as strict as one with it: the schema's rules (`schema`), and by hand what the schema
//! says in CEL or cannot say.

use kube_quantity::ParsedQuantity;

use crate::decimal::Decimal;
use crate::schema::{self, FieldError};
use crate::space::{DimensionName, DimensionSpec};
use crate::spec::{
    AlgorithmSpec, ConvergenceSpec, CustomTask, CustomTaskType, Metric, ObjectiveName,
    ObjectiveSpec, PeftSearchSpec, Source, TaskName, TaskSpec, TrainerResources, TrainerSpec,
    TrainingSpec,
};

/// Every error of a spec; empty where it can be searched.
pub fn validate(spec: &PeftSearchSpec) -> Vec<FieldError> {
    let mut errors = match serde_json::to_value(spec) {
        Ok(value) => schema::check(&value, schema::spec_schema(), "spec"),
        Err(error) => vec![FieldError::new(
            "spec",
            error.to_string(),
            "write it as docs/manifest.md says",
        )],
    };
    errors.extend(rules(spec));
    errors
}

/// The rules that relate fields to each other, or that the schema says in CEL.
pub fn rules(spec: &PeftSearchSpec) -> Vec<FieldError> {
    let mut errors = Vec::new();
    source(&spec.model.source, "spec.model.source", &mut errors);
    task(&spec.task, &mut errors);
    for (index, dimension) in spec.search_space.dimensions.iter().flatten().enumerate() {
        let field = format!("spec.searchSpace.dimensions[{index}]");
        dimension_rules(dimension, &field, &mut errors);
    }
    objectives(&spec.objectives, spec.task.score_metric(), &mut errors);
    algorithm(&spec.algorithm, &mut errors);
    training(&spec.training, &mut errors);
    trainer(&spec.trainer, &mut errors);
    if spec.max_trials > 0 && spec.parallelism > spec.max_trials {
        errors.push(FieldError::new(
            "spec.parallelism",
            format!(
                "{} is more than maxTrials, {}",
                spec.parallelism, spec.max_trials
            ),
            "let at most maxTrials trials run at the same time",
        ));
    }
    if let Some(ConvergenceSpec {
        trials: _,
        tolerance,
    }) = &spec.convergence
    {
        let field = "spec.convergence.tolerance";
        in_range(*tolerance, 0.0, 1.0, field, "0 to 1", &mut errors);
    }
    errors
}

/// What may be written and is hardly meant.
pub fn advice(spec: &PeftSearchSpec) -> Vec<FieldError> {
    let initial = spec.algorithm.initial_trials;
    let mut found = Vec::new();
    if initial >= spec.max_trials {
        found.push(FieldError::new(
            "spec.algorithm.initialTrials",
            format!(
                "{initial} is not below maxTrials, {}: every trial is drawn at random and the surrogate is never asked",
                spec.max_trials
            ),
            "lower initialTrials or raise maxTrials",
        ));
    }
    found
}

/// What a cluster refuses or passes over, and `peft-operator run` does not.
pub fn advice_for_a_cluster(spec: &PeftSearchSpec) -> Vec<FieldError> {
    let mut found = Vec::new();
    for (field, source) in [
        ("spec.model.source.path", &spec.model.source),
        ("spec.task.source.path", &spec.task.source),
    ] {
        if source.path.is_some() {
            found.push(FieldError::new(
                field,
                "a directory on this machine is for `peft-operator run` only; a cluster refuses this search",
                "in a cluster give claim, image or hub",
            ));
        }
    }
    if spec.max_gpu_seconds.is_some() && spec.trainer.resources.gpus == 0 {
        found.push(FieldError::new(
            "spec.maxGpuSeconds",
            "in a cluster it never takes effect: trials ask for no GPU",
            "set spec.trainer.resources.gpus to 1, or give activeDeadlineSeconds instead",
        ));
    }
    found
}

fn source(source: &Source, field: &str, errors: &mut Vec<FieldError>) {
    let Source {
        path,
        claim,
        image,
        hub,
    } = source;
    let mut given = Vec::new();
    for (name, is_given) in [
        ("path", path.is_some()),
        ("claim", claim.is_some()),
        ("image", image.is_some()),
        ("hub", hub.is_some()),
    ] {
        if is_given {
            given.push(name);
        }
    }
    if given.len() != 1 {
        let problem = if given.is_empty() {
            "it says nowhere where the files are".to_owned()
        } else {
            format!("{} are given together", given.join(" and "))
        };
        errors.push(FieldError::new(
            field,
            problem,
            "give exactly one of path, claim, image and hub",
        ));
    }
    if let Some(claim) = claim {
        relative(&claim.path, &format!("{field}.claim.path"), errors);
    }
    if let Some(image) = image {
        relative(&image.path, &format!("{field}.image.path"), errors);
    }
}

fn relative(path: &str, field: &str, errors: &mut Vec<FieldError>) {
    if path.starts_with('/') || path.split('/').any(|part| part == "..") {
        errors.push(FieldError::new(
            field,
            format!("{path:?} leads out of its directory"),
            "write a relative path without ..",
        ));
    }
}

fn task(task: &TaskSpec, errors: &mut Vec<FieldError>) {
    let TaskSpec {
        name,
        source: data,
        custom: described,
        metric,
    } = task;
    source(data, "spec.task.source", errors);
    match (name, described) {
        (TaskName::Custom, None) => errors.push(FieldError::new(
            "spec.task.custom",
            "the field is missing",
            "the task named custom needs its files, columns and labels described here",
        )),
        (TaskName::Custom, Some(described)) => custom(described, errors),
        (name, Some(_)) => errors.push(FieldError::new(
            "spec.task.custom",
            format!("the task {} has its own files and labels", name.as_str()),
            "leave custom out, or name the task custom",
        )),
        (_, None) => {}
    }
    if let Some(metric) = metric
        && metric.is_for_regression() != task.is_regression()
    {
        let (kind, fitting) = if task.is_regression() {
            ("regression", "Pearson or Spearman")
        } else {
            ("classification", "Accuracy, F1 or Matthews")
        };
        errors.push(FieldError::new(
            "spec.task.metric",
            format!("{} does not fit a {kind} task", metric.label()),
            format!("write {fitting}"),
        ));
    }
}

fn custom(task: &CustomTask, errors: &mut Vec<FieldError>) {
    let CustomTask {
        kind,
        train_file,
        validation_file,
        text_columns,
        label_column,
        labels,
    } = task;
    for (name, file) in [
        ("trainFile", train_file),
        ("validationFile", validation_file),
    ] {
        let field = format!("spec.task.custom.{name}");
        relative(file, &field, errors);
        let known = [".jsonl", ".csv", ".tsv"];
        if !known.iter().any(|ending| file.ends_with(ending)) {
            errors.push(FieldError::new(
                field,
                format!("{file:?} is of no known kind"),
                "name a file that ends in .jsonl, .csv or .tsv",
            ));
        }
    }
    if text_columns.contains(label_column) {
        errors.push(FieldError::new(
            "spec.task.custom.labelColumn",
            format!("{label_column:?} is a text column too"),
            "name the column with the class or the number to predict",
        ));
    }
    if labels.is_some() && *kind == CustomTaskType::Regression {
        errors.push(FieldError::new(
            "spec.task.custom.labels",
            "a regression has no classes",
            "leave labels out, or make it a Classification",
        ));
    }
}

fn dimension_rules(dimension: &DimensionSpec, field: &str, errors: &mut Vec<FieldError>) {
    let DimensionSpec { name, sizes, mask } = dimension;
    let is_layers = *name == DimensionName::Layers;
    if is_layers && sizes.is_some() {
        errors.push(FieldError::new(
            format!("{field}.sizes"),
            "the layers dimension has no sizes",
            "use mask, one character per layer",
        ));
    }
    if !is_layers && mask.is_some() {
        errors.push(FieldError::new(
            format!("{field}.mask"),
            format!("{} has no mask", name.as_str()),
            "use sizes; only layers has a mask",
        ));
    }
    for (index, pair) in sizes.iter().flat_map(|sizes| sizes.windows(2)).enumerate() {
        if pair[0] > pair[1] {
            errors.push(FieldError::new(
                format!("{field}.sizes[{}]", index + 1),
                format!("{} follows {}", pair[1], pair[0]),
                "list the sizes in ascending order, each once",
            ));
        }
    }
}

fn objectives(objectives: &[ObjectiveSpec], metric: Metric, errors: &mut Vec<FieldError>) {
    let least_score = if matches!(metric, Metric::Accuracy | Metric::F1) {
        0.0
    } else {
        -1.0
    };
    for (index, objective) in objectives.iter().enumerate() {
        let ObjectiveSpec {
            name,
            bound,
            reference,
        } = objective;
        for (part, value) in [("bound", bound), ("reference", reference)] {
            let Some(value) = value else { continue };
            let field = format!("spec.objectives[{index}].{part}");
            match name {
                ObjectiveName::Score => {
                    let words = format!("{least_score} to 1, the range of {}", metric.label());
                    in_range(*value, least_score, 1.0, &field, &words, errors);
                }
                ObjectiveName::TrainableParameters => {
                    let words = "0 to 10000, in percent of the backbone's parameters";
                    in_range(*value, 0.0, 10_000.0, &field, words, errors);
                }
            }
        }
    }
    let referred = objectives
        .iter()
        .filter(|objective| objective.reference.is_some())
        .count();
    if referred == 1 {
        errors.push(FieldError::new(
            "spec.objectives",
            "only one objective has a reference",
            "give a reference for both score and trainableParameters, or for neither",
        ));
    }
}

fn algorithm(algorithm: &AlgorithmSpec, errors: &mut Vec<FieldError>) {
    let AlgorithmSpec {
        seed: _,
        initial_trials: _,
        initial_design: _,
        nuts,
        acquisition,
        local_search: _,
    } = algorithm;
    let kept = nuts.samples / nuts.thinning.max(1);
    let draws = kept.saturating_mul(acquisition.monte_carlo_samples);
    if draws > DRAWS_MAX {
        errors.push(FieldError::new(
            "spec.algorithm.acquisition.monteCarloSamples",
            format!("{kept} kept samples of nuts make {draws} draws of the front"),
            format!("at most {DRAWS_MAX}: each is kept in memory"),
        ));
    }
    if nuts.thinning > nuts.samples {
        errors.push(FieldError::new(
            "spec.algorithm.nuts.thinning",
            format!(
                "{} is more than samples, {}: no sample would be kept",
                nuts.thinning, nuts.samples
            ),
            "keep every how many-th sample, at most samples",
        ));
    } else if nuts.samples > KEPT_MAX.saturating_mul(nuts.thinning) {
        errors.push(FieldError::new(
            "spec.algorithm.nuts.thinning",
            format!(
                "of {} samples, one in {} is kept: more than {KEPT_MAX}",
                nuts.samples, nuts.thinning
            ),
            format!(
                "keep at most {KEPT_MAX}: each kept sample is one more Gaussian process in memory"
            ),
        ));
    }
}

/// The most samples of the surrogate's hyperparameters that are kept: with 500 trials each takes
/// megabytes.
const KEPT_MAX: u32 = 64;
/// The most draws of the front, over all kept samples. With 500 trials that are nothing but noise, these
/// take half a gigabyte.
const DRAWS_MAX: u32 = 65_536;

fn training(training: &TrainingSpec, errors: &mut Vec<FieldError>) {
    let TrainingSpec {
        learning_rate,
        batch_size: _,
        max_length: _,
        padding: _,
        weight_decay,
        warmup_percent: _,
        precision: _,
        patience: _,
        seed: _,
    } = training;
    let field = "spec.training.learningRate";
    if learning_rate.get() <= 0.0 || learning_rate.get() > 1.0 {
        errors.push(FieldError::new(
            field,
            format!("{learning_rate} cannot be a learning rate"),
            "write a number above 0 and at most 1, such as \"1e-4\"",
        ));
    }
    let field = "spec.training.weightDecay";
    in_range(*weight_decay, 0.0, 1.0, field, "0 to 1", errors);
}

fn trainer(trainer: &TrainerSpec, errors: &mut Vec<FieldError>) {
    let TrainerSpec {
        image: _,
        resources:
            TrainerResources {
                cpu,
                memory,
                ephemeral_storage,
                gpus: _,
            },
        node_selector: _,
        tolerations: _,
        priority_class_name: _,
        runtime_class_name: _,
        image_pull_secrets: _,
        artifacts_claim,
        queue_name: _,
    } = trainer;
    if let Some(claim) = artifacts_claim {
        relative(&claim.path, "spec.trainer.artifactsClaim.path", errors);
    }
    // "0", "0.0" and "0m" all are none; what is no quantity is told by the schema.
    if cpu.starts_with('0') && !cpu.contains(|c| matches!(c, '1'..='9')) {
        errors.push(FieldError::new(
            "spec.trainer.resources.cpu",
            format!("{cpu:?} is no core"),
            "write cores, such as 2 or 500m",
        ));
    }
    let field = "spec.trainer.resources.memory";
    at_least(memory, 16, field, errors);
    let field = "spec.trainer.resources.ephemeralStorage";
    at_least(ephemeral_storage, 1, field, errors);
}

/// A quantity of at least so many MiB. What is no quantity is told by the schema.
fn at_least(quantity: &str, least: u32, field: &str, errors: &mut Vec<FieldError>) {
    let parsed = ParsedQuantity::try_from(quantity).ok();
    let Some(bytes) = parsed.and_then(|parsed| parsed.to_bytes_f64()) else {
        return;
    };
    if bytes >= f64::from(least) * 1_048_576.0 {
        return;
    }
    let has_unit = quantity.parse::<f64>().is_err();
    let remedy = if !has_unit && bytes < 1024.0 {
        format!("a number without a unit is bytes: did you mean {quantity}Gi?")
    } else {
        format!("give at least {least}Mi")
    };
    errors.push(FieldError::new(
        field,
        format!("{quantity:?} is too little for any trainer"),
        remedy,
    ));
}

fn in_range(
    value: Decimal,
    least: f64,
    most: f64,
    field: &str,
    words: &str,
    errors: &mut Vec<FieldError>,
) {
    if !(least..=most).contains(&value.get()) {
        errors.push(FieldError::new(
            field,
            format!("{value} is out of range"),
            format!("write a number from {words}"),
        ));
    }
}
