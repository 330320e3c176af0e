//! What another version of this program has written down.

use std::collections::BTreeMap;

use serde_json::Value;

/// Fields that another version of this program has written and this one does not know. A status is
/// read after an upgrade and after a rollback, and what was recorded never changes: such fields are
/// carried along.
pub type OtherFields = BTreeMap<String, Value>;
