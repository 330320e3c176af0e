//! The Jobs and pods of a search: how they are built, and how their state is judged. No client, no I/O, no
//! clock: the controller creates what is built here, and acts on what is judged here.

pub mod build;
pub mod judge;
