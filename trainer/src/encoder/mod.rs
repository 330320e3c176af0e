//! Pretrained encoders: their configuration, their weights and their forward pass.

pub mod absent;
pub mod bert;
pub mod config;
pub mod weights;

pub use bert::Encoder;
pub use config::ModelConfig;
