//! Lines of several searches in one figure: a colour and a form each.

use plotters::prelude::*;

use super::figure::{Canvas, DrawError, Pixel};

/// How the points and lines of one series look. Those after each other differ in form and in colour.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Series {
    /// On white.
    pub colour: RGBColor,
    /// On the dark ground of a page.
    pub in_the_dark: &'static str,
    /// The form of its points.
    pub form: Form,
}

/// The form of a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Disc,
    Triangle,
    Diamond,
    Ring,
    Cross,
}

const fn series(red: u8, green: u8, blue: u8, in_the_dark: &'static str, form: Form) -> Series {
    Series {
        colour: RGBColor(red, green, blue),
        in_the_dark,
        form,
    }
}

/// The series in their order; with more of them they repeat.
pub(super) const SERIES: [Series; 8] = [
    series(0x25, 0x63, 0xeb, "#60a5fa", Form::Disc),
    series(0xc2, 0x41, 0x0c, "#fb923c", Form::Triangle),
    series(0x0f, 0x76, 0x6e, "#2dd4bf", Form::Diamond),
    series(0x9d, 0x17, 0x4d, "#f472b6", Form::Ring),
    series(0x6d, 0x28, 0xd9, "#a78bfa", Form::Cross),
    series(0x4d, 0x7c, 0x0f, "#a3e635", Form::Disc),
    series(0x85, 0x4d, 0x0e, "#facc15", Form::Triangle),
    series(0x03, 0x69, 0xa1, "#38bdf8", Form::Diamond),
];

/// The series at a place.
pub(super) fn at(place: usize) -> Series {
    SERIES[place % SERIES.len()]
}

impl Series {
    /// Draws a point.
    pub(super) fn mark(&self, canvas: &Canvas<'_>, (x, y): Pixel) -> Result<(), DrawError> {
        let filled = self.colour.filled();
        match self.form {
            Form::Disc => canvas.draw(&Circle::new((x, y), 5, filled)),
            Form::Triangle => canvas.draw(&TriangleMarker::new((x, y), 6, filled)),
            Form::Diamond => {
                let corners = vec![(x, y - 6), (x + 6, y), (x, y + 6), (x - 6, y)];
                canvas.draw(&Polygon::new(corners, filled))
            }
            Form::Ring => {
                canvas.draw(&Circle::new((x, y), 5, WHITE.filled()))?;
                canvas.draw(&Circle::new((x, y), 5, self.colour.stroke_width(2)))
            }
            Form::Cross => canvas.draw(&Cross::new((x, y), 4, self.colour.stroke_width(2))),
        }
    }

    /// Draws a line.
    pub(super) fn line(
        &self,
        canvas: &Canvas<'_>,
        pixels: Vec<Pixel>,
        width: u32,
    ) -> Result<(), DrawError> {
        canvas.draw(&PathElement::new(pixels, self.colour.stroke_width(width)))
    }

    /// Draws an area.
    pub(super) fn band(&self, canvas: &Canvas<'_>, pixels: Vec<Pixel>) -> Result<(), DrawError> {
        canvas.draw(&Polygon::new(pixels, self.colour.mix(0.15).filled()))
    }
}
