//! The modules that a configuration inserts into a frozen encoder, one file per module.
//!
//! With x the feed-forward block's input, h its output after dropout and LN the layer's frozen
//! output norm, a layer with serial and parallel adapter gives
//! `y = LN(h + SA(LN(h + x)) + 4·PA(x) + x)`; an omitted module drops its term
//! (AutoPEFT, arXiv:2301.12132, section 3.1, in the form of its authors' code). A prefix acts on
//! attention, independently of both.

pub mod adamix;
pub mod bitfit;
pub mod gate;
pub mod ia3;
pub mod inserted;
pub mod lora;
pub mod module;
pub mod parallel_adapter;
pub mod prefix;
pub mod registry;
pub mod serial_adapter;
pub mod switch;

pub use inserted::{Inserted, Modules};
pub use module::{Insertion, LayerCall, ModuleRow, PeftModule, Scope};
pub use registry::REGISTRY;
