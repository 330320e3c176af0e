//! Checks a request.

use std::borrow::Cow;

use autopeft_crds::ModuleOptions;
use autopeft_crds::limits::{self, Real, Whole};
use autopeft_crds::spec::{
    ConstantPredictionSpec, EarlyStoppingSpec, EvaluationSpec, FidelitySpec, TrainingSpec,
};
use autopeft_crds::trial::TrialRequest;

use super::error::TrialError;

/// Checks a request against the limits of a manifest: it may come from the command line.
pub(super) fn check(request: &TrialRequest) -> Result<(), TrialError> {
    let hash = request.configuration.hash();
    if request.identity.configuration_hash != hash {
        return Err(refused(
            "identity.configurationHash",
            &request.identity.configuration_hash,
            &format!("{hash}, the hash of the configuration"),
        ));
    }
    for (module, size) in request.configuration.sizes() {
        let field = format!("configuration.{}", module.name());
        let range = match module.facts().is_switch {
            true => limits::SWITCH,
            false => limits::MODULE_SIZE,
        };
        whole(field, size.into(), range)?;
    }
    method(request)?;
    options(&request.options)?;
    class_weights(request)?;
    recipe(&request.training)?;
    evaluation(request.evaluation.as_ref())?;
    fidelity(&request.fidelity)
}

/// A method may be one of a single module.
fn method(request: &TrialRequest) -> Result<(), TrialError> {
    let Some(only) = request.method.only_module() else {
        return Ok(());
    };
    let configuration = &request.configuration;
    let is_alone = |(module, size)| (size > 0) == (module == only);
    if !configuration.is_empty_model() && configuration.sizes().all(is_alone) {
        return Ok(());
    }
    Err(refused(
        "method",
        &format!("{:?}", request.method),
        &format!(
            "Peft, or a configuration with a {} alone",
            only.facts().title
        ),
    ))
}

fn class_weights(request: &TrialRequest) -> Result<(), TrialError> {
    let custom = request.task.custom.as_ref();
    let weights = custom.and_then(|custom| custom.class_weights.as_ref());
    let values = weights.and_then(|weights| weights.values.as_deref());
    for (index, weight) in values.unwrap_or_default().iter().enumerate() {
        let field = format!("spec.task.custom.classWeights.values[{index}]");
        real(field, weight.get(), limits::CLASS_WEIGHT)?;
    }
    Ok(())
}

fn options(options: &ModuleOptions) -> Result<(), TrialError> {
    let ModuleOptions {
        lora,
        ia3: _,
        prefix,
        gated: _,
    } = options;
    for (field, value, range) in [
        (
            "lora.matrices",
            lora.matrices.count(),
            limits::LORA_MATRICES,
        ),
        ("lora.alpha", lora.alpha, limits::LORA_ALPHA),
        ("prefix.width", prefix.width, limits::PREFIX_WIDTH),
    ] {
        let field = format!("spec.searchSpace.options.{field}");
        whole(field, value.into(), range)?;
    }
    Ok(())
}

fn recipe(training: &TrainingSpec) -> Result<(), TrialError> {
    let TrainingSpec {
        learning_rate,
        batch_size,
        max_length,
        padding: _,
        weight_decay,
        warmup_percent,
        precision: _,
        patience,
        early_stopping,
        seed,
    } = training;
    for (field, value, range) in [
        ("learningRate", learning_rate, limits::LEARNING_RATE),
        ("weightDecay", weight_decay, limits::WEIGHT_DECAY),
    ] {
        real(format!("spec.training.{field}"), value.get(), range)?;
    }
    for (field, value, range) in [
        ("batchSize", u64::from(*batch_size), limits::BATCH_SIZE),
        ("maxLength", u64::from(*max_length), limits::TOKENS),
        (
            "warmupPercent",
            u64::from(*warmup_percent),
            limits::WARMUP_PERCENT,
        ),
        ("patience", u64::from(*patience), limits::PATIENCE),
        ("seed", *seed, limits::SEED),
    ] {
        whole(format!("spec.training.{field}"), value, range)?;
    }
    if let Some(EarlyStoppingSpec {
        constant_prediction: Some(ConstantPredictionSpec { after_epochs }),
        not_finite: _,
    }) = early_stopping
    {
        let field = "spec.training.earlyStopping.constantPrediction.afterEpochs";
        whole(field.into(), (*after_epochs).into(), limits::EPOCHS)?;
    }
    Ok(())
}

/// Checks where a score comes from.
///
/// # Errors
/// Nothing is given, or both a test file and a share, or the share is out of range.
pub fn evaluation(evaluation: Option<&EvaluationSpec>) -> Result<(), TrialError> {
    match evaluation {
        Some(EvaluationSpec {
            test_file: None,
            selection_percent: Some(percent),
        }) => {
            let field = "spec.promotion.evaluation.selectionPercent";
            whole(field.into(), (*percent).into(), limits::SELECTION_PERCENT)
        }
        None
        | Some(EvaluationSpec {
            test_file: Some(_),
            selection_percent: None,
        }) => Ok(()),
        Some(_) => Err(refused(
            "spec.promotion.evaluation",
            "both or neither",
            "one of testFile and selectionPercent",
        )),
    }
}

fn fidelity(fidelity: &FidelitySpec) -> Result<(), TrialError> {
    let FidelitySpec {
        epochs,
        steps_percent,
        train_examples,
        validation_examples,
    } = fidelity;
    for (field, value, range) in [
        ("epochs", Some(*epochs), limits::EPOCHS),
        ("stepsPercent", Some(*steps_percent), limits::STEPS_PERCENT),
        ("trainExamples", *train_examples, limits::EXAMPLES),
        ("validationExamples", *validation_examples, limits::EXAMPLES),
    ] {
        if let Some(value) = value {
            whole(format!("spec.fidelity.{field}"), value.into(), range)?;
        }
    }
    Ok(())
}

fn whole(field: String, found: u64, range: Whole) -> Result<(), TrialError> {
    if range.contains(found) {
        return Ok(());
    }
    Err(refused(field, &found.to_string(), &range.to_string()))
}

fn real(field: String, found: f64, range: Real) -> Result<(), TrialError> {
    if range.contains(found) {
        return Ok(());
    }
    let expected = format!("a number {range}");
    Err(refused(field, &found.to_string(), &expected))
}

fn refused(field: impl Into<Cow<'static, str>>, found: &str, expected: &str) -> TrialError {
    TrialError::Request {
        field: field.into(),
        found: found.into(),
        expected: expected.into(),
    }
}
