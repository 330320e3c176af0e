//! What needs neither a cluster nor training: the walls between the rooms, the generated files, the chart as
//! Helm renders it.

mod chart;
mod generated;
mod needs;
mod release;
mod structure;
mod walls;
