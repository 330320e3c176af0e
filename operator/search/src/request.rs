//! The request of a run, from spec and ledger, and the outcomes expected of it. No I/O.

use autopeft_crds::configuration::LayerMaskError;
use autopeft_crds::run::{Expected, RunError, RunRequest};
use autopeft_crds::spec::{BaselineName, EvaluationSpec, TaskSpec, TransferTask};
use autopeft_crds::status::{Attempt, LedgerEntry, TrialPurpose, TrialTerms};
use autopeft_crds::trial::{Method, OtherTask, TrialIdentity, TrialRequest};
use autopeft_crds::{ModuleOptions, PeftConfiguration, PeftSearchSpec};

use crate::ledger::Ledger;

/// Where the trainer finds its files: directories on its machine, or `hf://owner/name@revision`.
#[derive(Clone, Debug, PartialEq)]
pub struct Locations {
    /// The model.
    pub model: String,
    /// The task's data.
    pub data: String,
    /// The data of other tasks: of each that `spec.transfer` names, and of those that trials have.
    pub others: Vec<(TaskSpec, String)>,
    /// The directory under which each trial's adapter is stored.
    pub artifacts: Option<String>,
    /// The directory for the adapters of trainings in full, where those of the other trials are not stored.
    pub promoted: Option<String>,
}

impl Locations {
    /// The data of another task.
    fn of_other(&self, task: &TaskSpec) -> Option<&String> {
        let mut others = self.others.iter();
        others
            .find(|(other, _)| other == task)
            .map(|(_, data)| data)
    }
}

/// Why a run has no request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The location of its data is unknown.
    #[error("trial {0} has a task of its own, and spec.transfer does not say where its data is")]
    Data(u32),
    /// Its trials cannot be one run.
    #[error(transparent)]
    Run(#[from] RunError),
}

/// The identity of a trial's current attempt.
pub fn identity(uid: &str, entry: &LedgerEntry) -> TrialIdentity {
    TrialIdentity {
        search_uid: uid.into(),
        trial: entry.trial,
        attempt: entry.attempt,
        configuration_hash: entry.configuration.hash(),
    }
}

/// The task of a trial: its own, or the search's.
fn task<'a>(spec: &'a PeftSearchSpec, entry: &'a LedgerEntry) -> &'a TaskSpec {
    let terms = entry.terms.as_deref();
    terms
        .and_then(|terms| terms.task.as_ref())
        .unwrap_or(&spec.task)
}

/// What a run's document should contain for a trial's current attempt.
pub fn expected(spec: &PeftSearchSpec, uid: &str, entry: &LedgerEntry) -> Expected {
    Expected {
        identity: identity(uid, entry),
        metric: task(spec, entry).score_metric(),
    }
}

/// The request of a run.
pub fn run(
    spec: &PeftSearchSpec,
    locations: &Locations,
    uid: &str,
    ledger: &Ledger,
    run: Attempt,
) -> Result<RunRequest, RequestError> {
    let members = ledger.members(run);
    let trials: Result<_, RequestError> = members
        .map(|entry| trial(spec, locations, uid, entry))
        .collect();
    Ok(RunRequest::new(trials?)?)
}

/// The request of a trial's current attempt.
fn trial(
    spec: &PeftSearchSpec,
    locations: &Locations,
    uid: &str,
    entry: &LedgerEntry,
) -> Result<TrialRequest, RequestError> {
    let TrialTerms {
        fidelity,
        seed,
        learning_rate,
        patience,
        evaluation,
        task: own_task,
    } = entry.terms.as_deref().cloned().unwrap_or_default();
    let mut training = spec.training.clone();
    if let Some(baseline) = entry.baseline {
        training = baseline.training(&training, spec.baseline_recipe.unwrap_or_default());
    }
    training.learning_rate = learning_rate.unwrap_or(training.learning_rate);
    training.patience = patience.unwrap_or(training.patience);
    training.seed = seed.unwrap_or(training.seed);
    let data = match &own_task {
        None => Some(&locations.data),
        Some(task) => locations.of_other(task),
    };
    let promoted = locations.promoted.as_ref();
    let promoted = promoted.filter(|_| entry.purpose() == TrialPurpose::Promotion);
    let artifacts = locations.artifacts.as_ref().or(promoted);
    Ok(TrialRequest {
        identity: identity(uid, entry),
        configuration: entry.configuration.clone(),
        method: entry.baseline.map_or(Method::Peft, BaselineName::method),
        model: locations.model.clone(),
        data: data.ok_or(RequestError::Data(entry.trial))?.clone(),
        task: own_task.unwrap_or_else(|| spec.task.clone()),
        fidelity: fidelity.unwrap_or_else(|| spec.fidelity.clone()),
        training,
        options: options(spec, entry.baseline),
        evaluation,
        artifacts: artifacts.map(|folder| folder_of(folder, entry.trial)),
        others: Vec::new(),
    })
}

/// The directory of a trial's adapter.
pub fn folder_of(artifacts: &str, trial: u32) -> String {
    format!("{artifacts}/trial-{trial}")
}

/// How a trial's modules are built: as its baseline says, or the search space.
fn options(spec: &PeftSearchSpec, baseline: Option<BaselineName>) -> ModuleOptions {
    baseline.map_or_else(|| spec.search_space.options.clone(), BaselineName::options)
}

/// Where the scores of trainings in full come from, if not from the validation examples alone.
pub fn evaluation(spec: &PeftSearchSpec) -> Option<&EvaluationSpec> {
    spec.promotion.as_ref()?.evaluation.as_ref()
}

/// The other tasks on which promoted configurations are trained.
pub fn others(spec: &PeftSearchSpec) -> &[TransferTask] {
    let transfer = spec.transfer.as_ref();
    transfer.map_or(&[][..], |transfer| &transfer.tasks)
}

/// Where the scores of a transfer's task come from, if not from its validation examples alone.
pub fn evaluation_of<'a>(
    spec: &'a PeftSearchSpec,
    other: &'a TransferTask,
) -> Option<&'a EvaluationSpec> {
    other.evaluation.as_ref().or(evaluation(spec))
}

/// The request by which the trainer inspects model and data before the search begins. Its configuration is a
/// placeholder: the number of layers is not known yet.
pub fn inspection(
    spec: &PeftSearchSpec,
    locations: &Locations,
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
        model: locations.model.clone(),
        data: locations.data.clone(),
        task: spec.task.clone(),
        fidelity: spec.fidelity.clone(),
        training: spec.training.clone(),
        options: options(spec, None),
        evaluation: evaluation(spec).cloned(),
        artifacts: None,
        others: others(spec)
            .iter()
            .filter_map(|other| {
                Some(OtherTask {
                    given: TransferTask {
                        evaluation: evaluation_of(spec, other).cloned(),
                        ..other.clone()
                    },
                    data: locations.of_other(&other.task)?.clone(),
                })
            })
            .collect(),
    })
}
