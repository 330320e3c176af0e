//! What a PEFT module is to the rest of the trainer, which knows none by name.

use std::fmt::Debug;
use std::rc::Rc;

use autopeft_crds::Module;
use tch::{Device, Tensor};

use crate::encoder::ModelConfig;
use crate::encoder::sites::{KeyValue, Pass, Site, SublayerEnd};
use crate::nn::NamedTensors;

/// A kind of module: a row of `registry::REGISTRY`.
#[derive(Clone, Copy, Debug)]
pub struct ModuleRow {
    /// Its name in the names of tensors.
    pub name: &'static str,
    /// Its size in a configuration is this module's; 0 leaves it out.
    pub module: Module,
    /// What one module of it serves.
    pub scope: Scope,
    /// A module with its initial values, drawn from libtorch's generator.
    pub init: fn(&Insertion<'_>) -> Rc<dyn PeftModule>,
}

/// What one module serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// One layer: each active layer has its own. Tensors are named `layer.2.NAME.…`.
    Layer,
    /// All active layers. Tensors are named `NAME.…`.
    Model,
}

/// Where a module is inserted.
#[derive(Debug)]
pub struct Insertion<'a> {
    /// Its size.
    pub size: i64,
    /// The layers that the module serves, ascending.
    pub layers: &'a [usize],
    /// The encoder's shape.
    pub model: &'a ModelConfig,
    /// The device that computes.
    pub device: Device,
}

/// A call of a module from one layer in a forward pass.
#[derive(Clone, Copy, Debug)]
pub struct LayerCall<'a> {
    /// The layer's index among those that the module serves, from 0.
    pub slot: usize,
    /// What `precompute` gave in this pass.
    pub precomputed: Option<&'a Tensor>,
    /// The pass.
    pub pass: &'a Pass,
}

/// A module with its parameters. What it does not do at a site, the defaults leave as it is; what it gives to a
/// site of a layer is `[B, T, …]` like what is there.
pub trait PeftModule: Debug {
    /// The trained parameters, float32 leaves, in an order that is always the same. Names of biases end in `bias`;
    /// weight decay leaves them out.
    fn named(&self) -> NamedTensors;

    /// The module as an adapter keeps it, with the same predictions bit for bit; nothing where it is the same.
    fn deployed(&self) -> Option<Rc<dyn PeftModule>> {
        None
    }

    /// What is computed once per forward pass, for all layers.
    fn precompute(&self) -> Option<Tensor> {
        None
    }

    /// L, how many keys and values `key_values` gives.
    fn positions(&self) -> i64 {
        0
    }

    /// Keys and values before the layer's own; `input` is the attention sublayer's, `[B, T, H]`.
    fn key_values(&self, _call: &LayerCall<'_>, _input: &Tensor) -> Option<KeyValue> {
        None
    }

    /// What takes the place of a site's `output`, which was computed from `input`.
    fn replaced(
        &self,
        _call: &LayerCall<'_>,
        _site: Site,
        _input: &Tensor,
        _output: &Tensor,
    ) -> Option<Tensor> {
        None
    }

    /// A term of the sum at a sublayer's end.
    fn term(&self, _call: &LayerCall<'_>, _end: &SublayerEnd<'_>) -> Option<Tensor> {
        None
    }

    /// Whether it trains a tensor of the encoder itself, by its name without prefix, instead of adding one.
    fn trains(&self, _tensor: &str) -> bool {
        false
    }
}
