//! The API types: configurations, spaces, specs, statuses and the wire, against what the docs promise.

mod bad_inputs;
mod configuration;
mod result;
mod space;
mod status;
mod validate;
