//! The protocol of a run: one or several trials that one Job or process carries out, one after another.
//!
//! A run of one trial has that trial's own documents, as 0.1.0 wrote them. A run of several has documents of
//! version 2, which hold a request or an outcome for each trial. A trial whose outcome is missing or invalid
//! does not affect the others: the trainer may rewrite the document after each trial and be killed in
//! between.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::spec::Metric;
use crate::trial::{
    FailureReason, RESULT_VERSION, ResultError, TrialIdentity, TrialOutcome, TrialRequest,
    TrialResult, check_identity, check_outcome, parse_result, read_document, same,
};

/// The version of the documents of a run of several trials.
pub const RUN_VERSION: u32 = 2;

/// The most trials of one run: as many outcomes, without their epochs, as fit into one result document.
pub const RUN_MAX_TRIALS: usize = 4;

/// The exit code of a trainer that SIGTERM has ended: 128 and the signal's number. In its document, the trial that was
/// trained is `Lost`.
pub const TERMINATED: i32 = 143;

/// Why trials cannot be one run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// The number of trials is out of bounds.
    #[error("a run of {0} trials; it has at least one and at most {RUN_MAX_TRIALS}")]
    Trials(usize),
    /// They are of different searches.
    #[error("a run with trials of the searches {0} and {1}")]
    Searches(String, String),
    /// A trial is there twice.
    #[error("a run with trial {0} twice")]
    Twice(u32),
    /// The document is of another version.
    #[error("a run's request of version {0}; this program reads version {RUN_VERSION}")]
    Version(u32),
}

/// Everything a trainer needs for one run.
#[derive(Clone, Debug, PartialEq)]
pub struct RunRequest(Vec<TrialRequest>);

/// The document of several requests.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SeveralRequests<T> {
    version: u32,
    trials: T,
}

impl RunRequest {
    /// A run of these trials, in this order.
    pub fn new(trials: Vec<TrialRequest>) -> Result<Self, RunError> {
        let first = match trials.first() {
            Some(first) if trials.len() <= RUN_MAX_TRIALS => &first.identity,
            _ => return Err(RunError::Trials(trials.len())),
        };
        for (index, TrialRequest { identity, .. }) in trials.iter().enumerate() {
            if identity.search_uid != first.search_uid {
                let (one, other) = (first.search_uid.clone(), identity.search_uid.clone());
                return Err(RunError::Searches(one, other));
            }
            let mut before = trials[..index].iter();
            if before.any(|before| before.identity.trial == identity.trial) {
                return Err(RunError::Twice(identity.trial));
            }
        }
        Ok(Self(trials))
    }

    /// The trials, in the order in which they are trained; at least one.
    pub fn trials(&self) -> &[TrialRequest] {
        &self.0
    }
}

impl Serialize for RunRequest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [one] => one.serialize(serializer),
            trials => SeveralRequests {
                version: RUN_VERSION,
                trials,
            }
            .serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for RunRequest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        let value = Value::deserialize(deserializer)?;
        let trials = if value.get("trials").is_some() {
            let SeveralRequests { version, trials } =
                serde_json::from_value(value).map_err(D::Error::custom)?;
            if version != RUN_VERSION {
                return Err(D::Error::custom(RunError::Version(version)));
            }
            trials
        } else {
            vec![serde_json::from_value(value).map_err(D::Error::custom)?]
        };
        Self::new(trials).map_err(D::Error::custom)
    }
}

/// What came out of one trial of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MemberResult {
    /// Whose outcome this is.
    pub identity: TrialIdentity,
    /// What came out.
    pub outcome: TrialOutcome,
}

/// The one document that ends a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum RunResult {
    /// Of a run of one trial: the trial's own.
    One(TrialResult),
    /// Of a run of several.
    Several(SeveralResults),
}

impl RunResult {
    /// The document of a run of which these outcomes are known so far.
    pub fn of(run: &RunRequest, outcomes: Vec<MemberResult>) -> Self {
        match (run.trials(), outcomes.as_slice()) {
            ([_], [MemberResult { identity, outcome }]) => Self::One(TrialResult {
                version: RESULT_VERSION,
                identity: identity.clone(),
                outcome: outcome.clone(),
            }),
            _ => Self::Several(SeveralResults {
                version: RUN_VERSION,
                trials: outcomes,
            }),
        }
    }
}

/// The outcomes of a run of several trials.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SeveralResults {
    /// `RUN_VERSION`.
    pub version: u32,
    /// One entry for each trial that has ended.
    pub trials: Vec<MemberResult>,
}

/// A trial whose outcome a run's result should hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Whose outcome.
    pub identity: TrialIdentity,
    /// The metric of its score.
    pub metric: Metric,
}

/// Reads a run's result document and checks it against the request: an outcome for each of `expected`, in its
/// order. If the document as a whole cannot be read, each is an error. That a trainer was terminated is no outcome of the
/// trial: who did it knows what that means.
pub fn parse_run_result(
    bytes: &[u8],
    expected: &[Expected],
) -> Vec<Result<TrialOutcome, ResultError>> {
    match members(bytes) {
        Some(Ok(members)) => expected
            .iter()
            .map(|expected| outcome(&members, expected))
            .collect(),
        Some(Err(error)) => expected.iter().map(|_| Err(error.clone())).collect(),
        None => expected
            .iter()
            .map(|Expected { identity, metric }| {
                parse_result(bytes, identity, *metric).map(|result| result.outcome)
            })
            .collect(),
    }
}

/// Whether a document is that of a trainer that was terminated while a trial was trained.
pub fn was_terminated(bytes: &[u8]) -> bool {
    let Ok(document) = read_document::<Value>(bytes) else {
        return false;
    };
    let lost = serde_json::to_value(FailureReason::Lost).unwrap_or_default();
    let is_lost = |trial: &Value| trial["outcome"]["failed"]["reason"] == lost;
    let members = document["trials"].as_array();
    is_lost(&document) || members.into_iter().flatten().any(is_lost)
}

/// The outcomes in a document of several trials, not yet parsed. `None` for a document of another form.
fn members(bytes: &[u8]) -> Option<Result<Vec<Value>, ResultError>> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Document {
        version: u32,
        trials: Vec<Value>,
    }
    let document: Value = read_document(bytes).ok()?;
    document.get("trials")?;
    let read = || {
        let Document { version, trials } = serde_json::from_value(document)
            .map_err(|error| ResultError::Malformed(error.to_string()))?;
        same("version", version.to_string(), RUN_VERSION.to_string())?;
        if trials.len() > RUN_MAX_TRIALS {
            return Err(ResultError::Impossible {
                field: "trials",
                found: format!("{} outcomes", trials.len()),
            });
        }
        Ok(trials)
    };
    Some(read())
}

/// The outcome of one trial among those of its run.
fn outcome(members: &[Value], expected: &Expected) -> Result<TrialOutcome, ResultError> {
    let Expected { identity, metric } = expected;
    let trial = identity.trial;
    let mut own = members
        .iter()
        .filter(|member| member["identity"]["trial"].as_u64() == Some(u64::from(trial)));
    let member = own.next().ok_or(ResultError::Missing { trial })?;
    if own.next().is_some() {
        return Err(ResultError::Malformed(format!(
            "two outcomes of trial {trial}"
        )));
    }
    let MemberResult {
        identity: found,
        outcome,
    } = MemberResult::deserialize(member)
        .map_err(|error| ResultError::Malformed(format!("trial {trial}: {error}")))?;
    check_identity(&found, identity)?;
    check_outcome(&outcome, *metric)?;
    Ok(outcome)
}
