//! What a search has in a cluster: what its Jobs and pods look like, and what they amount to. No client, no I/O, no
//! clock: the controller creates what is built here, and reads what is judged here.

pub mod build;
pub mod judge;
