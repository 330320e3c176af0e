//! The API of AutoPEFT: the `PeftSearch` object and the protocol between operator and trainer.
//!
//! Everything here is plain data with its rules. There is no I/O, no clock and no tensor.

mod crd;

pub mod configuration;
pub mod decimal;
pub mod inspection;
pub mod ledger_lines;
pub mod limits;
mod measurements;
pub mod methods;
pub mod metrics;
pub mod modules;
pub mod named;
pub mod options;
pub mod other_fields;
pub mod peft_search;
mod promoted;
mod promotion;
pub mod rules;
pub mod run;
pub mod schema;
pub mod shape;
pub mod space;
pub mod spec;
pub mod status;
pub mod tasks;
mod terms;
mod transfer;
mod transferred;
pub mod trial;
pub mod validate;

pub use configuration::{LayerMask, PeftConfiguration};
pub use crd::{NAME_MAX, crd, entry_schema};
pub use decimal::Decimal;
pub use modules::Module;
pub use options::ModuleOptions;
pub use peft_search::{PeftSearch, PeftSearchSpec};
pub use schema::FieldError;
pub use shape::Shape;
pub use space::{SearchSpace, SearchSpaceSpec};
pub use status::{LedgerEntry, PeftSearchStatus, TrialState};
