//! Errors of a trial, and their reasons.

use std::borrow::Cow;

use autopeft_crds::trial::FailureReason;
use tch::TchError;

use crate::adapter::AdapterError;
use crate::device::NoGpu;
use crate::fingerprint::FingerprintError;
use crate::hub::HubError;
use crate::interchange::InterchangeError;
use crate::model::ModelError;
use crate::reason;
use crate::task::TaskError;
use crate::tokenize::TokenizeError;
use crate::train::{TrainError, ValidationError};

/// Why a trial failed.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    /// The request contradicts itself.
    #[error("{field}: {found}; expected {expected}")]
    Request {
        /// The field.
        field: Cow<'static, str>,
        /// Its value.
        found: String,
        /// The expected value.
        expected: String,
    },
    /// The data of another task (`spec.transfer`) cannot be used.
    #[error("{}", of_other(.field, .source))]
    Other {
        /// The task's field.
        field: String,
        /// Why.
        source: Box<TrialError>,
    },
    /// It requests a GPU.
    #[error(transparent)]
    NoGpu(#[from] NoGpu),
    /// The hub's files cannot be downloaded.
    #[error(transparent)]
    Hub(#[from] HubError),
    /// A file cannot be read for its fingerprint.
    #[error(transparent)]
    Fingerprint(#[from] FingerprintError),
    /// The task's files cannot be used.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// The tokenizer cannot be used.
    #[error(transparent)]
    Tokenize(#[from] TokenizeError),
    /// The model cannot be used.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The adapter cannot be saved or read.
    #[error(transparent)]
    Adapter(#[from] AdapterError),
    /// An adapter cannot be exported or imported.
    #[error(transparent)]
    Interchange(#[from] InterchangeError),
    /// Training ended early.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// A validation ended early.
    #[error(transparent)]
    Validation(#[from] ValidationError),
    /// The data cannot be copied to the device.
    #[error("the data cannot be put on the device: {}", reason::sentence(.0))]
    Device(#[from] TchError),
}

/// An error in terms of another task: it names the fields of that one.
fn of_other(field: &str, error: &TrialError) -> String {
    let told = error.to_string();
    let moved = told
        .replace("spec.task", &format!("{field}.task"))
        .replace("spec.promotion.evaluation", &format!("{field}.evaluation"));
    if moved == told {
        format!("{field}: {told}")
    } else {
        moved
    }
}

impl TrialError {
    /// The reason for the result document. Invalid content of a file is bad input and ends a search; a file that cannot
    /// be read or written is not.
    pub fn reason(&self) -> FailureReason {
        if let Self::Other { source, .. } = self {
            return source.reason();
        }
        match (self, reason::of_causes(self)) {
            // Another node may have a working driver and GPU.
            (Self::NoGpu(NoGpu::NotUsable(_)), _) => return FailureReason::DeviceLost,
            // Data and weights are the same for every configuration: if they do not fit, the cause is the GPU or another
            // process on it.
            (
                Self::Device(source) | Self::Model(ModelError::Device { source, .. }),
                Some(reason),
            ) if reason == FailureReason::OutOfMemory && source.to_string().contains("CUDA") => {
                return FailureReason::DeviceLost;
            }
            (_, Some(reason)) => return reason,
            (_, None) => {}
        }
        match self {
            // Wrong paths are found by the inspection; later, the files have disappeared.
            _ if self.is_absence() => FailureReason::Internal,
            // A wrong name is found by the inspection; later, the network has failed.
            Self::Hub(error) => reason::of_message(&error.to_string()),
            Self::NoGpu(_)
            | Self::Request { .. }
            | Self::Other { .. }
            | Self::Task(_)
            | Self::Tokenize(_)
            | Self::Model(_)
            | Self::Adapter(_)
            | Self::Interchange(_) => FailureReason::BadInput,
            Self::Train(TrainError::Loss { .. } | TrainError::Prediction { .. })
            | Self::Validation(ValidationError::NotFinite) => FailureReason::NotFinite,
            Self::Train(TrainError::Torch(_) | TrainError::NoMetric(_))
            | Self::Validation(ValidationError::Torch(_) | ValidationError::NoMetric(_))
            | Self::Fingerprint(_)
            | Self::Device(_) => FailureReason::Internal,
        }
    }

    /// Whether a named file or directory is missing or not accessible: bad input of a command that was run by hand, an
    /// infrastructure failure during a search.
    pub fn is_about_a_place(&self) -> bool {
        use std::io::ErrorKind::{
            AlreadyExists, IsADirectory, NotADirectory, NotFound, PermissionDenied,
        };
        let is_place = |error: &std::io::Error| {
            matches!(
                error.kind(),
                AlreadyExists | IsADirectory | NotADirectory | NotFound | PermissionDenied
            )
        };
        if let Self::Other { source, .. } = self {
            return source.is_about_a_place();
        }
        matches!(self, Self::Hub(_))
            || self.is_absence()
            || reason::cause::<std::io::Error>(self).is_some_and(is_place)
    }

    fn is_absence(&self) -> bool {
        match self {
            Self::Other { source, .. } => source.is_absence(),
            Self::Task(error) => error.is_absence(),
            Self::Model(error) => error.is_absence(),
            Self::Adapter(AdapterError::Model(error)) => error.is_absence(),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_about_another_task_names_its_fields() {
        let told = |field: &'static str| {
            let source = TrialError::Request {
                field: field.into(),
                found: "3".into(),
                expected: "2".into(),
            };
            let error = TrialError::Other {
                field: "spec.transfer.tasks[1]".into(),
                source: source.into(),
            };
            assert_eq!(error.reason(), FailureReason::BadInput);
            error.to_string()
        };
        let of_the_task = "spec.transfer.tasks[1].task.custom.labels: 3; expected 2";
        assert_eq!(told("spec.task.custom.labels"), of_the_task);
        let of_the_file = "spec.transfer.tasks[1].evaluation.testFile: 3; expected 2";
        assert_eq!(told("spec.promotion.evaluation.testFile"), of_the_file);
        assert_eq!(
            told("a.tsv"),
            "spec.transfer.tasks[1]: a.tsv: 3; expected 2"
        );
        let gone = TrialError::Other {
            field: "spec.transfer.tasks[0]".into(),
            source: Box::new(TchError::Torch("CUDA out of memory".into()).into()),
        };
        assert_eq!(gone.reason(), FailureReason::DeviceLost);
    }

    #[test]
    fn memory_that_every_configuration_needs_speaks_against_the_gpu() {
        let torch = |message: &str| TchError::Torch(message.into());
        let of_the_gpu = || torch("CUDA out of memory. Tried to allocate 2.00 MiB");
        let of_the_machine = || torch("DefaultCPUAllocator: can't allocate memory");
        let weights = |device: &str, source| {
            let device = device.into();
            TrialError::from(ModelError::Device { device, source })
        };
        for (error, reason) in [
            (TrialError::Device(of_the_gpu()), FailureReason::DeviceLost),
            (weights("cuda:0", of_the_gpu()), FailureReason::DeviceLost),
            (
                TrialError::Device(of_the_machine()),
                FailureReason::OutOfMemory,
            ),
            (weights("cpu", of_the_machine()), FailureReason::OutOfMemory),
            (
                TrainError::Torch(of_the_gpu()).into(),
                FailureReason::OutOfMemory,
            ),
            (
                NoGpu::NotUsable(of_the_gpu()).into(),
                FailureReason::DeviceLost,
            ),
            (NoGpu::NotBuilt.into(), FailureReason::BadInput),
        ] {
            assert_eq!(error.reason(), reason, "{error}");
        }
    }
}
