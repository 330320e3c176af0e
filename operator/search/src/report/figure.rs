//! What the figures share: a white canvas, axes, markers and legends, drawn by plotters as SVG.

use std::ops::Range;

use plotters::coord::Shift;
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use plotters::drawing::DrawingAreaErrorKind;
use plotters::element::DashedPathElement;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::ReportError;
use super::axis::Axis;

/// The drawing area of a figure.
pub(super) type Canvas<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Why plotters stopped.
pub(super) type DrawError = DrawingAreaErrorKind<std::io::Error>;

/// A place on a canvas, in pixels from its upper left corner.
pub(super) type Pixel = (i32, i32);

/// Axes, names of axes and all text.
pub(super) const INK: RGBColor = RGBColor(0x1f, 0x29, 0x37);
/// The background: grid lines and the trials of the initial design.
pub(super) const GREY: RGBColor = RGBColor(0x6b, 0x72, 0x80);
/// Trials that the acquisition function chose.
pub(super) const BLUE: RGBColor = RGBColor(0x25, 0x63, 0xeb);
/// The front.
pub(super) const RED: RGBColor = RGBColor(0xb9, 0x1c, 0x1c);

/// The size of ordinary text as plotters counts it: a line, of which letters are 1 / 1.24.
const TEXT: i32 = 18;

/// The space above the plot of a figure with a title, and of a legend's row.
const TITLE_ROOM: i32 = 36;
const LEGEND_ROOM: i32 = 28;

/// Draws a figure of the given size on white and returns its SVG.
pub(super) fn draw(
    figure: &'static str,
    size: (u32, u32),
    paint: impl FnOnce(&Canvas<'_>) -> Result<(), DrawError>,
) -> Result<String, ReportError> {
    let mut svg = String::new();
    let drawn = {
        let canvas = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        canvas
            .fill(&WHITE)
            .and_then(|()| paint(&canvas))
            .and_then(|()| canvas.present())
    };
    match drawn {
        Ok(()) => Ok(svg),
        Err(error) => Err(ReportError::Figure {
            figure,
            message: error.to_string(),
        }),
    }
}

/// The plot between the axes: from values to pixels.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    /// The plot's left and right edge, pixels.
    pub horizontal: (i32, i32),
    /// Its upper and lower edge.
    pub vertical: (i32, i32),
    least: (f64, f64),
    most: (f64, f64),
}

impl Frame {
    /// The pixel of a pair of values.
    pub(super) fn at(&self, x: f64, y: f64) -> Pixel {
        let (left, right) = self.horizontal;
        let (top, bottom) = self.vertical;
        let across = pixel(x, (self.least.0, self.most.0), (left, right));
        let down = pixel(y, (self.least.1, self.most.1), (bottom, top));
        (across, down)
    }
}

/// The pixel of a value on an axis that goes from `first` to `last`.
fn pixel(value: f64, (least, most): (f64, f64), (first, last): (i32, i32)) -> i32 {
    let share = (value - least) / (most - least);
    first + (share * f64::from(last - first)).round() as i32
}

/// An axis as plotters takes it: our range, our ticks and our labels.
struct Ticked(Axis);

impl Ranged for Ticked {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        pixel(*value, (self.0.least, self.0.most), limit)
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() {
            return Vec::new();
        }
        self.0.ticks.iter().map(|(position, _)| *position).collect()
    }

    fn range(&self) -> Range<f64> {
        self.0.least..self.0.most
    }
}

impl ValueFormatter<f64> for Ticked {
    fn format(position: &f64) -> String {
        position.to_string()
    }

    fn format_ext(&self, position: &f64) -> String {
        let tick = self.0.ticks.iter().find(|tick| tick.0 == *position);
        tick.map_or_else(|| Self::format(position), |tick| tick.1.clone())
    }
}

/// The title and legend above a plot.
pub(super) struct Heading<'t> {
    /// The title, where the figure has one.
    pub title: Option<&'t str>,
    /// The markers with their meanings.
    pub legend: &'t [(Marker, String)],
}

/// Draws heading, axes and grid.
pub(super) fn frame(
    canvas: &Canvas<'_>,
    heading: &Heading<'_>,
    x: &Axis,
    y: &Axis,
) -> Result<Frame, DrawError> {
    let mut above = 10;
    if let Some(title) = heading.title {
        write(canvas, title, (16, above + 12), TEXT + 4, Side::Right, INK)?;
        above += TITLE_ROOM;
    }
    if !heading.legend.is_empty() {
        legend(canvas, heading.legend, above + 8)?;
        above += LEGEND_ROOM;
    }
    let mut chart = ChartBuilder::on(canvas)
        .margin_top(above)
        .margin_right(28)
        .margin_bottom(8)
        .margin_left(8)
        .x_label_area_size(58)
        .y_label_area_size(84)
        .build_cartesian_2d(Ticked(x.clone()), Ticked(y.clone()))?;
    chart
        .configure_mesh()
        .bold_line_style(GREY.mix(0.25))
        .axis_style(INK)
        .x_label_style(("sans-serif", TEXT - 1).into_font().color(&INK))
        .y_label_style(("sans-serif", TEXT - 1).into_font().color(&INK))
        .axis_desc_style(("sans-serif", TEXT).into_font().color(&INK))
        .x_desc(x.name.clone())
        .y_desc(y.name.clone())
        .draw()?;
    let (horizontal, vertical) = chart.plotting_area().get_pixel_range();
    Ok(Frame {
        horizontal: (horizontal.start, horizontal.end),
        vertical: (vertical.start, vertical.end),
        least: (x.least, y.least),
        most: (x.most, y.most),
    })
}

/// The forms of points and lines. They differ in form, not in colour alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Marker {
    /// A hollow circle: the initial design.
    Initial,
    /// A filled triangle: chosen by the acquisition.
    Bayesian,
    /// A cross: drawn at random.
    Random,
    /// A large filled circle: on the front.
    Front,
    /// A filled square: a baseline.
    Baseline,
    /// A solid line.
    Line,
    /// A dashed line.
    Dashes,
}

/// Draws one marker.
pub(super) fn mark(canvas: &Canvas<'_>, marker: Marker, (x, y): Pixel) -> Result<(), DrawError> {
    match marker {
        Marker::Initial => canvas.draw(&Circle::new((x, y), 4, GREY.stroke_width(1))),
        Marker::Bayesian => canvas.draw(&TriangleMarker::new((x, y), 5, BLUE.mix(0.6).filled())),
        Marker::Random => canvas.draw(&Cross::new((x, y), 4, GREY.stroke_width(1))),
        Marker::Front => {
            canvas.draw(&Circle::new((x, y), 6, WHITE.filled()))?;
            canvas.draw(&Circle::new((x, y), 5, RED.filled()))
        }
        Marker::Baseline => canvas.draw(&Rectangle::new(
            [(x - 5, y - 5), (x + 5, y + 5)],
            INK.filled(),
        )),
        Marker::Line => lines(canvas, vec![(x - 10, y), (x + 10, y)]),
        Marker::Dashes => dashes(canvas, (x - 10, y), (x + 10, y)),
    }
}

/// A solid line through pixels, in the front's colour.
pub(super) fn lines(canvas: &Canvas<'_>, pixels: Vec<Pixel>) -> Result<(), DrawError> {
    canvas.draw(&PathElement::new(pixels, RED.stroke_width(2)))
}

/// A dashed grey line.
pub(super) fn dashes(canvas: &Canvas<'_>, from: Pixel, to: Pixel) -> Result<(), DrawError> {
    canvas.draw(&DashedPathElement::new(
        [from, to],
        6,
        4,
        GREY.stroke_width(1),
    ))
}

/// On which side of its position a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// It ends there.
    Left,
    /// It begins there.
    Right,
    /// It is centred there.
    Middle,
}

/// Writes a text, its middle line at the place.
pub(super) fn write(
    canvas: &Canvas<'_>,
    text: &str,
    place: Pixel,
    size: i32,
    side: Side,
    colour: RGBColor,
) -> Result<(), DrawError> {
    let anchor = match side {
        Side::Left => HPos::Right,
        Side::Right => HPos::Left,
        Side::Middle => HPos::Center,
    };
    let style = ("sans-serif", size).into_font().color(&colour);
    let style = style.pos(Pos::new(anchor, VPos::Center));
    canvas.draw(&Text::new(text.to_owned(), place, style))
}

/// Writes a note in the middle of an empty plot.
pub(super) fn note(canvas: &Canvas<'_>, frame: &Frame, text: &str) -> Result<(), DrawError> {
    let (left, right) = frame.horizontal;
    let (top, bottom) = frame.vertical;
    let middle = (i32::midpoint(left, right), i32::midpoint(top, bottom));
    write(canvas, text, middle, TEXT + 1, Side::Middle, GREY)
}

/// A generous estimate of how wide a text of ordinary size is; only the viewer knows its font.
pub(super) fn width(text: &str) -> i32 {
    let characters = i32::try_from(text.chars().count()).unwrap_or(i32::MAX / 100);
    (characters * TEXT * 47 / 100).max(1)
}

/// Writes a text of ordinary size.
pub(super) fn label(
    canvas: &Canvas<'_>,
    text: &str,
    place: Pixel,
    side: Side,
) -> Result<(), DrawError> {
    write(canvas, text, place, TEXT - 1, side, INK)
}

/// One row of markers with their meanings.
fn legend(canvas: &Canvas<'_>, entries: &[(Marker, String)], row: i32) -> Result<(), DrawError> {
    let mut from = 26;
    for (marker, meaning) in entries {
        let is_line = matches!(marker, Marker::Line | Marker::Dashes);
        let half = if is_line { 12 } else { 6 };
        mark(canvas, *marker, (from + half, row))?;
        label(canvas, meaning, (from + 2 * half + 6, row), Side::Right)?;
        from += 2 * half + 6 + width(meaning) + 18;
    }
    Ok(())
}
