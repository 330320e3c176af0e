//! The operator as a process against a real API server with its controller manager; the tests simulate the kubelet.
//! One API server serves the whole program: each test has namespaces of its own, and a test that breaks a server or watches
//! all namespaces has a server of its own (`Cluster::up_as`). Rows are those of the fault table in
//! docs/faults.md.

mod admission;
mod backup;
mod endings;
mod faults;
mod isolation;
mod limits;
mod monitoring;
mod operator;
mod policy;
mod promotion;
mod refusals;
mod release;
mod shown;
mod tampering;
mod transfer;
mod transitions;
mod upgrades;
