//! The sections of the page that are tables.

use autopeft_crds::metrics::MetricValues;
use autopeft_crds::status::{FrontMember, TrialState};
use autopeft_crds::{Decimal, PeftConfiguration};
use maud::{Markup, html};

use super::cells::{configuration_cells, configuration_head};
use super::csv;
use super::table;
use super::text::{self, DASH, optional_score, score, significant, thousands, visible};
use super::view::{View, other_task};

/// The spec and the result in brief.
pub(super) fn summary(view: &View<'_>) -> Markup {
    let status = view.status;
    let spec = view.spec;
    let state = |wanted: TrialState| view.trials().filter(|entry| entry.state == wanted).count();
    let condition = status
        .conditions
        .iter()
        .find(|condition| condition.type_ == "Succeeded");
    html! {
        dl {
            @if let Some(condition) = condition {
                dt { "State" }
                dd { (visible(&condition.reason)) @if !condition.message.is_empty() { ": " (visible(&condition.message)) } }
            }
            dt { "Task" }
            dd { (spec.task.name.as_str()) ", scored by " (view.metric()) " on the validation split" }
            dt { "Model" }
            dd { (visible(&model(view))) }
            @if let Some(inspection) = &status.inspection {
                dt { "Data" }
                dd {
                    (thousands(inspection.train_examples)) " training and "
                    (thousands(inspection.validation_examples)) " validation examples"
                }
            }
            dt { "Trials" }
            dd {
                (state(TrialState::Succeeded)) " succeeded, "
                (state(TrialState::Infeasible)) " infeasible, "
                (state(TrialState::Failed)) " failed, "
                (state(TrialState::Planned)) " not finished, of " (spec.max_trials)
            }
            dt { "Best " (view.metric()) }
            dd { (optional_score(status.best_score)) }
            @if let Some(constant) = view.constant() {
                dt { "Constant predictor" }
                dd { (table::constant_line(view, constant)) }
            }
            dt { "Front" }
            dd { (text::counted(status.front_size as usize, "configuration")) }
            dt { "Hypervolume" }
            dd { (table::hypervolume(view).unwrap_or_else(|| DASH.into())) }
            dt { "Seeds" }
            dd { "search " (spec.algorithm.seed) ", training " (spec.training.seed) }
            @if let Some(start) = &status.start_time {
                dt { "Started" }
                dd { (start.0.to_string()) }
            }
            @if let Some(end) = &status.completion_time {
                dt { "Ended" }
                dd { (end.0.to_string()) }
            }
        }
    }
}

fn model(view: &View<'_>) -> String {
    let source = &view.spec.model.source;
    let mut text = if let Some(path) = &source.path {
        path.clone()
    } else if let Some(claim) = &source.claim {
        format!("{} on claim {}", claim.path, claim.name)
    } else if let Some(image) = &source.image {
        format!("{} in image {}", image.path, image.reference)
    } else if let Some(hub) = &source.hub {
        format!("{} at {}", hub.repository, hub.revision)
    } else {
        DASH.to_owned()
    };
    if let Some(found) = &view.status.inspection {
        text.push_str(&format!(
            ": {}, {} layers, hidden size {}, {} parameters",
            found.architecture,
            found.layers,
            found.hidden_size,
            thousands(found.backbone_parameters)
        ));
    }
    text
}

/// The front and the baselines as a table.
pub(super) fn front(view: &View<'_>) -> Markup {
    let members = view.front();
    let budgets = view.best_within_budgets();
    html! {
        @if members.is_empty() {
            p { "No trial has a score, so there is no front." }
        } @else {
            div.wide {
                table {
                    thead {
                        tr {
                            th.number { "Trial" }
                            (configuration_head(view))
                            (measured_head(view))
                        }
                    }
                    tbody { @for member in &members { (member_row(view, member)) } }
                    caption { (members.len()) " of " (text::counted(view.status.front_size as usize, "member")) ", fewest parameters first" }
                }
            }
        }
        @if budgets.len() > 1 {
            ul {
                @for (budget, member) in budgets {
                    li {
                        "best with trainable parameters of at most " (budget) " % of the backbone's: "
                        (score(member.score.get())) " (trial " (member.trial) ")"
                    }
                }
            }
        }
        @if !view.status.baselines.is_empty() {
            h3 { "Baselines" }
            div.wide {
                table {
                    thead {
                        tr {
                            th.number { "Trial" }
                            th { "Method" }
                            (configuration_head(view))
                            (measured_head(view))
                        }
                    }
                    tbody {
                        @for result in &view.status.baselines {
                            tr {
                                td.number { (result.trial) }
                                td { (result.name.facts().title) }
                                (baseline_cells(view, result.trial))
                                (measured_cells(view, result.parameters, Some(result.parameters_percent.get()), (Some(result.score), &result.metrics)))
                            }
                        }
                    }
                    caption { (view.baselines_caption()) }
                }
            }
        }
    }
}

/// A baseline's layers and sizes.
fn baseline_cells(view: &View<'_>, trial: u32) -> Markup {
    match view.baseline_configuration(trial) {
        Some(configuration) => configuration_cells(view, &configuration),
        None => html! {
            td.mask { (DASH) }
            @for _ in view.modules() { td.number { (DASH) } }
        },
    }
}

fn member_row(view: &View<'_>, member: &FrontMember) -> Markup {
    html! {
        tr {
            td.number { (member.trial) }
            (configuration_cells(view, &member.configuration))
            (measured_cells(view, member.parameters, Some(member.parameters_percent.get()), (Some(member.score), &member.metrics)))
        }
    }
}

/// Cost, score and the other metrics.
fn measured_head(view: &View<'_>) -> Markup {
    html! {
        th.number { "Parameters" }
        th.number { "% of backbone" }
        th.number { (view.metric()) }
        @for metric in view.other_metrics() { th.number { (metric.label()) } }
    }
}

fn measured_cells(
    view: &View<'_>,
    parameters: u64,
    percent: Option<f64>,
    (score, metrics): (Option<Decimal>, &MetricValues),
) -> Markup {
    html! {
        td.number { (thousands(parameters)) }
        td.number { (percent.map_or_else(|| DASH.into(), significant)) }
        td.number { (optional_score(score)) }
        @for metric in view.other_metrics() { td.number { (optional_score(metrics.get(metric))) } }
    }
}

/// One dimension of the space: its relevance to the surrogate, and the share of the front that uses it.
struct Dimension {
    name: String,
    relevance: Option<f64>,
    used: Option<f64>,
}

fn dimensions(view: &View<'_>) -> Vec<Dimension> {
    let front = &view.status.pareto_front;
    let share = |uses: &dyn Fn(&PeftConfiguration) -> bool| {
        let using = front.iter().filter(|member| uses(&member.configuration));
        (!front.is_empty()).then(|| using.count() as f64 / front.len() as f64)
    };
    let layers = front.iter().map(|member| member.configuration.layers.len());
    let mut dimensions: Vec<Dimension> = (0..layers.max().unwrap_or(0))
        .map(|layer| Dimension {
            name: format!("layer {layer}"),
            relevance: None,
            used: share(&|found| found.layers.bits().get(layer) == Some(&true)),
        })
        .collect();
    if !front.is_empty() {
        for facts in view.modules() {
            dimensions.push(Dimension {
                name: facts.name.to_owned(),
                relevance: None,
                used: share(&|found| found.size(facts.module) > 0),
            });
        }
    }
    let relevance = view
        .status
        .surrogate
        .iter()
        .flat_map(|found| &found.relevance);
    for found in relevance {
        let value = Some(found.value.get());
        let known = dimensions
            .iter_mut()
            .find(|dimension| dimension.name == found.dimension);
        match known {
            Some(dimension) => dimension.relevance = value,
            None => dimensions.push(Dimension {
                name: found.dimension.clone(),
                relevance: value,
                used: None,
            }),
        }
    }
    dimensions
}

/// Which layers and modules matter.
pub(super) fn relevance(view: &View<'_>) -> Markup {
    let dimensions = dimensions(view);
    if dimensions.is_empty() {
        return html! { p { "There is no front and no fit of the surrogate yet." } };
    }
    let relevant = dimensions
        .iter()
        .filter_map(|dimension| dimension.relevance);
    let most = relevant.fold(0.0, f64::max);
    html! {
        p {
            "Relevance is the surrogate's inverse lengthscale, the median over its samples: the score changes "
            "more along a dimension with a longer bar. A dimension that the search keeps fixed has none. "
            "The second bar is the share of the front's configurations that have a module in the layer, or "
            "have the module at all. Layer 0 is next to the input."
        }
        @if let Some(surrogate) = &view.status.surrogate {
            p {
                "Latest fit: " (visible(&surrogate.method)) ", "
                (text::counted(surrogate.divergences as usize, "divergence"))
                @if let Some(value) = surrogate.max_r_hat { ", largest R-hat " (significant(value.get())) }
                @if let Some(value) = surrogate.min_effective_samples {
                    ", smallest effective sample size " (significant(value.get()))
                }
                "."
                @if let Some(reason) = &surrogate.reason { " " (visible(reason)) }
            }
        }
        div.wide {
            table {
                thead {
                    tr {
                        th { "Dimension" }
                        th { "Relevance" }
                        th.number { }
                        th { "Used on the front" }
                        th.number { }
                    }
                }
                tbody {
                    @for dimension in &dimensions {
                        tr {
                            td { (visible(&dimension.name)) }
                            td { (bar(dimension.relevance.map(|value| value / most), false)) }
                            td.number { (dimension.relevance.map_or_else(|| DASH.into(), significant)) }
                            td { (bar(dimension.used, true)) }
                            td.number {
                                (dimension.used.map_or_else(|| DASH.into(), |share| format!("{:.0} %", 100.0 * share)))
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A bar of the given share of its full length; none without a share.
fn bar(share: Option<f64>, front: bool) -> Markup {
    let percent = share.filter(|share| share.is_finite());
    html! {
        @if let Some(share) = percent {
            span.bar { i.front[front] style=(format!("width:{:.1}%", 100.0 * share.clamp(0.0, 1.0))) { } }
        }
    }
}

/// Every trial, in the order of the ledger.
pub(super) fn trials(view: &View<'_>) -> Markup {
    html! {
        @if view.status.ledger.is_empty() {
            p { "Nothing has been planned yet." }
        } @else {
            div.wide {
                table {
                    thead {
                        tr {
                            th.number { "Trial" }
                            th { "State" }
                            th { "Origin" }
                            (configuration_head(view))
                            (measured_head(view))
                            th.number { "Predicted" }
                            th.number { "Seconds" }
                            th { "Reason" }
                        }
                    }
                    tbody {
                        @for entry in &view.status.ledger {
                            tr.front[view.is_on_front(entry.trial)] {
                                td.number { (entry.trial) }
                                td { (csv::word(&entry.state)) }
                                td {
                                    (csv::word(&entry.origin))
                                    @if let Some(name) = entry.baseline { ": " (name.facts().title) }
                                    @if let Some(trial) = entry.of_trial { " of trial " (trial) }
                                    @if let Some(task) = other_task(view.status, entry) { " to " (visible(&task)) }
                                }
                                (configuration_cells(view, &entry.trained_configuration()))
                                (measured_cells(view, entry.parameters, view.percent(entry.parameters), (entry.score, &entry.metrics)))
                                td.number {
                                    @if let Some(mean) = entry.predicted_mean {
                                        (score(mean.get()))
                                        @if let Some(deviation) = entry.predicted_deviation {
                                            " ± " (score(deviation.get()))
                                        }
                                    }
                                }
                                td.number { @if let Some(seconds) = entry.train_seconds { (significant(seconds.get())) } }
                                td.message {
                                    @if let Some(stop) = &entry.stopped_early { "stopped early: " (csv::word(stop)) }
                                    @if let Some(reason) = &entry.reason { (csv::word(reason)) }
                                    @if let Some(message) = &entry.message { ": " (visible(message)) }
                                }
                            }
                        }
                    }
                    caption { "Highlighted rows are on the front." }
                }
            }
            details {
                summary { "The columns of trials.csv" }
                dl { @for (name, meaning) in csv::columns() { dt { (name) } dd { (meaning) } } }
            }
        }
    }
}
