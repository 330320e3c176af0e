//! The interface of PEFT modules; the rest of the trainer depends on none by name.

use std::fmt::Debug;
use std::rc::Rc;

use autopeft_crds::{Module, ModuleOptions};
use tch::{Device, Tensor};

use crate::encoder::ModelConfig;
use crate::encoder::sites::{KeyValue, Pass, Site, SublayerEnd};
use crate::nn::NamedTensors;

/// A kind of module: a row of `registry::REGISTRY`.
#[derive(Clone, Copy, Debug)]
pub struct ModuleRow {
    /// Its name in the names of tensors.
    pub name: &'static str,
    /// The module of the configuration that has its size; 0 omits it.
    pub module: Module,
    /// What one instance serves.
    pub scope: Scope,
    /// A module with its initial values, drawn from libtorch's generator.
    pub init: fn(&Insertion<'_>) -> Rc<dyn PeftModule>,
}

/// What one instance serves.
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
    /// How modules are built.
    pub options: &'a ModuleOptions,
    /// Whether a switch learns in which layers it is of use.
    pub is_switched: bool,
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
    /// The result of `precompute` in this pass.
    pub precomputed: Option<&'a Tensor>,
    /// The settings of the pass.
    pub pass: &'a Pass,
}

/// A module with its parameters. The default methods change nothing; tensors for a site of a layer have its shape
/// `[B, T, …]`.
pub trait PeftModule: Debug {
    /// The trained parameters, float32 leaves, in a fixed order. Names of biases end in `bias`; weight decay excludes them.
    fn named(&self) -> NamedTensors;

    /// The module in its deployed form, with the same predictions bit for bit; `None` if it is the same.
    fn deployed(&self) -> Option<Rc<dyn PeftModule>> {
        None
    }

    /// Computed once per forward pass, for all layers.
    fn precompute(&self) -> Option<Tensor> {
        None
    }

    /// L, the number of keys and values of `key_values`.
    fn positions(&self) -> i64 {
        0
    }

    /// Keys and values to prepend to the layer's own; `input` is the attention sublayer's, `[B, T, H]`.
    fn key_values(&self, _call: &LayerCall<'_>, _input: &Tensor) -> Option<KeyValue> {
        None
    }

    /// The replacement of a site's `output`, which was computed from `input`.
    fn replaced(
        &self,
        _call: &LayerCall<'_>,
        _site: Site,
        _input: &Tensor,
        _output: &Tensor,
    ) -> Option<Tensor> {
        None
    }

    /// A term to add to a sublayer's sum.
    fn term(&self, _call: &LayerCall<'_>, _end: &SublayerEnd<'_>) -> Option<Tensor> {
        None
    }

    /// Whether a training pass draws which of its parameters act: training then asks two passes to agree.
    fn is_random(&self) -> bool {
        false
    }

    /// By how much its switch prefers it to the frozen layer, where it has one.
    fn preference(&self) -> Option<f64> {
        None
    }

    /// Whether it trains a tensor of the encoder itself, by its name without prefix, instead of adding one.
    fn trains(&self, _tensor: &str) -> bool {
        false
    }
}
