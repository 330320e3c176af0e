//! The serial adapter, SA(u) = Up(ReLU(Down(u))), of Pfeiffer et al. (arXiv:2005.00247).
//!
//! Its input u is LN(h + x): the layer's output norm is applied before it and, to the sum with its
//! output, a second time. Both matrices are initialised from N(0, 0.02²) (BERT's scheme) and biases
//! with 0, so that an untrained adapter is close to the identity, but not equal to it. Behind a
//! gate (UniPELT) or a switch (Adaptable Adapters), the output of Up is multiplied by it.

use std::rc::Rc;

use autopeft_crds::Module;
use tch::Tensor;

use super::gate::Gate;
use super::module::{Insertion, LayerCall, ModuleRow, PeftModule, Scope};
use super::switch::Switch;
use crate::encoder::sites::{Sublayer, SublayerEnd};
use crate::nn::{Linear, NamedTensors, normal, zeros};

/// The standard deviation of the initial matrices.
const DEVIATION: f64 = 0.02;

/// The module.
pub const SERIAL_ADAPTER: ModuleRow = ModuleRow {
    name: "serial_adapter",
    module: Module::SerialAdapter,
    scope: Scope::Layer,
    init: |insertion| Rc::new(SerialAdapter::new(insertion)),
};

/// A serial adapter; (2·D·H + D + H) parameters.
#[derive(Debug)]
struct SerialAdapter {
    /// H to D.
    down: Linear,
    /// D to H.
    up: Linear,
    gate: Option<Gate>,
    switch: Option<Switch>,
}

impl SerialAdapter {
    /// An adapter of bottleneck D in a model of width H, with its initial values.
    fn new(insertion: &Insertion<'_>) -> Self {
        let (hidden, bottleneck) = (insertion.model.hidden_size, insertion.size);
        let device = insertion.device;
        Self {
            down: Linear {
                weight: normal(&[bottleneck, hidden], DEVIATION, device),
                bias: zeros(&[bottleneck], device),
            },
            up: Linear {
                weight: normal(&[hidden, bottleneck], DEVIATION, device),
                bias: zeros(&[hidden], device),
            },
            gate: Gate::of(insertion),
            switch: insertion.is_switched.then(|| Switch::new(device)),
        }
    }
}

impl PeftModule for SerialAdapter {
    fn named(&self) -> NamedTensors {
        let down = self.down.named("down").into_iter();
        let gate = self.gate.iter().flat_map(|gate| gate.named("gate"));
        let switch = self.switch.iter().map(Switch::named);
        down.chain(self.up.named("up"))
            .chain(gate)
            .chain(switch)
            .collect()
    }

    fn preference(&self) -> Option<f64> {
        self.switch.as_ref().map(Switch::preference)
    }

    // SA(u) with u = LN(h + x), [.., H] to [.., H].
    fn term(&self, call: &LayerCall<'_>, end: &SublayerEnd<'_>) -> Option<Tensor> {
        if end.sublayer != Sublayer::FeedForward {
            return None;
        }
        let u = (end.norm)(end.sum);
        let inner = self.down.forward(&u, end.kind).relu();
        let term = self.up.forward(&inner, end.kind);
        let term = match &self.gate {
            Some(gate) => term * gate.value(&u),
            None => term,
        };
        Some(match &self.switch {
            Some(switch) => term * switch.value(u.size()[0], call.pass.train),
            None => term,
        })
    }
}
