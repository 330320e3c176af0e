//! The planner against a world in memory: scenarios that read as transcripts, and a simulator that
//! crashes at every point.

mod bad_input;
mod golden;
mod limits;
mod measures;
mod promotion;
mod retries;
mod scenarios;
mod simulator;
mod transfer;
mod world;
