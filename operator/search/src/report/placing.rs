//! Where the parts of a front stand: its line, the break of the axis, and labels that cover little.

use plotters::prelude::{Color, PathElement, Rectangle, WHITE};

use super::figure::{self, Canvas, DrawError, Frame, Pixel, Side};

/// The line of what the front reaches: level from each member to the next, then up, and from the last
/// one level to the edge.
pub(super) fn steps(front: &[Pixel], frame: &Frame) -> Vec<Pixel> {
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
pub(super) fn axis_break(
    canvas: &Canvas<'_>,
    frame: &Frame,
    (x, y): Pixel,
) -> Result<(), DrawError> {
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
pub(super) type Area = (i32, i32, i32, i32);

/// The place beside a mark where its label covers the least: first no taken area, then no trial. It leaves
/// the mark's own height only to avoid taken areas.
pub(super) fn place_label(
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
pub(super) fn mark_area(&(x, y): &Pixel) -> Area {
    (x - 6, y - 6, x + 6, y + 6)
}

/// What a level or upright part of the front's line covers.
pub(super) fn line_area(&[from, to]: &[Pixel; 2]) -> Area {
    let (left, right) = (from.0.min(to.0), from.0.max(to.0));
    let (top, bottom) = (from.1.min(to.1), from.1.max(to.1));
    (left - 3, top - 3, right + 3, bottom + 3)
}

pub(super) fn label_area(((x, y), side): (Pixel, Side), width: i32) -> Area {
    match side {
        Side::Right => (x, y - 8, x + width, y + 8),
        Side::Left => (x - width, y - 8, x, y + 8),
        Side::Middle => (x - width / 2, y - 8, x + width / 2, y + 8),
    }
}

/// A translucent ground for a label.
pub(super) fn veil(canvas: &Canvas<'_>, (left, top, right, bottom): Area) -> Result<(), DrawError> {
    let ground = WHITE.mix(0.7).filled();
    canvas.draw(&Rectangle::new([(left, top), (right, bottom)], ground))
}

fn overlap(left: Area, right: Area) -> bool {
    left.0 < right.2 && right.0 < left.2 && left.1 < right.3 && right.1 < left.3
}
