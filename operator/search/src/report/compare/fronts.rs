//! Several fronts in one figure, with the baselines as points.

use plotters::prelude::{Color, PathElement};

use crate::compare::{MethodGroup, Run, Scored, Section};
use crate::report::ReportError;
use crate::report::axis::{Axis, ParameterAxis};
use crate::report::figure::{self, Canvas, DrawError, Frame, Heading, INK, Marker, Pixel, Side};
use crate::report::placing::{
    Area, axis_break, label_area, line_area, mark_area, place_label, steps, veil,
};
use crate::report::{series, view};

/// A point with its range.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Dot {
    parameters: u64,
    score: f64,
    least: f64,
    most: f64,
}

impl Dot {
    fn of(scored: &Scored, deviation: Option<f64>) -> Option<Self> {
        let deviation = deviation.unwrap_or(0.0);
        Some(Self {
            parameters: scored.parameters,
            score: view::drawable(scored.score)?,
            least: view::drawable(scored.score - deviation)?,
            most: view::drawable(scored.score + deviation)?,
        })
    }

    fn of_baseline(group: &MethodGroup) -> Option<Self> {
        let spread = group.score;
        let deviation = group.deviation.unwrap_or(0.0);
        Some(Self {
            parameters: group.parameters.median.round() as u64,
            score: view::drawable(spread.median)?,
            least: view::drawable(spread.least.min(spread.median - deviation))?,
            most: view::drawable(spread.most.max(spread.median + deviation))?,
        })
    }
}

/// The points of one search.
struct Line {
    series: usize,
    dots: Vec<Dot>,
}

/// What a figure shows.
pub(super) struct Fronts {
    kinds: Vec<usize>,
    lines: Vec<Line>,
    baselines: Vec<(String, Dot)>,
}

impl Fronts {
    /// The fronts of the searches of some kinds, with the baselines of the same fidelity where wanted.
    pub(super) fn of_searches(section: &Section, kinds: &[usize], with_baselines: bool) -> Self {
        let front = |run: &Run| {
            run.front
                .iter()
                .filter_map(|member| Dot::of(member, None))
                .collect()
        };
        let baselines: &[MethodGroup] = if with_baselines {
            &section.baselines
        } else {
            &[]
        };
        Self::new(section, kinds, baselines, front)
    }

    /// What was trained in full: means over the seeds, and the baselines that were.
    pub(super) fn in_full(section: &Section) -> Self {
        let all: Vec<usize> = (0..section.kinds.len()).collect();
        let dots = |run: &Run| {
            let found = run
                .in_full
                .iter()
                .filter(|result| result.baseline.is_none());
            found
                .filter_map(|result| Dot::of(&result.scored, result.deviation))
                .collect()
        };
        Self::new(section, &all, &section.in_full, dots)
    }

    fn new(
        section: &Section,
        kinds: &[usize],
        baselines: &[MethodGroup],
        dots: impl Fn(&Run) -> Vec<Dot>,
    ) -> Self {
        let line = |(series, run): (usize, &Run)| Line {
            series,
            dots: dots(run),
        };
        let runs = kinds
            .iter()
            .flat_map(|at| section.kinds[*at].runs.iter().map(move |run| (*at, run)));
        Self {
            kinds: kinds.to_vec(),
            lines: runs
                .map(line)
                .filter(|line| !line.dots.is_empty())
                .collect(),
            baselines: baselines
                .iter()
                .filter_map(|group| Some((group.title.clone(), Dot::of_baseline(group)?)))
                .collect(),
        }
    }

    /// Whether there is anything to draw.
    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Whether some point has a range.
    pub(super) fn has_ranges(&self) -> bool {
        self.dots().any(|dot| dot.least < dot.most)
    }

    /// The kinds that it was made of.
    pub(super) fn kinds(&self) -> impl Iterator<Item = usize> {
        self.kinds.iter().copied()
    }

    /// Whether a kind has something to draw.
    pub(super) fn has(&self, kind: usize) -> bool {
        self.lines.iter().any(|line| line.series == kind)
    }

    /// The names of the baselines, in the order of their numbers.
    pub(super) fn baselines(&self) -> impl Iterator<Item = &str> {
        self.baselines.iter().map(|(name, _)| name.as_str())
    }

    fn dots(&self) -> impl Iterator<Item = &Dot> {
        let lines = self.lines.iter().flat_map(|line| &line.dots);
        lines.chain(self.baselines.iter().map(|(_, dot)| dot))
    }
}

/// For which screen a figure is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Screen {
    /// Baselines are labelled with their names.
    Broad,
    /// A phone's: baselines have numbers, which the legend explains.
    Narrow,
}

impl Screen {
    fn size(self) -> (u32, u32) {
        match self {
            Self::Broad => (900, 520),
            Self::Narrow => (420, 420),
        }
    }

    /// About the width of the plot between the axes.
    fn plot(self) -> i32 {
        match self {
            Self::Broad => 780,
            Self::Narrow => 300,
        }
    }
}

/// The figure.
pub(super) fn fronts_svg(
    section: &Section,
    fronts: &Fronts,
    screen: Screen,
) -> Result<String, ReportError> {
    let parameters = fronts.dots().map(|dot| dot.parameters);
    let mut x = ParameterAxis::new(parameters, Some(section.backbone));
    x.axis = x.axis.thinned(screen.plot(), figure::width);
    if screen == Screen::Narrow {
        x.axis.name = "parameters (% of the backbone's)".into();
    }
    let scores = fronts.dots().flat_map(|dot| [dot.least, dot.most]);
    let y = Axis::linear(section.metric.label().to_owned(), scores);
    figure::draw("fronts", screen.size(), |canvas| {
        let heading = Heading {
            title: None,
            legend: &[],
        };
        let frame = figure::frame(canvas, &heading, &x.axis, &y)?;
        if let Some(gap) = x.gap {
            axis_break(canvas, &frame, frame.at(gap, y.least))?;
        }
        draw(canvas, &frame, &x, fronts, screen)
    })
}

fn draw(
    canvas: &Canvas<'_>,
    frame: &Frame,
    x: &ParameterAxis,
    fronts: &Fronts,
    screen: Screen,
) -> Result<(), DrawError> {
    let at = |dot: &Dot| frame.at(x.position(dot.parameters), dot.score);
    let mut taken: Vec<Area> = Vec::new();
    let mut paths = Vec::with_capacity(fronts.lines.len());
    for line in &fronts.lines {
        let path = steps(
            &rising(&line.dots).iter().map(at).collect::<Vec<_>>(),
            frame,
        );
        taken.extend(path.array_windows().map(line_area));
        taken.extend(line.dots.iter().map(|dot| mark_area(&at(dot))));
        paths.push((series::at(line.series), path));
    }
    let compared: Vec<Pixel> = fronts.baselines.iter().map(|(_, dot)| at(dot)).collect();
    taken.extend(compared.iter().map(mark_area));
    let mut labels = Vec::with_capacity(compared.len());
    for (number, ((name, _), mark)) in fronts.baselines.iter().zip(&compared).enumerate() {
        let name = match screen {
            Screen::Broad => name.clone(),
            Screen::Narrow => (number + 1).to_string(),
        };
        let (place, side) = place_label(&name, *mark, frame, &[], &taken);
        let area = label_area((place, side), figure::width(&name));
        taken.push(area);
        labels.push((name, place, side, area));
    }
    for (series, path) in &paths {
        if path.len() > 1 {
            series.line(canvas, path.clone(), 2)?;
        }
    }
    for line in &fronts.lines {
        for dot in &line.dots {
            whisker(canvas, frame, x, dot)?;
            series::at(line.series).mark(canvas, at(dot))?;
        }
    }
    for ((_, dot), mark) in fronts.baselines.iter().zip(&compared) {
        whisker(canvas, frame, x, dot)?;
        figure::mark(canvas, Marker::Baseline, *mark)?;
    }
    for (name, place, side, area) in labels {
        veil(canvas, area)?;
        figure::label(canvas, &name, place, side)?;
    }
    Ok(())
}

/// The dots that are better than each with fewer parameters: what the line of a front goes through.
fn rising(dots: &[Dot]) -> Vec<Dot> {
    let mut sorted = dots.to_vec();
    sorted.sort_by(|left, right| {
        let by_score = right.score.total_cmp(&left.score);
        left.parameters.cmp(&right.parameters).then(by_score)
    });
    let mut front: Vec<Dot> = Vec::new();
    for dot in sorted {
        if front.last().is_none_or(|last| dot.score > last.score) {
            front.push(dot);
        }
    }
    front
}

/// The range of a dot.
fn whisker(
    canvas: &Canvas<'_>,
    frame: &Frame,
    x: &ParameterAxis,
    dot: &Dot,
) -> Result<(), DrawError> {
    if dot.least >= dot.most {
        return Ok(());
    }
    let across = x.position(dot.parameters);
    let (low, high) = (frame.at(across, dot.least), frame.at(across, dot.most));
    let ink = INK.mix(0.6).stroke_width(1);
    for bar in [
        vec![low, high],
        vec![(low.0 - 4, low.1), (low.0 + 4, low.1)],
        vec![(high.0 - 4, high.1), (high.0 + 4, high.1)],
    ] {
        canvas.draw(&PathElement::new(bar, ink))?;
    }
    Ok(())
}

/// The sign of a kind in a legend.
pub(super) fn sign(kind: usize) -> Result<String, ReportError> {
    figure::draw("legend", (34, 18), |canvas| {
        let series = series::at(kind);
        series.line(canvas, vec![(1, 9), (33, 9)], 2)?;
        series.mark(canvas, (17, 9))
    })
}

/// The sign of a baseline in a legend, with its number where it has one.
pub(super) fn baseline_sign(number: Option<usize>) -> Result<String, ReportError> {
    let width = if number.is_some() { 34 } else { 16 };
    figure::draw("legend", (width, 18), |canvas| {
        figure::mark(canvas, Marker::Baseline, (8, 9))?;
        match number {
            Some(number) => figure::label(canvas, &number.to_string(), (18, 9), Side::Right),
            None => Ok(()),
        }
    })
}
