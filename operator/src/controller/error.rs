//! Why a reconcile came to nothing.

use std::any::Any;

use autopeft_search::ledger::LedgerError;
use autopeft_search::request::RequestError;

use super::client::api::ApiError;

/// Why a reconcile came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// The API server.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The planner and the ledger disagree: a defect of this program.
    #[error("the plan does not fit the ledger: {0}")]
    Ledger(#[from] LedgerError),
    /// A run has no request.
    #[error(transparent)]
    Run(#[from] RequestError),
    /// A document could not be made: a defect of this program.
    #[error("a request is not JSON: {0}")]
    Request(#[from] serde_json::Error),
    /// The placeholder of an inspection is refused: a defect of this program.
    #[error("the placeholder configuration is rejected: {0}")]
    Placeholder(#[from] autopeft_crds::configuration::LayerMaskError),
    /// A step panicked: a defect of this program.
    #[error("the reconcile panicked: {0}")]
    Panicked(String),
}

impl ReconcileError {
    /// Whether another has written the object since it was read.
    pub fn is_lost_race(&self) -> bool {
        matches!(self, Self::Api(error) if error.code() == Some(409))
    }

    /// Whether the API server is away or overloaded: it comes back without a word.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Api(error) if error.is_passing())
    }
}

/// What a panic said.
pub fn panic_text(payload: &(dyn Any + Send)) -> String {
    payload
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".into())
}
