//! The tests of the trainer, in one program: they link libtorch once.
//!
//! libtorch has one random generator a process. A test whose outcome depends on what is drawn holds
//! `common::alone`, one that draws and does not depend on it `common::among_others`.

mod adapter;
mod baselines;
mod by_hand;
mod command;
mod common;
mod data;
mod evaluate;
mod evaluation;
mod extended;
mod fidelity;
mod gpu;
mod guards;
mod hub;
mod inputs;
mod interchange;
mod kinds;
mod kinds_in_parquet;
mod metrics;
mod modules;
mod parity;
mod parquet;
mod references;
mod replay;
mod runs;
mod seeds;
mod terminate;
mod tokenize;
mod trained_kinds;
mod training;
mod weights;
