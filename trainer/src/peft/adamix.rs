//! AdaMix of Wang et al. (arXiv:2205.12410): a mixture of adapters on the feed-forward block's second dense output o,
//! before its dropout: o + Up(GELU(Downₑ(o))), with four experts that share Up.
//!
//! Each training pass draws one expert e per layer for the whole batch; the loss has a consistency term
//! (`train/loss.rs`). Afterwards, and in every validation, the experts' weights and biases are averaged: one adapter is
//! deployed, and counted. Matrices and biases start from PyTorch's default, U(±1/√fan_in).

use std::rc::Rc;

use autopeft_crds::Module;
use tch::{Device, Kind, Tensor};

use super::module::{Insertion, LayerCall, ModuleRow, PeftModule, Scope};
use crate::encoder::sites::Site;
use crate::nn::{Linear, NamedTensors};

/// The module.
pub const ADAMIX: ModuleRow = ModuleRow {
    name: "adamix",
    module: Module::AdaMix,
    scope: Scope::Layer,
    init: |insertion| Rc::new(AdaMix::new(insertion)),
};

const EXPERTS: usize = 4;

/// The adapters of one layer; (2·D·H + D + H) parameters deployed.
#[derive(Debug)]
struct AdaMix {
    /// H to D; one after training.
    downs: Vec<Linear>,
    /// D to H.
    up: Linear,
}

impl AdaMix {
    /// Adapters of bottleneck D in a model of width H, with their initial values.
    fn new(insertion: &Insertion<'_>) -> Self {
        let (hidden, bottleneck) = (insertion.model.hidden_size, insertion.size);
        let device = insertion.device;
        let downs = (0..EXPERTS).map(|_| Linear::usual(hidden, bottleneck, device));
        Self {
            downs: downs.collect(),
            up: Linear::usual(bottleneck, hidden, device),
        }
    }

    /// The mean of the experts.
    fn averaged(&self) -> Linear {
        let mean = |of: fn(&Linear) -> &Tensor| {
            let all: Vec<&Tensor> = self.downs.iter().map(of).collect();
            Tensor::stack(&all, 0).mean_dim([0i64].as_slice(), false, Kind::Float)
        };
        Linear {
            weight: mean(|down| &down.weight),
            bias: mean(|down| &down.bias),
        }
    }

    /// Up(GELU(Down(o))).
    fn through(&self, down: &Linear, output: &Tensor) -> Tensor {
        let kind = output.kind();
        self.up
            .forward(&down.forward(output, kind).gelu("none"), kind)
    }
}

impl PeftModule for AdaMix {
    fn named(&self) -> NamedTensors {
        let name = |expert: usize| match self.downs.len() {
            1 => "down".to_owned(),
            _ => format!("down.{expert}"),
        };
        let downs = self.downs.iter().enumerate();
        downs
            .flat_map(|(expert, down)| down.named(&name(expert)))
            .chain(self.up.named("up"))
            .collect()
    }

    fn deployed(&self) -> Option<Rc<dyn PeftModule>> {
        let Linear { weight, bias } = self.averaged();
        let leaf = |tensor: &Tensor| tensor.detach().copy().set_requires_grad(true);
        Some(Rc::new(Self {
            downs: vec![Linear {
                weight: leaf(&weight),
                bias: leaf(&bias),
            }],
            up: Linear {
                weight: leaf(&self.up.weight),
                bias: leaf(&self.up.bias),
            },
        }))
    }

    fn is_random(&self) -> bool {
        self.downs.len() > 1
    }

    // o + A(o), [.., H] to [.., H].
    fn replaced(
        &self,
        call: &LayerCall<'_>,
        site: Site,
        _input: &Tensor,
        output: &Tensor,
    ) -> Option<Tensor> {
        if site != Site::Output {
            return None;
        }
        let added = match self.downs.as_slice() {
            [down] => self.through(down, output),
            downs if call.pass.train => {
                // Drawn on the CPU, so that a seed gives the same experts on every device.
                let drawn = Tensor::randint(downs.len() as i64, [1], (Kind::Int64, Device::Cpu));
                self.through(&downs[drawn.int64_value(&[0]) as usize], output)
            }
            _ => self.through(&self.averaged(), output),
        };
        Some(output + added)
    }
}
