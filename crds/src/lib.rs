//! API types of AutoPEFT.
pub mod configuration;
pub mod space;
