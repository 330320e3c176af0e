//! What a search's Jobs, pods and status amount to. No client, no I/O, no clock.

pub mod observe;
pub mod outcome;
pub mod restore;
pub mod words;
