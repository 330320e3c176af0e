//! The front as a figure: score against trainable parameters.

use autopeft_crds::status::TrialOrigin;
use plotters::prelude::{Color, PathElement, Rectangle, WHITE};

use super::ReportError;
use super::axis::{Axis, ParameterAxis};
use super::figure::{self, Canvas, DrawError, Frame, Heading, Marker, Pixel, Side};
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
        let (left, top, right, bottom) = area;
        let veil = WHITE.mix(0.7).filled();
        canvas.draw(&Rectangle::new([(left, top), (right, bottom)], veil))?;
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

/// The line of what the front reaches: level from each member to the next, then up, and from the last
/// one level to the edge.
fn steps(front: &[Pixel], frame: &Frame) -> Vec<Pixel> {
    let mut line: Vec<Pixel> = Vec::with_capacity(2 * front.len() + 1);
    for place in front {
        if let Some((_, level)) = line.last() {
            line.push((place.0, *level));
        }
        line.push(*place);
    }
    if let Some((_, level)) = line.last() {
        line.push((frame.horizontal.1, *level));
    }
    line
}

/// Two strokes through the axis, where zero is separated from the logarithmic scale.
fn axis_break(canvas: &Canvas<'_>, frame: &Frame, (x, y): Pixel) -> Result<(), DrawError> {
    let ink = figure::INK.stroke_width(1);
    canvas.draw(&Rectangle::new(
        [(x - 3, y - 3), (x + 3, y + 3)],
        WHITE.filled(),
    ))?;
    for shift in [-3, 3] {
        let stroke = vec![(x + shift - 3, y + 6), (x + shift + 3, y - 6)];
        canvas.draw(&PathElement::new(stroke, ink))?;
    }
    figure::dashes(canvas, (x, y - 8), (x, frame.vertical.0))
}

/// A rectangle in pixels: left, top, right, bottom.
type Area = (i32, i32, i32, i32);

/// The place beside a mark where its label covers the least: first no taken area, then no trial. It leaves
/// the mark's own height only to avoid taken areas.
fn place_label(
    name: &str,
    (x, y): Pixel,
    frame: &Frame,
    trials: &[Pixel],
    taken: &[Area],
) -> (Pixel, Side) {
    let width = figure::width(name);
    let places = [0, -16, 16, -32, 32, -48, 48, -64, 64]
        .into_iter()
        .flat_map(|shift| {
            [
                ((x + 11, y + shift), Side::Right),
                ((x - 11, y + shift), Side::Left),
            ]
        });
    let cost = |place: &(Pixel, Side)| {
        let area = label_area(*place, width);
        let (left, top, right, bottom) = area;
        let outside = left < frame.horizontal.0
            || right > frame.horizontal.1
            || top < frame.vertical.0
            || bottom > frame.vertical.1;
        let covered = taken.iter().filter(|other| overlap(area, **other)).count();
        let over_trials = trials
            .iter()
            .filter(|(px, py)| (left - 4..=right + 4).contains(px) && (top..=bottom).contains(py))
            .count();
        let distance = (place.0.1 - y).unsigned_abs() as usize / 16;
        10_000 * usize::from(outside) + 1_000 * covered + 100 * distance + over_trials.min(99)
    };
    places
        .min_by_key(cost)
        .unwrap_or(((x + 11, y), Side::Right))
}

/// What a mark covers.
fn mark_area(&(x, y): &Pixel) -> Area {
    (x - 6, y - 6, x + 6, y + 6)
}

/// What a level or upright part of the front's line covers.
fn line_area(&[from, to]: &[Pixel; 2]) -> Area {
    let (left, right) = (from.0.min(to.0), from.0.max(to.0));
    let (top, bottom) = (from.1.min(to.1), from.1.max(to.1));
    (left - 3, top - 3, right + 3, bottom + 3)
}

fn label_area(((x, y), side): (Pixel, Side), width: i32) -> Area {
    match side {
        Side::Right => (x, y - 8, x + width, y + 8),
        Side::Left => (x - width, y - 8, x, y + 8),
        Side::Middle => (x - width / 2, y - 8, x + width / 2, y + 8),
    }
}

fn overlap(left: Area, right: Area) -> bool {
    left.0 < right.2 && right.0 < left.2 && left.1 < right.3 && right.1 < left.3
}
