//! The operator as a process against a real API server with its controller manager; the tests play the kubelet.
//! One API server serves the whole program: each test has namespaces of its own, and what breaks a server or looks
//! at all namespaces has a server of its own (`Cluster::up_as`). Rows are those of the fault table in
//! docs/faults.md.

mod admission;
mod backup;
mod endings;
mod faults;
mod isolation;
mod limits;
mod meddling;
mod monitoring;
mod operator;
mod policy;
mod refusals;
mod release;
mod shown;
mod transitions;
mod upgrades;
