//! RoBERTa (arXiv:1907.11692): BERT with positions counted from the padding id, and one token type.

use tch::{Kind, Tensor};

use super::architecture::{ArchitectureRow, ModelConfig, SpecialTokens};
use super::fields::{ConfigError, Fields};
use super::post_norm::PostNorm;

/// The architecture.
pub const ROBERTA: ArchitectureRow = ArchitectureRow {
    name: "roberta",
    read,
};

fn read(fields: &Fields<'_>) -> Result<ModelConfig, ConfigError> {
    let numbers = PostNorm::read(fields, 1, positions)?;
    // The first pad_id + 1 rows are not positions of tokens.
    let max_tokens = numbers.position_rows - numbers.pad_id - 1;
    Ok(ModelConfig {
        special_tokens: Some(SpecialTokens {
            start: "<s>",
            end: "</s>",
            has_segments: false,
        }),
        ..numbers.model(fields, ROBERTA.name, max_tokens)?
    })
}

/// `[B, T]`: tokens are counted from pad_id + 1, and padding has the row of pad_id.
fn positions(ids: &Tensor, pad_id: i64) -> Tensor {
    let token = ids.ne(pad_id).to_kind(Kind::Int64);
    token.cumsum(1, Kind::Int64) * &token + pad_id
}
