//! The pure parts of the controller: what a Job looks like, and what Jobs and pods amount to.

mod job;
mod names;
mod object;
mod outcome;

mod words;
