//! The trainer: one PEFT configuration of a pretrained encoder, trained and validated on one task.
//!
//! It does not depend on the search or on Kubernetes.

pub mod adapter;
pub mod backbone;
pub mod cli;
pub mod data;
pub mod device;
pub mod encoder;
pub mod files;
pub mod fingerprint;
pub mod head;
pub mod hub;
pub mod inspect;
pub mod interchange;
pub mod model;
pub mod nn;
pub mod peft;
pub mod reason;
pub mod result;
pub mod task;
pub mod tensor_file;
pub mod tokenize;
pub mod train;
pub mod trial;
