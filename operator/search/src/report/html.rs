//! The report as one HTML page: inline style, inline figures, no script. Every text from a search goes
//! through maud, which escapes it; only our own figures are inserted as markup.

use autopeft_crds::PeftSearch;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::prediction_svg::{self, Prediction};
use super::text::{self, visible};
use super::view::View;
use super::{ReportError, answer, front_svg, sections, trace_svg};

const STYLE: &str = "
:root { color-scheme: light; }
body { background: #fff; color: #1f2937; font: 16px/1.5 sans-serif; margin: 0 auto; max-width: 72rem; padding: 1rem 1.5rem 4rem; }
h1 { font-size: 1.7rem; overflow-wrap: anywhere; }
h2 { border-top: 1px solid #d1d5db; font-size: 1.25rem; margin-top: 2.5rem; padding-top: 1.25rem; }
p { max-width: 52rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; }
caption { caption-side: bottom; color: #4b5563; padding-top: .5rem; text-align: left; }
th, td { border-bottom: 1px solid #e5e7eb; padding: .25rem .75rem .25rem 0; text-align: left; vertical-align: top; }
thead th { border-bottom: 2px solid #9ca3af; white-space: nowrap; }
td.number, th.number { text-align: right; white-space: nowrap; }
td.mask { font-family: monospace; white-space: nowrap; }
td.message { max-width: 24rem; min-width: 12rem; overflow-wrap: anywhere; }
tr.front { background: #fef2f2; }
dl { display: grid; gap: .25rem 1.5rem; grid-template-columns: max-content 1fr; }
dt { color: #4b5563; }
dd { margin: 0; overflow-wrap: anywhere; }
figure { margin: 1rem 0; }
figure svg { height: auto; max-width: 100%; }
.bar { background: #e5e7eb; display: inline-block; height: .8rem; vertical-align: middle; width: 14rem; }
.bar i { background: #2563eb; display: block; height: 100%; }
.bar i.front { background: #b91c1c; }
pre { background: #f3f4f6; overflow-x: auto; padding: 1rem; }
details { margin-top: 1rem; }
";

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
                style { (PreEscaped(STYLE)) }
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

fn figure(svg: &str, description: &str) -> Markup {
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
