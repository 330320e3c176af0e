//! LoRA of Hu et al. (arXiv:2106.09685): W·x + b + s·B·A·x on matrices of attention, queries and values by
//! default, with s = α/r, or α/√r where it is rank-stabilised (arXiv:2312.03732).
//!
//! A starts from Kaiming's uniform distribution with a = √5 (that is U(±1/√fan_in)), B from 0: an
//! untrained update changes nothing. No dropout. Behind a gate (UniPELT), the gate's value takes the place of s.

use std::rc::Rc;

use autopeft_crds::Module;
use autopeft_crds::named::Named;
use autopeft_crds::options::Matrix;
use tch::Tensor;

use super::gate::Gate;
use super::module::{Insertion, LayerCall, ModuleRow, PeftModule, Scope};
use crate::encoder::sites::Site;
use crate::nn::{NamedTensors, default_bound, uniform, zeros};

/// The module.
pub const LORA: ModuleRow = ModuleRow {
    name: "lora",
    module: Module::Lora,
    scope: Scope::Layer,
    init: |insertion| Rc::new(Lora::new(insertion)),
};

/// The updates of one layer; 2·r·H parameters a matrix.
#[derive(Debug)]
struct Lora {
    updates: Vec<Update>,
    /// s.
    scale: f64,
}

/// The update of one matrix.
#[derive(Debug)]
struct Update {
    name: &'static str,
    site: Site,
    /// A, `[r, H]`.
    down: Tensor,
    /// B, `[H, r]`.
    up: Tensor,
    gate: Option<Gate>,
}

/// The tensor that a matrix computes.
fn site(matrix: Matrix) -> Site {
    match matrix {
        Matrix::Query => Site::Query,
        Matrix::Key => Site::Key,
        Matrix::Value => Site::Value,
        Matrix::Output => Site::AttentionOutput,
    }
}

impl Lora {
    /// Updates of rank r in a model of width H, with their initial values.
    fn new(insertion: &Insertion<'_>) -> Self {
        let (hidden, rank) = (insertion.model.hidden_size, insertion.size);
        let options = &insertion.options.lora;
        let update = |matrix: &Matrix| Update {
            name: matrix.as_str(),
            site: site(*matrix),
            down: uniform(&[rank, hidden], default_bound(hidden), insertion.device),
            up: zeros(&[hidden, rank], insertion.device),
            gate: Gate::of(insertion),
        };
        Self {
            updates: options.matrices.0.iter().map(update).collect(),
            scale: options.scale(u32::try_from(rank).unwrap_or(u32::MAX)),
        }
    }
}

impl PeftModule for Lora {
    fn named(&self) -> NamedTensors {
        let updates = self.updates.iter();
        updates
            .flat_map(|update| {
                let at = |name: &str| format!("{}.{name}", update.name);
                let own = [
                    (at("down"), update.down.shallow_clone()),
                    (at("up"), update.up.shallow_clone()),
                ];
                let gate = update.gate.iter().flat_map(|gate| gate.named(&at("gate")));
                own.into_iter().chain(gate).collect::<Vec<_>>()
            })
            .collect()
    }

    // W·x + b + s·B·A·x, [.., H] to [.., H].
    fn replaced(
        &self,
        _call: &LayerCall<'_>,
        site: Site,
        input: &Tensor,
        output: &Tensor,
    ) -> Option<Tensor> {
        let update = self.updates.iter().find(|update| update.site == site)?;
        let kind = output.kind();
        let product =
            |x: &Tensor, matrix: &Tensor| x.linear(&matrix.to_kind(kind), None::<&Tensor>);
        let added = product(&product(&input.to_kind(kind), &update.down), &update.up);
        Some(match &update.gate {
            Some(gate) => output + added * gate.value(input).to_kind(kind),
            None => output + added * self.scale,
        })
    }
}
