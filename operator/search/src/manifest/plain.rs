//! What an unquoted YAML word means to `kubectl`: the rules of sigs.k8s.io/yaml (go-yaml 2), by which kubectl
//! turns a manifest into JSON.

use serde_json::Number;

/// What a word without quotes is read as.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Plain {
    /// `~`, `null`, or nothing at all.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A truth value in YAML 1.1, which kubectl reads, and text in YAML 1.2: `yes`, `off`, `n`.
    YesNo(bool),
    /// A number that JSON can hold.
    Number(Number),
    /// `.inf` or `.nan`.
    NotFinite,
    /// Text.
    Text,
}

/// What `word` is read as.
pub(super) fn meaning(word: &str) -> Plain {
    match word {
        "" | "~" | "null" | "Null" | "NULL" => return Plain::Null,
        "true" | "True" | "TRUE" => return Plain::Bool(true),
        "false" | "False" | "FALSE" => return Plain::Bool(false),
        "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => return Plain::YesNo(true),
        "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => return Plain::YesNo(false),
        _ => {}
    }
    let unsigned = word.strip_prefix(['+', '-']).unwrap_or(word);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(word, ".nan" | ".NaN" | ".NAN") {
        return Plain::NotFinite;
    }
    if !word.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
        return Plain::Text;
    }
    // Digits may be grouped, as in 1_000; after a leading point only between digits.
    let badly = ["._", "__"].iter().any(|part| word.contains(part)) || word.ends_with('_');
    if word.starts_with('.') && badly {
        return Plain::Text;
    }
    let digits = word.replace('_', "");
    match whole(&digits).or_else(|| real(&digits)) {
        Some(number) => Plain::Number(number),
        None => Plain::Text,
    }
}

/// A whole number: decimal, or with a base in front: `0x10`, `0b11`, `0o17`, and `017`, which is octal too.
fn whole(text: &str) -> Option<Number> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (base, digits) = match unsigned.get(..2) {
        Some("0x" | "0X") => (16, &unsigned[2..]),
        Some("0b" | "0B") => (2, &unsigned[2..]),
        Some("0o" | "0O") => (8, &unsigned[2..]),
        Some(start) if start.starts_with('0') => (8, &unsigned[1..]),
        _ => (10, unsigned),
    };
    if !digits.chars().all(|digit| digit.is_digit(base)) {
        return None;
    }
    let size = u64::from_str_radix(digits, base).ok()?;
    match text.as_bytes().first() {
        Some(b'-') => i64::try_from(-i128::from(size)).ok().map(Number::from),
        Some(b'+') => i64::try_from(size).ok().map(Number::from),
        _ => Some(Number::from(size)),
    }
}

/// A number with a point or an exponent; none where it is too large for a double.
fn real(text: &str) -> Option<Number> {
    let is_part = |c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.' | 'e' | 'E');
    if !text.chars().all(is_part) {
        return None;
    }
    Number::from_f64(text.parse().ok()?)
}
