//! What needs several rooms at once. `generated` makes the files that follow from the types; the
//! tests hold the walls between the rooms and run whole searches.

pub mod accounts;
pub mod audit;
pub mod audit_log;
pub mod calm;
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
pub mod sparing;
pub mod supervisor;
