//! One PEFT configuration: which layers carry modules, and how large each module is.
//!
//! A configuration is stored, compared, hashed and cached in its canonical form: without an active
//! layer, or with every module size 0, it is the one empty model (head only, 0 parameters).

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The largest number of Transformer layers that a mask can name.
pub const MAX_LAYERS: usize = 64;

/// One bit per Transformer layer, written as a string of `0` and `1`, the input side first:
/// `001100` inserts modules into the third and the fourth of six layers.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LayerMask(Vec<bool>);

/// Why a text is not a layer mask.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LayerMaskError {
    /// Nothing, or more layers than any supported encoder has.
    #[error("a layer mask has 1 to {MAX_LAYERS} characters, one per layer; this one has {0}")]
    Length(usize),
    /// A character other than `0` and `1`.
    #[error("a layer mask is made of 0 and 1; it has {0:?} at position {1}")]
    Character(char, usize),
}

impl LayerMask {
    /// A mask from bits, the first layer first.
    pub fn from_bits(bits: Vec<bool>) -> Result<Self, LayerMaskError> {
        if bits.is_empty() || bits.len() > MAX_LAYERS {
            return Err(LayerMaskError::Length(bits.len()));
        }
        Ok(Self(bits))
    }

    /// The bits, the first layer first.
    pub fn bits(&self) -> &[bool] {
        &self.0
    }

    /// The number of layers that the mask speaks of.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Always false: a mask has at least one layer.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// |l|, the number of active layers.
    pub fn active(&self) -> usize {
        self.0.iter().filter(|bit| **bit).count()
    }

    /// The indices of the active layers, ascending, from 0.
    pub fn active_layers(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.0.len()).filter(|layer| self.0[*layer])
    }
}

impl FromStr for LayerMask {
    type Err = LayerMaskError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bits = Vec::with_capacity(text.len().min(MAX_LAYERS));
        for (position, character) in text.chars().enumerate() {
            bits.push(match character {
                '0' => false,
                '1' => true,
                other => return Err(LayerMaskError::Character(other, position)),
            });
            if bits.len() > MAX_LAYERS {
                return Err(LayerMaskError::Length(text.chars().count()));
            }
        }
        Self::from_bits(bits)
    }
}

impl TryFrom<String> for LayerMask {
    type Error = LayerMaskError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<LayerMask> for String {
    fn from(mask: LayerMask) -> Self {
        mask.to_string()
    }
}

impl fmt::Display for LayerMask {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|bit| formatter.write_str(if *bit { "1" } else { "0" }))
    }
}

impl fmt::Debug for LayerMask {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "LayerMask({self})")
    }
}

impl JsonSchema for LayerMask {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "LayerMask".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "One character per Transformer layer, 1 where modules are inserted, the input side first.",
            "pattern": "^[01]+$",
            "minLength": 1,
            "maxLength": MAX_LAYERS,
        })
    }
}

/// A PEFT configuration (paper, section 3.1): one layer mask shared by every module, and one size
/// per module for all active layers. Size 0 leaves the module out.
#[derive(
    Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PeftConfiguration {
    /// The layers that carry modules.
    pub layers: LayerMask,
    /// D_SA, the bottleneck of the serial adapter.
    pub serial_adapter: u32,
    /// D_PA, the bottleneck of the parallel adapter.
    pub parallel_adapter: u32,
    /// L_PT, the number of prefix positions.
    pub prefix: u32,
}

impl PeftConfiguration {
    /// The empty model of a given depth: the head alone is trained.
    pub fn empty(layers: usize) -> Result<Self, LayerMaskError> {
        Ok(Self {
            layers: LayerMask::from_bits(vec![false; layers])?,
            serial_adapter: 0,
            parallel_adapter: 0,
            prefix: 0,
        })
    }

    /// Whether no module is inserted anywhere.
    pub fn is_empty_model(&self) -> bool {
        self.layers.active() == 0 || self.size_sum() == 0
    }

    /// The canonical form: every spelling of the empty model becomes the same one.
    #[must_use]
    pub fn canonical(mut self) -> Self {
        if self.is_empty_model() {
            self.layers.0.fill(false);
            self.serial_adapter = 0;
            self.parallel_adapter = 0;
            self.prefix = 0;
        }
        self
    }

    /// The exact cost: trainable parameters as the paper counts them (head, biases and the prefix
    /// reparametrisation left out), `2·(D_SA + D_PA + L_PT)·H·|l|`.
    pub fn parameters(&self, hidden_size: u32) -> u64 {
        2 * self.size_sum() * u64::from(hidden_size) * self.layers.active() as u64
    }

    /// `parameters` as a percentage of the backbone's.
    pub fn parameters_percent(&self, hidden_size: u32, backbone_parameters: u64) -> f64 {
        100.0 * self.parameters(hidden_size) as f64 / backbone_parameters as f64
    }

    /// The hash of the canonical form, 16 hexadecimal digits: what names a configuration in Jobs,
    /// seeds and results.
    pub fn hash(&self) -> String {
        let canonical = self.clone().canonical();
        let text = format!(
            "layers={};serialAdapter={};parallelAdapter={};prefix={}",
            canonical.layers,
            canonical.serial_adapter,
            canonical.parallel_adapter,
            canonical.prefix
        );
        hex_prefix(text.as_bytes())
    }

    fn size_sum(&self) -> u64 {
        u64::from(self.serial_adapter) + u64::from(self.parallel_adapter) + u64::from(self.prefix)
    }
}

/// Compact, for log lines: `layers 001100, SA 12, PA 0, prefix 3`.
impl fmt::Display for PeftConfiguration {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "layers {}, SA {}, PA {}, prefix {}",
            self.layers, self.serial_adapter, self.parallel_adapter, self.prefix
        )
    }
}

/// The first 16 hexadecimal digits of SHA-256: short enough for names and labels.
pub fn hex_prefix(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
