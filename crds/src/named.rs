//! Enumerations written by the names in a table of facts: JSON, schema and command line read the same rows.

use schemars::Schema;
use serde::de::Error;

/// An enumeration whose values have names in manifests.
pub trait Named: Copy + Sized + 'static {
    /// Every value, in the order in which they are listed.
    const ALL: &'static [Self];

    /// The value's name.
    fn as_str(self) -> &'static str;

    /// The value with this name.
    fn from_name(text: &str) -> Option<Self> {
        let mut all = Self::ALL.iter().copied();
        all.find(|value| value.as_str() == text)
    }

    /// The names, in the order of `ALL`.
    fn names() -> Vec<&'static str> {
        Self::ALL.iter().map(|value| value.as_str()).collect()
    }
}

/// The value with this name, or the error of a derived `Deserialize`.
pub(crate) fn read<T: Named, E: Error>(text: &str) -> Result<T, E> {
    T::from_name(text).ok_or_else(|| {
        let known: Vec<String> = T::names().iter().map(|word| format!("`{word}`")).collect();
        E::custom(format_args!(
            "unknown variant `{text}`, expected one of {}",
            known.join(", ")
        ))
    })
}

/// The schema: the names.
pub(crate) fn schema<T: Named>() -> Schema {
    schemars::json_schema!({"type": "string", "enum": T::names()})
}

/// `Serialize`, `Deserialize` and `JsonSchema` of a `Named` type.
macro_rules! written_by_name {
    ($name:ident) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str($crate::named::Named::as_str(*self))
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                $crate::named::read(&text)
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                $crate::named::schema::<$name>()
            }
        }
    };
}

pub(crate) use written_by_name;
