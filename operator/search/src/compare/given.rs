//! What a comparison is given, and why it may be refused.

use autopeft_crds::PeftSearch;
use autopeft_crds::space::SpaceError;

/// A search as it was given to the command.
#[derive(Clone, Debug, PartialEq)]
pub struct Given {
    /// How it was named: a directory, or an object of a cluster.
    pub origin: String,
    /// The search.
    pub search: PeftSearch,
}

/// Why searches cannot be compared.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CompareError {
    /// Nothing was given.
    #[error("name at least one search")]
    Nothing,
    /// One search was given twice.
    #[error("{0} and {1} are the same search; name each search once")]
    Twice(String, String),
    /// Nothing can be shown yet.
    #[error("{0}: no trial has a score yet; compare the search once one has, or leave it out")]
    NoTrial(String),
    /// Percentages are of the backbone's parameters.
    #[error("{0}: its inspection says that the model has no parameters")]
    NoBackbone(String),
    /// The spec does not fit its own inspection.
    #[error("{0}: {1}")]
    Space(String, SpaceError),
}
