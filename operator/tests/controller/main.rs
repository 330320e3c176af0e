//! The pure parts of the controller: what a Job looks like, and what Jobs and pods amount to.

mod job;
mod names;
mod outcome;
mod restore;
mod words;
