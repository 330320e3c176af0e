//! The API of AutoPEFT: the `PeftSearch` object and the wire between operator and trainer.
//!
//! Everything here is plain data with its rules. There is no I/O, no clock and no tensor.

pub mod configuration;
pub mod decimal;
pub mod space;
pub mod spec;
pub mod status;
pub mod trial;

pub use configuration::{LayerMask, PeftConfiguration};
pub use decimal::Decimal;
pub use space::{SearchSpace, SearchSpaceSpec};
pub use spec::{PeftSearch, PeftSearchSpec};
pub use status::{LedgerEntry, PeftSearchStatus, TrialState};
