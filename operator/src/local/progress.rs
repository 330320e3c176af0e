//! Tells the user what happens: a line per event, and on a terminal a bar under them. Writes to the
//! standard error; the standard output is left for the result.

use std::fmt::Debug;
use std::io::{IsTerminal, Write};
use std::time::Duration;

use autopeft_crds::status::{LedgerEntry, PeftSearchStatus, TrialState};
use autopeft_crds::trial::FailureClass;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tracing::field::Field;
use tracing::{debug, info, warn};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::{Writer, debug_fn};

use autopeft_search::ledger::{Event, RetryCause};

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// The bar; it draws nothing where there is no terminal.
#[derive(Clone, Debug)]
pub struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// Sets up log lines for the whole process, and the bar.
    pub fn begin(format: LogFormat) -> Self {
        let terminal = std::io::stderr().is_terminal() && format == LogFormat::Text;
        let target = if terminal {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let progress = Self {
            bar: ProgressBar::with_draw_target(None, target),
        };
        let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
        let lines = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_target(false)
            .with_ansi(terminal)
            .with_writer(progress.clone());
        // A program that embeds this one may have set up its own lines before.
        let _ = match format {
            LogFormat::Text => lines.fmt_fields(debug_fn(words)).try_init(),
            // Each span once: the innermost one is in the list of them.
            LogFormat::Json => lines
                .json()
                .flatten_event(true)
                .with_current_span(false)
                .try_init(),
        };
        progress
    }

    /// Shows the bar for a search that begins or goes on.
    pub fn show(&self, status: &PeftSearchStatus, max_trials: u32) {
        let style = "{bar:24} {pos}/{len} trials, {msg}, {elapsed} gone, {eta} left";
        if let Ok(style) = ProgressStyle::with_template(style) {
            self.bar.set_style(style);
        }
        // The budget may have been lowered below what was done.
        self.bar
            .set_length(u64::from(max_trials).max(finished(status)));
        self.bar.set_position(finished(status));
        self.bar.reset_eta();
        self.bar.enable_steady_tick(Duration::from_millis(500));
        self.update(status);
    }

    /// Shows where the search stands.
    pub fn update(&self, status: &PeftSearchStatus) {
        self.bar.set_position(finished(status));
        let best = status
            .best_score
            .map_or("-".into(), |score| format!("{:.4}", score.get()));
        self.bar.set_message(format!(
            "{} running, best {best}, front {}",
            status.trials.running, status.front_size,
        ));
    }

    /// Takes the bar away.
    pub fn end(&self) {
        self.bar.finish_and_clear();
    }

    /// Writes a line about a trial that is stopped because the search ends.
    pub fn tell_stopped(&self, trial: u32) {
        info!(trial, "trial {trial} is stopped, for the search ends");
    }

    /// Writes a line about an event that was written down.
    pub fn tell(&self, event: &Event, status: &PeftSearchStatus) {
        let entry = |trial: u32| status.ledger.iter().find(|entry| entry.trial == trial);
        match event {
            Event::Planned(planned) => {
                let expectation = planned
                    .predicted_mean
                    .zip(planned.predicted_deviation)
                    .map_or(String::new(), |(mean, deviation)| {
                        format!(", expected {:.4} ± {:.4}", mean.get(), deviation.get())
                    });
                info!(
                    trial = planned.trial,
                    "trial {} planned ({:?}): {}{expectation}",
                    planned.trial,
                    planned.origin,
                    planned.configuration
                );
            }
            Event::Started { trial, attempt } => {
                debug!(trial, attempt, "trial {trial} started (attempt {attempt})");
            }
            Event::Retried {
                trial,
                attempt,
                cause,
                gpu_seconds: _,
            } => tell_retry(*trial, *attempt, cause),
            Event::Recorded {
                trial,
                attempt: _,
                outcome: _,
                gpu_seconds: _,
            } => {
                if let Some(entry) = entry(*trial) {
                    tell_result(entry, status);
                }
            }
            Event::SpecChanged(_) => info!("the manifest has changed; the search goes on with it"),
            Event::Reopened => info!("the model and the data are good now; the search goes on"),
            Event::Concluded(conclusion) if conclusion.succeeded => {
                info!(
                    "the search has ended ({:?}): {}",
                    conclusion.reason, conclusion.message
                );
            }
            Event::Concluded(conclusion) => {
                warn!(
                    "the search has failed ({:?}): {}",
                    conclusion.reason, conclusion.message
                );
            }
        }
    }
}

/// `attempt` is the one that is due.
fn tell_retry(trial: u32, attempt: u32, cause: &RetryCause) {
    let ended = attempt.saturating_sub(1);
    match cause {
        RetryCause::Interrupted => {
            info!(
                trial,
                attempt,
                "trial {trial}, attempt {ended}, was interrupted; attempt {attempt} is due"
            );
        }
        RetryCause::Failed { reason, message } if reason.class() == FailureClass::Fatal => {
            warn!(
                trial,
                attempt = ended,
                "trial {trial}, attempt {ended}, cannot use its input ({reason:?}): {message}"
            );
        }
        RetryCause::Failed { reason, message } => {
            warn!(
                trial,
                attempt,
                "trial {trial}, attempt {ended}, failed ({reason:?}); attempt {attempt} is due: {message}"
            );
        }
    }
}

/// The fields of a line for people: the message, which in our lines has all of them in words; libraries name
/// an error beside it.
fn words(writer: &mut Writer<'_>, field: &Field, value: &dyn Debug) -> std::fmt::Result {
    match field.name() {
        "message" => write!(writer, "{value:?}"),
        "error" => write!(writer, ": {value:?}"),
        _ => Ok(()),
    }
}

fn tell_result(entry: &LedgerEntry, status: &PeftSearchStatus) {
    let trial = entry.trial;
    let message = entry.message.as_deref().unwrap_or_default();
    match (entry.state, entry.score) {
        (TrialState::Succeeded, Some(score)) => {
            let seconds = entry.train_seconds.map_or(0.0, |seconds| seconds.get());
            info!(
                trial,
                "trial {trial} finished: score {:.4}, {} parameters, {seconds:.1} s; {} trials done, best score {:.4}, front of {}",
                score.get(),
                entry.parameters,
                status.trials.progress,
                status.best_score.map_or(score.get(), |best| best.get()),
                status.front_size,
            );
        }
        (TrialState::Infeasible, _) => {
            warn!(
                trial,
                "trial {trial} is infeasible ({}): {message}",
                reason(entry)
            );
        }
        (_, _) => warn!(
            trial,
            "trial {trial}, attempt {}, failed ({}) and the trial is given up: {message}",
            entry.attempt,
            reason(entry)
        ),
    }
}

fn reason(entry: &LedgerEntry) -> String {
    entry
        .reason
        .map_or(String::new(), |reason| format!("{reason:?}"))
}

fn finished(status: &PeftSearchStatus) -> u64 {
    let counts = &status.trials;
    u64::from(counts.succeeded + counts.infeasible + counts.failed)
}

/// Log lines go above the bar.
impl Write for Progress {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.bar.suspend(|| std::io::stderr().write(bytes))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().flush()
    }
}

impl<'a> MakeWriter<'a> for Progress {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
