//! Whether a request can be carried out at all.

use autopeft_crds::trial::TrialRequest;

use super::error::TrialError;

/// The widest bottleneck and the longest prefix: eight times the width of the largest BERT. A number
/// far beyond is a slip of the hand that would take the machine's memory with it.
const MODULE_MAX: u32 = 8_192;

/// A request is checked like a manifest: it may come from the command line.
pub(super) fn check(request: &TrialRequest) -> Result<(), TrialError> {
    let training = &request.training;
    let fidelity = &request.fidelity;
    let hash = request.configuration.hash();
    if request.identity.configuration_hash != hash {
        return Err(TrialError::Request {
            field: "identity.configurationHash",
            found: request.identity.configuration_hash.clone(),
            expected: format!("{hash}, the hash of the configuration"),
        });
    }
    if training.learning_rate.get() <= 0.0 {
        return Err(TrialError::Request {
            field: "spec.training.learningRate",
            found: training.learning_rate.to_string(),
            expected: "more than 0".into(),
        });
    }
    if training.weight_decay.get() < 0.0 {
        return Err(TrialError::Request {
            field: "spec.training.weightDecay",
            found: training.weight_decay.to_string(),
            expected: "0 or more".into(),
        });
    }
    let modules = &request.configuration;
    let ranges = [
        (
            "configuration.serialAdapter",
            modules.serial_adapter,
            0,
            MODULE_MAX,
        ),
        (
            "configuration.parallelAdapter",
            modules.parallel_adapter,
            0,
            MODULE_MAX,
        ),
        ("configuration.prefix", modules.prefix, 0, MODULE_MAX),
        ("spec.training.batchSize", training.batch_size, 1, 4096),
        ("spec.training.maxLength", training.max_length, 4, 4096),
        (
            "spec.training.warmupPercent",
            training.warmup_percent,
            0,
            100,
        ),
        ("spec.training.patience", training.patience, 1, 1000),
        ("spec.fidelity.epochs", fidelity.epochs, 1, 1000),
        ("spec.fidelity.stepsPercent", fidelity.steps_percent, 1, 100),
    ];
    for (field, value, least, most) in ranges {
        if !(least..=most).contains(&value) {
            return Err(TrialError::Request {
                field,
                found: value.to_string(),
                expected: format!("{least} to {most}"),
            });
        }
    }
    for (field, examples) in [
        ("spec.fidelity.trainExamples", fidelity.train_examples),
        (
            "spec.fidelity.validationExamples",
            fidelity.validation_examples,
        ),
    ] {
        if examples == Some(0) {
            return Err(TrialError::Request {
                field,
                found: "0".into(),
                expected: "at least 1".into(),
            });
        }
    }
    Ok(())
}
