//! The step before a search: the trainer inspects model and data. Decisions about it, and the status until
//! the first trial. No I/O, no clock.

use std::time::Duration;

use autopeft_crds::configuration::hex_prefix;
use autopeft_crds::inspection::InspectionOutcome;
use autopeft_crds::status::{PeftSearchStatus, TrialCounts};
use autopeft_crds::trial::Inspection;
use autopeft_crds::{PeftSearch, PeftSearchSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;

use crate::deadlines;
use crate::object;
use crate::request;
use crate::status::NOT_WAITING;
use crate::trouble::Trouble;

/// The state of an inspection's run.
#[derive(Clone, Debug, PartialEq)]
pub enum Run {
    /// There is none.
    Absent,
    /// It was started from an earlier spec.
    Outdated,
    /// It runs, or is about to.
    Running,
    /// It waits for something that is not there.
    Waiting(Trouble),
    /// It has ended, with a document or, in one sentence, without.
    Ended(Result<InspectionOutcome, String>),
}

/// Everything that a decision about an inspection depends on.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// The search; its status says how far it has come.
    pub search: &'a PeftSearch,
    /// The run.
    pub run: &'a Run,
    /// How long until the next may be started.
    pub pause: Option<Duration>,
    /// Why earlier ones failed.
    pub troubles: &'a [Trouble],
    /// The time.
    pub now: Timestamp,
}

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// The state of the search, to be written to its status.
    pub early: Early,
    /// What to do with the run.
    pub step: Step,
    /// When to decide again if nothing happens before.
    pub wake: Option<Timestamp>,
}

/// What to do with an inspection's run.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Nothing; with the trouble to report if it is stuck.
    Wait(Option<Trouble>),
    /// Start it.
    Start,
    /// Remove it.
    Clear,
    /// Remove it, and start the next after a back-off: it failed.
    Retry(Trouble),
}

/// Decides what to do about the inspection of a search whose status has none.
pub fn decide(situation: &Situation<'_>) -> Decision {
    let Situation {
        search,
        run,
        pause,
        troubles,
        now,
    } = *situation;
    let status = search.status.as_ref();
    let start = status.and_then(|status| status.start_time.as_ref());
    let due = start.and_then(|start| deadlines::deadline(&search.spec, start.0));
    let decision = |early, step| Decision {
        early,
        step,
        wake: due.filter(|due| now < *due),
    };
    if due.is_some_and(|due| now >= due) {
        let known = ended_before(search, "DeadlineExceeded");
        let message = known.unwrap_or_else(|| late(search, troubles));
        return decision(Early::Late(message), Step::Clear);
    }
    if let Some(message) = ended_before(search, "BadInput") {
        return decision(Early::BadInput(message), Step::Clear);
    }
    let step = match run {
        Run::Absent if search.spec.suspend || pause.is_some() => Step::Wait(None),
        Run::Absent => Step::Start,
        Run::Outdated => Step::Clear,
        Run::Running => Step::Wait(None),
        Run::Waiting(trouble) => Step::Wait(Some(trouble.clone())),
        Run::Ended(Ok(InspectionOutcome::Found(found))) => {
            return decision(Early::Found(found.clone()), Step::Clear);
        }
        Run::Ended(Ok(InspectionOutcome::Refused { message })) => {
            return decision(Early::BadInput(format!("{message}{EDITABLE}")), Step::Clear);
        }
        Run::Ended(Ok(InspectionOutcome::Unavailable { message }) | Err(message)) => {
            Step::Retry(Trouble::new("InspectionFailed", message))
        }
    };
    decision(Early::Inspecting, step)
}

/// What a user may do about bad input, to append to a message.
const EDITABLE: &str = "; spec.model, spec.task and spec.searchSpace can be edited until a trial is planned, spec.promotion and spec.transfer at any time";

fn late(search: &PeftSearch, troubles: &[Trouble]) -> String {
    let seconds = search.spec.active_deadline_seconds.unwrap_or(0);
    let why = troubles.first();
    let why = why.map_or_else(String::new, |trouble| format!(": {}", trouble.message));
    format!(
        "{seconds} seconds (activeDeadlineSeconds) have passed, and model and data could not be inspected{why}"
    )
}

/// The message with which the search, of the spec as it is now, has ended for this reason.
fn ended_before(search: &PeftSearch, reason: &str) -> Option<String> {
    let status = search.status.as_ref()?;
    if status.observed_generation != search.metadata.generation {
        return None;
    }
    let succeeded = object::find(&status.conditions, "Succeeded")?;
    (succeeded.status == "False" && succeeded.reason == reason).then(|| succeeded.message.clone())
}

/// What an inspection depends on, as a hash: version 1, SHA-256 over JSON.
fn spec_hash(spec: &PeftSearchSpec) -> String {
    let mut looked_at = vec![
        serde_json::json!(1),
        serde_json::json!(spec.model),
        serde_json::json!(spec.task),
        serde_json::json!(spec.fidelity),
        serde_json::json!(spec.training),
    ];
    looked_at.extend(request::evaluation(spec).map(|evaluation| serde_json::json!(evaluation)));
    let transfer = spec.transfer.as_ref();
    looked_at.extend(transfer.map(|transfer| serde_json::json!(transfer)));
    hex_prefix(serde_json::json!(looked_at).to_string().as_bytes())
}

/// The inspection that a search uses. One of an earlier spec is ignored; once a trial is planned, the
/// inspected fields are immutable.
pub fn known(search: &PeftSearch) -> Option<&Inspection> {
    let status = search.status.as_ref()?;
    let found = status.inspection.as_ref()?;
    let is_current = match &found.spec_hash {
        Some(hash) => *hash == spec_hash(&search.spec),
        // 0.1.0 wrote none; its specs were immutable.
        None => status.observed_generation == search.metadata.generation,
    };
    (is_current || !status.ledger.is_empty()).then_some(found)
}

/// The state of a search before its first trial.
#[derive(Clone, Debug, PartialEq)]
pub enum Early {
    /// The trainer inspects model and data.
    Inspecting,
    /// The spec is invalid; one sentence for each error.
    Invalid(Vec<String>),
    /// The trainer rejects model or data.
    BadInput(String),
    /// `activeDeadlineSeconds` have passed.
    Late(String),
    /// The trainer has found this.
    Found(Inspection),
}

impl Early {
    /// The facts about the input.
    fn found(&self) -> Option<&Inspection> {
        match self {
            Self::Found(found) => Some(found),
            Self::Inspecting | Self::Invalid(_) | Self::BadInput(_) | Self::Late(_) => None,
        }
    }
}

/// The condition Succeeded of a search before its first trial (status, reason, message), and status and reason of
/// Progressing.
fn progress(early: &Early, suspend: bool) -> ([&'static str; 2], String, [&'static str; 2]) {
    match early {
        Early::Inspecting | Early::Found(_) if suspend => (
            ["Unknown", "Suspended"],
            "spec.suspend is true".to_owned(),
            ["False", "Suspended"],
        ),
        Early::Inspecting | Early::Found(_) => (
            ["Unknown", "InProgress"],
            "the trainer inspects model and data".to_owned(),
            ["True", "Inspecting"],
        ),
        Early::Invalid(errors) => (
            ["False", "InvalidSpec"],
            errors.join("; "),
            ["False", "InvalidSpec"],
        ),
        Early::BadInput(message) => (
            ["False", "BadInput"],
            message.clone(),
            ["False", "BadInput"],
        ),
        Early::Late(message) => (
            ["False", "DeadlineExceeded"],
            message.clone(),
            ["False", "DeadlineExceeded"],
        ),
    }
}

/// The conditions of a search before its first trial.
fn conditions(search: &PeftSearch, early: &Early, now: Timestamp) -> Vec<Condition> {
    let suspend = search.spec.suspend;
    let (succeeded, message, progressing) = progress(early, suspend);
    let (valid, validity) = match early {
        Early::Invalid(_) => (["False", "Invalid"], message.as_str()),
        _ => (["True", "Valid"], "the spec is valid"),
    };
    let (suspended, suspension) = if suspend {
        (["True", "SuspendedBySpec"], "spec.suspend is true")
    } else {
        (["False", "NotSuspended"], "spec.suspend is false")
    };
    let well = if succeeded[0] == "False" {
        NOT_WAITING
    } else {
        "the search is healthy"
    };
    let unfitted = "the surrogate is fitted after the initial design";
    [
        ("Succeeded", succeeded, message.as_str()),
        ("SpecValid", valid, validity),
        ("Progressing", progressing, &message),
        ("Suspended", suspended, suspension),
        ("SurrogateHealthy", ["Unknown", "NotFitted"], unfitted),
        ("Degraded", ["False", "AsExpected"], well),
    ]
    .map(|(kind, [status, reason], message)| Condition {
        type_: kind.into(),
        status: status.into(),
        reason: reason.into(),
        message: message.chars().take(1024).collect(),
        last_transition_time: Time(now),
        observed_generation: search.metadata.generation,
    })
    .into()
}

/// The status of a search before its first trial.
pub fn status(search: &PeftSearch, early: &Early, now: Timestamp) -> PeftSearchStatus {
    let before = search.status.clone().unwrap_or_default();
    let over = matches!(
        early,
        Early::Invalid(_) | Early::BadInput(_) | Early::Late(_)
    );
    let completion = before.completion_time.clone().unwrap_or(Time(now));
    PeftSearchStatus {
        observed_generation: search.metadata.generation,
        conditions: conditions(search, early, now),
        start_time: Some(before.start_time.unwrap_or(Time(now))),
        completion_time: over.then_some(completion),
        trials: if before.ledger.is_empty() {
            TrialCounts {
                progress: format!("0/{}", search.spec.max_trials),
                ..TrialCounts::default()
            }
        } else {
            before.trials
        },
        ledger_entries: u32::try_from(before.ledger.len()).ok(),
        inspection: match early.found() {
            Some(found) => Some(Inspection {
                spec_hash: Some(spec_hash(&search.spec)),
                ..found.clone()
            }),
            None => known(search).cloned(),
        },
        // The rest is kept.
        ..before
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + second).expect("a time")
    }

    /// A search that began at second 0 and may take a minute.
    fn search(spec: &Value) -> PeftSearch {
        let mut search = json!({
            "apiVersion": "autopeft.dev/v1alpha1",
            "kind": "PeftSearch",
            "metadata": {"name": "one", "namespace": "lab", "generation": 1},
            "spec": {
                "model": {"source": {"claim": {"name": "a"}}},
                "task": {"name": "rte", "source": {"claim": {"name": "a"}}},
                "activeDeadlineSeconds": 60,
            },
            "status": {"startTime": at(0).to_string()},
        });
        for (field, value) in spec.as_object().expect("fields") {
            search["spec"][field] = value.clone();
        }
        serde_json::from_value(search).expect("a search")
    }

    fn decided(search: &PeftSearch, run: &Run, pause: Option<u64>, second: i64) -> Decision {
        decide(&Situation {
            search,
            run,
            pause: pause.map(Duration::from_secs),
            troubles: &[Trouble::new("QuotaExceeded", "no room")],
            now: at(second),
        })
    }

    fn found() -> Inspection {
        serde_json::from_value(json!({
            "architecture": "bert", "layers": 2, "hiddenSize": 8, "backboneParameters": 100,
            "trainExamples": 3, "validationExamples": 2,
        }))
        .expect("an inspection")
    }

    #[test]
    fn it_is_started_unless_the_search_is_suspended_or_a_pause_lasts() {
        let search = search(&json!({}));
        assert_eq!(decided(&search, &Run::Absent, None, 1).step, Step::Start);
        let paused = decided(&search, &Run::Absent, Some(2), 1);
        assert_eq!(paused.step, Step::Wait(None));
        assert_eq!(paused.wake, Some(at(60)), "the deadline");
        let suspended = self::search(&json!({"suspend": true}));
        let step = decided(&suspended, &Run::Absent, None, 1).step;
        assert_eq!(step, Step::Wait(None));
    }

    #[test]
    fn what_the_trainer_says_is_recorded_or_tried_again() {
        let search = search(&json!({}));
        let ended = |outcome| decided(&search, &Run::Ended(outcome), None, 1);
        let good = ended(Ok(InspectionOutcome::Found(found())));
        assert_eq!(
            (good.early, good.step),
            (Early::Found(found()), Step::Clear)
        );
        let message = "no label".to_owned();
        let refused = ended(Ok(InspectionOutcome::Refused {
            message: message.clone(),
        }));
        let advice = "no label; spec.model, spec.task and spec.searchSpace can be edited until a trial is planned, \
                      spec.promotion and spec.transfer at any time";
        assert_eq!(refused.early, Early::BadInput(advice.into()));
        let retry = Step::Retry(Trouble::new("InspectionFailed", &message));
        for outcome in [
            Ok(InspectionOutcome::Unavailable {
                message: message.clone(),
            }),
            Err(message),
        ] {
            let again = ended(outcome);
            assert_eq!(
                (again.early, again.step),
                (Early::Inspecting, retry.clone())
            );
        }
    }

    #[test]
    fn an_evaluation_and_other_tasks_are_inspected_and_without_them_a_hash_is_as_before() {
        let hash = |spec: &Value| spec_hash(&search(spec).spec);
        let plain = hash(&json!({}));
        assert_eq!(plain, hash(&json!({"promotion": {}})));
        let file = |name: &str| json!({"promotion": {"evaluation": {"testFile": name}}});
        assert_ne!(hash(&file("a.tsv")), plain);
        assert_ne!(hash(&file("a.tsv")), hash(&file("b.tsv")));
        let other = |folder: &str| {
            let task = json!({"name": "mrpc", "source": {"claim": {"name": "a", "path": folder}}});
            json!({"promotion": {}, "transfer": {"tasks": [{"name": "mrpc", "task": task}]}})
        };
        assert_ne!(hash(&other("mrpc")), plain);
        assert_ne!(hash(&other("mrpc")), hash(&other("other")));
        // As statuses of 0.1.1 have it.
        assert_eq!(plain, "882a83ee1052a5cb");
    }

    #[test]
    fn bad_input_stands_until_the_spec_changes() {
        let mut search = search(&json!({}));
        let refused = Early::BadInput("no label".into());
        search.status = Some(status(&search, &refused, at(1)));
        let again = decided(&search, &Run::Absent, None, 2);
        assert_eq!((again.early, again.step), (refused, Step::Clear));
        search.metadata.generation = Some(2);
        assert_eq!(decided(&search, &Run::Absent, None, 2).step, Step::Start);
    }

    #[test]
    fn a_deadline_ends_it_and_says_what_it_waited_for() {
        let mut search = search(&json!({}));
        let late = decided(&search, &Run::Running, None, 60);
        let Early::Late(message) = &late.early else {
            panic!("{late:?}");
        };
        assert!(
            message.ends_with("could not be inspected: no room"),
            "{message}"
        );
        search.status = Some(status(&search, &late.early, at(60)));
        let later = decided(&search, &Run::Absent, None, 90);
        assert_eq!(later.early, late.early, "it says the same for ever");
        let ended = search.status.as_ref().expect("a status");
        assert_eq!(
            ended.completion_time.as_ref().map(|time| time.0),
            Some(at(60))
        );
        let degraded = object::find(&ended.conditions, "Degraded").expect("a condition");
        assert!(!degraded.message.contains("nothing is wrong"));
    }
}
