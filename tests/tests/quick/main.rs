//! Tests without a cluster or training: the boundaries between crates and folders, the generated files, the chart as
//! Helm renders it.

mod chart;
mod generated;
mod needs;
mod release;
mod structure;
mod walls;
