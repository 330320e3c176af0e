//! Why a reconcile failed.

use std::any::Any;

use autopeft_search::ledger::LedgerError;
use autopeft_search::request::RequestError;

use super::client::api::ApiError;

/// Why a reconcile failed.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// The API server.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The planner and the ledger disagree: a defect of this program.
    #[error("the plan does not fit the ledger: {0}")]
    Ledger(#[from] LedgerError),
    /// A run's request cannot be built.
    #[error(transparent)]
    Run(#[from] RequestError),
    /// A request could not be serialised: a defect of this program.
    #[error("a request cannot be serialised: {0}")]
    Request(#[from] serde_json::Error),
    /// The placeholder configuration of an inspection is rejected: a defect of this program.
    #[error("the placeholder configuration is rejected: {0}")]
    Placeholder(#[from] autopeft_crds::configuration::LayerMaskError),
    /// A step panicked: a defect of this program.
    #[error("the reconcile panicked: {0}")]
    Panicked(String),
}

impl ReconcileError {
    /// Whether the object has changed since it was read.
    pub fn is_lost_race(&self) -> bool {
        matches!(self, Self::Api(error) if error.code() == Some(409))
    }

    /// Whether the API server is unreachable or overloaded.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Api(error) if error.is_transient())
    }
}

/// The message of a panic.
pub fn panic_text(payload: &(dyn Any + Send)) -> String {
    payload
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".into())
}
