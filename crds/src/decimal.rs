//! Finite numbers that travel as strings: the Kubernetes API keeps floats out of its objects.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A finite number written as a decimal string, such as `"0.0001"` or `"1e-4"`. Printing and
/// reading back gives the same bits.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Decimal(f64);

/// The pattern of a decimal string: no hexadecimal, no infinity, no comma.
pub const DECIMAL_PATTERN: &str = r"^-?[0-9]{1,20}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?$";

/// The longest decimal string that is read.
pub const DECIMAL_MAX_LENGTH: usize = 64;

/// Why a text or a number is not a `Decimal`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a decimal number such as \"0.0001\" or \"1e-4\"")]
pub struct DecimalError(String);

impl Decimal {
    /// A finite number; NaN and the infinities are refused. Negative zero becomes zero.
    pub fn new(value: f64) -> Result<Self, DecimalError> {
        if value.is_finite() {
            Ok(Self(value + 0.0))
        } else {
            Err(DecimalError(value.to_string()))
        }
    }

    /// The number.
    pub fn get(self) -> f64 {
        self.0
    }

    /// The number with six significant digits, for people.
    #[must_use]
    pub fn rounded(self) -> Self {
        // If rounding overflows, the number stays as it is.
        format!("{:.5e}", self.0).parse().unwrap_or(self)
    }
}

impl FromStr for Decimal {
    type Err = DecimalError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = || DecimalError(text.chars().take(DECIMAL_MAX_LENGTH).collect());
        let shaped = text
            .strip_prefix('-')
            .unwrap_or(text)
            .starts_with(|first: char| first.is_ascii_digit())
            && text
                .chars()
                .all(|c| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-'))
            && !text.ends_with('.')
            && !text.contains(".e")
            && !text.contains(".E");
        if !shaped || text.len() > DECIMAL_MAX_LENGTH {
            return Err(refused());
        }
        let value: f64 = text.parse().map_err(|_| refused())?;
        Self::new(value).map_err(|_| refused())
    }
}

impl TryFrom<String> for Decimal {
    type Error = DecimalError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Decimal> for String {
    fn from(decimal: Decimal) -> Self {
        decimal.to_string()
    }
}

/// The shortest text that reads back to the same bits; scientific outside 1e-7 … 1e16.
impl fmt::Display for Decimal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let magnitude = self.0.abs();
        if magnitude != 0.0 && !(1e-7..1e16).contains(&magnitude) {
            write!(formatter, "{:e}", self.0)
        } else {
            write!(formatter, "{}", self.0)
        }
    }
}

impl JsonSchema for Decimal {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Decimal".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": DECIMAL_PATTERN,
            "maxLength": DECIMAL_MAX_LENGTH,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_not_a_finite_decimal_number_is_refused() {
        for text in [
            "", "-", "NaN", "inf", "Infinity", "0x10", "1,5", "1e400", "1.", ".5", "1.e3", " 1",
            "1 ", "+1", "1e", "--1", "1_000",
        ] {
            assert!(text.parse::<Decimal>().is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn six_digits_are_left() {
        for (number, rounded) in [
            ("0.24919778908901516", "0.249198"),
            ("-0.00012345678", "-0.000123457"),
            ("0", "0"),
            ("1", "1"),
            ("123456789", "123457000"),
            ("1.7976931348623157e308", "1.79769e308"),
        ] {
            let number: Decimal = number.parse().expect("a number");
            assert_eq!(number.rounded().to_string(), rounded);
        }
    }

    proptest! {
        #[test]
        fn printing_and_reading_back_gives_the_same_bits(value in proptest::num::f64::NORMAL | proptest::num::f64::ZERO) {
            let decimal = Decimal::new(value).expect("finite");
            let back: Decimal = decimal.to_string().parse().expect("its own text");
            prop_assert_eq!(back.get().to_bits(), (value + 0.0).to_bits());
        }
    }
}
