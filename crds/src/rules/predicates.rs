//! What is wrong with a value, rule by rule. Values of the wrong type pass here: the schema reports them.

use super::of_tasks::score_metric;
use super::problem::{Problem, Seen, count, decimal, is_given, problem, text};
use kube_quantity::ParsedQuantity;
use serde_json::Value;

use crate::limits::{self, Real};

pub(super) fn one_source(seen: &Seen<'_>) -> Vec<Problem> {
    let given: Vec<&str> = ["path", "claim", "image", "hub"]
        .into_iter()
        .filter(|name| is_given(&seen.value[*name]))
        .collect();
    problem(given.len() != 1, "", || {
        if given.is_empty() {
            "it names no location of the files".into()
        } else {
            format!("{} are given together", given.join(" and "))
        }
    })
}

pub(super) fn stays_inside(seen: &Seen<'_>) -> Vec<Problem> {
    let path = text(seen.value);
    let leaves = path.starts_with('/') || path.split('/').any(|part| part == "..");
    problem(leaves, "", || {
        format!("{path:?} leads out of its directory")
    })
}

pub(super) fn mask_or_sizes(seen: &Seen<'_>) -> Vec<Problem> {
    let name = text(&seen.value["name"]);
    if name == "layers" {
        problem(is_given(&seen.value["sizes"]), ".sizes", || {
            "the layers dimension has no sizes: use mask".into()
        })
    } else {
        problem(is_given(&seen.value["mask"]), ".mask", || {
            format!("{name} has no mask: use sizes")
        })
    }
}

pub(super) fn ascending(seen: &Seen<'_>) -> Vec<Problem> {
    let sizes: Vec<u64> = seen
        .value
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(count)
        .collect();
    let falls = sizes
        .windows(2)
        .enumerate()
        .filter(|(_, pair)| pair[0] > pair[1]);
    falls
        .map(|(index, pair)| Problem {
            below: format!("[{}]", index + 1),
            problem: format!("{} follows {}", pair[1], pair[0]),
            remedy: None,
        })
        .collect()
}

pub(super) fn bound(seen: &Seen<'_>) -> Vec<Problem> {
    coordinate(seen, "bound")
}

pub(super) fn reference(seen: &Seen<'_>) -> Vec<Problem> {
    coordinate(seen, "reference")
}

/// A score must be in the range of the task's metric, which CEL cannot see from there.
fn coordinate(seen: &Seen<'_>, part: &str) -> Vec<Problem> {
    let Some(value) = decimal(&seen.value[part]) else {
        return Vec::new();
    };
    let (range, words) = match text(&seen.value["name"]) {
        "score" => {
            let Some(metric) = score_metric(&seen.spec["task"]) else {
                return Vec::new();
            };
            let (least, most) = (*metric.range().start(), *metric.range().end());
            let words = format!("from {least} to {most}, the range of {}", metric.label());
            (metric.range(), words)
        }
        "trainableParameters" => {
            let percent = limits::PARAMETERS_PERCENT;
            let words = format!("{percent}, in percent of the backbone's parameters");
            (percent.least..=percent.most, words)
        }
        _ => return Vec::new(),
    };
    if range.contains(&value.get()) {
        return Vec::new();
    }
    vec![Problem {
        below: format!(".{part}"),
        problem: format!("{value} is out of range"),
        remedy: Some(format!("write a number {words}")),
    }]
}

pub(super) fn both_references(seen: &Seen<'_>) -> Vec<Problem> {
    let objectives = seen.value.as_array().into_iter().flatten();
    let referred = objectives.filter(|objective| is_given(&objective["reference"]));
    problem(referred.count() == 1, "", || {
        "only one objective has a reference".into()
    })
}

pub(super) fn draws_fit(seen: &Seen<'_>) -> Vec<Problem> {
    let nuts = &seen.value["nuts"];
    let (Some(samples), Some(thinning), Some(draws)) = (
        count(&nuts["samples"]),
        count(&nuts["thinning"]),
        count(&seen.value["acquisition"]["monteCarloSamples"]),
    ) else {
        return Vec::new();
    };
    let kept = samples / thinning.max(1);
    let draws = kept.saturating_mul(draws);
    let is_wrong = draws > limits::FRONT_DRAWS;
    problem(is_wrong, ".acquisition.monteCarloSamples", || {
        format!("{kept} kept samples of nuts make {draws} draws of the front")
    })
}

/// Steps after warm-up, and the thinning.
fn samples_and_thinning(seen: &Seen<'_>) -> Option<(u64, u64)> {
    Some((
        count(&seen.value["samples"])?,
        count(&seen.value["thinning"])?,
    ))
}

pub(super) fn a_sample_is_kept(seen: &Seen<'_>) -> Vec<Problem> {
    let Some((samples, thinning)) = samples_and_thinning(seen) else {
        return Vec::new();
    };
    problem(thinning > samples, ".thinning", || {
        format!("{thinning} is more than samples, {samples}")
    })
}

pub(super) fn few_samples_are_kept(seen: &Seen<'_>) -> Vec<Problem> {
    let Some((samples, thinning)) = samples_and_thinning(seen) else {
        return Vec::new();
    };
    let is_wrong = samples > limits::KEPT_SAMPLES.saturating_mul(thinning);
    problem(is_wrong, ".thinning", || {
        format!("of {samples} samples, one in {thinning} is kept")
    })
}

pub(super) fn in_range(value: &Value, range: Real) -> Vec<Problem> {
    let found = decimal(value).filter(|found| !range.contains(found.get()));
    problem(found.is_some(), "", || {
        format!("{} is out of range", text(value))
    })
}

/// "0", "0.0" and "0m" all are none; the schema reports what is no quantity.
pub(super) fn some_core(seen: &Seen<'_>) -> Vec<Problem> {
    let cpu = text(seen.value);
    let is_none = cpu.starts_with('0') && !cpu.contains(|c| matches!(c, '1'..='9'));
    problem(is_none, "", || format!("{cpu:?} is not above 0"))
}

/// A quantity of at least `least` MiB.
pub(super) fn at_least(value: &Value, least: u32) -> Vec<Problem> {
    let quantity = text(value);
    let parsed = ParsedQuantity::try_from(quantity).ok();
    let Some(bytes) = parsed.and_then(|parsed| parsed.to_bytes_f64()) else {
        return Vec::new();
    };
    if bytes >= f64::from(least) * 1_048_576.0 {
        return Vec::new();
    }
    // With a unit only a whole number above 0 is a quantity of this field.
    let is_whole =
        quantity.parse::<u64>().is_ok() && quantity.starts_with(|c| matches!(c, '1'..='9'));
    let remedy = if is_whole && bytes < 1024.0 {
        format!("a number without a unit is bytes: did you mean {quantity}Gi?")
    } else {
        format!("give at least {least}Mi")
    };
    vec![Problem {
        below: String::new(),
        problem: format!("{quantity:?} is too little for a trainer"),
        remedy: Some(remedy),
    }]
}

pub(super) fn no_system_class(seen: &Seen<'_>) -> Vec<Problem> {
    let class = text(seen.value);
    problem(class.starts_with("system-"), "", || {
        format!("{class:?} is a system priority class")
    })
}

pub(super) fn one_taint(seen: &Seen<'_>) -> Vec<Problem> {
    let is_named = !text(&seen.value["key"]).is_empty();
    problem(!is_named, ".key", || "it names no taint".into())
}

pub(super) fn no_value_of_any(seen: &Seen<'_>) -> Vec<Problem> {
    let is_any = text(&seen.value["operator"]) == "Exists";
    problem(is_any && is_given(&seen.value["value"]), ".value", || {
        "operator Exists takes no value".into()
    })
}

pub(super) fn seconds_until_eviction(seen: &Seen<'_>) -> Vec<Problem> {
    let evicts = text(&seen.value["effect"]) == "NoExecute";
    let seconds = &seen.value["tolerationSeconds"];
    problem(is_given(seconds) && !evicts, ".tolerationSeconds", || {
        "only the effect NoExecute evicts".into()
    })
}

pub(super) fn parallelism_is_used(seen: &Seen<'_>) -> Vec<Problem> {
    let of = |field: &str| count(&seen.value[field]).unwrap_or(0);
    let (parallelism, most) = (of("parallelism"), of("maxTrials"));
    problem(most > 0 && parallelism > most, ".parallelism", || {
        format!("{parallelism} is more than maxTrials, {most}")
    })
}

#[cfg(test)]
pub(super) fn in_tests(value: &Value) -> Vec<Problem> {
    problem(count(value) == Some(333), "", || "333 is the tests'".into())
}
