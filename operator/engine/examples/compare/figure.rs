//! The figure: hypervolume over trials, as SVG.

use std::path::Path;

use plotters::prelude::*;

use crate::{Method, Run, quartiles};

/// Draws medians as lines, quartiles as bands and the best hypervolume as a dashed line.
pub fn draw(
    path: &Path,
    caption: &str,
    runs: &[Run],
    best: f64,
) -> Result<(), Box<dyn std::error::Error>> {
    let trials = runs.iter().map(|run| run.trace.len()).min().unwrap_or(0);
    let root = SVGBackend::new(path, (760, 480)).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .margin(12)
        .caption(caption, ("sans-serif", 15))
        .x_label_area_size(38)
        .y_label_area_size(56)
        .build_cartesian_2d(1.0..trials as f64, 0.0..1.05 * best)?;
    chart
        .configure_mesh()
        .x_desc("trials")
        .y_desc("hypervolume of the noise-free scores")
        .light_line_style(WHITE)
        .draw()?;
    for (method, color) in [
        (Method::Search, RGBColor(0, 90, 181)),
        (Method::Random, RGBColor(220, 50, 32)),
    ] {
        let at: Vec<(f64, [f64; 3])> = (0..trials)
            .map(|trial| ((trial + 1) as f64, quartiles(runs, method, trial)))
            .collect();
        let low = at.iter().map(|(x, [low, ..])| (*x, *low));
        let high = at.iter().rev().map(|(x, [.., high])| (*x, *high));
        chart.draw_series([Polygon::new(
            low.chain(high).collect::<Vec<_>>(),
            color.mix(0.15),
        )])?;
        chart
            .draw_series(LineSeries::new(
                at.iter().map(|(x, [_, median, _])| (*x, *median)),
                color.stroke_width(2),
            ))?
            .label(method.label())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2)));
    }
    chart
        .draw_series(DashedLineSeries::new(
            [(1.0, best), (trials as f64, best)],
            6,
            4,
            BLACK.into(),
        ))?
        .label("best possible")
        .legend(|(x, y)| PathElement::new([(x, y), (x + 18, y)], BLACK));
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .background_style(WHITE)
        .border_style(BLACK.mix(0.3))
        .draw()?;
    root.present()?;
    Ok(())
}
