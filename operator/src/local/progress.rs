//! Progress on standard error: a line per event and, on a terminal, a bar below them. Standard output is for the
//! result.

use std::fmt::Debug;
use std::io::{IsTerminal, Write};
use std::time::Duration;

use autopeft_crds::PeftSearchStatus;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tracing::field::Field;
use tracing::{debug, info, warn};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::{Writer, debug_fn};

use autopeft_search::log::{Level, Line};

/// The format of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// The bar; it is hidden without a terminal.
#[derive(Clone, Debug)]
pub struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// Sets up logging for the whole process, and the bar.
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
        // A program that embeds this one may have set up its own logging.
        let _ = match format {
            LogFormat::Text => lines.fmt_fields(debug_fn(words)).try_init(),
            // The list of spans includes the current one.
            LogFormat::Json => lines
                .json()
                .flatten_event(true)
                .with_current_span(false)
                .try_init(),
        };
        progress
    }

    /// Shows the bar when a search starts or resumes.
    pub fn show(&self, status: &PeftSearchStatus, max_trials: u32) {
        let style = "{bar:24} {pos}/{len} trials, {msg}, {elapsed} elapsed, {eta} left";
        if let Ok(style) = ProgressStyle::with_template(style) {
            self.bar.set_style(style);
        }
        // maxTrials may have been lowered below the number of ended trials.
        self.bar
            .set_length(u64::from(max_trials).max(finished(status)));
        self.bar.set_position(finished(status));
        self.bar.reset_eta();
        self.bar.enable_steady_tick(Duration::from_millis(500));
        self.update(status);
    }

    /// Updates the bar.
    pub fn update(&self, status: &PeftSearchStatus) {
        self.bar.set_position(finished(status));
        let best = status
            .best_score
            .map_or("-".into(), |score| format!("{:.4}", score.get()));
        let promoted: usize = status
            .promoted
            .iter()
            .map(|result| result.seeds.len())
            .sum();
        let promoted = match promoted {
            0 => String::new(),
            count => format!(", {count} trained in full"),
        };
        self.bar.set_message(format!(
            "{} running, best {best}, front {}{promoted}",
            status.trials.running, status.front_size,
        ));
    }

    /// Removes the bar.
    pub fn end(&self) {
        self.bar.finish_and_clear();
    }

    /// Writes a log line.
    pub fn log(&self, line: &Line) {
        let Line {
            level,
            trial,
            attempt,
            text,
        } = line;
        match level {
            Level::Detail => debug!(trial, attempt, "{text}"),
            Level::Normal => info!(trial, attempt, "{text}"),
            Level::Warning => warn!(trial, attempt, "{text}"),
        }
    }
}

/// The fields of a text line: the message, which in this program's lines mentions the others; libraries add an
/// error.
fn words(writer: &mut Writer<'_>, field: &Field, value: &dyn Debug) -> std::fmt::Result {
    match field.name() {
        "message" => write!(writer, "{value:?}"),
        "error" => write!(writer, ": {value:?}"),
        _ => Ok(()),
    }
}

fn finished(status: &PeftSearchStatus) -> u64 {
    let counts = &status.trials;
    u64::from(counts.succeeded + counts.infeasible + counts.failed)
}

/// Log lines go above the bar. A line that cannot be written is dropped: the search continues.
impl Write for Progress {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let _ = self.bar.suspend(|| std::io::stderr().write_all(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        let _ = std::io::stderr().flush();
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Progress {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
