//! What costs depend on besides sizes.

/// What a module's cost depends on besides its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// H, the model's hidden size.
    pub hidden: u32,
    /// I, the width of the feed-forward block.
    pub feed_forward: u32,
    /// M, the number of matrices of a layer that LoRA updates, each H by H.
    pub lora_matrices: u32,
}

/// The shape of most encoders, I = 4·H, with LoRA on queries and values.
impl From<u32> for Shape {
    fn from(hidden: u32) -> Self {
        Self {
            hidden,
            feed_forward: hidden.saturating_mul(4),
            lora_matrices: 2,
        }
    }
}
