//! The document that ends an inspection: what the trainer found, or why model or data cannot be used.

use serde::{Deserialize, Serialize};

use crate::trial::{
    ConstantScore, Inspection, RESULT_VERSION, ResultError, check_score, read_document, same,
};

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
    /// They are missing or cannot be read now; this may change.
    Unavailable {
        /// What is missing, in one sentence.
        message: String,
    },
}

/// Reads an inspection's document and checks that it belongs to the search.
pub fn parse_inspection(bytes: &[u8], search_uid: &str) -> Result<InspectionResult, ResultError> {
    let result: InspectionResult = read_document(bytes)?;
    let (found, expected) = (result.version.to_string(), RESULT_VERSION.to_string());
    same("version", found, expected)?;
    same("searchUid", result.search_uid.clone(), search_uid.into())?;
    if let InspectionOutcome::Found(found) = &result.outcome {
        if let Some(field) = found.other.keys().next() {
            return Err(ResultError::Malformed(format!("unknown field `{field}`")));
        }
        if found.spec_hash.is_some() {
            let field = "specHash".to_owned();
            return Err(ResultError::Malformed(format!("unknown field `{field}`")));
        }
        if let Some(ConstantScore { metric, score }) = &found.constant_score {
            check_score("constantScore", score.get(), *metric)?;
        }
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
