//! The shell for one machine: carries out plans with child processes and keeps the ledger in a journal.

pub mod files;
pub mod journal;
pub mod manifest;
pub mod outputs;
pub mod progress;
pub mod runs;
pub mod search;
pub mod setup;
pub mod sources;
pub mod trainer;
