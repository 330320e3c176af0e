//! The log lines of a search, one per event, and what would make an ended search continue. No I/O.

use autopeft_crds::PeftSearchSpec;
use autopeft_crds::status::{LedgerEntry, PeftSearchStatus, TrialOrigin, TrialPurpose, TrialState};
use autopeft_crds::trial::FailureClass;

use crate::ledger::{ConclusionReason, Event, Planned, RetryCause};
use crate::promotion;

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// For debugging.
    Detail,
    /// For every user.
    Normal,
    /// Something that needs attention.
    Warning,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// How much it matters.
    pub level: Level,
    /// The trial that it is about.
    pub trial: Option<u32>,
    /// The attempt that it is about, from 1.
    pub attempt: Option<u32>,
    /// The sentence.
    pub text: String,
}

impl Line {
    fn new(level: Level, trial: u32, text: String) -> Self {
        Self {
            level,
            trial: Some(trial),
            attempt: None,
            text,
        }
    }

    fn of_search(level: Level, text: impl Into<String>) -> Self {
        Self {
            level,
            trial: None,
            attempt: None,
            text: text.into(),
        }
    }

    fn attempt(self, attempt: u32) -> Self {
        Self {
            attempt: Some(attempt),
            ..self
        }
    }
}

/// The line of a trial that is stopped because the search ends.
pub fn stopped(trial: u32) -> Line {
    let text = format!("trial {trial} is stopped because the search has ended");
    Line::new(Level::Normal, trial, text)
}

/// The line of a recorded event; `status` includes the event.
pub fn line(event: &Event, status: &PeftSearchStatus) -> Option<Line> {
    Some(match event {
        Event::Planned(planned) => {
            let expectation = planned
                .predicted_mean
                .zip(planned.predicted_deviation)
                .map_or(String::new(), |(mean, deviation)| {
                    format!(", predicted {:.4} ± {:.4}", mean.get(), deviation.get())
                });
            let origin = match (planned.origin.purpose(), planned.of_trial) {
                (TrialPurpose::Search, Some(retried)) => format!("trial {retried} again"),
                (TrialPurpose::Promotion | TrialPurpose::Transfer, _) => in_full(planned),
                _ => planned.origin.as_str().to_owned(),
            };
            let text = format!(
                "trial {} planned ({origin}{}): {}{expectation}",
                planned.trial,
                why_random(planned),
                planned.configuration
            );
            Line::new(Level::Normal, planned.trial, text)
        }
        Event::Joined {
            trial,
            attempt,
            run,
        } => {
            let text = format!("trial {trial} joins the run of trial {}", run.trial);
            Line::new(Level::Detail, *trial, text).attempt(*attempt)
        }
        Event::Started { trial, attempt } => {
            let text = format!("trial {trial} started (attempt {attempt})");
            Line::new(Level::Detail, *trial, text).attempt(*attempt)
        }
        Event::Retried {
            trial,
            attempt,
            cause,
            gpu_seconds: _,
        } => retry(*trial, *attempt, cause),
        Event::Recorded {
            trial,
            attempt: _,
            outcome: _,
            gpu_seconds: _,
        } => {
            let entry = status.ledger.iter().find(|entry| entry.trial == *trial)?;
            result(entry, status)
        }
        Event::SpecChanged(_) => {
            let text = "the manifest has changed; the search continues with it";
            Line::of_search(Level::Normal, text)
        }
        Event::Reopened => {
            let text = "the model and the data are valid now; the search continues";
            Line::of_search(Level::Normal, text)
        }
        Event::Concluded(conclusion) => {
            let (level, what) = if conclusion.succeeded {
                (Level::Normal, "ended")
            } else {
                (Level::Warning, "failed")
            };
            let text = format!(
                "the search has {what} ({}): {}",
                conclusion.reason.as_str(),
                conclusion.message
            );
            Line::of_search(level, text)
        }
    })
}

/// What a training in full trains, and with which seed.
fn in_full(planned: &Planned) -> String {
    let what = match (planned.of_trial, planned.baseline) {
        (Some(trial), _) => format!("of trial {trial}"),
        (None, Some(name)) => format!("of the baseline {}", name.facts().title),
        (None, None) => String::new(),
    };
    let terms = planned.terms.as_ref();
    let seed = terms.and_then(|terms| terms.seed);
    let seed = seed.map_or_else(String::new, |seed| format!(", seed {seed}"));
    let task = terms.and_then(|terms| terms.task.as_ref());
    let task = task.map_or_else(String::new, |task| format!(" to {}", task.name.as_str()));
    format!("{}{task} {what}{seed}", planned.origin.as_str())
}

/// Why a configuration was drawn at random, to append to its origin.
fn why_random(planned: &Planned) -> String {
    let fit = planned.surrogate.as_ref();
    match fit.and_then(|fit| fit.reason.as_ref()) {
        Some(reason) if planned.origin == TrialOrigin::Random => format!(", {reason}"),
        _ => String::new(),
    }
}

/// `attempt` is the next one.
fn retry(trial: u32, attempt: u32, cause: &RetryCause) -> Line {
    let ended = attempt.saturating_sub(1);
    match cause {
        RetryCause::Interrupted => {
            let text = format!(
                "trial {trial}, attempt {ended}, was interrupted; attempt {attempt} follows"
            );
            Line::new(Level::Normal, trial, text).attempt(attempt)
        }
        RetryCause::Failed { reason, message } if reason.class() == FailureClass::Fatal => {
            let text = format!(
                "trial {trial}, attempt {ended}, cannot use its input ({}): {message}",
                reason.as_str()
            );
            Line::new(Level::Warning, trial, text).attempt(ended)
        }
        RetryCause::Failed { reason, message } => {
            let text = format!(
                "trial {trial}, attempt {ended}, failed ({}); attempt {attempt} follows: {message}",
                reason.as_str()
            );
            Line::new(Level::Warning, trial, text).attempt(attempt)
        }
    }
}

fn result(entry: &LedgerEntry, status: &PeftSearchStatus) -> Line {
    let trial = entry.trial;
    let message = entry.message.as_deref().unwrap_or_default();
    let reason = entry
        .reason
        .map_or(String::new(), |reason| reason.as_str().to_owned());
    match (entry.state, entry.score) {
        (TrialState::Succeeded, Some(score)) if promotion::is_in_full(entry.purpose()) => {
            let (what, ended): (_, usize) = match entry.purpose() {
                TrialPurpose::Transfer => {
                    let tasks = status.transfer.iter();
                    let results = tasks.flat_map(|task| &task.results);
                    let seeds = results.map(|result| result.seeds.len());
                    ("on other tasks", seeds.sum())
                }
                _ => {
                    let results = status.promoted.iter();
                    let seeds = results.map(|result| result.seeds.len());
                    ("in full", seeds.sum())
                }
            };
            let text = format!(
                "trial {trial} finished: score {:.4}, {} parameters, {:.1} s; trainings {what} with a score: {ended}",
                score.get(),
                entry.parameters,
                entry.train_seconds.map_or(0.0, |seconds| seconds.get()),
            );
            Line::new(Level::Normal, trial, text)
        }
        (TrialState::Succeeded, Some(score)) => {
            let text = format!(
                "trial {trial} finished{}: score {:.4}{}, {} parameters, {:.1} s; {} trials ended, best score {:.4}, front of {}",
                stopped_early(entry),
                score.get(),
                other_metrics(entry),
                entry.parameters,
                entry.train_seconds.map_or(0.0, |seconds| seconds.get()),
                status.trials.progress,
                status.best_score.unwrap_or(score).get(),
                status.front_size,
            );
            Line::new(Level::Normal, trial, text)
        }
        (TrialState::Infeasible, _) => {
            let text = format!("trial {trial} is infeasible ({reason}): {message}");
            Line::new(Level::Warning, trial, text)
        }
        (_, _) => {
            let text = format!(
                "trial {trial}, attempt {}, failed ({reason}), and no retry is left: {message}",
                entry.attempt
            );
            Line::new(Level::Warning, trial, text)
        }
    }
}

/// Which condition has stopped a training early, to append to a verb.
fn stopped_early(entry: &LedgerEntry) -> String {
    let stop = entry.stopped_early;
    stop.map_or(String::new(), |stop| format!(" early ({})", stop.as_str()))
}

/// The metrics beside the score, to append to it.
fn other_metrics(entry: &LedgerEntry) -> String {
    let metrics = entry.metrics.iter();
    metrics
        .map(|(metric, value)| format!(", {} {:.4}", metric.label(), value.get()))
        .collect()
}

/// What would make a search continue that has ended for this reason.
pub fn remedy(reason: ConclusionReason, spec: &PeftSearchSpec) -> String {
    match reason {
        ConclusionReason::MaxTrialsReached => format!(
            "raise spec.maxTrials, now {}, to continue it",
            spec.max_trials
        ),
        ConclusionReason::Converged => {
            let trials = spec.convergence.as_ref().map_or(0, |found| found.trials);
            format!(
                "raise spec.convergence.trials, now {trials}, or remove spec.convergence, to continue it"
            )
        }
        ConclusionReason::SpaceExhausted => {
            "the search space is exhausted; widen spec.searchSpace or the bound in spec.objectives"
                .to_owned()
        }
        ConclusionReason::DeadlineExceeded => format!(
            "raise spec.activeDeadlineSeconds, now {} since the search began, to continue it",
            spec.active_deadline_seconds.unwrap_or(0)
        ),
        ConclusionReason::MaxGpuSecondsReached => format!(
            "raise spec.maxGpuSeconds, now {}, to continue it",
            spec.max_gpu_seconds.unwrap_or(0)
        ),
        ConclusionReason::StatusFull => {
            "create another search for the remaining configurations".to_owned()
        }
        ConclusionReason::TooManyFailedTrials => format!(
            "find out why trials fail, then raise spec.maxFailedTrials, now {}, to continue it",
            spec.max_failed_trials
        ),
        ConclusionReason::NoTrialSucceeded => format!(
            "find out why trials fail, then raise spec.maxTrials, now {}, to continue it",
            spec.max_trials
        ),
        ConclusionReason::BadInput => "fix the model or the data to continue it".to_owned(),
    }
}
