//! Notices for the user of a search: each becomes a Kubernetes event. No I/O.
//!
//! A reason is one of the list in docs/failures.md.

use autopeft_crds::status::{PeftSearchStatus, TrialPurpose};
use autopeft_crds::trial::Inspection;
use autopeft_crds::{PeftSearch, PeftSearchSpec};

use crate::ledger::{Event, Ledger, Recorded, RetryCause};
use crate::log::{self, Line};
use crate::memory;
use crate::object;
use crate::retries;

/// A notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Whether it is a warning.
    pub is_warning: bool,
    /// The trial and the attempt it is about.
    pub about: Option<(u32, u32)>,
    /// Why, in one word.
    pub reason: String,
    /// In one sentence.
    pub message: String,
}

impl Notice {
    /// A notice of type Normal.
    pub fn normal(reason: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            is_warning: false,
            about: None,
            reason: reason.into(),
            message: message.into(),
        }
    }

    /// A notice of type Warning.
    pub fn warning(reason: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            is_warning: true,
            ..Self::normal(reason, message)
        }
    }
}

/// The log line of a recorded event, and its notice, if any. `ledger` and `status` are those after the event;
/// the notice of a search's end comes from its status.
pub fn of_event(
    event: &Event,
    ledger: &Ledger,
    status: &PeftSearchStatus,
) -> Option<(Line, Option<Notice>)> {
    let (about, reason) = match event {
        Event::Concluded(_) => return None,
        // The end of the search has stopped it.
        Event::Retried {
            trial,
            attempt: _,
            cause: RetryCause::Interrupted,
            gpu_seconds: _,
        } if ledger.conclusion().is_some() => return Some((log::stopped(*trial), None)),
        Event::Retried { trial, attempt, .. } => ((*trial, *attempt), "TrialRetried"),
        Event::Recorded {
            trial,
            attempt,
            outcome: Recorded::Infeasible { .. },
            gpu_seconds: _,
        } => ((*trial, *attempt), "TrialInfeasible"),
        Event::Recorded {
            trial,
            attempt,
            outcome: Recorded::Failed { .. },
            gpu_seconds: _,
        } => ((*trial, *attempt), "TrialFailed"),
        other => return Some((log::line(other, status)?, None)),
    };
    let line = log::line(event, status)?;
    let notice = Notice {
        about: Some(about),
        ..Notice::warning(reason, line.text.clone())
    };
    Some((line, Some(notice)))
}

/// The notices of a status that changed from `before` to `after`.
pub fn of_change(
    search: &PeftSearch,
    before: Option<&PeftSearchStatus>,
    after: &PeftSearchStatus,
) -> Vec<Notice> {
    let mut notices = Vec::new();
    let had_inspection = before.is_some_and(|before| before.inspection.is_some());
    if let Some(found) = after.inspection.as_ref().filter(|_| !had_inspection) {
        notices.push(Notice::normal("InspectionSucceeded", inspected(found)));
        let shortage = memory::shortage(&search.spec, found);
        notices.extend(shortage.map(|told| Notice::warning("MemoryTooSmall", told)));
    }
    let is_seen = before.is_some_and(|it| it.observed_generation == after.observed_generation);
    if !is_seen && let Some(told) = retries::without_effect(&search.spec, &after.ledger) {
        notices.push(Notice::warning("RetryWithoutEffect", told));
    }
    let had_trials = before.is_some_and(|before| !before.ledger.is_empty());
    if !had_trials && !after.ledger.is_empty() {
        notices.push(Notice::normal("SearchStarted", begun(&search.spec)));
    }
    notices.extend(better_front(before, after));
    notices.extend(in_full(before, after));
    notices.extend(end(before, after));
    if let Some(condition) = object::newly_degraded(before, after) {
        notices.push(Notice::warning(
            condition.reason.clone(),
            condition.message.clone(),
        ));
    }
    notices
}

fn inspected(found: &Inspection) -> String {
    format!(
        "a {} model of {} layers and {} parameters; {} training and {} validation examples",
        found.architecture,
        found.layers,
        found.backbone_parameters,
        found.train_examples,
        found.validation_examples
    )
}

fn begun(spec: &PeftSearchSpec) -> String {
    format!(
        "the first of {} trials is planned; {} run at the same time",
        spec.max_trials, spec.parallelism
    )
}

/// The notice of a front with a new configuration.
fn better_front(before: Option<&PeftSearchStatus>, after: &PeftSearchStatus) -> Option<Notice> {
    let known = before.map_or(&[][..], |before| &before.pareto_front);
    let is_known = |trial: u32| known.iter().any(|member| member.trial == trial);
    let mut members = after.pareto_front.iter();
    if members.all(|member| is_known(member.trial)) {
        return None;
    }
    let best = after.best_score.map_or_else(String::new, |score| {
        format!("; the best score is {:.4}", score.get())
    });
    Some(Notice::normal(
        "FrontImproved",
        format!(
            "a front of {} after {} trials{best}",
            after.front_size, after.trials.progress
        ),
    ))
}

/// The notices of the first training in full, of the first on another task, and of another recommendation than before.
fn in_full(before: Option<&PeftSearchStatus>, after: &PeftSearchStatus) -> Vec<Notice> {
    let begun = |status: &PeftSearchStatus, purpose: TrialPurpose| {
        let mut entries = status.ledger.iter();
        entries.any(|entry| entry.purpose() == purpose)
    };
    let mut notices = Vec::new();
    for (purpose, reason, told) in [
        (
            TrialPurpose::Promotion,
            "PromotionStarted",
            "the trainings in full have begun (spec.promotion)",
        ),
        (
            TrialPurpose::Transfer,
            "TransferStarted",
            "the trainings on other tasks have begun (spec.transfer)",
        ),
    ] {
        let had_begun = before.is_some_and(|before| begun(before, purpose));
        if begun(after, purpose) && !had_begun {
            notices.push(Notice::normal(reason, told));
        }
    }
    let known = before.map_or(&[][..], |before| &before.recommended);
    if let Some(taken) = after.recommended.last()
        && after.recommended != known
    {
        let what = match (taken.trial, taken.baseline) {
            (_, Some(baseline)) => format!("the baseline {}", baseline.facts().title),
            (trial, None) => format!("trial {}", trial.unwrap_or_default()),
        };
        notices.push(Notice::normal(
            "RecommendationChanged",
            format!(
                "{what} is recommended within {} %: a mean of {:.4} over its seeds",
                taken.budget,
                taken.mean.get()
            ),
        ));
    }
    notices
}

/// The notice of the search's end, or of another end than before.
fn end(before: Option<&PeftSearchStatus>, after: &PeftSearchStatus) -> Option<Notice> {
    let now = object::find(&after.conditions, "Succeeded")?;
    let then = before.and_then(|before| object::find(&before.conditions, "Succeeded"));
    let is_known = then.is_some_and(|then| {
        (&then.status, &then.reason, &then.message) == (&now.status, &now.reason, &now.message)
    });
    match now.status.as_str() {
        _ if is_known => None,
        "True" => Some(Notice::normal(
            "SearchSucceeded",
            format!("{}: {}", now.reason, now.message),
        )),
        "False" => Some(Notice::warning(now.reason.clone(), now.message.clone())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn status(front: &[u32], succeeded: &str) -> PeftSearchStatus {
        let member = |trial: &u32| {
            json!({
                "trial": trial, "score": "0.5", "parameters": 1, "parametersPercent": "1",
                "configuration":
                    {"layers": "11", "serialAdapter": 0, "parallelAdapter": 8, "prefix": 0},
            })
        };
        let condition = json!({
            "type": "Succeeded", "status": succeeded, "reason": "Converged", "message": "it is over",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        });
        serde_json::from_value(json!({
            "paretoFront": front.iter().map(member).collect::<Vec<_>>(),
            "frontSize": front.len(),
            "bestScore": "0.123456789",
            "conditions": [condition],
        }))
        .expect("a status")
    }

    fn reasons(before: Option<&PeftSearchStatus>, after: &PeftSearchStatus) -> Vec<String> {
        let search = serde_json::from_value(json!({
            "apiVersion": "autopeft.dev/v1alpha1", "kind": "PeftSearch", "metadata": {"name": "one"},
            "spec": {
                "model": {"source": {"claim": {"name": "a"}}},
                "task": {"name": "rte", "source": {"claim": {"name": "a"}}},
            },
        }));
        let notices = of_change(&search.expect("a search"), before, after);
        notices.into_iter().map(|notice| notice.reason).collect()
    }

    #[test]
    fn trainings_in_full_are_noticed_when_they_begin_and_when_they_change_the_recommendation() {
        let known = status(&[1], "Unknown");
        let mut begun = serde_json::to_value(&known).expect("JSON");
        begun["ledger"] = json!([
            {"trial": 1, "origin": "Promotion", "ofTrial": 0, "state": "Planned", "attempt": 1, "parameters": 1,
             "configuration": {"layers": "11", "serialAdapter": 0, "parallelAdapter": 8, "prefix": 0}},
        ]);
        let mut taken = begun.clone();
        taken["recommended"] = json!([
            {"budget": "1", "trial": 0, "parameters": 1, "parametersPercent": "0.5", "mean": "0.7", "bestMean": "0.7",
             "bestTrial": 1},
        ]);
        let read = |value| -> PeftSearchStatus { serde_json::from_value(value).expect("a status") };
        let mut moved = taken.clone();
        let mut other = moved["ledger"][0].clone();
        other["trial"] = json!(2);
        other["origin"] = json!("Transfer");
        moved["ledger"].as_array_mut().expect("a list").push(other);
        let (begun, taken, moved) = (read(begun), read(taken), read(moved));
        let told = |before, after| {
            let mut told = reasons(Some(before), after);
            told.retain(|reason| reason != "SearchStarted");
            told
        };
        assert_eq!(told(&known, &begun), ["PromotionStarted"]);
        assert_eq!(told(&begun, &taken), ["RecommendationChanged"]);
        assert_eq!(told(&taken, &taken), Vec::<String>::new());
        assert_eq!(told(&taken, &moved), ["TransferStarted"]);
        assert_eq!(told(&moved, &moved), Vec::<String>::new());
    }

    #[test]
    fn a_front_is_noticed_when_it_has_a_new_member_and_an_end_once() {
        let (one, two) = (status(&[1], "Unknown"), status(&[1, 4], "Unknown"));
        assert_eq!(reasons(None, &one), ["FrontImproved"]);
        assert_eq!(reasons(Some(&one), &two), ["FrontImproved"]);
        assert_eq!(reasons(Some(&two), &one), Vec::<String>::new());
        let over = status(&[1, 4], "True");
        assert_eq!(reasons(Some(&two), &over), ["SearchSucceeded"]);
        assert_eq!(reasons(Some(&over), &over), Vec::<String>::new());
        let failed = status(&[1, 4], "False");
        assert_eq!(reasons(Some(&two), &failed), ["Converged"]);
    }
}
