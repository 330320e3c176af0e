//! The document that ends an inspection: what the trainer found, or why it refuses.

use serde::{Deserialize, Serialize};

use crate::trial::{Inspection, RESULT_MAX_BYTES, RESULT_VERSION, ResultError};

/// The one document that ends an inspection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InspectionResult {
    /// `RESULT_VERSION`.
    pub version: u32,
    /// The UID of the search.
    pub search_uid: String,
    /// What came out.
    pub outcome: InspectionOutcome,
}

/// What came out of an inspection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(
    rename_all = "camelCase",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
pub enum InspectionOutcome {
    /// Model and data can be used.
    Found(Inspection),
    /// They cannot.
    Refused {
        /// Why, in one sentence.
        message: String,
    },
}

/// Reads an inspection's document and checks whose it is.
pub fn parse_inspection(bytes: &[u8], search_uid: &str) -> Result<InspectionResult, ResultError> {
    if bytes.is_empty() {
        return Err(ResultError::Empty);
    }
    if bytes.len() > RESULT_MAX_BYTES {
        return Err(ResultError::TooLarge(bytes.len()));
    }
    let result: InspectionResult =
        serde_json::from_slice(bytes).map_err(|error| ResultError::Malformed(error.to_string()))?;
    let mismatch = |field, found: String, expected: String| ResultError::Mismatch {
        field,
        found: found.chars().take(80).collect(),
        expected,
    };
    if result.version != RESULT_VERSION {
        let (found, expected) = (result.version.to_string(), RESULT_VERSION.to_string());
        return Err(mismatch("version", found, expected));
    }
    if result.search_uid != search_uid {
        return Err(mismatch("searchUid", result.search_uid, search_uid.into()));
    }
    if let InspectionOutcome::Found(found) = &result.outcome {
        let sizes = [
            ("layers", u64::from(found.layers)),
            ("hiddenSize", u64::from(found.hidden_size)),
            ("backboneParameters", found.backbone_parameters),
        ];
        if let Some((field, _)) = sizes.into_iter().find(|(_, size)| *size == 0) {
            return Err(ResultError::Impossible {
                field,
                found: "0".into(),
            });
        }
    }
    Ok(result)
}
