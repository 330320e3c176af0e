//! The front as a figure: score against trainable parameters.

use autopeft_crds::status::TrialOrigin;

use super::ReportError;
use super::axis::{Axis, ParameterAxis};
use super::figure::{self, Canvas, DrawError, Frame, Heading, Marker, Pixel};
use super::placing::{
    Area, axis_break, label_area, line_area, mark_area, place_label, steps, veil,
};
use super::text;
use super::view::{self, View};

const SIZE: (u32, u32) = (900, 560);

/// The longest title, characters.
const TITLE_MOST: usize = 80;

/// A point to mark.
struct Dot {
    parameters: u64,
    score: f64,
}

impl Dot {
    fn new(parameters: u64, score: f64) -> Option<Self> {
        let score = view::drawable(score)?;
        Some(Self { parameters, score })
    }
}

/// What the figure shows.
struct Shown {
    /// Trials of the search. A member of the front has the front's mark alone.
    trials: Vec<(Marker, Dot)>,
    front: Vec<Dot>,
    baselines: Vec<(&'static str, Dot)>,
    /// What a constant predictor scores.
    constant: Option<f64>,
}

impl Shown {
    fn of(view: &View<'_>) -> Self {
        let trials = view.trials();
        let trials = trials.filter(|entry| !view.is_on_front(entry.trial));
        let front = view.front().into_iter();
        let baselines = view.status.baselines.iter();
        Self {
            trials: trials
                .filter_map(|entry| {
                    let dot = Dot::new(entry.parameters, entry.score?.get())?;
                    Some((marker(entry.origin)?, dot))
                })
                .collect(),
            front: front
                .filter_map(|member| Dot::new(member.parameters, member.score.get()))
                .collect(),
            baselines: baselines
                .filter_map(|result| {
                    let dot = Dot::new(result.parameters, result.score.get())?;
                    Some((result.name.facts().title, dot))
                })
                .collect(),
            constant: view.constant().and_then(view::drawable),
        }
    }

    fn dots(&self) -> impl Iterator<Item = &Dot> {
        let trials = self.trials.iter().map(|(_, dot)| dot);
        let baselines = self.baselines.iter().map(|(_, dot)| dot);
        trials.chain(&self.front).chain(baselines)
    }

    fn legend(&self) -> Vec<(Marker, String)> {
        let count = |wanted| {
            let trials = self.trials.iter();
            trials.filter(|(marker, _)| *marker == wanted).count()
        };
        let entries = [
            (Marker::Front, "front", self.front.len()),
            (Marker::Initial, "other initial", count(Marker::Initial)),
            (Marker::Bayesian, "other Bayesian", count(Marker::Bayesian)),
            (Marker::Random, "other random", count(Marker::Random)),
            (Marker::Baseline, "baseline", self.baselines.len()),
        ];
        let present = entries.into_iter().filter(|(_, _, count)| *count > 0);
        let counted = present.map(|(marker, name, count)| (marker, format!("{name} ({count})")));
        let constant = self
            .constant
            .map(|_| (Marker::Dashes, "constant predictor".to_owned()));
        counted.chain(constant).collect()
    }
}

/// The figure.
pub(super) fn front_svg(view: &View<'_>) -> Result<String, ReportError> {
    let shown = Shown::of(view);
    let parameters = shown.dots().map(|dot| dot.parameters);
    let x = ParameterAxis::new(parameters, view.backbone());
    let scores = shown.dots().map(|dot| dot.score).chain(shown.constant);
    let y = Axis::linear(view.metric_with_range(), scores);
    let title = text::line(&format!("Pareto front of {}", view.name), TITLE_MOST);
    let legend = shown.legend();
    figure::draw("front.svg", SIZE, |canvas| {
        let heading = Heading {
            title: Some(&title),
            legend: &legend,
        };
        let frame = figure::frame(canvas, &heading, &x.axis, &y)?;
        if let Some(gap) = x.gap {
            axis_break(canvas, &frame, frame.at(gap, y.least))?;
        }
        draw_shown(canvas, &frame, &x, &shown)
    })
}

/// Draws what is shown, from the back to the front.
fn draw_shown(
    canvas: &Canvas<'_>,
    frame: &Frame,
    x: &ParameterAxis,
    shown: &Shown,
) -> Result<(), DrawError> {
    let at = |dot: &Dot| frame.at(x.position(dot.parameters), dot.score);
    if let Some(constant) = shown.constant {
        let (_, level) = frame.at(x.axis.least, constant);
        let (left, right) = frame.horizontal;
        figure::dashes(canvas, (left, level), (right, level))?;
    }
    for (marker, dot) in &shown.trials {
        figure::mark(canvas, *marker, at(dot))?;
    }
    let marks: Vec<Pixel> = shown.trials.iter().map(|(_, dot)| at(dot)).collect();
    let front: Vec<Pixel> = shown.front.iter().map(at).collect();
    let compared: Vec<Pixel> = shown.baselines.iter().map(|(_, dot)| at(dot)).collect();
    let steps = steps(&front, frame);

    // Labels are on a translucent ground over the trials, and under the front and the baselines' marks.
    let mut taken: Vec<Area> = front.iter().chain(&compared).map(mark_area).collect();
    taken.extend(steps.array_windows().map(line_area));
    let mut labels = Vec::with_capacity(compared.len());
    for ((name, _), mark) in shown.baselines.iter().zip(&compared) {
        let (place, side) = place_label(name, *mark, frame, &marks, &taken);
        let area = label_area((place, side), figure::width(name));
        veil(canvas, area)?;
        taken.push(area);
        labels.push((name, place, side));
    }
    if !steps.is_empty() {
        figure::lines(canvas, steps)?;
    }
    for mark in &front {
        figure::mark(canvas, Marker::Front, *mark)?;
    }
    for mark in &compared {
        figure::mark(canvas, Marker::Baseline, *mark)?;
    }
    for (name, place, side) in labels {
        figure::label(canvas, name, place, side)?;
    }
    if shown.dots().next().is_none() {
        figure::note(canvas, frame, "no trial has a score")?;
    }
    Ok(())
}

/// How a trial of the search is marked.
fn marker(origin: TrialOrigin) -> Option<Marker> {
    match origin {
        TrialOrigin::Initial => Some(Marker::Initial),
        TrialOrigin::Bayesian => Some(Marker::Bayesian),
        TrialOrigin::Random => Some(Marker::Random),
        TrialOrigin::Baseline | TrialOrigin::Promotion | TrialOrigin::Transfer => None,
    }
}
