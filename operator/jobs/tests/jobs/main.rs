//! What a Job looks like, and what Jobs and pods amount to.

mod job;
mod names;
mod outcome;
mod words;
