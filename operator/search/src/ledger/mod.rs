//! The ledger: what happened in a search, folded from events. No I/O, no clock.
//!
//! Events are applied in the order in which they were written. A trial is planned, started (perhaps more than
//! once, each time as a new attempt) and gets one result, which never changes. An event that breaks these
//! rules is rejected, so that a ledger that was read back can be trusted.

mod apply;
mod error;
mod event;
mod state;

pub use error::{LedgerError, RestoreError};
pub use event::{Conclusion, ConclusionReason, Event, Planned, Recorded, RetryCause};
pub use state::{BadInput, Ledger, Restored, Since};
