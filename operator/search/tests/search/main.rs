//! The rules of a search: what a manifest says, what is planned, what is reported.

mod compare;
mod estimate;
mod manifest;
mod object;
mod planner;
mod promoted;
mod report;
mod rules;
