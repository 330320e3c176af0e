//! Progress on standard error: a bar on a terminal, plain lines elsewhere.

use std::fmt::{Display, Write as _};
use std::io::{IsTerminal, Write as _};

use autopeft_crds::LayerMask;
use autopeft_crds::trial::EpochMeasurements;
use indicatif::{ProgressBar, ProgressStyle};

use crate::train::Observer;

/// Writes a line to standard error; it is dropped silently if the pipe is closed.
pub(super) fn write(line: impl Display) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Shows the progress of training.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
}

impl Progress {
    pub(super) fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style =
                ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} steps, {eta} left");
            ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Self { bar }
    }

    /// Prints a permanent line.
    pub(super) fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| write(line)),
            None => write(line),
        }
    }
}

impl Observer for Progress {
    fn steps(&mut self, epoch: u32, done: u64, all: u64, loss: f64) {
        if let Some(bar) = &self.bar {
            bar.set_length(all);
            bar.set_position(done);
            bar.set_message(format!("epoch {epoch}, loss {loss:.4}"));
        }
    }

    fn selected(&mut self, layers: &LayerMask) {
        self.say(&format!(
            "layers chosen: {layers}; training starts anew there"
        ));
    }

    fn epoch(&mut self, measured: &EpochMeasurements, is_best: bool, seconds: f64) {
        let mut line = format!("epoch {}: loss {:.4}", measured.epoch, measured.loss);
        for (metric, value) in &measured.metrics {
            // Writing to a string cannot fail.
            let _ = write!(line, ", {} {value:.4}", metric.label());
        }
        let _ = write!(
            line,
            ", {seconds:.1} s{}",
            if is_best { ", best" } else { "" }
        );
        self.say(&line);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
