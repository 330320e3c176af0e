//! Progress on standard error: a bar on a terminal, plain lines elsewhere.

use std::fmt::Write as _;
use std::io::IsTerminal;

use autopeft_crds::LayerMask;
use autopeft_crds::trial::{EpochMeasurements, TrialMeasurements};
use indicatif::{ProgressBar, ProgressStyle};

use super::say;
use super::terminate::Termination;
use crate::train::Observer;

/// Shows the progress of training.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    termination: Termination,
}

impl Progress {
    /// `termination` gets to know it, too.
    pub(super) fn new(termination: Termination) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style =
                ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} steps, {eta} left");
            ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Self { bar, termination }
    }

    /// Prints a permanent line.
    pub(super) fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| say::write(line)),
            None => say::write(line),
        }
    }

    /// Says which condition has stopped a training, where one has.
    pub(super) fn say_stop(&self, measured: &TrialMeasurements) {
        if let Some(stop) = measured.stopped_early {
            self.say(&format!("stopped early: {}", stop.as_str()));
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
        self.termination.restart();
        self.say(&format!(
            "layers chosen: {layers}; training starts anew there"
        ));
    }

    fn epoch(&mut self, measured: &EpochMeasurements, is_best: bool, seconds: f64) {
        let mut line = match measured.loss {
            Some(loss) => format!("epoch {}: loss {loss:.4}", measured.epoch),
            None => "the model before training".to_owned(),
        };
        for (metric, value) in &measured.metrics {
            // Writing to a string cannot fail.
            let _ = write!(line, ", {} {value:.4}", metric.label());
        }
        self.termination.epoch(&line, is_best);
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
