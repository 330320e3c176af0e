//! Requests to the API server, events, and errors of watches.

pub mod api;
pub mod connection;
pub mod recorder;
pub mod watches;
