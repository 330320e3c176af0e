//! How a status keeps its ledger: one text an entry, compact JSON. `kubectl describe` shows a line a trial, and an
//! older API server's schema takes nothing away from a text.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde::de::{DeserializeOwned, Error as _};
use serde::ser::{Error as _, SerializeSeq};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

/// Writes each entry as text.
pub fn serialize<T: Serialize, S: Serializer>(
    entries: &[T],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut lines = serializer.serialize_seq(Some(entries.len()))?;
    for entry in entries {
        lines.serialize_element(&serde_json::to_string(entry).map_err(S::Error::custom)?)?;
    }
    lines.end()
}

/// Reads entries that are texts or, of 0.1.0, objects.
pub fn deserialize<'de, T: DeserializeOwned, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    let stored = Vec::<Value>::deserialize(deserializer)?;
    let entries = stored.into_iter().enumerate().map(|(index, stored)| {
        let entry = match stored {
            Value::String(line) => serde_json::from_str(&line),
            object => serde_json::from_value(object),
        };
        entry.map_err(|error| D::Error::custom(format!("entry {index} of the ledger: {error}")))
    });
    entries.collect()
}

/// The schema of the list. Entries have no type there: those of 0.1.0 are objects.
pub fn schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "items": {"x-kubernetes-preserve-unknown-fields": true},
        "x-kubernetes-list-type": "atomic",
    })
}
