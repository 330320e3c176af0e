//! The state of a search's runs, from its Jobs and pods.

pub mod inspection;
pub mod messages;
pub mod observe;
pub mod outcome;
pub mod pod;
pub mod waiting;
