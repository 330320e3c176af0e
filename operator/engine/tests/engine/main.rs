//! The tests of the engine, in one program.

mod acquisition;
mod extension;
mod fronts;
mod local_search;
mod rank;
mod searches;
mod space;
mod suggestions;
mod surrogate;
