//! BERT (arXiv:1810.04805) and its distillations (MiniLM): positions are counted from 0.

use tch::{Kind, Tensor};

use super::architecture::{ArchitectureRow, ModelConfig, SpecialTokens};
use super::fields::{ConfigError, Fields};
use super::post_norm::PostNorm;

/// The architecture.
pub const BERT: ArchitectureRow = ArchitectureRow { name: "bert", read };

fn read(fields: &Fields<'_>) -> Result<ModelConfig, ConfigError> {
    let numbers = PostNorm::read(fields, 0, positions)?;
    let max_tokens = numbers.position_rows;
    Ok(ModelConfig {
        special_tokens: Some(SpecialTokens {
            start: "[CLS]",
            end: "[SEP]",
            has_segments: true,
        }),
        ..numbers.model(fields, BERT.name, max_tokens)?
    })
}

/// `[T]`: 0, 1, 2, ….
fn positions(ids: &Tensor, _pad_id: i64) -> Tensor {
    Tensor::arange(ids.size()[1], (Kind::Int64, ids.device()))
}
