//! One PEFT configuration: which layers carry modules, and how large each module is.
//!
//! A configuration is stored, compared, hashed and cached in its canonical form: without an active
//! layer, or with every module size 0, it is the one empty model (head only, 0 parameters).

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::de::{Error, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Map;
use sha2::{Digest, Sha256};

use crate::limits;
use crate::modules::{Module, ModuleFacts};
use crate::named::Named;
use crate::shape::Shape;

/// The largest number of Transformer layers that a mask can name.
pub const MAX_LAYERS: usize = limits::LAYERS.most as usize;

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

    /// The number of layers.
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
    fn schema_name() -> Cow<'static, str> {
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
///
/// In JSON: `layers`, and a field a module (`modules.rs`).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeftConfiguration {
    /// The layers that carry modules.
    pub layers: LayerMask,
    /// The sizes, by `Module as usize`.
    sizes: [u32; Module::COUNT],
}

impl PeftConfiguration {
    /// A configuration with modules of some sizes; those that are not named are left out.
    pub fn new(layers: LayerMask, sizes: &[(Module, u32)]) -> Self {
        let mut configuration = Self {
            layers,
            sizes: [0; Module::COUNT],
        };
        for (module, size) in sizes {
            configuration.sizes[*module as usize] = *size;
        }
        configuration
    }

    /// The empty model of a given depth: the head alone is trained.
    pub fn empty(layers: usize) -> Result<Self, LayerMaskError> {
        Ok(Self::new(LayerMask::from_bits(vec![false; layers])?, &[]))
    }

    /// The size of a module.
    pub fn size(&self, module: Module) -> u32 {
        self.sizes[module as usize]
    }

    /// The modules with their sizes, those of size 0 too.
    pub fn sizes(&self) -> impl Iterator<Item = (Module, u32)> + '_ {
        Module::ALL.into_iter().zip(self.sizes)
    }

    /// The same with another size of one module.
    #[must_use]
    pub fn with_size(mut self, module: Module, size: u32) -> Self {
        self.sizes[module as usize] = size;
        self
    }

    /// The same on other layers.
    #[must_use]
    pub fn with_layers(mut self, layers: LayerMask) -> Self {
        self.layers = layers;
        self
    }

    /// Whether no module is inserted anywhere.
    pub fn is_empty_model(&self) -> bool {
        self.layers.active() == 0 || self.sizes.iter().all(|size| *size == 0)
    }

    /// The canonical form: all spellings of the empty model become one.
    #[must_use]
    pub fn canonical(mut self) -> Self {
        if self.is_empty_model() {
            self.layers.0.fill(false);
            self.sizes.fill(0);
        }
        self
    }

    /// The exact cost: trainable parameters as the paper counts them (head, biases and the prefix
    /// reparametrisation left out), the modules' cost in one layer times |l|. For the paper's three
    /// `2·(D_SA + D_PA + L_PT)·H·|l|`. A number is the shape of most encoders of that hidden size.
    pub fn parameters(&self, shape: impl Into<Shape>) -> u64 {
        let shape = shape.into();
        let of_a_layer = self.sizes().map(|(module, size)| module.cost(size, &shape));
        of_a_layer.sum::<u64>() * self.layers.active() as u64
    }

    /// `parameters` as a percentage of the backbone's.
    pub fn parameters_percent(&self, shape: impl Into<Shape>, backbone_parameters: u64) -> f64 {
        100.0 * self.parameters(shape) as f64 / backbone_parameters as f64
    }

    /// The hash of the canonical form, 16 hexadecimal digits: what names a configuration in Jobs,
    /// seeds and results.
    pub fn hash(&self) -> String {
        let canonical = self.clone().canonical();
        let mut text = format!("layers={}", canonical.layers);
        for (module, size) in canonical.written() {
            text.push_str(&format!(";{}={size}", module.name()));
        }
        hex_prefix(text.as_bytes())
    }

    /// The text under which a configuration enters the hash of a suggestion's inputs, version 1:
    /// `layers 001100, SA 12, PA 0, prefix 3`. It never changes.
    pub fn hashed_text(&self) -> String {
        let mut text = format!("layers {}", self.layers);
        for (module, size) in self.written() {
            let name = match module {
                Module::SerialAdapter => "SA",
                Module::ParallelAdapter => "PA",
                later => later.name(),
            };
            text.push_str(&format!(", {name} {size}"));
        }
        text
    }

    /// The sizes that are serialised.
    fn written(&self) -> impl Iterator<Item = (Module, u32)> + '_ {
        self.sizes()
            .filter(|(module, size)| module.is_written_at(*size))
    }
}

/// Compact, for people: `layers 001100, SA 12, PA 0, prefix 3`.
impl fmt::Display for PeftConfiguration {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "layers {}", self.layers)?;
        self.written()
            .try_for_each(|(module, size)| write!(formatter, ", {} {size}", module.facts().symbol))
    }
}

/// The field of the mask.
const LAYERS: &str = "layers";

impl Serialize for PeftConfiguration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_map(None)?;
        fields.serialize_entry(LAYERS, &self.layers)?;
        for (module, size) in self.written() {
            fields.serialize_entry(module.name(), &size)?;
        }
        fields.end()
    }
}

impl<'de> Deserialize<'de> for PeftConfiguration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Fields)
    }
}

/// Reads the fields of a configuration: each once, no unknown ones.
struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = PeftConfiguration;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("struct PeftConfiguration")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self::Value, A::Error> {
        let mut layers: Option<LayerMask> = None;
        let mut sizes: [Option<u32>; Module::COUNT] = [None; Module::COUNT];
        while let Some(name) = fields.next_key::<Cow<'de, str>>()? {
            let is_twice = if name == LAYERS {
                layers.replace(fields.next_value()?).is_some()
            } else if let Some(module) = Module::from_name(&name) {
                sizes[module as usize]
                    .replace(fields.next_value()?)
                    .is_some()
            } else {
                let known = Module::names().join("`, `");
                return Err(A::Error::custom(format_args!(
                    "unknown field `{name}`, expected one of `{LAYERS}`, `{known}`"
                )));
            };
            if is_twice {
                return Err(A::Error::custom(format_args!("duplicate field `{name}`")));
            }
        }
        let layers = layers.ok_or_else(|| A::Error::missing_field(LAYERS))?;
        let mut configuration = PeftConfiguration::new(layers, &[]);
        for module in Module::ALL {
            configuration.sizes[module as usize] = match sizes[module as usize] {
                Some(size) => size,
                None if module.is_written_at(0) => {
                    return Err(A::Error::missing_field(module.name()));
                }
                None => 0,
            };
        }
        Ok(configuration)
    }
}

impl JsonSchema for PeftConfiguration {
    fn schema_name() -> Cow<'static, str> {
        "PeftConfiguration".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let mut mask = generator.subschema_for::<LayerMask>();
        mask.insert(
            "description".into(),
            "The layers that carry modules.".into(),
        );
        let mut properties = Map::from_iter([(LAYERS.to_owned(), mask.to_value())]);
        let mut required = vec![LAYERS];
        for module in Module::ALL {
            let ModuleFacts { notation, size, .. } = module.facts();
            let mut field = generator.subschema_for::<u32>();
            field.insert("description".into(), format!("{notation}, {size}.").into());
            properties.insert(module.name().into(), field.to_value());
            if module.is_written_at(0) {
                required.push(module.name());
            }
        }
        schemars::json_schema!({
            "type": "object",
            "description": "A PEFT configuration (paper, section 3.1): one layer mask shared by every module, and one size per module for all active layers. Size 0 leaves the module out.",
            "properties": properties,
            "required": required,
            "additionalProperties": false,
        })
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A module that 0.1.0 did not know is absent where it is left out: what was recorded stays equal.
    #[test]
    fn a_later_module_changes_nothing_where_it_is_left_out() {
        let text = r#"{"layers":"01","serialAdapter":4,"parallelAdapter":0,"prefix":0}"#;
        let without: PeftConfiguration = serde_json::from_str(text).expect("of 0.1.0");
        assert_eq!(without.size(Module::Test), 0);
        assert_eq!(serde_json::to_string(&without).expect("JSON"), text);
        let with = without.clone().with_size(Module::Test, 3);
        let written = serde_json::to_string(&with).expect("JSON");
        assert!(
            written.ends_with(r#""prefix":0,"testModule":3}"#),
            "{written}"
        );
        let back: PeftConfiguration = serde_json::from_str(&written).expect("its own JSON");
        assert_eq!(back, with);
        assert_ne!(with.hash(), without.hash());
        assert_eq!(
            with.hashed_text(),
            format!("{}, testModule 3", without.hashed_text())
        );
        assert_eq!(with.parameters(8) - without.parameters(8), 4 * 3 * 8);
    }
}
