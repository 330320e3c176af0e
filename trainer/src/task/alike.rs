//! Warns of class names that look the same, and lists inferred classes.

use std::collections::BTreeMap;
use std::path::Path;

use tokenizers::NormalizedString;

use crate::data::shortened;

/// The most classes that a note lists.
const LISTED: usize = 12;

/// Whole floats below this are all exact: 2^53.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Notes on the classes inferred from a training file, given with their numbers of examples: a list of them, and which
/// of them look the same.
pub(super) fn notes(
    classes: &[String],
    counts: &BTreeMap<String, usize>,
    path: &Path,
    column: &str,
) -> Vec<String> {
    let counted = |name: &String| {
        let count = counts.get(name).copied().unwrap_or(0);
        format!("{:?} ({count})", shortened(name))
    };
    let place = format!("{}, field {column:?}", path.display());
    let rest = match classes.len().saturating_sub(LISTED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let listed: Vec<String> = classes.iter().take(LISTED).map(counted).collect();
    let mut notes = vec![format!(
        "{place}: {} classes were found, with their numbers of examples: {}{rest}",
        classes.len(),
        listed.join(", ")
    )];
    notes.extend(groups(classes).into_iter().map(|group| {
        let names: Vec<String> = group.into_iter().map(counted).collect();
        format!(
            "warning: {place}: the classes {} differ only in space, case, or the form of a number or of letters; if they are one class, spell it in one way",
            names.join(" and ")
        )
    }));
    notes
}

/// A listed name that looks like another one, if there is one.
pub(super) fn twin<'a>(name: &str, classes: &'a [String]) -> Option<&'a String> {
    let wanted = likeness(name);
    classes.iter().find(|class| likeness(class) == wanted)
}

/// Groups of classes that look alike.
pub(super) fn groups(classes: &[String]) -> Vec<Vec<&String>> {
    let mut groups: BTreeMap<String, Vec<&String>> = BTreeMap::new();
    for class in classes {
        groups.entry(likeness(class)).or_default().push(class);
    }
    groups
        .into_values()
        .filter(|group| group.len() > 1)
        .collect()
}

/// A name normalised in whitespace, case, number form and Unicode form.
fn likeness(name: &str) -> String {
    let mut normalized = NormalizedString::from(name);
    normalized.nfkc();
    let visible: String = normalized
        .get()
        .chars()
        .filter(|letter| !is_invisible(*letter))
        .collect();
    let words: Vec<&str> = visible.split_whitespace().collect();
    let text = words.join(" ").to_lowercase();
    match (text.parse::<i128>(), text.parse::<f64>()) {
        (Ok(whole), _) => whole.to_string(),
        (_, Ok(number)) if number.fract() == 0.0 && number.abs() < EXACT => {
            (number as i128).to_string()
        }
        (_, Ok(number)) if number.is_finite() => number.to_string(),
        _ => text,
    }
}

/// Zero-width spaces and joiners, the soft hyphen and the byte order mark.
fn is_invisible(letter: char) -> bool {
    matches!(
        letter,
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alike(names: &[&str]) -> usize {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        groups(&names).iter().map(Vec::len).sum()
    }

    #[test]
    fn names_that_look_alike_are_grouped() {
        for names in [
            ["positive", "positive "],
            ["positive", "Positive"],
            ["a b", "a\u{a0}b"],
            ["a b", "a  b"],
            ["a", "\u{feff}a"],
            ["a", "a\u{200b}"],
            ["1", "1.0"],
            ["1", "01"],
            ["1", "+1"],
            ["0", "-0"],
            ["1000", "1e3"],
            ["0.5", ".50"],
            ["caf\u{e9}", "cafe\u{301}"],
            ["1", "\u{ff11}"],
            ["True", "true"],
        ] {
            assert_eq!(alike(&names), 2, "{names:?}");
        }
        for names in [
            ["1", "2"],
            ["a", "b"],
            ["ab", "a b"],
            ["18446744073709551615", "18446744073709551614"],
            ["cafe", "caf\u{e9}"],
            ["inf", "nan"],
        ] {
            assert_eq!(alike(&names), 0, "{names:?}");
        }
    }
}
