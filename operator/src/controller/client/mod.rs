//! Everything that talks to the API server on behalf of a step: calls, events, and whether the watches may watch.

pub mod api;
pub mod connection;
pub mod recorder;
pub mod watches;
