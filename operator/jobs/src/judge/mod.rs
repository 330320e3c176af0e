//! What a search's Jobs and pods amount to.

pub mod inspection;
pub mod messages;
pub mod observe;
pub mod outcome;
pub mod pod;
pub mod waiting;
