//! Pretrained encoders: their configuration, their weights and their forward pass.

pub mod architecture;
pub mod attention;
pub mod bert;
pub mod config;
pub mod fields;
pub mod missing;
pub mod post_norm;
pub mod roberta;
pub mod sites;
pub mod weights;

pub use architecture::{Encoder, ModelConfig};
