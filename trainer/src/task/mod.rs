//! A task's examples: texts and targets, read from its files and checked. One file per family of tasks.

mod alike;
mod custom;
mod error;
mod examples;
mod family;
mod glue;
mod load;
mod targets;
mod texts;

pub use error::TaskError;
pub use examples::{Examples, Kind, Sets, Targets, Task};
pub use family::{Family, Files, Labels, Texts};
pub use glue::Glue;
pub use load::{data_files, hub_files, load, load_file, load_of, load_test, load_validation};
