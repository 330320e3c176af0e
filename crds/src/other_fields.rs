//! Fields written by other versions.

use std::collections::BTreeMap;

use serde_json::Value;

/// Fields that another version has written and this one does not know. They are preserved through upgrades
/// and rollbacks.
pub type OtherFields = BTreeMap<String, Value>;
