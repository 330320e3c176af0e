//! The status of a search, from its spec and ledger. No I/O, no clock: the same ledger gives the same
//! status.

use autopeft_crds::PeftSearchSpec;
use autopeft_crds::limits;
use autopeft_crds::status::{BaselineResult, LedgerEntry, TrialCounts, TrialPurpose, TrialState};
use autopeft_crds::{Decimal, PeftSearch, PeftSearchStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta, Time};
use k8s_openapi::jiff::Timestamp;

use crate::health;
use crate::history::Header;
use crate::ledger::Ledger;
use crate::measures::{self, Measures, Subject};
use crate::promoted::{self, Answer};
use crate::transferred;

/// The most front members in the status.
const FRONT_MOST: usize = limits::FRONT as usize;

/// The metadata of a search.
#[derive(Clone, Debug, PartialEq)]
pub struct Metadata(ObjectMeta);

impl Metadata {
    /// The manifest's metadata with what an API server would add.
    pub fn new(manifest: &ObjectMeta, header: &Header) -> Self {
        Self(ObjectMeta {
            uid: Some(header.uid.clone()),
            creation_timestamp: Some(Time(header.at)),
            resource_version: None,
            managed_fields: None,
            ..manifest.clone()
        })
    }

    /// The whole object.
    pub fn object(&self, spec: &PeftSearchSpec, status: &PeftSearchStatus) -> PeftSearch {
        PeftSearch {
            metadata: ObjectMeta {
                generation: status.observed_generation,
                ..self.0.clone()
            },
            spec: spec.clone(),
            status: Some(status.clone()),
        }
    }
}

/// The status of a search.
pub fn status(subject: &Subject, ledger: &Ledger) -> PeftSearchStatus {
    let spec = &subject.spec;
    let measures = measures::measure(subject, ledger);
    let counts = counts(spec, ledger);
    let answer = promoted::answer(subject, ledger);
    let conditions = conditions(subject, ledger, &counts, &measures, &answer);
    let Measures {
        best_score,
        front,
        hypervolume,
        reference,
        dominated: _,
    } = measures;
    PeftSearchStatus {
        observed_generation: Some(ledger.generation()),
        conditions,
        start_time: Some(Time(ledger.start_time())),
        completion_time: ledger.conclusion().map(|(_, at)| Time(*at)),
        inspection: Some(subject.model.clone()),
        trials: counts,
        best_score: best_score.map(Decimal::rounded),
        front_size: u32::try_from(front.len()).unwrap_or(u32::MAX),
        pareto_front: measures::spread(front, FRONT_MOST),
        hypervolume: hypervolume.map(Decimal::rounded),
        reference_point: reference,
        baselines: baselines(subject, ledger),
        promoted: answer.promoted,
        rank_correlation: answer.rank_correlation,
        recommended: answer.recommended,
        transfer: transferred::results(subject, ledger),
        gpu_seconds_used: Decimal::new(ledger.gpu_seconds())
            .ok()
            .filter(|used| used.get() > 0.0),
        artifacts: None,
        surrogate: ledger.surrogate().cloned(),
        ledger_entries: Some(ledger.next_trial()),
        ledger: ledger.entries().to_vec(),
        other: Default::default(),
    }
}

fn counts(spec: &PeftSearchSpec, ledger: &Ledger) -> TrialCounts {
    let count = |state| {
        let found = ledger.search_trials().filter(|entry| entry.state == state);
        u32::try_from(found.count()).unwrap_or(u32::MAX)
    };
    let (succeeded, infeasible, failed) = (
        count(TrialState::Succeeded),
        count(TrialState::Infeasible),
        count(TrialState::Failed),
    );
    let running = match ledger.conclusion() {
        Some(_) => 0,
        None => count(TrialState::Planned),
    };
    let ended = succeeded + infeasible + failed;
    TrialCounts {
        // maxTrials may have been lowered below the number of finished trials.
        progress: format!("{ended}/{}", spec.max_trials.max(ended)),
        running,
        succeeded,
        infeasible,
        failed,
    }
}

fn baselines(subject: &Subject, ledger: &Ledger) -> Vec<BaselineResult> {
    ledger
        .entries()
        .iter()
        .filter(|entry| entry.purpose() == TrialPurpose::Baseline)
        .filter_map(|entry| {
            Some(BaselineResult {
                name: entry.baseline?,
                trial: entry.trial,
                score: entry.score?,
                metrics: entry.metrics.clone(),
                parameters: entry.parameters,
                parameters_percent: subject.percent(entry.parameters as f64)?,
            })
        })
        .collect()
}

/// The message of the condition Degraded for a search that has failed.
pub const NOT_WAITING: &str =
    "the search is not waiting; the condition Succeeded says why it failed";

/// Advice for a search in which nothing was learned.
pub const WOULD_HELP: &str =
    "more epochs, another learning rate or more training examples may help";

/// The content of a condition.
struct Verdict {
    status: &'static str,
    reason: String,
    message: String,
    since: Timestamp,
}

impl Verdict {
    fn new(
        status: &'static str,
        reason: impl Into<String>,
        message: impl Into<String>,
        since: Timestamp,
    ) -> Self {
        Self {
            status,
            reason: reason.into(),
            message: message.into(),
            since,
        }
    }
}

fn conditions(
    subject: &Subject,
    ledger: &Ledger,
    counts: &TrialCounts,
    measures: &Measures,
    answer: &Answer,
) -> Vec<Condition> {
    let spec = &subject.spec;
    let valid = Verdict::new("True", "Valid", "the spec is valid", ledger.start_time());
    let mut verdicts = vec![
        ("Succeeded", succeeded(subject, ledger, counts)),
        ("SpecValid", valid),
        ("Progressing", progressing(spec, ledger, counts)),
        ("Suspended", suspended(spec, ledger)),
        ("SurrogateHealthy", surrogate(ledger)),
        ("Degraded", degraded(subject, ledger, counts, measures)),
    ];
    if spec.promotion.is_some() {
        verdicts.push(("ProxyReliable", proxy(ledger, answer)));
    }
    let condition = |(kind, verdict): (&str, Verdict)| Condition {
        type_: kind.into(),
        status: verdict.status.into(),
        reason: verdict.reason,
        message: verdict.message,
        last_transition_time: Time(verdict.since),
        observed_generation: Some(ledger.generation()),
    };
    verdicts.into_iter().map(condition).collect()
}

/// Whether the search's scores rank configurations as training in full does.
fn proxy(ledger: &Ledger, answer: &Answer) -> Verdict {
    let Some((_, at)) = ledger.conclusion() else {
        let message = "known once the trainings in full have ended";
        return Verdict::new("Unknown", "InProgress", message, ledger.since().open);
    };
    let Some(found) = &answer.rank_correlation else {
        let message = "fewer than two configurations have a score by training in full, or all scores are equal";
        return Verdict::new("Unknown", "NotComparable", message, *at);
    };
    let (status, reason) = match (found.lower, found.upper) {
        (Some(lower), _) if lower.get() > 0.0 => ("True", "RanksAgree"),
        (_, Some(upper)) if upper.get() <= 0.0 => ("False", "RanksDisagree"),
        (Some(_), Some(_)) => ("Unknown", "NotSignificant"),
        _ => ("Unknown", "TooFew"),
    };
    Verdict::new(status, reason, promoted::told(found), *at)
}

fn succeeded(subject: &Subject, ledger: &Ledger, counts: &TrialCounts) -> Verdict {
    let spec = &subject.spec;
    match ledger.conclusion() {
        Some((conclusion, at)) => Verdict::new(
            if conclusion.succeeded {
                "True"
            } else {
                "False"
            },
            conclusion.reason.as_str(),
            conclusion.message.clone(),
            *at,
        ),
        None => Verdict::new(
            "Unknown",
            if spec.suspend {
                "Suspended"
            } else {
                "InProgress"
            },
            match promoted::progress(spec, ledger) {
                Some(promoted) => format!("{} trials have ended; {promoted}", counts.progress),
                None => format!("{} trials have ended", counts.progress),
            },
            ledger.since().open,
        ),
    }
}

fn progressing(spec: &PeftSearchSpec, ledger: &Ledger, counts: &TrialCounts) -> Verdict {
    let since = ledger.since().progressing;
    if ledger.conclusion().is_some() {
        Verdict::new("False", "Concluded", "the search has ended", since)
    } else if spec.suspend && ledger.is_idle() {
        Verdict::new("False", "Suspended", "spec.suspend is true", since)
    } else {
        let message = match promoted::progress(spec, ledger) {
            Some(promoted) => promoted,
            None => format!("trials planned or running: {}", counts.running),
        };
        Verdict::new("True", "TrialsRunning", message, since)
    }
}

fn suspended(spec: &PeftSearchSpec, ledger: &Ledger) -> Verdict {
    let since = ledger.since().suspended;
    if spec.suspend {
        Verdict::new("True", "SuspendedBySpec", "spec.suspend is true", since)
    } else {
        Verdict::new("False", "NotSuspended", "spec.suspend is false", since)
    }
}

fn surrogate(ledger: &Ledger) -> Verdict {
    let since = ledger.since().surrogate;
    let Some(fit) = ledger.surrogate() else {
        let message = "the surrogate is fitted after the initial design";
        return Verdict::new("Unknown", "NotFitted", message, since);
    };
    let shown = |value: Option<Decimal>| {
        value.map_or("unknown".into(), |value| format!("{:.2}", value.get()))
    };
    let message = format!(
        "method {}, {} divergences, largest R-hat {}, smallest effective sample size {}{}",
        fit.method,
        fit.divergences,
        shown(fit.max_r_hat),
        shown(fit.min_effective_samples),
        fit.reason
            .as_ref()
            .map_or(String::new(), |reason| format!(": {reason}"))
    );
    let health = health::of(fit);
    let status = if health.is_well() { "True" } else { "False" };
    Verdict::new(status, health.as_str(), message, since)
}

fn degraded(
    subject: &Subject,
    ledger: &Ledger,
    counts: &TrialCounts,
    measures: &Measures,
) -> Verdict {
    let since = degraded_since(subject, ledger);
    if subject.problem.reference.is_some() && counts.succeeded > 0 && !measures.dominated {
        let message = "no trial is better than the given reference point in both objectives; the search cannot rank trials";
        return Verdict::new("True", "ReferenceNotDominated", message, since);
    }
    let end = ledger.conclusion().filter(|(end, _)| end.succeeded);
    if let Some((_, at)) = end
        && let Some(constant) = measures::unbeaten_constant(subject, measures.best_score)
    {
        let message = format!(
            "no trial scores more than {constant}, which always giving the same answer scores: nothing was learned; {WOULD_HELP}"
        );
        let since = if since > ledger.start_time() {
            since
        } else {
            *at
        };
        return Verdict::new("True", "NothingLearned", message, since);
    }
    if counts.failed > 0 {
        let message = format!("trials that failed after retries: {}", counts.failed);
        return Verdict::new("True", "TrialsFailed", message, since);
    }
    let message = match ledger.conclusion() {
        Some((end, _)) if !end.succeeded => NOT_WAITING,
        _ => "the search is healthy",
    };
    Verdict::new("False", "AsExpected", message, since)
}

/// When the search last became degraded, or last ceased to be.
fn degraded_since(subject: &Subject, ledger: &Ledger) -> Timestamp {
    let mut ended: Vec<(Timestamp, &LedgerEntry)> = ledger
        .search_trials()
        .filter_map(|entry| Some((entry.finished_at.as_ref()?.0, entry)))
        .collect();
    ended.sort_by_key(|(at, _)| *at);
    let given = subject.problem.reference.is_some();
    let (mut scored, mut dominated, mut failed) = (false, false, false);
    let (mut is_degraded, mut since) = (false, ledger.start_time());
    for (at, entry) in ended {
        scored |= entry.state == TrialState::Succeeded;
        dominated |= measures::beats_reference(subject, entry);
        failed |= entry.state == TrialState::Failed;
        let now = failed || (given && scored && !dominated);
        if now != is_degraded {
            (is_degraded, since) = (now, at);
        }
    }
    since
}
