//! Numbers and texts as people read them.

use autopeft_crds::Decimal;
use autopeft_crds::spec::BaselineName;

/// A count with a comma every three digits: `109,482,240`.
pub(super) fn thousands(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Three significant digits without an exponent: `0.0271`, `2.71`, `100`.
pub(super) fn significant(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return value.to_string();
    }
    let exponent = value.abs().log10().floor().clamp(-12.0, 2.0);
    format!("{value:.0$}", (2.0 - exponent) as usize)
}

/// A score in its natural unit: four decimals.
pub(super) fn score(value: f64) -> String {
    if value.abs() < 1e6 {
        format!("{value:.4}")
    } else {
        format!("{value:.3e}")
    }
}

/// A score, or a dash.
pub(super) fn optional_score(value: Option<Decimal>) -> String {
    value.map_or_else(|| DASH.into(), |value| score(value.get()))
}

/// The mean over the seeds with its deviation: `0.7123 ± 0.0100`.
pub(super) fn spread(mean: Option<Decimal>, deviation: Option<Decimal>) -> String {
    let mean = optional_score(mean);
    match deviation {
        Some(deviation) => format!("{mean} ± {}", score(deviation.get())),
        None => mean,
    }
}

/// What was trained, in a few words.
pub(super) fn title(trial: Option<u32>, baseline: Option<BaselineName>) -> String {
    match (trial, baseline) {
        (Some(trial), _) => format!("trial {trial}"),
        (None, Some(name)) => format!("the baseline {}", name.facts().title),
        (None, None) => DASH.to_owned(),
    }
}

/// Stands for a missing value.
pub(super) const DASH: &str = "–";

/// A text of one line for a figure: control characters become spaces, and what is past `most`
/// characters is cut off with an ellipsis.
pub(super) fn line(text: &str, most: usize) -> String {
    let mut cleaned: String = text.chars().take(most).map(visible_character).collect();
    if text.chars().count() > most {
        cleaned.pop();
        cleaned.push('…');
    }
    cleaned
}

/// A text from outside without the characters that no document may hold.
pub(super) fn visible(text: &str) -> String {
    text.chars().map(visible_character).collect()
}

/// A character that XML and HTML allow everywhere.
pub(super) fn visible_character(character: char) -> char {
    match character {
        control if control.is_control() => ' ',
        '\u{fffe}' | '\u{ffff}' => ' ',
        other => other,
    }
}

/// `1 trial`, `2 trials`.
pub(super) fn counted(count: usize, noun: &str) -> String {
    if count == 1 {
        format!("1 {noun}")
    } else {
        format!("{} {noun}s", thousands(count as u64))
    }
}
