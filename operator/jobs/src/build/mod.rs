//! Jobs with their pods and volumes, and their names. No client, no I/O.

pub mod job;
pub mod names;
pub mod pod;
pub mod volumes;
