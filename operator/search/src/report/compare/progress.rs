//! What kinds of searches reach by number of trials: the median over the searches, and their range.

use crate::compare::{Kind, Section, Spread, Step};
use crate::report::axis::Axis;
use crate::report::figure::{self, Canvas, DrawError, Frame, Heading, Pixel};
use crate::report::{ReportError, series, view};

const SIZE: (u32, u32) = (460, 340);

/// About the width of the plot between the axes.
const PLOT: i32 = 330;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Measure {
    /// The best score so far.
    Best,
    /// The hypervolume.
    Volume,
}

impl Measure {
    fn of(self, step: &Step) -> Option<Spread> {
        let spread = match self {
            Self::Best => step.best?,
            Self::Volume => step.volume,
        };
        view::drawable(spread.least).and(view::drawable(spread.most))?;
        Some(spread)
    }

    fn name(self, section: &Section) -> String {
        match self {
            Self::Best => format!("best {}", section.metric.label()),
            Self::Volume => "hypervolume".into(),
        }
    }
}

/// The figure of these kinds; a dashed line stands at `equal` trials, as many as each search has.
pub(super) fn progress_svg(
    section: &Section,
    kinds: &[usize],
    measure: Measure,
    equal: usize,
) -> Result<String, ReportError> {
    let curves: Vec<(usize, Vec<(usize, Spread)>)> = kinds
        .iter()
        .map(|at| (*at, curve(&section.kinds[*at], measure)))
        .collect();
    let points = || curves.iter().flat_map(|(_, curve)| curve);
    let most = points().map(|(trials, _)| *trials).max().unwrap_or(1);
    let x = Axis::counts("finished trials".into(), most).thinned(PLOT, figure::width);
    let values = points().flat_map(|(_, spread)| [spread.least, spread.most]);
    let y = Axis::linear(measure.name(section), values);
    figure::draw("progress", SIZE, |canvas| {
        let heading = Heading {
            title: None,
            legend: &[],
        };
        let frame = figure::frame(canvas, &heading, &x, &y)?;
        let (across, _) = frame.at(equal as f64, y.least);
        figure::dashes(
            canvas,
            (across, frame.vertical.1),
            (across, frame.vertical.0),
        )?;
        for (kind, curve) in &curves {
            draw(canvas, &frame, *kind, curve)?;
        }
        Ok(())
    })
}

fn curve(kind: &Kind, measure: Measure) -> Vec<(usize, Spread)> {
    let steps = kind.steps();
    let steps = steps.iter();
    steps
        .filter_map(|step| Some((step.trials, measure.of(step)?)))
        .collect()
}

fn draw(
    canvas: &Canvas<'_>,
    frame: &Frame,
    kind: usize,
    curve: &[(usize, Spread)],
) -> Result<(), DrawError> {
    let series = series::at(kind);
    let path = |value: fn(&Spread) -> f64| {
        stairs(
            curve
                .iter()
                .map(|(trials, spread)| frame.at(*trials as f64, value(spread))),
        )
    };
    if curve.iter().any(|(_, spread)| spread.count > 1) {
        let mut around = path(|spread| spread.most);
        around.extend(path(|spread| spread.least).into_iter().rev());
        series.band(canvas, around)?;
    }
    match path(|spread| spread.median).as_slice() {
        [] => Ok(()),
        [only] => series.mark(canvas, *only),
        line => {
            series.line(canvas, line.to_vec(), 2)?;
            series.mark(canvas, line[line.len() - 1])
        }
    }
}

/// Level from each place to the next, then up.
fn stairs(places: impl Iterator<Item = Pixel>) -> Vec<Pixel> {
    let mut line: Vec<Pixel> = Vec::new();
    for place in places {
        if let Some((_, level)) = line.last() {
            line.push((place.0, *level));
        }
        line.push(place);
    }
    line
}
