//! Support for tests of several crates together. `generated` writes the files that are derived from the types.

pub mod accounts;
pub mod api_load;
pub mod audit;
pub mod audit_log;
pub mod cluster;
pub mod etcd;
pub mod generated;
pub mod helm;
pub mod imports;
pub mod kubelet;
pub mod node;
pub mod plans;
pub mod programs;
pub mod proxy;
pub mod searches;
pub mod sources;
pub mod stage;
pub mod supervisor;
