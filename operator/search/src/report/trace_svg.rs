//! The hypervolume over the trials.

use super::ReportError;
use super::axis::Axis;
use super::figure::{self, Heading, Marker};
use super::view::View;
use autopeft_crds::status::TrialOrigin;

const SIZE: (u32, u32) = (900, 360);

/// The figure: the hypervolume after each finished trial, in the order of planning, and where the
/// Bayesian steps begin.
pub(super) fn trace_svg(view: &View<'_>, trace: &[(u32, f64)]) -> Result<String, ReportError> {
    let trace: Vec<(u32, f64)> = trace
        .iter()
        .filter(|(_, value)| value.is_finite() && value.abs() < 1e6)
        .copied()
        .collect();
    let count = trace.len();
    let x = Axis::counts("finished trials".into(), count);
    let y = Axis::linear(
        "hypervolume".into(),
        trace.iter().map(|(_, value)| *value).chain([0.0]),
    );
    let first_step = trace.iter().position(|(trial, _)| {
        view.entry(*trial)
            .is_some_and(|entry| entry.origin != TrialOrigin::Initial)
    });
    let mut legend = vec![(Marker::Line, "hypervolume".to_owned())];
    if first_step.is_some() {
        legend.push((Marker::Dashes, "end of the initial design".to_owned()));
    }
    figure::draw("hypervolume", SIZE, |canvas| {
        let heading = Heading {
            title: None,
            legend: &legend,
        };
        let frame = figure::frame(canvas, &heading, &x, &y)?;
        if let Some(finished) = first_step {
            let (across, _) = frame.at(finished as f64 + 0.5, y.least);
            let (top, bottom) = frame.vertical;
            figure::dashes(canvas, (across, bottom), (across, top))?;
        }
        let mut line = Vec::with_capacity(2 * count);
        for (index, (_, value)) in trace.iter().enumerate() {
            let place = frame.at((index + 1) as f64, *value);
            if let Some((_, level)) = line.last() {
                line.push((place.0, *level));
            }
            line.push(place);
        }
        match line.as_slice() {
            [] => figure::note(canvas, &frame, "no trial has a score"),
            [only] => figure::mark(canvas, Marker::Front, *only),
            _ => figure::lines(canvas, line),
        }
    })
}
