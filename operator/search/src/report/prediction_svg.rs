//! Predicted against measured scores.

use autopeft_crds::status::TrialOrigin;
use plotters::prelude::{Color, PathElement};

use super::ReportError;
use super::axis::Axis;
use super::figure::{self, Heading, Marker};
use super::view::{self, View};

const SIZE: (u32, u32) = (900, 480);

/// A Bayesian trial that has ended with a score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Prediction {
    /// The predicted score.
    pub mean: f64,
    /// The standard deviation of that prediction.
    pub deviation: f64,
    /// The measured score.
    pub measured: f64,
}

/// The predictions of a search that were measured.
pub(super) fn predictions(view: &View<'_>) -> Vec<Prediction> {
    view.trials()
        .filter(|entry| entry.origin == TrialOrigin::Bayesian)
        .filter_map(|entry| {
            let deviation = entry.predicted_deviation.map_or(0.0, |value| value.get());
            Some(Prediction {
                mean: view::drawable(entry.predicted_mean?.get())?,
                deviation: view::drawable(deviation)?.abs(),
                measured: view::drawable(entry.score?.get())?,
            })
        })
        .collect()
}

/// The figure: one bar of ± one deviation per trial, and the line on which prediction and measurement
/// agree.
pub(super) fn prediction_svg(
    view: &View<'_>,
    predictions: &[Prediction],
) -> Result<String, ReportError> {
    let values = predictions.iter().flat_map(|prediction| {
        let Prediction {
            mean,
            deviation,
            measured,
        } = *prediction;
        [mean - deviation, mean + deviation, measured]
    });
    let values: Vec<f64> = values.collect();
    let x = Axis::linear(
        format!("measured {}", view.metric()),
        values.iter().copied(),
    );
    let y = Axis::linear(format!("predicted {}", view.metric()), values);
    let legend = [
        (
            Marker::Bayesian,
            "prediction ± one standard deviation".to_owned(),
        ),
        (Marker::Dashes, "prediction = measurement".to_owned()),
    ];
    figure::draw("prediction", SIZE, |canvas| {
        let heading = Heading {
            title: None,
            legend: &legend,
        };
        let frame = figure::frame(canvas, &heading, &x, &y)?;
        let corner = frame.at(x.least, y.least);
        figure::dashes(canvas, corner, frame.at(x.most, y.most))?;
        for prediction in predictions {
            let Prediction {
                mean,
                deviation,
                measured,
            } = *prediction;
            let bar = vec![
                frame.at(measured, mean - deviation),
                frame.at(measured, mean + deviation),
            ];
            canvas.draw(&PathElement::new(
                bar,
                figure::BLUE.mix(0.45).stroke_width(1),
            ))?;
            figure::mark(canvas, Marker::Bayesian, frame.at(measured, mean))?;
        }
        Ok(())
    })
}
