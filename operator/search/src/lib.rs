//! The state of a search and the decisions about it, shared by both shells: functions over plain data.
//!
//! A shell reads, writes and waits; what it writes and what it waits for is decided here. There is no client,
//! no file, no task and no clock in this crate: the time is an argument.

pub mod ask;
pub mod backoff;
pub mod changes;
pub mod compare;
pub mod deadlines;
pub mod estimate;
pub mod feasible;
pub mod gauges;
pub mod health;
pub mod history;
pub mod inspection;
pub mod ledger;
pub mod locations;
pub mod log;
pub mod manifest;
pub mod measures;
pub mod memory;
pub mod needs;
pub mod notices;
pub mod object;
pub mod patience;

pub mod planner;
pub mod processes;
pub mod promoted;
pub mod promotion;
pub mod replay;
pub mod report;
pub mod request;
pub mod resume;
pub mod retries;
pub mod status;

pub mod transferred;
pub mod trouble;
