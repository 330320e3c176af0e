//! A search on one machine: the thin shell that carries a plan out with child processes and keeps
//! the ledger in a journal. All I/O of `peft-operator run` is in this module and in `journal`.

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
