//! The report as one HTML page: inline style, inline figures, no script. Every text from a search goes
//! through maud, which escapes it; only our own figures are inserted as markup.

use autopeft_crds::PeftSearch;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::prediction_svg::{self, Prediction};
use super::text::{self, visible};
use super::view::View;
use super::{ReportError, answer, front_svg, sections, style, trace_svg, transfer};

/// The page.
pub(super) fn report_html(
    view: &View<'_>,
    search: &PeftSearch,
    trace: &[(u32, f64)],
) -> Result<String, ReportError> {
    let predictions = prediction_svg::predictions(view);
    let front = front_svg::front_svg(view)?;
    let volume = trace_svg::trace_svg(view, trace)?;
    let prediction = prediction_svg::prediction_svg(view, &predictions)?;
    let manifest = manifest(search)?;
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "PEFT search " (visible(view.name)) }
                style { (PreEscaped(style::style())) }
            }
            body {
                h1 { "PEFT search " (visible(view.name)) }
                (sections::summary(view))
                h2 id="front" { "The front" }
                p {
                    "No trial has a higher score than one of these with as few trainable parameters."
                }
                (figure(&front, "Score against trainable parameters of every trial, with the Pareto front"))
                (sections::front(view))
                (answer::section(view))
                (transfer::section(view))
                h2 id="hypervolume" { "Hypervolume" }
                p {
                    "The area between the front and the reference point, score times log10(1 + parameters): "
                    "it grows when a trial improves the front."
                }
                (figure(&volume, "Hypervolume over the finished trials"))
                h2 id="relevance" { "Relevance" }
                (sections::relevance(view))
                h2 id="surrogate" { "Predicted and measured" }
                (prediction_section(&predictions, &prediction))
                h2 id="trials" { "Every trial" }
                (sections::trials(view))
                h2 id="manifest" { "The manifest" }
                pre { (manifest) }
            }
        }
    };
    Ok(page.into_string())
}

/// A figure with its description.
pub(super) fn figure(svg: &str, description: &str) -> Markup {
    html! {
        figure role="img" aria-label=(description) { (PreEscaped(svg)) }
    }
}

fn prediction_section(predictions: &[Prediction], svg: &str) -> Markup {
    if predictions.is_empty() {
        return html! { p { "No Bayesian step has ended with a score." } };
    }
    let near = |prediction: &&Prediction| {
        (prediction.measured - prediction.mean).abs() <= 2.0 * prediction.deviation
    };
    let within = predictions.iter().filter(near).count();
    html! {
        p {
            "What the surrogate predicted for each trial before it was trained: "
            (within) " of " (text::counted(predictions.len(), "measurement"))
            " within two standard deviations of the prediction."
        }
        (figure(svg, "Predicted against measured scores of the Bayesian steps"))
    }
}

/// The manifest without the status, as YAML.
fn manifest(search: &PeftSearch) -> Result<String, ReportError> {
    let asked = PeftSearch {
        status: None,
        ..search.clone()
    };
    let yaml = serde_saphyr::to_string(&asked)
        .map_err(|error| ReportError::Manifest(error.to_string()))?;
    let line_end = |character| {
        if character == '\n' {
            '\n'
        } else {
            text::visible_character(character)
        }
    };
    Ok(yaml.chars().map(line_end).collect())
}
