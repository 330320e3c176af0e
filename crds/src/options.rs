//! How modules are built: what a search does not vary. It is the same in every trial of a search, is part
//! of each request, and is written into every adapter.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::limits;
use crate::named::{Named, written_by_name};
use crate::shape::Shape;

/// How the modules of a search are built.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ModuleOptions {
    /// LoRA.
    #[serde(skip_serializing_if = "is_default")]
    pub lora: LoraOptions,
    /// (IA)³.
    #[serde(skip_serializing_if = "is_default")]
    pub ia3: Ia3Options,
    /// The prefix.
    #[serde(skip_serializing_if = "is_default")]
    pub prefix: PrefixOptions,
    /// Give the serial adapter, the prefix and LoRA a gate of UniPELT (arXiv:2110.07577): a sigmoid of the
    /// site's input, averaged over the tokens of a text. Gates are not counted as parameters.
    #[serde(skip_serializing_if = "is_default")]
    pub gated: bool,
}

/// LoRA (arXiv:2106.09685): `W·x + s·B·A·x`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct LoraOptions {
    /// The matrices of attention that are updated.
    #[schemars(with = "Vec<Matrix>", length(min = limits::LORA_MATRICES.least, max = limits::LORA_MATRICES.most), extend("x-kubernetes-list-type" = "set"))]
    pub matrices: Matrices,
    /// α: the update is scaled by s = α/r.
    #[schemars(range(min = limits::LORA_ALPHA.least, max = limits::LORA_ALPHA.most))]
    pub alpha: u32,
    /// Scale by s = α/√r instead (rank-stabilised LoRA, arXiv:2312.03732).
    pub rank_stabilized: bool,
}

/// A matrix of attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Matrix {
    /// The projection to queries.
    Query,
    /// The projection to keys.
    Key,
    /// The projection to values.
    Value,
    /// The projection of the heads' outputs.
    Output,
}

impl Named for Matrix {
    const ALL: &'static [Self] = &[Self::Query, Self::Key, Self::Value, Self::Output];

    fn as_str(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::Key => "key",
            Self::Value => "value",
            Self::Output => "output",
        }
    }
}

written_by_name!(Matrix);

/// A set of matrices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Matrices(pub BTreeSet<Matrix>);

impl Matrices {
    /// How many.
    pub fn count(&self) -> u32 {
        self.0.len() as u32
    }
}

/// (IA)³ (arXiv:2205.05638): vectors that scale keys, values and the feed-forward block's activation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Ia3Options {
    /// Where the feed-forward block is scaled.
    pub feed_forward: Ia3Site,
}

/// Where (IA)³ scales the feed-forward block. The number of parameters is the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Ia3Site {
    /// After the activation, as the paper and Hugging Face `peft` do.
    #[default]
    AfterActivation,
    /// Before it, as AdapterHub's `adapters` does.
    BeforeActivation,
}

/// The prefix (arXiv:2101.00190).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PrefixOptions {
    /// m, the width of the network that keys and values come from while they are trained; 0 trains them
    /// directly. 800 in AutoPEFT and MAM, 512 in AdapterHub's default and UniPELT.
    #[schemars(range(max = limits::PREFIX_WIDTH.most))]
    pub width: u32,
}

impl Default for LoraOptions {
    fn default() -> Self {
        Self {
            matrices: Matrices([Matrix::Query, Matrix::Value].into()),
            alpha: 8,
            rank_stabilized: false,
        }
    }
}

impl Default for PrefixOptions {
    fn default() -> Self {
        Self { width: 800 }
    }
}

impl LoraOptions {
    /// s, by which an update of rank r is scaled.
    pub fn scale(&self, rank: u32) -> f64 {
        let (alpha, rank) = (f64::from(self.alpha), f64::from(rank.max(1)));
        if self.rank_stabilized {
            alpha / rank.sqrt()
        } else {
            alpha / rank
        }
    }
}

impl ModuleOptions {
    /// Whether nothing is said: what 0.1.0 wrote.
    pub fn is_default(&self) -> bool {
        is_default(self)
    }

    /// The same shape with the options' number of LoRA matrices.
    pub fn shape(&self, shape: Shape) -> Shape {
        Shape {
            lora_matrices: self.lora.matrices.count(),
            ..shape
        }
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modules::Module;

    #[test]
    fn what_is_not_said_is_not_written() {
        let nothing = ModuleOptions::default();
        assert_eq!(serde_json::to_string(&nothing).expect("JSON"), "{}");
        let text = r#"{"lora":{"matrices":["query","key"],"alpha":16,"rankStabilized":true}}"#;
        let read: ModuleOptions = serde_json::from_str(text).expect("options");
        assert_eq!(serde_json::to_string(&read).expect("JSON"), text);
        assert!(!read.is_default() && nothing.is_default());
        assert_eq!((read.lora.scale(4), nothing.lora.scale(4)), (8.0, 2.0));
    }

    /// The paper's counts for BERT-base: LoRA of rank 8 has 294,912, (IA)³ 55,296; BitFit without the
    /// norm of the embeddings and the pooler 101,376.
    #[test]
    fn the_costs_of_a_base_model() {
        let shape = Shape::from(768);
        assert_eq!(ModuleOptions::default().shape(shape), shape);
        let cost = |module: Module, size, shape| 12 * module.cost(size, shape);
        assert_eq!(cost(Module::Lora, 8, &shape), 294_912);
        assert_eq!(cost(Module::Ia3, 1, &shape), 55_296);
        assert_eq!(cost(Module::BitFit, 1, &shape), 101_376);
        let mut options = ModuleOptions::default();
        options
            .lora
            .matrices
            .0
            .extend([Matrix::Key, Matrix::Output]);
        assert_eq!(cost(Module::Lora, 8, &options.shape(shape)), 2 * 294_912);
    }
}
