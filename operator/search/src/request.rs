//! The request that starts a trial, from spec and ledger. No I/O.

use autopeft_crds::PeftConfiguration;
use autopeft_crds::configuration::LayerMaskError;
use autopeft_crds::spec::{BaselineName, PeftSearchSpec};
use autopeft_crds::status::LedgerEntry;
use autopeft_crds::trial::{Method, TrialIdentity, TrialRequest};

/// Where the trainer finds its files: directories on its machine, or `hf://owner/name@revision`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// The model.
    pub model: String,
    /// The task's data.
    pub data: String,
    /// The directory under which each trial's adapter is kept.
    pub artifacts: Option<String>,
}

/// Who a trial's due attempt is.
pub fn identity(uid: &str, entry: &LedgerEntry) -> TrialIdentity {
    TrialIdentity {
        search_uid: uid.into(),
        trial: entry.trial,
        attempt: entry.attempt,
        configuration_hash: entry.configuration.hash(),
    }
}

/// The request of a trial's due attempt.
pub fn trial(
    spec: &PeftSearchSpec,
    places: &Places,
    uid: &str,
    entry: &LedgerEntry,
) -> TrialRequest {
    let mut training = spec.training.clone();
    if let Some(rate) = entry.baseline.and_then(BaselineName::learning_rate) {
        training.learning_rate = rate;
    }
    TrialRequest {
        identity: identity(uid, entry),
        configuration: entry.configuration.clone(),
        method: entry.baseline.map_or(Method::Peft, BaselineName::method),
        model: places.model.clone(),
        data: places.data.clone(),
        task: spec.task.clone(),
        fidelity: spec.fidelity.clone(),
        training,
        artifacts: places
            .artifacts
            .as_ref()
            .map(|folder| format!("{folder}/trial-{}", entry.trial)),
    }
}

/// The request by which the trainer inspects model and data before the search begins. Its
/// configuration is a placeholder: how many layers there are is what is asked.
pub fn inspection(
    spec: &PeftSearchSpec,
    places: &Places,
    uid: &str,
) -> Result<TrialRequest, LayerMaskError> {
    let configuration = PeftConfiguration::empty(1)?;
    Ok(TrialRequest {
        identity: TrialIdentity {
            search_uid: uid.into(),
            trial: 0,
            attempt: 1,
            configuration_hash: configuration.hash(),
        },
        configuration,
        method: Method::Peft,
        model: places.model.clone(),
        data: places.data.clone(),
        task: spec.task.clone(),
        fidelity: spec.fidelity.clone(),
        training: spec.training.clone(),
        artifacts: None,
    })
}
