//! What is created in the cluster: Jobs with their pods and volumes, and what they are called. No client, no I/O.

pub mod job;
pub mod names;
pub mod pod;
pub mod volumes;
