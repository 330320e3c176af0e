//! The modules of an imported adapter, put together.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use autopeft_crds::options::LoraOptions;
use autopeft_crds::{LayerMask, Module, ModuleOptions, PeftConfiguration, limits};
use tch::Tensor;

use super::{Base, Inserted, InterchangeError};
use crate::nn::NamedTensors;
use crate::tensor_file::TensorFile;

/// A dense layer's weight and bias.
pub(super) type Dense = (Tensor, Tensor);

/// Modules with their layers, and tensors by their names in a checkpoint.
#[derive(Debug)]
pub(super) struct Parts {
    path: PathBuf,
    layers: Option<BTreeSet<usize>>,
    sizes: Vec<(Module, u32)>,
    /// Whether each module that may be gated is.
    gated: BTreeMap<&'static str, bool>,
    pub(super) options: ModuleOptions,
    pub(super) first_position: u32,
    pub(super) tensors: NamedTensors,
}

impl Parts {
    /// None yet; `path` is named in errors.
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            layers: None,
            sizes: Vec::new(),
            gated: BTreeMap::new(),
            options: ModuleOptions::default(),
            first_position: 0,
            tensors: Vec::new(),
        }
    }

    pub(super) fn refused(&self, reason: impl Into<String>) -> InterchangeError {
        InterchangeError::Foreign {
            path: self.path.clone(),
            reason: reason.into(),
        }
    }

    /// Adds a module in some layers.
    pub(super) fn module(
        &mut self,
        module: Module,
        size: i64,
        layers: BTreeSet<usize>,
    ) -> Result<(), InterchangeError> {
        let title = module.facts().title;
        let range = limits::MODULE_SIZE;
        let size = u32::try_from(size).ok();
        let size = size.filter(|size| (1..=range.most).contains(&u64::from(*size)));
        let size = size.ok_or_else(|| {
            self.refused(format!(
                "the size of its {title} is not within 1 and {}",
                range.most
            ))
        })?;
        if layers.is_empty() {
            return Err(self.refused(format!("its {title} is in no layer")));
        }
        match &self.layers {
            Some(others) if *others != layers => Err(self.refused(format!(
                "its {title} is in other layers than its other modules; this program has one set of layers for all"
            ))),
            _ if self.sizes.iter().any(|(other, _)| *other == module) => {
                Err(self.refused(format!("it has two of {title}")))
            }
            _ => {
                self.layers = Some(layers);
                self.sizes.push((module, size));
                Ok(())
            }
        }
    }

    /// Says whether a module that may have a gate has one.
    pub(super) fn gate(&mut self, module: Module, gated: bool) {
        self.gated.insert(module.facts().title, gated);
    }

    pub(super) fn push(&mut self, name: String, tensor: Tensor) {
        self.tensors.push((name, tensor));
    }

    /// Adds the head, two dense layers; gives the number of its outputs.
    pub(super) fn head(
        &mut self,
        inner: Dense,
        output: Dense,
        base: Base<'_>,
    ) -> Result<i64, InterchangeError> {
        let hidden = base.config.hidden_size;
        let outputs = output.0.size()[0];
        for (name, (weight, bias), rows) in [("dense", inner, hidden), ("output", output, outputs)]
        {
            if weight.size() != [rows, hidden] || bias.size() != [rows] {
                return Err(self.refused(format!(
                    "its head's {name} layer has another width than the model"
                )));
            }
            self.push(format!("head.{name}.weight"), weight);
            self.push(format!("head.{name}.bias"), bias);
        }
        Ok(outputs)
    }

    /// How LoRA is scaled: α as it is if it is one of this program's, else a factor for B beside a scale of 1.
    pub(super) fn scale_lora(&mut self, alpha: f64, rank: u32, stabilized: bool) -> f64 {
        let range = limits::LORA_ALPHA;
        let own = |alpha: u64| (range.least..=range.most).contains(&alpha);
        let options = &mut self.options.lora;
        if alpha.fract() == 0.0 && alpha >= 0.0 && own(alpha as u64) {
            options.alpha = alpha as u32;
            options.rank_stabilized = stabilized;
            return 1.0;
        }
        let wanted = alpha
            / if stabilized {
                f64::from(rank).sqrt()
            } else {
                f64::from(rank)
            };
        *options = LoraOptions {
            alpha: rank.clamp(range.least as u32, range.most as u32),
            rank_stabilized: false,
            ..options.clone()
        };
        wanted / options.scale(rank)
    }

    /// The number of a prefix's layers and the rest.
    pub(super) fn finish(
        mut self,
        layers: usize,
    ) -> Result<(Inserted, NamedTensors), InterchangeError> {
        let mut gates = self.gated.values();
        let gated = gates.next().copied().unwrap_or(false);
        if gates.any(|other| *other != gated) {
            return Err(self.refused(
                "some of its modules have gates and some do not; this program has them for all or none",
            ));
        }
        self.options.gated = gated;
        let active = self.layers.take().unwrap_or_default();
        if let Some(last) = active.last().filter(|last| **last >= layers) {
            return Err(self.refused(format!(
                "it has modules in layer {last}; the model has {layers} layers"
            )));
        }
        let bits = (0..layers).map(|layer| active.contains(&layer)).collect();
        let mask = LayerMask::from_bits(bits).map_err(|error| self.refused(error.to_string()))?;
        for (name, tensor) in &self.tensors {
            if tensor.isfinite().all().int64_value(&[]) == 0 {
                return Err(
                    self.refused(format!("tensor {name} has values that are NaN or infinite"))
                );
            }
        }
        let inserted = Inserted {
            configuration: PeftConfiguration::new(mask, &self.sizes).canonical(),
            options: self.options,
            first_position: self.first_position,
        };
        Ok((inserted, self.tensors))
    }
}

/// The pooler of the base model's own checkpoint, which an encoder does not have.
pub(super) fn pooler(base: Base<'_>) -> Option<Dense> {
    let mut file = TensorFile::open(&base.folder.join("model.safetensors")).ok()?;
    let hidden = base.config.hidden_size;
    let names = file.names();
    let mut part = |part: &str, shape: &[i64]| {
        let ending = format!("pooler.dense.{part}");
        let name = names.iter().find(|name| {
            name.strip_suffix(ending.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        })?;
        file.read(name, shape).ok()
    };
    Some((part("weight", &[hidden, hidden])?, part("bias", &[hidden])?))
}
