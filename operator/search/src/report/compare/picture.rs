//! A configuration as a small picture: a column a layer, a row a module, as high as the module is large.

use autopeft_crds::modules::{MODULES, ModuleFacts};
use autopeft_crds::{Module, PeftConfiguration};
use plotters::prelude::{Color, Rectangle};

use crate::report::ReportError;
use crate::report::figure::{self, BLUE, GREY, Side};

/// The height of a row, and of the numbers of layers below the rows.
const ROW: i32 = 26;
const FOOT: i32 = 20;
/// The room of the modules' names on the left, and of their sizes on the right.
const NAMES: i32 = 72;
const SIZES: i32 = 48;

/// The largest size of each module, by `Module as usize`: what a full column is.
pub(super) type Largest = [u32; Module::COUNT];

/// The largest sizes among these.
pub(super) fn largest<'a>(all: impl Iterator<Item = &'a PeftConfiguration>) -> Largest {
    let mut largest = [0; Module::COUNT];
    for (module, size) in all.flat_map(PeftConfiguration::sizes) {
        let most = &mut largest[module as usize];
        *most = size.max(*most);
    }
    largest
}

/// The picture; modules that none of the configurations has are left out.
pub(super) fn picture(
    configuration: &PeftConfiguration,
    largest: &Largest,
) -> Result<String, ReportError> {
    let is_shown = |facts: &&ModuleFacts| largest[facts.module as usize] > 0;
    let rows: Vec<&ModuleFacts> = MODULES.iter().filter(is_shown).collect();
    let layers = configuration.layers.bits();
    let column = if layers.len() > 12 { 9 } else { 15 };
    let across = |layer: usize| NAMES + column * i32::try_from(layer).unwrap_or(0);
    let width = across(layers.len()) + SIZES;
    let height = ROW * i32::try_from(rows.len()).unwrap_or(0) + FOOT;
    let size = (width.unsigned_abs(), height.unsigned_abs());
    figure::draw("layers", size, |canvas| {
        let mut foot = 0;
        for facts in &rows {
            foot += ROW;
            let inserted = configuration.size(facts.module);
            let middle = foot - ROW / 2 + 2;
            figure::label(canvas, facts.symbol, (NAMES - 8, middle), Side::Left)?;
            for (layer, is_active) in layers.iter().enumerate() {
                let (left, right) = (across(layer), across(layer) + column - 2);
                let high = if *is_active {
                    height_of(inserted, largest[facts.module as usize])
                } else {
                    0
                };
                let bar = [(left, foot - high), (right, foot)];
                match high {
                    0 => canvas.draw(&Rectangle::new(
                        [(left, foot - 2), (right, foot)],
                        GREY.mix(0.35).filled(),
                    ))?,
                    _ => canvas.draw(&Rectangle::new(bar, BLUE.filled()))?,
                }
            }
            let shown = match configuration.layers.active() {
                0 => "0".to_owned(),
                _ => inserted.to_string(),
            };
            figure::label(
                canvas,
                &shown,
                (across(layers.len()) + 6, middle),
                Side::Right,
            )?;
        }
        let ends = [0, layers.len().saturating_sub(1)];
        for layer in ends {
            let middle = across(layer) + column / 2 - 1;
            figure::write(
                canvas,
                &layer.to_string(),
                (middle, foot + 10),
                15,
                Side::Middle,
                GREY,
            )?;
        }
        Ok(())
    })
}

/// Of a full column, by the logarithm of the size: sizes double from step to step.
fn height_of(size: u32, largest: u32) -> i32 {
    match size {
        0 => 0,
        _ => {
            let share = f64::from(1 + size).ln() / f64::from(1 + largest.max(size)).ln();
            (share * f64::from(ROW - 5)).round() as i32
        }
    }
}
